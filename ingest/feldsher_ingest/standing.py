"""How the line stands, as its database knows it: looked at piece by piece, so that what may not be seen hides no other.

`look` needs a connection and no more than the rights of the role `feldsher_status`; `judge` says what is wrong, by
limits that docs/operations/ingest.md explains and Prometheus' rules repeat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from feldsher_ehr_core.ids import shard
from psycopg.rows import TupleRow, dict_row

from feldsher_ingest import sql

_QUERIES = sql.load("standing.sql")
Rows = list[dict[str, Any]]
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
REPLICA_S, REPLICA_BYTES = MINUTE_S, 256_000_000
SLOT_BYTES = 10_000_000_000
BACKUP_S = 26 * HOUR_S
"""Made daily, and the making takes its time."""
EVENT_S = 5 * MINUTE_S
ROLLUP_S, WATCH_S = HOUR_S, 5 * MINUTE_S
GATEWAY_S = HOUR_S
DISK = 0.1
"""Least part of a disk that is to be free."""
WAIT_S = 10
"""So long a question may take: whoever asks how things stand must not wait with them."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the gateways of one shard, by their own word: messages, and seconds since the oldest was made."""

    gateways: int
    messages: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What was seen, by the name of its query in standing.sql, and why the rest was not."""

    seen: Mapping[str, Rows]
    unseen: Mapping[str, str] = field(default_factory=dict[str, str])

    def one(self, name: str) -> dict[str, Any]:
        """Return the one row of a query; empty where it was not seen or there is none."""
        rows = self.seen.get(name, [])
        return rows[0] if rows else {}

    def shards(self) -> dict[int, Backlog]:
        """Return what waits in gateways, by shard."""
        found: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for row in self.seen.get("gateways", []):
            found[shard(row["gateway"])].append((row["waiting"], row["oldest_s"]))
        return {
            number: Backlog(len(waiting), sum(n for n, _ in waiting), max(s for _, s in waiting))
            for number, waiting in sorted(found.items())
        }


def look(connection: psycopg.Connection[TupleRow]) -> Standing:
    """Return how the line stands. The connection is in autocommit mode: a piece that fails fails alone."""
    seen, unseen = dict[str, Rows](), dict[str, str]()
    connection.execute(f"set statement_timeout = '{WAIT_S}s'".encode())
    for name, query in _QUERIES.items():
        try:
            with connection.cursor(row_factory=dict_row) as cursor:
                seen[name] = cursor.execute(query).fetchall()
        except psycopg.OperationalError:
            if connection.closed:
                raise
            unseen[name] = f"no answer within {WAIT_S} s"
        except psycopg.Error as error:
            unseen[name] = (str(error).strip().splitlines() or [type(error).__name__])[0]
    hidden = seen.pop("blind", [{"hidden": 0}])[0]["hidden"]
    if hidden:
        unseen["replicas"] = f"{hidden} are hidden from this user: `grant pg_monitor to feldsher_status`"
    return Standing(seen, unseen)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that somebody should look at: a word for it (a heading of the runbook), and what it is."""

    code: str
    what: str


def judge(standing: Standing) -> list[Problem]:
    """Return what is wrong, the worst first."""
    return [*_flow(standing), *_copies(standing), *_chores(standing)]


def _flow(standing: Standing) -> Iterable[Problem]:
    server, canary = standing.one("server"), standing.one("canary")
    if server.get("replica"):
        yield Problem(
            "replica", "this server is a replica and takes no writes; FELDSHER_DATABASE_URL must name the primary too"
        )
    if "workers" in standing.seen and not any(row["seats"] for row in standing.seen["workers"]):
        yield Problem("workers", "no worker holds a seat: nothing is stored, gateways keep what they measure")
    elif standing.seen.get("unheld"):
        seats = ", ".join(str(row["seat"]) for row in standing.seen["unheld"])
        yield Problem("seats", f"nobody holds seat {seats}: the messages of its shards wait in the broker")
    if canary.get("silent"):
        yield Problem("canary", f"{canary['silent']} of {canary['shards']} test alarms have not crossed the line")
    events = standing.one("events")
    if events.get("oldest_s", 0) > EVENT_S:
        yield Problem(
            "events", f"{events['waiting']} events wait for the record, the oldest for {age(events['oldest_s'])}"
        )
    if events.get("parked"):
        yield Problem("parked", f"the record has given up {events['parked']} events (`feldsher-cloud event list`)")
    for letter in standing.seen.get("letters", []):
        yield Problem(
            "dead-letters", f"{letter['letters']} dead letters of cause {letter['cause']} wait to be looked at"
        )
    for number, waiting in standing.shards().items():
        if waiting.oldest_s > GATEWAY_S:
            what = (
                f"{waiting.gateways} gateways of shard {number} are there and have {waiting.messages} messages waiting"
            )
            yield Problem("backlog", f"{what}, the oldest for {age(waiting.oldest_s)}")


def _copies(standing: Standing) -> Iterable[Problem]:
    archive, newest = standing.one("archive"), standing.one("backups")
    if archive.get("failing"):
        yield Problem("archive", f"the log is not being archived ({archive['failed']} failures): see the server's log")
    if "backups" in standing.seen and not newest:
        yield Problem("backup", "no base backup was ever made (`feldsher-cloud backup base`)")
    elif newest.get("age_s", 0) > BACKUP_S:
        yield Problem("backup", f"the newest base backup, {newest['name']}, is {age(newest['age_s'])} old")
    for row in standing.seen.get("replicas", []):
        if row["behind_s"] > REPLICA_S or row["behind_bytes"] > REPLICA_BYTES:
            yield Problem(
                "replication", f"replica {row['name']} is {age(row['behind_s'])} and {size(row['behind_bytes'])} behind"
            )
    for row in standing.seen.get("slots", []):
        if row["status"] in {"unreserved", "lost"}:
            yield Problem("slot", f"slot {row['name']} has lost its place in the log: its replica must be made anew")
        elif not row["active"] and (row["kept_bytes"] or 0) > SLOT_BYTES:
            yield Problem(
                "slot", f"nobody reads slot {row['name']}, and {size(row['kept_bytes'])} of the log are kept for it"
            )


def _chores(standing: Standing) -> Iterable[Problem]:
    rollups, watch = standing.one("rollups"), standing.one("watch")
    if rollups.get("oldest_s", 0) > ROLLUP_S:
        yield Problem(
            "rollups", f"{rollups['due']} days wait to be rolled up, the oldest for {age(rollups['oldest_s'])}"
        )
    if watch.get("oldest_s", 0) > WATCH_S:
        yield Problem(
            "watch", f"{watch['due']} stretches wait to be judged anew, the oldest for {age(watch['oldest_s'])}"
        )


def age(seconds: float) -> str:
    """Return a span of time for people: 45 s, 12 min, 3 h, 2 days."""
    for limit, unit, word in ((120, 1, "s"), (2 * HOUR_S, MINUTE_S, "min"), (2 * DAY_S, HOUR_S, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / DAY_S:.0f} days"


def size(number: float) -> str:
    """Return bytes for people, in powers of ten: 12 kB, 3.4 GB."""
    for word in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {word}"
        number /= 1000
    return f"{number:.3g} TB"
