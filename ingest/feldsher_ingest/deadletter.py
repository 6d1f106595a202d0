"""Dead letters: what could not be stored, to be looked at and, once its cause is gone, replayed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg
from feldsher_ehr_core import wire
from psycopg.rows import class_row

from feldsher_ingest import sql
from feldsher_ingest.check import Rejected, check
from feldsher_ingest.store import Store

_QUERIES = sql.load("deadletter.sql")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that could not be stored. Fields as in the table dead_letter."""

    id: int
    received_at: datetime
    seen: int
    topic: str
    payload: bytes
    cause: str
    reason: str
    gateway: str | None
    message_id: UUID | None
    kind: str | None
    repaired_at: datetime | None


def listed(connection: psycopg.Connection[Any], *, repaired: bool = False, limit: int = 100) -> list[DeadLetter]:
    """Return the newest dead letters, with those already repaired where asked; payloads are left empty."""
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(_QUERIES["listed"], {"repaired": repaired, "limit": limit}).fetchall()


def shown(connection: psycopg.Connection[Any], number: int) -> DeadLetter | None:
    """Return one dead letter whole; None where there is none."""
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(_QUERIES["shown"], {"id": number}).fetchone()


def outline(payload: bytes) -> str:
    """Return a payload in words: its structure where it is MessagePack, with long values shortened, else its bytes."""
    try:
        value = msgspec.msgpack.decode(payload[: 8 * wire.MAX_BYTES])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return f"not MessagePack, begins {payload[:64].hex(' ')}"
    return _short(value, 0)


def _short(value: object, depth: int) -> str:
    pad = "  " * depth
    if isinstance(value, dict) and depth < 4:
        entries = cast("dict[object, object]", value).items()
        return "\n" + "\n".join(f"{pad}{key}: {_short(entry, depth + 1)}" for key, entry in entries)
    text = f"{len(value)} bytes {value[:16].hex()}" if isinstance(value, bytes) else repr(cast("object", value))
    return text if len(text) <= 120 else text[:117] + "..."


def replay(store: Store, letter: DeadLetter, who: str, payload: bytes | None = None) -> str:
    """Check and store a dead letter again, or its repaired `payload`; return its state, or why it is refused still.

    Stored or already there, it counts as repaired, by `who`. No receipt is sent: its gateway was told `quarantined`.
    """
    item = check(letter.topic, letter.payload if payload is None else payload)
    if isinstance(item, Rejected):
        return f"refused: {item.reason}"
    saved, _ = store.save([item])
    state = saved.states[0]
    if state not in ("stored", "duplicate"):
        return "refused: the database still does not take it"
    store.run(lambda connection: connection.execute(_QUERIES["repaired"], {"id": letter.id, "who": who}))
    return state
