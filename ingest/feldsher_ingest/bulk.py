"""Readings as PostgreSQL's binary COPY, a whole batch at once: for the server less than half the work of an insert.

The form is that of PostgreSQL's documentation of COPY ("Binary Format"): a signature, per row the number of its fields
and each field behind its length (-1: NULL), and an end. The order of the fields is that of the query `copy_vitals`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from psycopg.types.numeric import DecimalBinaryDumper

from feldsher_ingest.readings import Columns
from feldsher_ingest.rows import Numbered

WORTH = 40
"""Readings from which COPY is cheaper than an insert, its savepoint included (docs/performance.md)."""

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_FIELDS = struct.pack("!h", 16)
_ABSENT = b"\xff\xff\xff\xff"
_NOTHING = _ABSENT * 4
"""No absent, statuses, sent_at, raw: the usual case."""
_INT4, _TEXT, _NUMERIC = 23, 25, 1700  # pg_type.oid
_TO_2000_US = 946_684_800_000_000
"""Timestamps count from 2000."""
_KEPT = 65_536
"""Values kept in their binary form, about 10 MB."""
_array = struct.Struct("!iiiiii").pack
_length = struct.Struct("!i").pack
_decimals = DecimalBinaryDumper(Decimal)
_Field = tuple[NDArray[np.generic], NDArray[np.bool_] | None]
"""One field of every row (empty: of no row), and in which rows it is there (None: in all)."""


class Bulk:
    """Readings ready to be copied, but for what only the database knows. `columns`: no reading twice."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._ends = _ends(columns)

    def body(self, numbered: Numbered) -> bytes:
        """Return what COPY reads."""
        rows = _beginnings(self._columns, numbered)
        return b"".join([_SIGNATURE, *chain.from_iterable(zip(rows, self._ends, strict=True)), _END])


def bulk(columns: Columns) -> Bulk | None:
    """Return readings ready to be copied; None where an insert is better: few, or perhaps one twice."""
    if len(columns) < WORTH:
        return None
    half = np.sort(np.array([r.int >> 64 for r in columns.reading_id], np.uint64))
    return None if (half[1:] == half[:-1]).any() else Bulk(columns)


def _beginnings(columns: Columns, numbered: Numbered) -> list[bytes]:
    """Return the first eleven fields of each row, which are of fixed size where they are not NULL."""
    n = len(columns)
    messages = np.frombuffer(b"".join([e.id.bytes for e in columns.envelopes]), "V16")
    sources, shapes = np.array(numbered.sources, ">i4"), np.array(numbered.shapes, ">i4")
    fields: list[_Field] = [
        (np.frombuffer(b"".join([r.bytes for r in columns.reading_id]), "V16"), None),
        (messages[columns.message], None),
        (_times(columns.key_us), None),
        (_times(columns.time_us), None),
        (_times(columns.received_us), None),
        _optional(numbered.corrected_us, ">i8", -_TO_2000_US),
        _optional(columns.behind_us, ">i8"),
        (sources[columns.source], None),
        (shapes[columns.shape], None),
        _optional(columns.status, ">i4"),
        (np.array(columns.clocked, np.uint8), None),
    ]
    return _side_by_side(n, fields)


def _side_by_side(n: int, fields: Sequence[_Field]) -> list[bytes]:
    """Return the fields of each row, behind the number of all that the row will have."""
    out = np.empty((n, 2 + sum(4 + (values.itemsize if values.size else 0) for values, _ in fields)), np.uint8)
    kept, at = None, 2
    out[:, :2] = np.frombuffer(_FIELDS, np.uint8)
    for values, there in fields:
        size = values.itemsize if values.size else 0
        out[:, at : at + 4] = np.frombuffer(_length(size) if size else _ABSENT, np.uint8)
        out[:, at + 4 : at + 4 + size] = values.view(np.uint8).reshape(n, size)
        if there is not None:
            kept = np.ones(out.shape, np.bool_) if kept is None else kept
            out[~there, at : at + 4] = 0xFF
            kept[~there, at + 4 : at + 4 + size] = False
        at += 4 + size
    return _cut(out, kept)


def _cut(rows: NDArray[np.uint8], kept: NDArray[np.bool_] | None) -> list[bytes]:
    """Return the rows as bytes, each without what is not kept."""
    if kept is None:
        plain, width = rows.tobytes(), rows.shape[1]
        return [plain[i : i + width] for i in range(0, len(plain), width)]
    plain = rows[kept].tobytes()
    ends: list[int] = np.cumsum(kept.sum(axis=1)).tolist()
    return [plain[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _times(values: Sequence[int]) -> NDArray[np.generic]:
    return (np.array(values, np.int64) - _TO_2000_US).astype(">i8")


def _optional(values: Sequence[int | None], form: str, plus: int = 0) -> _Field:
    """Return numbers and which of them are there: None: all; no numbers at all where none is."""
    absent = values.count(None)
    if absent == len(values):
        return np.empty(0, form), None
    there = np.array([v is not None for v in values]) if absent else None
    numbers = np.array([0 if v is None else v for v in values] if absent else values, form)
    return (numbers + plus if plus else numbers).astype(form), there


def _ends(columns: Columns) -> list[bytes]:
    """Return the last five fields of each row, which vary in size."""
    rest = columns.absent, columns.statuses, columns.sent_at, columns.raw
    if all(column.count(None) == len(column) for column in rest):
        return [_values(_NOTHING, value) for value in columns.value]
    each = zip(*rest, columns.value, strict=True)
    return [_values(_optionals(absent, statuses, sent, raw), value) for absent, statuses, sent, raw, value in each]


def _optionals(
    absent: Sequence[str | None] | None, statuses: Sequence[int | None] | None, sent: str | None, raw: bytes | None
) -> bytes:
    words = None if absent is None else [None if word is None else word.encode() for word in absent]
    numbers = None if statuses is None else [None if number is None else _length(number) for number in statuses]
    at = None if sent is None else sent.encode()
    return _vector(_TEXT, words) + _vector(_INT4, numbers) + _octets(at) + _octets(raw)


def _values(before: bytes, values: Sequence[str | None]) -> bytes:
    """Return a `numeric[]` field after other fields."""
    body = b"".join(map(_numeric, values))
    return before + _array(20 + len(body), 1, 1, _NUMERIC, len(values), 1) + body


@lru_cache(_KEPT)
def _numeric(text: str | None) -> bytes:
    """Return one element of a `numeric[]`: vital signs repeat, so it is mostly there already."""
    number = None if text is None else _decimals.dump(Decimal(text))
    return _octets(None if number is None else bytes(number))


def _vector(oid: int, elements: Sequence[bytes | None] | None) -> bytes:
    if elements is None:
        return _ABSENT
    body = b"".join(map(_octets, elements))
    return _array(20 + len(body), 1, 1, oid, len(elements), 1) + body


def _octets(value: bytes | None) -> bytes:
    return _ABSENT if value is None else _length(len(value)) + value
