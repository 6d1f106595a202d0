"""Seats at the broker: which process is `ingest.0`, `ingest.1` … just now; a dead one's seats go to the others.

A seat is a user of the broker with its session, in which messages wait, and its shards: those that leave its number
when divided by the count of seats. Shards never move between sessions; whole seats move between processes, by leases
in the database. Connecting as a seat throws a former holder off the broker, so that one who has only stopped for a
while finds itself replaced, and may not come back before the database says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from feldsher_ingest import sql

HELD_S = 5.0
"""How long a lease lasts without renewal: a dead process's seats are taken over after this and a beat."""
BEAT_S = 1.0
_QUERIES = sql.load("seats.sql")
Connection = psycopg.Connection[TupleRow]


def share(seats: int, held: Mapping[int, UUID], members: Sequence[UUID], me: UUID) -> int:
    """Return how many of the seats are a member's fair share: nobody has two more than another.

    What does not divide evenly stays with those who hold most, so that no seat moves for nothing.
    """
    counts = Counter(held.values())
    order = sorted(members, key=lambda member: (-counts[member], member))
    return seats // len(order) + (order.index(me) < seats % len(order))


def wanted(seats: int, held: Mapping[int, UUID], members: Sequence[UUID], me: UUID) -> tuple[int, ...]:
    """Return the seats to hold from now on: one's own up to the fair share, then those that nobody holds."""
    own = [seat for seat in range(seats) if held.get(seat) == me]
    free = [seat for seat in range(seats) if seat not in held]
    return tuple(sorted((own + free)[: share(seats, held, members, me)]))


def beat(connection: Connection, me: UUID, worker: str, seats: int, held_s: float = HELD_S) -> tuple[int, ...]:
    """Renew what a process holds, give back what is above its share, take what is free; return what it holds now."""
    with connection.transaction():
        connection.execute(_QUERIES["turn"])
        connection.execute(_QUERIES["present"], {"holder": me, "worker": worker, "seconds": held_s})
        connection.execute(_QUERIES["forget"])
        members = [holder for (holder,) in connection.execute(_QUERIES["members"])]
        held: dict[int, UUID] = dict(connection.execute(_QUERIES["seats"]).fetchall())
        mine = wanted(seats, held, members, me)
        connection.execute(_QUERIES["release"], {"holder": me, "seats": list(mine)})
        connection.execute(_QUERIES["hold"], {"holder": me, "seats": list(mine), "seconds": held_s})
    return mine


def leave(connection: Connection, me: UUID) -> None:
    """Give everything back at once: an orderly end."""
    with connection.transaction():
        connection.execute(_QUERIES["turn"])
        connection.execute(_QUERIES["release"], {"holder": me, "seats": list[int]()})
        connection.execute(_QUERIES["leave"], {"holder": me})
