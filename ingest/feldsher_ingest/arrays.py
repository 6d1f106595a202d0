"""PostgreSQL's arrays in their binary form, a whole column at once: value by value, psycopg spends ten times as long.

The form is that of `array_send` (PostgreSQL, src/backend/utils/adt/arrayfuncs.c): dimensions, element type, then each
element behind its length; an absent one is the length -1 alone. Queries name the type: `%(x)b::int8[]`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_ABSENT = b"\xff\xff\xff\xff"
_BOOL, _BYTEA, _INT8, _INT4, _TEXT, _FLOAT8, _UUID = 16, 17, 20, 23, 25, 701, 2950  # pg_type.oid
_KEPT = 1024
_length = struct.Struct("!i").pack


class Array(bytes):
    """The bytes of one array, sent as they are."""


class _AsIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer:
        return obj


psycopg.adapters.register_dumper(Array, _AsIs)


def int4(values: Sequence[int | None]) -> Array:
    """Return an `int4[]`."""
    return _integers(values, _INT4, ">i4")


def int8(values: Sequence[int | None]) -> Array:
    """Return an `int8[]`."""
    return _integers(values, _INT8, ">i8")


def boolean(values: Sequence[bool]) -> Array:
    """Return a `bool[]`."""
    return _fixed(np.array(values, np.uint8)[:, None], _BOOL)


def uuid(values: Sequence[UUID]) -> Array:
    """Return a `uuid[]`."""
    joined = b"".join([v.bytes for v in values])
    return _fixed(np.frombuffer(joined, np.uint8).reshape(len(values), 16), _UUID)


def text(values: Sequence[str | None]) -> Array:
    """Return a `text[]`."""
    return _varying([None if v is None else v.encode() for v in values], _TEXT)


@lru_cache(_KEPT)
def words(values: tuple[str, ...]) -> Array:
    """Return a `text[]` that is often the same: the leads of recordings."""
    return text(values)


@lru_cache(_KEPT)
def floats(values: tuple[float, ...]) -> Array:
    """Return a `float8[]` that is often the same: the scales of recordings."""
    return _fixed(np.array(values, ">f8").view(np.uint8).reshape(len(values), 8), _FLOAT8)


def bytea(values: Sequence[bytes | None]) -> Array:
    """Return a `bytea[]`."""
    return _varying(values, _BYTEA)


def _integers(values: Sequence[int | None], oid: int, form: str) -> Array:
    absent = values.count(None)
    if absent == len(values):
        return Array(_head(len(values), oid) + _ABSENT * absent)
    if not absent:
        return _fixed(np.array(values, form).view(np.uint8).reshape(len(values), -1), oid)
    numbers = np.array([0 if v is None else v for v in values], form)
    there = np.array([v is not None for v in values])
    return _fixed(numbers.view(np.uint8).reshape(len(values), -1), oid, there)


def _fixed(octets: NDArray[np.uint8], oid: int, there: NDArray[np.bool_] | None = None) -> Array:
    """Return the array of elements of one size; `octets`: a row per element; `there`: which are not absent."""
    n, size = octets.shape
    out = np.empty((n, 4 + size), np.uint8)
    out[:, :4] = np.frombuffer(_length(size), np.uint8)
    out[:, 4:] = octets
    if there is None:
        return Array(_head(n, oid) + out.tobytes())
    out[~there, :4] = 0xFF
    kept = np.ones(out.shape, np.bool_)
    kept[~there, 4:] = False
    return Array(_head(n, oid) + out[kept].tobytes())


def _varying(values: Sequence[bytes | None], oid: int) -> Array:
    if values.count(None) == len(values):
        return Array(_head(len(values), oid) + _ABSENT * len(values))
    parts = [_ABSENT if v is None else _length(len(v)) + v for v in values]
    return Array(_head(len(values), oid) + b"".join(parts))


def _head(n: int, oid: int) -> bytes:
    """Return dimensions, the flag that elements may be absent, and the element type; an empty array has none."""
    return struct.pack("!iiiii", 1, 1, oid, n, 1) if n else struct.pack("!iii", 0, 0, oid)
