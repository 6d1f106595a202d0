"""`feldsher-ingest status`: how the line stands, in one table, and in an exit code."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client.parser import text_string_to_metric_families  # pyright: ignore[reportUnknownVariableType]
from rich.table import Table

from feldsher_ingest import primary, standing
from feldsher_ingest.standing import Problem, Standing, age, size

HEALTHY, SICK, BLIND = 0, 1, 3
"""Exit codes: all is well; something is wrong; nothing is known to be wrong, but not everything could be seen."""
_WORKER_METRICS = (
    "feldsher_ingest_database_up",
    "feldsher_ingest_broker_up",
    "feldsher_ingest_seats",
    "feldsher_ingest_waiting_messages",
    "feldsher_ingest_receipts_outstanding",
)


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder's disk: bytes free of bytes in all."""

    folder: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class WorkerSaid:
    """What a worker process says of itself at its metrics port; `lag_s`: of its shards' last batches."""

    url: str
    values: dict[str, float]
    lag_s: dict[int, float]


@dataclass(slots=True)
class Status:
    """Everything that was found, as `--json` prints it."""

    problems: list[Problem] = field(default_factory=list[Problem])
    seen: dict[str, Any] = field(default_factory=dict[str, Any])
    unseen: dict[str, str] = field(default_factory=dict[str, str])
    shards: dict[int, dict[str, float]] = field(default_factory=dict[int, dict[str, float]])
    workers: list[WorkerSaid] = field(default_factory=list[WorkerSaid])
    disks: list[Disk] = field(default_factory=list[Disk])

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return SICK if self.problems else BLIND if self.unseen else HEALTHY


def gather(database_url: str, state: Path, metrics: Sequence[str]) -> Status:
    """Look at the database, at the metrics ports given, and at this machine's disk."""
    status = Status()
    try:
        with psycopg.connect(primary.address(database_url), autocommit=True, connect_timeout=5) as connection:
            found = standing.look(connection)
        _take(status, found)
    except psycopg.Error as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        status.problems.append(Problem("database", f"the database does not answer: {first}"))
    for url in metrics:
        _ask_worker(status, url)
    if not metrics:
        status.unseen["receipts"] = "no worker was asked: --metrics http://127.0.0.1:PORT, on its own machine"
    _look_at_disks(status, state)
    return status


def _take(status: Status, found: Standing) -> None:
    status.seen, status.unseen = dict(found.seen), dict(found.unseen)
    status.seen.pop("gateways", None)  # fifty thousand lines; the shards hold their sums
    status.shards = {number: asdict(waiting) for number, waiting in found.shards().items()}
    status.problems += standing.judge(found)


def _ask_worker(status: Status, url: str) -> None:
    address = url if url.endswith("/metrics") else f"{url.rstrip('/')}/metrics"
    if not address.startswith(("http://", "https://")):
        status.unseen[url] = "not an http:// address"
        return
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - http alone, as checked above
            text = answer.read().decode()
    except (OSError, urllib.error.URLError, ValueError) as error:
        status.problems.append(Problem("worker", f"the worker at {url} does not answer: {error}"))
        return
    said = parse(url, text)
    status.workers.append(said)
    for name in _WORKER_METRICS[:2]:
        if said.values.get(name) == 0:
            what = name.removeprefix("feldsher_ingest_").removesuffix("_up")
            status.problems.append(Problem(what, f"the worker at {url} has no {what}"))


def parse(url: str, text: str) -> WorkerSaid:
    """Return what a worker's metrics say."""
    values, lags = dict[str, float](), dict[int, float]()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in _WORKER_METRICS:
                values[sample.name] = sample.value
            elif sample.name == "feldsher_ingest_shard_lag_seconds":
                lags[int(sample.labels["shard"])] = sample.value
    return WorkerSaid(url, values, lags)


def _look_at_disks(status: Status, state: Path) -> None:
    if not state.exists():
        status.unseen["disk"] = f"{state} is not there: FELDSHER_STATE names the state folder"
        return
    usage = shutil.disk_usage(state)
    status.disks.append(Disk(str(state), usage.free, usage.total))
    if usage.free < standing.DISK * usage.total:
        what = f"{size(usage.free)} are free where {state} lies, of {size(usage.total)}"
        status.problems.append(Problem("disk", what))


