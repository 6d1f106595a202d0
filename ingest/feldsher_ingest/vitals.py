"""Readings into the database: copied where they are many and none is known, else inserted where they are not there.

COPY knows no `on conflict`: where one reading is there already (two gateways heard one device), all of it fails in its
savepoint and is inserted instead. For a while after that nothing is copied: what collided once collides again.
"""

from __future__ import annotations

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow

from feldsher_ingest import rows, sql
from feldsher_ingest.bulk import Bulk
from feldsher_ingest.numbers import Numbers
from feldsher_ingest.readings import Columns, Shift

INSERTED_AFTER_COLLISION = 20
"""Batches: a copy that fails costs as much as one that does not, so collisions cost a twentieth of it at most."""
_QUERIES = sql.load("store.sql")
Connection = psycopg.Connection[TupleRow]


class Vitals:
    """What a store remembers of the readings that it wrote. Each write is part of the caller's transaction."""

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._to_insert = 0

    def clear(self) -> None:
        """Forget the numbers: the transaction that gave them has failed, or the connection ended."""
        self._numbers.clear()

    def write(self, connection: Connection, columns: Columns, bulk: Bulk | None, shift: Shift) -> Columns:
        """Store readings and what follows from them; return those that were not there.

        `bulk`: the same readings, ready to be copied; `shift`: what is known of gateways' clocks.
        """
        sources, shapes = self._numbers.resolve(connection, columns)
        numbered = rows.Numbered(sources, shapes, columns.corrected(shift))
        if bulk is None or not self._copied(connection, bulk.body(numbered)):
            there = _inserted(connection, columns, numbered)
            if there:
                columns = columns.without(there)
                numbered = rows.Numbered(sources, shapes, columns.corrected(shift))
        if len(columns):
            connection.execute(_QUERIES["renew"], rows.renewed(columns, numbered))
        return columns

    def _copied(self, connection: Connection, body: bytes) -> bool:
        """Copy readings; return whether none of them was there. Where one was, none is copied."""
        if self._to_insert:
            self._to_insert -= 1
            return False
        try:
            with connection.transaction(), connection.cursor() as cursor, cursor.copy(_QUERIES["copy_vitals"]) as copy:
                copy.write(body)
        except UniqueViolation:
            self._to_insert = INSERTED_AFTER_COLLISION
            return False
        return True


def _inserted(connection: Connection, columns: Columns, numbered: rows.Numbered) -> set[int]:
    """Insert the readings that are not there; return the places of the others."""
    found = connection.execute(_QUERIES["vitals"], rows.vitals(columns, numbered)).fetchall()
    if len(found) == len(columns):
        return set()
    new = set(found)
    mine = [
        (reading, columns.envelopes[m].id, numbered.sources[s])
        for reading, m, s in zip(columns.reading_id, columns.message, columns.source, strict=True)
    ]
    return {i for i, reading in enumerate(mine) if reading not in new}
