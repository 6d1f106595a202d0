"""Rows by binary COPY: for the server less than half the work of an insert, where probably none of them is there yet.

The form is that of PostgreSQL's documentation of COPY ("Binary Format"): a signature, per row the number of its fields
and each field behind its length (-1: NULL), and an end. COPY knows no `on conflict`: where one row is there already,
all of it fails in its savepoint, and the caller inserts. For a while after that nothing is copied: what collided once
collides again.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain, repeat
from uuid import UUID

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow

WORTH = 40
"""Rows from which COPY should be cheaper than an insert, its savepoint included: chosen, not measured."""
INSERTED_AFTER_COLLISION = 20
"""Batches: a copy that fails costs as much as one that does not, so collisions cost a twentieth of it at most."""
SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
ABSENT = b"\xff\xff\xff\xff"
TO_2000_US = 946_684_800_000_000
"""Timestamps count from 2000."""
_length = struct.Struct("!i").pack
_long = struct.Struct("!iq").pack
_number = struct.Struct("!h").pack
_UUID = _length(16)
Connection = psycopg.Connection[TupleRow]


class Copier:
    """Copies into one table, as long as that goes well. Each copy is part of the caller's transaction."""

    def __init__(self) -> None:
        self._to_insert = 0

    def copied(self, connection: Connection, query: bytes, body: bytes) -> bool:
        """Copy rows; return whether none of them was there. Where one was, or lately was, none is copied."""
        if self._to_insert:
            self._to_insert -= 1
            return False
        try:
            with connection.transaction():
                copy(connection, query, body)
        except UniqueViolation:
            self._to_insert = INSERTED_AFTER_COLLISION
            return False
        return True


def copy(connection: Connection, query: bytes, body: bytes) -> None:
    """Copy rows that cannot be there."""
    with connection.cursor() as cursor, cursor.copy(query) as sink:
        sink.write(body)


def body(*fields: Sequence[bytes]) -> bytes:
    """Return what COPY reads: rows of fields that stand in columns here, each with its length."""
    rows = zip(repeat(_number(len(fields))), *fields, strict=False)
    return b"".join([SIGNATURE, *chain.from_iterable(rows), END])


def octets(value: bytes | None) -> bytes:
    """Return a field (or an element of an array) of any bytes."""
    return ABSENT if value is None else _length(len(value)) + value


def text(values: Sequence[str | None]) -> list[bytes]:
    """Return fields of type text."""
    return [ABSENT if v is None else octets(v.encode()) for v in values]


def jsonb(texts: Sequence[str]) -> list[bytes]:
    """Return fields of type jsonb; its binary form is its text behind a version, 1."""
    return [octets(b"\1" + t.encode()) for t in texts]


def uuid(values: Sequence[UUID]) -> list[bytes]:
    """Return fields of type uuid."""
    return [_UUID + v.bytes for v in values]


def int8(values: Sequence[int | None]) -> list[bytes]:
    """Return fields of type bigint; OverflowError where a number is none."""
    try:
        return [ABSENT if v is None else _long(8, v) for v in values]
    except struct.error as error:
        raise OverflowError("a number does not fit a bigint") from error


def times(values: Sequence[int | None]) -> list[bytes]:
    """Return fields of type timestamptz, of microseconds since 1970."""
    return int8([None if v is None else v - TO_2000_US for v in values])
