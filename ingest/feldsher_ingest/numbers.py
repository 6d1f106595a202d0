"""The numbers under which the store knows sources and shapes of readings, looked up once per connection."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from feldsher_ingest import sql
from feldsher_ingest.readings import Columns, Shape, Source

_QUERIES = sql.load("store.sql")
_TRIES = 5
"""Another worker may be numbering the same: its row is seen once it has committed, so the second look finds it."""


class Numbers:
    """Numbers that are known. `clear` after a transaction that failed: its numbers were never given."""

    def __init__(self) -> None:
        self._sources: dict[Source, int] = {}
        self._shapes: dict[Shape, int] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._sources.clear()
        self._shapes.clear()

    def resolve(self, connection: psycopg.Connection[TupleRow], columns: Columns) -> tuple[list[int], list[int]]:
        """Return the numbers of the columns' sources and of their shapes, giving numbers to new ones."""
        sources, shapes = columns.sources.keys() - self._sources.keys(), columns.shapes.keys() - self._shapes.keys()
        for _ in range(_TRIES):
            if not sources and not shapes:
                break
            self._number_sources(connection, sources)
            self._number_shapes(connection, shapes)
            sources, shapes = sources - self._sources.keys(), shapes - self._shapes.keys()
        return [self._sources[s] for s in columns.sources], [self._shapes[s] for s in columns.shapes]

    def _number_sources(self, connection: psycopg.Connection[TupleRow], new: set[Source]) -> None:
        if not new:
            return
        known = sorted(new, key=lambda s: (s[0], s[1], s[2] is not None, s[2] or 0))  # one order: no deadlocks
        params = {name: [s[i] for s in known] for i, name in enumerate(("device", "gateway", "user_no"))}
        for device, gateway, user_no, number in connection.execute(_QUERIES["sources"], params):
            self._sources[device, gateway, user_no] = number

    def _number_shapes(self, connection: psycopg.Connection[TupleRow], new: set[Shape]) -> None:
        for codes, units in sorted(new):
            params = {"codes": list(codes), "units": list(units)}
            for (number,) in connection.execute(_QUERIES["shapes"], params):
                self._shapes[codes, units] = number
