"""Readings as binary COPY (copied.py), a whole batch at once; the order of the fields is that of `copy_vitals`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray
from psycopg.types.numeric import DecimalBinaryDumper

from feldsher_ingest import copied
from feldsher_ingest.copied import ABSENT, END, SIGNATURE, TO_2000_US, octets
from feldsher_ingest.readings import Columns
from feldsher_ingest.rows import Numbered

_FIELDS = struct.pack("!h", 16)
_NOTHING = _FIELDS + ABSENT * 4
"""How a row begins whose absent, statuses, sent_at and raw are NULL: the usual case."""
_INT4, _TEXT, _NUMERIC = 23, 25, 1700  # pg_type.oid
_KEPT = 65_536
"""Values kept in their binary form, about 10 MB."""
_array = struct.Struct("!iiiiii").pack
_length = struct.Struct("!i").pack
_decimals = DecimalBinaryDumper(Decimal)
_Octets = NDArray[np.uint8]
_Field = tuple[_Octets, NDArray[np.bool_] | None]
"""The bytes of one field, a row for each reading, and in which rows it is there (None: in all)."""


class Bulk:
    """Readings ready to be copied, but for what only the database knows. `columns`: no reading twice."""

    def __init__(self, columns: Columns, ids: bytes) -> None:
        """`ids`: those of the readings, joined."""
        self._columns = columns
        self._values = [_numbers[text] for value in columns.value for text in value]
        counts = np.array([len(value) for value in columns.value])
        ends = np.cumsum(counts, dtype=np.int64)
        self._ends: list[int] = ends.tolist()
        sizes = np.add.reduceat(np.fromiter(map(len, self._values), np.int64), ends - counts)
        self._fields, self._head = _fields(columns, ids), _heads(sizes, counts)
        rest = columns.absent, columns.statuses, columns.sent_at, columns.raw
        usual = all(column.count(None) == len(column) for column in rest)
        self._begun = None if usual else [_begin(*row) for row in zip(*rest, strict=True)]

    def body(self, numbered: Numbered) -> bytes:
        """Return what COPY reads."""
        fields = [*self._fields, *_numbered(self._columns, numbered), self._head]
        parts: list[bytes] = [SIGNATURE]
        start = 0
        for i, (row, end) in enumerate(zip(_rows(fields, self._begun is None), self._ends, strict=True)):
            if self._begun is not None:
                parts.append(self._begun[i])
            parts.append(row)
            parts += self._values[start:end]
            start = end
        parts.append(END)
        return b"".join(parts)


def bulk(columns: Columns) -> Bulk | None:
    """Return readings ready to be copied; None where an insert is better: few, or perhaps one twice."""
    if len(columns) < copied.WORTH:
        return None
    ids = b"".join([r.int.to_bytes(16, "big") for r in columns.reading_id])
    half = np.sort(np.frombuffer(ids, ">u8")[::2].astype(np.uint64))
    return None if (half[1:] == half[:-1]).any() else Bulk(columns, ids)


class _Numbers(dict[str | None, bytes]):
    """Elements of a `numeric[]` by their text: vital signs repeat, so nearly all are there already."""

    def __missing__(self, text: str | None) -> bytes:
        if len(self) >= _KEPT:
            self.clear()
        number = None if text is None else _decimals.dump(Decimal(text))
        made = self[text] = octets(None if number is None else bytes(number))
        return made


_numbers = _Numbers()


def _begin(
    absent: Sequence[str | None] | None, statuses: Sequence[int | None] | None, sent: str | None, raw: bytes | None
) -> bytes:
    """Return the beginning of a row: the fields that differ in size."""
    words = None if absent is None else [None if word is None else word.encode() for word in absent]
    numbers = None if statuses is None else [None if number is None else _length(number) for number in statuses]
    at = None if sent is None else sent.encode()
    return _FIELDS + _vector(_TEXT, words) + _vector(_INT4, numbers) + octets(at) + octets(raw)


def _vector(oid: int, elements: Sequence[bytes | None] | None) -> bytes:
    if elements is None:
        return ABSENT
    body = b"".join(map(octets, elements))
    return _array(20 + len(body), 1, 1, oid, len(elements), 1) + body


def _fields(columns: Columns, ids: bytes) -> list[_Field]:
    """Return the fields that are known before the database is asked, and of fixed size where they are not NULL."""
    messages = np.frombuffer(b"".join([e.id.bytes for e in columns.envelopes]), "V16")
    return [
        _field(np.frombuffer(ids, "V16")),
        _field(messages[columns.message]),
        _times(columns.key_us),
        _times(columns.time_us),
        _times(columns.received_us),
        _optional(columns.behind_us, ">i8"),
        _optional(columns.status, ">i4"),
        _field(np.array(columns.clocked, np.uint8)),
    ]


def _numbered(columns: Columns, numbered: Numbered) -> list[_Field]:
    """Return the other ones."""
    sources, shapes = np.array(numbered.sources, ">i4"), np.array(numbered.shapes, ">i4")
    corrected = _optional(numbered.corrected_us, ">i8", -TO_2000_US)
    return [corrected, _field(sources[columns.source]), _field(shapes[columns.shape])]


def _field(values: NDArray[np.generic]) -> _Field:
    size = values.itemsize
    out = np.empty((len(values), 4 + size), np.uint8)
    out[:, :4] = np.frombuffer(_length(size), np.uint8)
    out[:, 4:] = values.view(np.uint8).reshape(len(values), size)
    return out, None


def _times(values: Sequence[int]) -> _Field:
    return _field((np.array(values, np.int64) - TO_2000_US).astype(">i8"))


def _optional(values: Sequence[int | None], form: str, plus: int = 0) -> _Field:
    absent = values.count(None)
    if absent == len(values):
        return np.full((len(values), 4), 0xFF, np.uint8), None
    numbers = np.array([0 if v is None else v for v in values] if absent else values, form)
    found, _ = _field((numbers + plus if plus else numbers).astype(form))
    if not absent:
        return found, None
    there = np.array([v is not None for v in values])
    found[~there, :4] = 0xFF
    return found, there


def _heads(sizes: NDArray[np.int64], counts: NDArray[np.int64]) -> _Field:
    """Return how `value` begins: its length and the head of an array; its elements follow."""
    heads = np.empty((len(counts), 6), ">i4")
    heads[:] = (0, 1, 1, _NUMERIC, 0, 1)
    heads[:, 0], heads[:, 4] = sizes + 20, counts
    return heads.view(np.uint8), None


def _rows(fields: Sequence[_Field], usual: bool) -> list[bytes]:
    """Return the fields of each row side by side; `usual`: behind a beginning that is the same in all."""
    n = len(fields[0][0])
    begin = np.broadcast_to(np.frombuffer(_NOTHING if usual else b"", np.uint8), (n, len(_NOTHING) if usual else 0))
    rows = np.concatenate([begin, *(values for values, _ in fields)], axis=1)
    if all(there is None for _, there in fields):
        plain, width = rows.tobytes(), rows.shape[1]
        return [plain[i : i + width] for i in range(0, len(plain), width)]
    kept, at = np.ones(rows.shape, np.bool_), begin.shape[1]
    for values, there in fields:
        end = at + values.shape[1]
        if there is not None:
            kept[~there, at + 4 : end] = False
        at = end
    plain = rows[kept].tobytes()
    ends: list[int] = np.cumsum(kept.sum(axis=1)).tolist()
    return [plain[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
