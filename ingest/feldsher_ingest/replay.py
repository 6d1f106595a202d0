"""Re-interpretation of stored cardiograms: what was asked, how far it is, and what is left of it.

Nothing but the results themselves tells what is done, so a run that was killed at any moment goes on where it was.
replay_task.py interprets, replay_cluster.py hands the tasks out, replay_report.py says what changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import class_row

from feldsher_ingest import rows, sql

FIRST = UUID(int=0)
PAGE = 5000
_LISTS = ("ids", "devices", "gateways", "engines", "said")
_QUERIES = sql.load("replay.sql")
Connection = psycopg.Connection[Any]


class ReplayError(Exception):
    """A run that cannot go on; the text says why and what can be done."""


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which recordings: those to which everything applies that is given.

    `start`, `end`: taken from and to before (best known time). `engines`: by which their gateway interpreted them,
    `none` for not at all. `said`: statement codes of which the gateway's interpretation holds one. `retry_failed`: also
    those that an earlier run could not interpret. `apply_unsigned`: the cloud is to propose the new interpretation in
    reports that nobody has signed.
    """

    start: datetime | None = None
    end: datetime | None = None
    engines: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    ids: tuple[UUID, ...] = ()
    retry_failed: bool = False
    apply_unsigned: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What every task of a run has to know."""

    run: int
    engine: str
    apply_unsigned: bool

    @property
    def params(self) -> rows.Params:
        """Itself, as parameters of the queries."""
        return {"run": self.run, "engine": self.engine, "apply_unsigned": self.apply_unsigned}


@dataclass(frozen=True, slots=True)
class Run:
    """A run and how far it is: `total` recordings when it began, of which `done` have a new interpretation.

    `failed` could not be interpreted; `critical` of those done hold a new critical statement; `last_at`: the newest
    result.
    """

    run: int
    engine: str
    asked: str
    asked_by: str
    total: int
    started_at: datetime
    ended_at: datetime | None
    done: int
    failed: int
    critical: int
    last_at: datetime | None

    @property
    def wish(self) -> Asked:
        """What was asked."""
        return msgspec.json.decode(self.asked, type=Asked)

    @property
    def state(self) -> str:
        """`ended`, or `open`: under way, or to be resumed."""
        return "open" if self.ended_at is None else "ended"

    @property
    def order(self) -> Order:
        """What its tasks have to know."""
        return Order(self.run, self.engine, self.wish.apply_unsigned)


def shown(connection: Connection, number: int) -> Run:
    """Return a run; ReplayError where there is none of that number."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        found = cursor.execute(_QUERIES["run"], {"run": number}).fetchone()
    if found is None:
        raise ReplayError(f"there is no run {number}; `feldsher-ingest replay status` lists them")
    return found


def engine() -> str:
    """Return name and version of this program's engine."""
    from feldsher_signal.interpret import ENGINE  # noqa: PLC0415 - loads Numba, 70 MB: no worker has need of it

    return ENGINE


def begin(connection: Connection, asked: Asked, asked_by: str) -> Run:
    """Enter a run by this program's engine and return it, with the number of recordings that it is about."""
    with connection.transaction():
        params: rows.Params = {"engine": engine(), "asked": rows.json(asked), "asked_by": asked_by}
        (number,) = connection.execute(_QUERIES["begin"], params).fetchall()[0]
        total = left(connection, shown(connection, number))
        connection.execute(_QUERIES["count"], {"run": number, "total": total})
    return shown(connection, number)


def newest(connection: Connection, limit: int = 10) -> list[Run]:
    """Return the newest runs, newest first."""
    return [shown(connection, n) for (n,) in connection.execute(_QUERIES["runs"], {"limit": limit}).fetchall()]


def end(connection: Connection, number: int) -> None:
    """Note that nothing of a run is left to do."""
    connection.execute(_QUERIES["end"], {"run": number})


def check_engine(run: Run) -> None:
    """Raise ReplayError where this program's engine is not the one that a run was begun with."""
    if run.engine != engine():
        raise ReplayError(f"run {run.run} was begun by {run.engine}, this is {engine()}: begin a new run")


def claim(connection: Connection, number: int) -> None:
    """Let nobody else drive a run while this connection lives; ReplayError where somebody does already."""
    if connection.execute(_QUERIES["alone"], {"run": number}).fetchone() != (True,):
        raise ReplayError(f"run {number} is being worked on by another process")


def pending(connection: Connection, run: Run, after: UUID = FIRST, most: int = PAGE) -> list[UUID]:
    """Return the ids of what is left of a run after one id, in order, at most `most`."""
    asked = run.wish
    params: rows.Params = {name: list(getattr(asked, name)) or None for name in _LISTS}
    params |= {"start": asked.start, "end": asked.end, "retry_failed": asked.retry_failed}
    params |= {"engine": run.engine, "run": run.run, "after": after, "limit": most}
    return [identity for (identity,) in connection.execute(_QUERIES["pending"], params).fetchall()]


def left(connection: Connection, run: Run) -> int:
    """Return how many recordings are left of a run."""
    total, page = 0, [FIRST]
    while page := pending(connection, run, page[-1]):
        total += len(page)
    return total
