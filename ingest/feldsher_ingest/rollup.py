"""Roll-ups by minute, hour and day, of those days on which a source measured often.

A home kit measures a few times a day: its readings are fewer than their roll-ups would be, and are read as they are.
A monitor measures once a second: of its days 90 are eight million readings, and nobody waits for those. The transaction
that stores or corrects readings says which days are due; a day is computed anew from all its readings, so that late,
repeated and corrected ones need no rule of their own.
"""

from __future__ import annotations

from datetime import date

import psycopg
from psycopg.rows import TupleRow

from feldsher_ingest import arrays, sql

DENSE = 200
"""Readings a day from which a day is rolled up: one in seven minutes. Our choice, by what a page reads in 5 ms."""
AT_ONCE = 500
_QUERIES = sql.load("rollup.sql")
Connection = psycopg.Connection[TupleRow]


def roll_up(connection: Connection, limit: int = AT_ONCE) -> int:
    """Roll up days that are due, of at most so many entries; return how many days were looked at."""
    with connection.transaction():
        connection.execute(_QUERIES["turn"])
        due: list[tuple[int, date]] = [(s, d) for s, d in connection.execute(_QUERIES["take"], {"limit": limit})]
        if due:
            counted = connection.execute(_QUERIES["count"], _days(due)).fetchall()
            connection.execute(_QUERIES["forget"], _days(due))
            dense = [(source, day, n) for source, day, n in counted if n >= DENSE]
            if dense:
                numbers = {"n": arrays.int4([n for _, _, n in dense])}
                connection.execute(_QUERIES["make"], _days([(s, d) for s, d, _ in dense]) | numbers)
    return len(due)


def _days(days: list[tuple[int, date]]) -> dict[str, object]:
    return {"source": arrays.int4([source for source, _ in days]), "day": [day for _, day in days]}
