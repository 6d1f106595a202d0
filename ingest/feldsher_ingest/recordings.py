"""Cardiograms into the database: copied where they are many, else inserted one by one where they are not there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from feldsher_ehr_core import wire
from psycopg.errors import FeatureNotSupported, UniqueViolation
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from feldsher_ingest import rows, sql
from feldsher_ingest.readings import Shift

WORTH = 4
"""Recordings from which COPY is cheaper than inserts: a third less for the server and for us (docs/performance.md)."""
_QUERIES = sql.load("store.sql")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {
    "id": "uuid",
    "device": "text",
    "gateway": "text",
    "order_id": "uuid",
    "fs": "float8",
    "leads": "text[]",
    "uv_per_bit": "float8[]",
    "n": "int4",
    "codec": "text",
    "samples": "bytea",
    "sha256": "bytea",
    "started_us": "timestamptz",
    "ended_us": "timestamptz",
    "corrected_us": "timestamptz",
    "clock": "text",
    "lost": "int4",
    "crc_errors": "int4",
    "clock_ratio": "float8",
    "partial": "text",
    "lead_off": "text[]",
    "subject": "jsonb",
    "engine": "text",
    "statements": "text[]",
    "interpretation": "bytea",
    "not_interpreted": "text",
    "origin": "jsonb",
}
"""Parameters of the query `recording` in the order of `copy_recordings`, and what they are there."""
Connection = psycopg.Connection[TupleRow]


class CollisionError(ValueError):
    """A message's id is already that of something else; the text names the field."""


def write(connection: Connection, recordings: Sequence[wire.EcgRecording], shift: Shift) -> set[rows.Key]:
    """Store recordings; return those that were there already. `shift`: what is known of gateways' clocks.

    CollisionError names one whose id is another gateway's recording.
    """
    params = [rows.recording(m, shift(m.env)) for m in recordings]
    if not params or (len(params) >= WORTH and _copied(connection, params)):
        return set()
    with connection.cursor() as cursor:
        cursor.executemany(_QUERIES["recording"], params, returning=True)
        found = [result.fetchone() for result in cursor.results()]
    known = {(m.env.gateway, m.env.id) for m, row in zip(recordings, found, strict=True) if row is None}
    if known:
        ids = [message_id for _, message_id in known]
        own = set(connection.execute(_QUERIES["recordings_of"], {"ids": ids}).fetchall())
        for _, message_id in known - own:
            raise CollisionError(f"$.env.id: {message_id} is a recording of another gateway")
    return known


def _copied(connection: Connection, params: Sequence[rows.Params]) -> bool:
    """Copy recordings; return whether none of them was there. Where one was, none is copied.

    Nor is any where the record's row-level security binds us: COPY does not know it, and the server refuses.
    """
    try:
        with connection.transaction(), connection.cursor() as cursor, cursor.copy(_QUERIES["copy_recordings"]) as copy:
            copy.set_types(list(_TYPES.values()))
            for some in params:
                copy.write_row([_value(some[name], kind) for name, kind in _TYPES.items()])
    except (UniqueViolation, FeatureNotSupported):
        return False
    return True


def _value(value: object, kind: str) -> object:
    if kind == "timestamptz" and isinstance(value, int):
        return _EPOCH + timedelta(microseconds=value)
    return value if kind != "jsonb" or value is None else Jsonb(value, str)  # it is JSON's text already
