"""Cardiograms into the database, one insert each, pipelined.

COPY would cost the server a third less, but it does not know the row-level security under which the record's revisions
put cardiograms, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from feldsher_ehr_core import wire
from psycopg.rows import TupleRow

from feldsher_ingest import rows, sql
from feldsher_ingest.readings import Shift

_QUERIES = sql.load("store.sql")
Connection = psycopg.Connection[TupleRow]


class CollisionError(ValueError):
    """A message's id is already that of something else; the text names the field."""


def write(connection: Connection, recordings: Sequence[wire.EcgRecording], shift: Shift) -> set[rows.Key]:
    """Store recordings; return those that were there already. `shift`: what is known of gateways' clocks.

    CollisionError names one whose id is another gateway's recording.
    """
    if not recordings:
        return set()
    with connection.cursor() as cursor:
        cursor.executemany(_QUERIES["recording"], [rows.recording(m, shift(m.env)) for m in recordings], returning=True)
        found = [result.fetchone() for result in cursor.results()]
    known = {(m.env.gateway, m.env.id) for m, row in zip(recordings, found, strict=True) if row is None}
    if known:
        ids = [message_id for _, message_id in known]
        own = set(connection.execute(_QUERIES["recordings_of"], {"ids": ids}).fetchall())
        for _, message_id in known - own:
            raise CollisionError(f"$.env.id: {message_id} is a recording of another gateway")
    return known
