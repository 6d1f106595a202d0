"""How long what is kept: policies by kind of data, done once a day. Without a policy everything is kept for ever.

What deletes are functions of the database (schema_received.sql) with their owner's rights, so that no program of ours
can delete anything else. Things go by when they were received, by the database's clock: a device with a wrong clock,
or a history that comes late, loses nothing. The ledger makes repeats harmless: its chunks go only once no gateway can
send them again, and what a gateway sends that was silent for longer is told apart by the data's own keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import TupleRow, class_row

from feldsher_ingest import sql

KINDS = {
    "ledger": (30, "ids of messages, which make repeats harmless; kept until no gateway can send them again"),
    "dead_letters": (8, "messages that could not be stored and were repaired; others are kept for ever"),
    "events": (8, "what the cloud's worker has done"),
    "device_status": (30, "states of devices, but for the newest of each"),
    "vitals": (90, "MEDICAL: readings as they came; roll-ups, last values and the record keep theirs"),
    "streams": (90, "MEDICAL: samples of continuous ECGs; their reports stay"),
    "tier": (30, "samples of recordings move into the archive; nothing is deleted"),
}
"""Kinds of data: the fewest days that they may be kept, and what they are."""
_QUERIES = sql.load("retention.sql")
Connection = psycopg.Connection[TupleRow]


class PolicyError(ValueError):
    """A policy that cannot be; the text says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A kind of data is kept for so many `days`; who decided so and when, and when it was last done."""

    kind: str
    days: float
    set_at: datetime
    set_by: str
    ran_at: datetime | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went, or would go: of which table or chunk, how many entries, how many bytes where that is known."""

    what: str
    entries: int
    bytes: int | None


def policies(connection: Connection) -> dict[str, Policy]:
    """Return the policies by kind."""
    return {row[0]: Policy(*row) for row in connection.execute(_QUERIES["policies"])}


def decide(connection: Connection, kind: str, days: float | None, by: str) -> None:
    """Keep a kind of data for so many days (None: for ever); PolicyError where that cannot be."""
    if kind not in KINDS:
        raise PolicyError(f"kind: {kind[:40]!r} is none of {', '.join(KINDS)}")
    least = KINDS[kind][0]
    if days is not None and not least <= days <= 36_525:
        raise PolicyError(f"days: {kind} is kept for {least} days to a century, or for ever, not for {days:g}")
    query = "forget_policy" if days is None else "set_policy"
    connection.execute(_QUERIES[query], {"kind": kind, "days": days, "by": by})


def drop(connection: Connection, kind: str, *, dry: bool) -> list[Dropped]:
    """Do what the policy of a kind says, piece by piece, or tell what it would do; without a policy nothing."""
    gone = _piece(connection, kind, dry=dry)
    while not dry and connection.execute(_QUERIES["under_way"], {"kind": kind}).fetchone() == (True,):
        gone += _piece(connection, kind, dry=False)
    return gone


def _piece(connection: Connection, kind: str, *, dry: bool) -> list[Dropped]:
    with connection.cursor(row_factory=class_row(Dropped)) as cursor:
        return cursor.execute(_QUERIES["drop"], {"kind": kind, "dry": dry}).fetchall()


def edition(connection: Connection) -> str:
    """Add the columnstore where TimescaleDB has it, and return its edition: none, apache or timescale."""
    row = connection.execute(_QUERIES["edition"]).fetchone()
    return "none" if row is None else str(row[0])


def keep_to_policies(connection: Connection) -> int:
    """Do a piece of a policy that has not been done for a day (a chore): a chunk, or some rows; return how many."""
    row = connection.execute(_QUERIES["due"]).fetchone()
    if row is None:
        return 0
    _piece(connection, str(row[0]), dry=False)
    return 1
