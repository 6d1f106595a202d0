"""`feldsher-ingest replay`: re-interpret stored cardiograms with this version's engine, and say what that changed."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from feldsher_ingest import log, replay, replay_report
from feldsher_ingest.replay import Asked, ReplayError, Run
from feldsher_ingest.settings import database_url
from feldsher_ingest.store import Store

if TYPE_CHECKING:
    from distributed import Client

    from feldsher_ingest.replay_cluster import Progress as Far

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Interpret stored ECGs again with the engine of this version, beside what their gateways said. Signed reports "
        "are never changed; a critical statement that is new becomes a review for a doctor. A run can be stopped, "
        "killed and resumed at any time. The database is that of FELDSHER_DATABASE_URL."
    ),
)
STOPPED = 3
"""Exit code of a run that was stopped before its end."""

Processes = Annotated[
    int | None, typer.Option(min=1, help="Processes on this machine; without it, one for each processor.")
]
Memory = Annotated[str, typer.Option(help="Memory of each process; one that takes more is started anew.")]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Instead of own processes: the Dask cluster whose scheduler is at tls://host:port."),
]
Ca = Annotated[Path, typer.Option("--tls-ca", help="With --scheduler: certificate of the cluster's own authority.")]
Certificate = Annotated[Path, typer.Option("--tls-cert", help="With --scheduler: our certificate from it.")]
Key = Annotated[Path, typer.Option("--tls-key", help="With --scheduler: the certificate's key.")]
Chunk = Annotated[int, typer.Option(min=25, max=1000, help="Recordings of one task.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of words.")]
Number = Annotated[int, typer.Argument(help="The run's number, as `replay status` lists it.")]
_CHUNK = 50


@app.command()
def run(
    since: Annotated[datetime | None, typer.Option("--from", help="Taken from then on, UTC: 2026-01-31.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Taken before then, UTC.")] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(help='Interpreted by this engine at the gateway, such as "feldsher 0.3"; `none`: not at all.'),
    ] = None,
    statement: Annotated[list[str] | None, typer.Option(help="Whose interpretation says this code: AFIB.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Taken by this device.")] = None,
    gateway: Annotated[list[str] | None, typer.Option(help="Taken through this gateway.")] = None,
    recording: Annotated[list[UUID] | None, typer.Option(help="This recording.")] = None,
    ids: Annotated[Path | None, typer.Option(help="The recordings of a file, one id a line.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also what an earlier run failed at.")] = False,
    apply_unsigned: Annotated[
        bool,
        typer.Option(
            "--apply-unsigned",
            help="Propose the new interpretation in reports that nobody has signed: each gets a new version.",
        ),
    ] = False,
    processes: Processes = None,
    memory: Memory = "1GB",
    scheduler: Scheduler = None,
    tls_ca: Ca = Path("ca.pem"),
    tls_cert: Certificate = Path("replay.pem"),
    tls_key: Key = Path("replay.key"),
    chunk: Chunk = _CHUNK,
    as_json: Json = False,
) -> None:
    """Interpret again: every recording to which all given options apply and which this engine has not yet interpreted.

    An option may be given several times: one of its values has to apply. Exit code 3 where it was stopped (Ctrl-C).
    """
    wanted = [*(recording or ()), *(_ids(ids) if ids else ())]
    if ids is not None and not wanted:
        raise ReplayError(f"--ids {ids}: it holds no id")
    asked = Asked(
        start=_utc(since), end=_utc(until), engines=tuple(engine or ()), devices=tuple(device or ()),
        gateways=tuple(gateway or ()), said=tuple(statement or ()), ids=tuple(wanted), retry_failed=retry_failed,
        apply_unsigned=apply_unsigned,
    )  # fmt: skip
    cluster = _cluster(processes, memory, scheduler, (tls_ca, tls_cert, tls_key))
    with _store() as store:
        begun = store.run(lambda c: replay.begin(c, asked, getpass.getuser()))
        _drive(store, begun, cluster, chunk, as_json=as_json)


@app.command()
def resume(
    number: Number,
    processes: Processes = None,
    memory: Memory = "1GB",
    scheduler: Scheduler = None,
    tls_ca: Ca = Path("ca.pem"),
    tls_cert: Certificate = Path("replay.pem"),
    tls_key: Key = Path("replay.key"),
    chunk: Chunk = _CHUNK,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped or killed; what it has done already stays done."""
    cluster = _cluster(processes, memory, scheduler, (tls_ca, tls_cert, tls_key))
    with _store() as store:
        _drive(store, store.run(lambda c: replay.shown(c, number)), cluster, chunk, as_json=as_json)


