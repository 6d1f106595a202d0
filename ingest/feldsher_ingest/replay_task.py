"""A task of a re-interpretation: reads recordings by their ids, interprets them, writes all results in one statement.

It is given ids, never samples: Dask's scheduler stays light, and whatever dies between reading and writing, the
recordings of the task are simply still to be done.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog
from feldsher_ehr_core.ecg import Interpretation, Subject
from feldsher_signal import codec, interpret
from feldsher_signal.record import Recording
from psycopg.rows import class_row

from feldsher_ingest import archive, arrays, replay_change, rows, sql
from feldsher_ingest.replay import Connection, Order, ReplayError
from feldsher_ingest.settings import database_url
from feldsher_ingest.store import Store, UnavailableError

PATIENCE_S = 600.0
"""How long a task waits for a database that is away before the run gives up (to be resumed)."""
_QUERIES = sql.load("replay.sql")
_log = structlog.stdlib.get_logger("feldsher_ingest.replay_task")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Done:
    """What a task has come to: recordings by outcome, and the seconds of processor time that interpreting took."""

    done: int = 0
    failed: int = 0
    critical: int = 0
    cpu_s: float = 0.0

    def __add__(self, other: Done) -> Done:
        """Return what both have come to."""
        return Done(
            self.done + other.done,
            self.failed + other.failed,
            self.critical + other.critical,
            self.cpu_s + other.cpu_s,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A recording as a task reads it: columns of ecg_recording."""

    id: UUID
    gateway: str
    leads: list[str]
    fs: float
    uv_per_bit: list[float]
    n: int
    codec: str
    samples: bytes | None
    archived: bytes | None
    sha256: bytes
    subject: str | None
    interpretation: bytes | None


@dataclass(frozen=True, slots=True)
class Result:
    """One recording's interpretation, or why there is none."""

    row: Row
    found: Interpretation | None = None
    before: replay_change.Said | None = None
    failed: str | None = None


def fetch(connection: Connection, order: Order, ids: Sequence[UUID]) -> list[Row]:
    """Return the recordings of a task that are still to be done, all in one query."""
    with connection.cursor(row_factory=class_row(Row), binary=True) as cursor:
        return cursor.execute(_QUERIES["recordings"], order.params | {"ids": arrays.uuid(ids)}).fetchall()


def decode(row: Row) -> tuple[Recording, Subject | None]:
    """Return a stored recording and what is known of its person; ValueError or OSError names what is damaged."""
    coded = archive.coded(row.samples, row.archived)
    samples = codec.decode(coded, len(row.leads), row.n, row.codec)
    if codec.sha256(samples) != row.sha256:
        raise ValueError("samples: they have another SHA-256 than was stored with them")
    subject = None if row.subject is None else msgspec.json.decode(row.subject, type=Subject)
    return Recording(tuple(row.leads), row.fs, samples, tuple(row.uv_per_bit)), subject


def judge(row: Row) -> Result:
    """Interpret one recording; whatever it does to the engine, it costs only this recording its result."""
    try:
        recording, subject = decode(row)
        found = interpret.interpret(recording, subject)
        before = None if row.interpretation is None else replay_change.said(row.interpretation)
    except Exception as error:
        _log.warning("not interpreted", recording=str(row.id), error=type(error).__name__)
        return Result(row, failed=f"{type(error).__name__}: {error}"[:500].replace("\0", "�"))
    return Result(row, found, before)


def keep(connection: Connection, order: Order, results: Sequence[Result]) -> int:
    """Write the results of a task in one statement and return how many were new."""
    if not results:
        return 0
    return len(connection.execute(_QUERIES["keep"], order.params | _columns(results)).fetchall())


def _columns(results: Sequence[Result]) -> rows.Params:
    said = [r.found.statements if r.found else () for r in results]
    changes = [replay_change.change(r.before, r.found) if r.before and r.found else None for r in results]
    fresh = [replay_change.new_critical(r.before, r.found) if r.found else () for r in results]
    differs = [bool(f) if c is None else c.differs for c, f in zip(changes, fresh, strict=True)]
    return {
        "recording": arrays.uuid([r.row.id for r in results]),
        "gateway": arrays.text([r.row.gateway for r in results]),
        "statements": arrays.text([" ".join(s.code for s in every) for every in said]),
        "critical": arrays.text([" ".join(s.code for s in every if s.critical) for every in said]),
        "new_critical": arrays.text([" ".join(codes) for codes in fresh]),
        "differs": arrays.boolean(differs),
        "change": arrays.text([None if c is None else rows.json(c) for c in changes]),
        "interpretation": arrays.bytea([None if r.found is None else rows.pack(r.found) for r in results]),
        "failed": arrays.text([r.failed for r in results]),
    }


def work(order: Order, ids: Sequence[bytes]) -> Done:
    """Do a task in a Dask process: read recordings by their ids (16 bytes each), interpret them, write the results.

    A process computes one task at a time; its other thread reads the next task's recordings, or writes the last one's
    results, meanwhile. ReplayError where this process has another engine than the run wants, UnavailableError where the
    database stays away for PATIENCE_S.
    """
    if order.engine != interpret.ENGINE:
        said = f"a Dask process has {interpret.ENGINE}, the run wants {order.engine}: the same version has to be there"
        raise ReplayError(said)
    wanted = [UUID(bytes=octets) for octets in ids]
    store = _store()
    found = patiently(lambda: store.run(lambda c: fetch(c, order, wanted)))
    with _computing:
        interpret.warm()
        began = time.thread_time()
        results = [judge(row) for row in found]
        spent = time.thread_time() - began
    patiently(lambda: store.run(lambda c: keep(c, order, results)))
    failed = sum(r.failed is not None for r in results)
    critical = sum(bool(r.found and replay_change.new_critical(r.before, r.found)) for r in results)
    return Done(len(results) - failed, failed, critical, spent)


def give_up(connection: Connection, order: Order, identity: UUID, reason: str) -> None:
    """Keep a recording as one that could not be interpreted, for a reason that no task could write down itself."""
    keep(connection, order, [Result(row, failed=reason) for row in fetch(connection, order, [identity])])


_computing = threading.Lock()
_local = threading.local()


def _store() -> Store:
    """Return this thread's own connection."""
    if not hasattr(_local, "store"):
        _local.store = Store(database_url(os.environ), "feldsher-replay")
    return _local.store


def hang_up() -> None:
    """Close this thread's connection where it has one; the next task opens another."""
    if hasattr(_local, "store"):
        _local.store.close()
        del _local.store


def patiently(
    ask: Callable[[], _T],
    patience_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> _T:
    """Ask the database until it answers: after 0.1, 0.2, … at most 5 s, for `patience_s`; then UnavailableError."""
    until, pause = clock() + patience_s, 0.1
    while True:
        try:
            return ask()
        except UnavailableError as error:
            if clock() >= until:
                raise
            _log.warning("database away", again_s=pause, error=str(error))
        wait(pause)
        pause = min(2 * pause, 5.0)
