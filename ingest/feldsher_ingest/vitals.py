"""Readings into the database: copied where they are many and none is known, else inserted where they are not there."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from feldsher_ingest import rows, sql
from feldsher_ingest.bulk import Bulk
from feldsher_ingest.copied import Copier
from feldsher_ingest.numbers import Numbers
from feldsher_ingest.readings import Columns, Shift

_QUERIES = sql.load("store.sql")
Connection = psycopg.Connection[TupleRow]


class Vitals:
    """What a store remembers of the readings that it wrote. Each write is part of the caller's transaction."""

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._copier = Copier()

    def clear(self) -> None:
        """Forget the numbers: the transaction that gave them has failed, or the connection ended."""
        self._numbers.clear()

    def write(self, connection: Connection, columns: Columns, bulk: Bulk | None, shift: Shift) -> Columns:
        """Store readings and what follows from them; return those that were not there.

        `bulk`: the same readings, ready to be copied; `shift`: what is known of gateways' clocks.
        """
        sources, shapes = self._numbers.resolve(connection, columns)
        numbered = rows.Numbered(sources, shapes, columns.corrected(shift))
        if bulk is None or not self._copier.copied(connection, _QUERIES["copy_vitals"], bulk.body(numbered)):
            there = _inserted(connection, columns, numbered)
            if there:
                columns = columns.without(there)
                numbered = rows.Numbered(sources, shapes, columns.corrected(shift))
        if len(columns):
            connection.execute(_QUERIES["renew"], rows.renewed(columns, numbered))
        return columns


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