@app.command()
def status(
    number: Annotated[int | None, typer.Argument(help="One run; without it, the newest ten.")] = None,
    as_json: Json = False,
) -> None:
    """Tell how far runs are."""
    with _store() as store:
        runs = store.run(lambda c: replay.newest(c) if number is None else [replay.shown(c, number)])
    if as_json:
        sys.stdout.writelines(f"{_line(one)}\n" for one in runs)
        return
    table = Table("run", "engine", "started (UTC)", "by", "state", "done", "failed", "new critical", "of")
    for one in runs:
        counts = (one.done, one.failed, one.critical, one.total)
        started = one.started_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(str(one.run), one.engine, started, one.asked_by, one.state, *(str(n) for n in counts))
    Console().print(table if runs else "no archive has been re-interpreted yet")


@app.command()
def report(number: Number, as_json: Json = False) -> None:
    """Say what a run changed: statements, measurements, recordings with a new critical statement.

    How many patients that concerns, only the record knows: `feldsher-cloud reinterpreted NUMBER`.
    """
    with _store() as store:
        found = store.run(lambda c: replay_report.report(c, replay.shown(c, number)))
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    console = Console()
    for part in replay_report.tables(found):
        console.print(part, highlight=False)


def _drive(
    store: Store, begun: Run, cluster: Callable[[], AbstractContextManager[Client]], chunk: int, *, as_json: bool
) -> None:
    """Drive a run to its end, showing how far it is; exit code 3 where it was stopped."""
    from feldsher_ingest.replay_cluster import Driver  # noqa: PLC0415 - Dask loads for a second

    replay.check_engine(begun)
    store.run(lambda c: replay.claim(c, begun.run))
    typer.echo(f"run {begun.run} by {begun.engine}: {begun.total} recordings", err=True)
    stopping = threading.Event()
    whole = not store.run(lambda c: replay.pending(c, begun, most=1))
    if not whole:
        with _stopped_by_signals(stopping), cluster() as client, _bar(begun, shown=not as_json) as told:
            whole = Driver(client, store, begun, told, chunk=chunk, stopping=stopping).drive()
    if whole:
        store.run(lambda c: replay.end(c, begun.run))
    ended = store.run(lambda c: replay.shown(c, begun.run))
    if as_json:
        typer.echo(_line(ended))
    said = f"{ended.done} interpreted, {ended.failed} failed, {ended.critical} with a new critical statement"
    then = f"replay report {begun.run}` says what changed" if whole else f"replay resume {begun.run}` goes on"
    typer.echo(f"{said}; `feldsher-ingest {then}", err=True)
    if not whole:
        raise typer.Exit(STOPPED)


def _cluster(
    processes: int | None, memory: str, scheduler: str | None, files: tuple[Path, Path, Path]
) -> Callable[[], AbstractContextManager[Client]]:
    try:
        from feldsher_ingest import replay_cluster  # noqa: PLC0415 - Dask is an extra, and loads for a second
    except ImportError as error:
        raise ReplayError(f"Dask is not installed here ({error}): pip install 'feldsher[cloud,replay]'") from error
    if scheduler is not None:
        return lambda: replay_cluster.remote(scheduler, replay_cluster.Tls(*files))
    return lambda: replay_cluster.local(processes or len(os.sched_getaffinity(0)), memory)


@contextmanager
def _bar(begun: Run, *, shown: bool) -> Generator[Callable[[Far], None]]:
    """Show how far a run is: recordings, part, rate, time left, and with how many processes."""
    columns = (
        BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
    )  # fmt: skip
    before = begun.done + begun.failed
    with Progress(*columns, console=Console(stderr=True), disable=not shown, speed_estimate_period=60) as bar:
        task = bar.add_task("", total=begun.total, completed=before, rate="", said="starting")

        def told(far: Far) -> None:
            speed: Any = bar.tasks[0].speed
            said = f"{far.processes} processes, {far.done.failed} failed, {far.done.critical} new critical"
            completed = before + far.done.done + far.done.failed
            bar.update(task, completed=completed, rate=f"{speed:.1f}/s" if speed else "", said=said)

        yield told


@contextmanager
def _stopped_by_signals(stopping: threading.Event) -> Generator[None]:
    """Let SIGINT and SIGTERM end a run in good order."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(one: Run) -> str:
    values = {name: getattr(one, name) for name in (*Run.__dataclass_fields__, "state") if name != "asked"}
    return msgspec.json.encode(values | {"asked": msgspec.Raw(one.asked.encode())}).decode()


def _ids(file: Path) -> list[UUID]:
    found: list[UUID] = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            found += [UUID(line.strip())] if line.strip() else []
        except ValueError as error:
            raise ReplayError(f"{file}, line {number}: {line.strip()[:60]!r} is no id of a recording") from error
    return found


def _store() -> Store:
    log.configure("warning")
    return Store(database_url(os.environ), "feldsher-replay-cli")


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(tzinfo=at.tzinfo or UTC)