def table(status: Status) -> Table:
    """Return the status for people."""
    drawn = Table(show_header=False, box=None, pad_edge=False)
    for name, what in _lines(status):
        drawn.add_row(name, what)
    for name, why in status.unseen.items():
        drawn.add_row(f"[yellow]{name}[/]", f"[yellow]not seen: {why}[/]")
    for problem in status.problems:
        drawn.add_row(f"[red]{problem.code}[/]", f"[red]{problem.what}[/]")
    if not status.problems:
        drawn.add_row("", "nothing is known to be wrong" if status.unseen else "[green]all is well[/]")
    return drawn


def _lines(status: Status) -> Iterable[tuple[str, str]]:
    found = Standing(status.seen)
    yield from _server_lines(found)
    for row in found.seen.get("workers", []):
        held = ", ".join(map(str, row["seats"])) or "none, in reserve"
        yield "worker", f"{row['worker']}: seats {held}"
    for said in status.workers:
        yield "says", _said(said)
    yield from _waiting_lines(found)
    for number, waiting in status.shards.items():
        waits = f"{waiting['messages']:.0f} messages wait in {waiting['gateways']:.0f} gateways"
        yield f"shard {number}", f"{waits}, the oldest for {age(waiting['oldest_s'])}"
    for disk in status.disks:
        yield "disk", f"{size(disk.free)} of {size(disk.total)} are free where {disk.folder} lies"


def _server_lines(found: Standing) -> Iterable[tuple[str, str]]:
    if server := found.one("server"):
        revision = found.one("revision").get("revision", "?")
        what = f"PostgreSQL {server['version'].split()[0]}, TimescaleDB {server['timescaledb']}, revision {revision}"
        line = "replica" if server["replica"] else f"timeline {server['timeline']}"
        yield "database", f"{what}, {line}, {size(server['bytes'])}, up for {age(server['up_s'])}"
    for row in found.seen.get("replicas", []):
        yield "replica", f"{row['name']} ({row['sync']}): {age(row['behind_s'])}, {size(row['behind_bytes'])} behind"
    if archive := found.one("archive"):
        last = "nothing yet" if archive["age_s"] is None else f"last {age(archive['age_s'])} ago"
        yield "archive", "off: no restore to a moment" if archive["mode"] == "off" else last
    if newest := found.one("backups"):
        made = f"{newest['name']} ({newest['kind']}), {age(newest['age_s'])} ago"
        yield "backup", f"{made}, {size(newest['bytes'])}, {newest['place']}"


def _waiting_lines(found: Standing) -> Iterable[tuple[str, str]]:
    if events := found.one("events"):
        what = f"{events['waiting']} events wait, the oldest for {age(events['oldest_s'])}"
        yield "record", f"{what}; {events['parked']} given up"
    if canary := found.one("canary"):
        crossed = "never sent" if canary["oldest_s"] is None else f"last {age(canary['oldest_s'])} ago at the slowest"
        yield "canary", f"{canary['shards']} test alarms, {crossed}"
    for name, word in (("rollups", "days to roll up"), ("watch", "stretches to judge anew")):
        if row := found.one(name):
            yield name, f"{row['due']} {word}, the oldest for {age(row['oldest_s'])}"
    if (epoch := found.one("resend")) and epoch["unasked"]:
        what = f"epoch {epoch['epoch']} ({epoch['why']})"
        yield "resend", f"{what}: {epoch['unasked']} gateways are still to be asked"


def _said(said: WorkerSaid) -> str:
    values = {name.removeprefix("feldsher_ingest_"): value for name, value in said.values.items()}
    waiting, outstanding = values.get("waiting_messages", 0), values.get("receipts_outstanding", 0)
    lag = f"shards' lag up to {max(said.lag_s.values()) * 1000:.0f} ms" if said.lag_s else "no batch yet"
    return f"{said.url}: {waiting:.0f} messages in memory, {outstanding:.0f} receipts outstanding, {lag}"
