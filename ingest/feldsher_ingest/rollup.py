"""Roll-ups by minute, hour and day, of those days on which a source measured often.

A home kit measures a few times a day: its readings are fewer than their roll-ups would be, and are read as they are.
A monitor measures once a second: of its days 90 are eight million readings, and nobody waits for those. The transaction
that stores or corrects readings says which days are due; a day is computed anew from all its readings, so that late,
repeated and corrected ones need no rule of their own.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import psycopg
from psycopg.rows import TupleRow

from feldsher_ingest import arrays, sql

DENSE = 200
"""Readings a day from which a day is rolled up: one in seven minutes. Our choice, by what a page reads in 5 ms."""
AT_ONCE = 500
_ZONES = timedelta(hours=15)
"""How far a key time can be from the time of its reading: clocks on Earth show UTC-12 to UTC+14."""
_QUERIES = sql.load("rollup.sql")
Connection = psycopg.Connection[TupleRow]


def roll_up(connection: Connection, limit: int = AT_ONCE) -> int:
    """Roll up days that are due, of at most so many entries; return how many days were looked at."""
    with connection.transaction():
        connection.execute(_QUERIES["turn"])
        due: list[tuple[int, date]] = [(s, d) for s, d in connection.execute(_QUERIES["take"], {"limit": limit})]
        for week in _weeks(due):
            counted = connection.execute(_QUERIES["count"], _days(week)).fetchall()
            connection.execute(_QUERIES["forget"], _days(week))
            dense = [(source, day, n) for source, day, n in counted if n >= DENSE]
            if dense:
                numbers = {"n": arrays.int4([n for _, _, n in dense])}
                connection.execute(_QUERIES["make"], _days([(s, d) for s, d, _ in dense]) | numbers)
    return len(due)


def _weeks(days: list[tuple[int, date]]) -> list[list[tuple[int, date]]]:
    """Return days week by week: the readings of each lie in two chunks or three of all, and the database is told so."""
    out: dict[int, list[tuple[int, date]]] = {}
    for source, day in days:
        out.setdefault(day.toordinal() // 7, []).append((source, day))
    return list(out.values())


def _days(days: list[tuple[int, date]]) -> dict[str, object]:
    first, last = min(day for _, day in days), max(day for _, day in days)
    return {
        "source": arrays.int4([source for source, _ in days]),
        "day": [day for _, day in days],
        "key_from": datetime.combine(first, time(), UTC) - _ZONES,
        "key_to": datetime.combine(last, time(), UTC) + timedelta(days=1) + _ZONES,
    }
