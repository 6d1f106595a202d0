"""Seats: shared evenly, moved only where that helps, free again once their holder is gone."""

from __future__ import annotations

import random
import threading
from uuid import UUID

import psycopg
from feldsher_ingest import seats
from hypothesis import given
from hypothesis import strategies as st

A, B, C = (UUID(int=number) for number in (1, 2, 3))


@given(st.integers(1, 16), st.integers(1, 20), st.randoms(use_true_random=False))
def test_beats_in_any_order_end_in_even_shares_and_stay_there(count: int, crowd: int, chance: random.Random) -> None:
    members = [UUID(int=number) for number in range(crowd)]
    held: dict[int, UUID] = {}
    for _ in range(3):
        for me in chance.sample(members, len(members)):
            mine = seats.wanted(count, held, members, me)
            held = {seat: holder for seat, holder in held.items() if holder != me} | dict.fromkeys(mine, me)
    shares = [sum(holder == me for holder in held.values()) for me in members]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1
    for me in members:
        assert seats.wanted(count, held, members, me) == tuple(s for s in range(count) if held[s] == me)


def test_one_more_member_takes_no_seat_that_it_does_not_need() -> None:
    assert seats.wanted(1, {0: B}, [A, B], B) == (0,)
    assert seats.wanted(1, {0: B}, [A, B], A) == ()
    assert seats.wanted(4, {0: A, 1: A, 2: B, 3: B}, [A, B, C], C) == ()  # the others give first
    assert len(seats.wanted(4, {0: A, 1: A, 2: B, 3: B}, [A, B, C], B)) == 1


def test_a_seat_is_held_by_one_until_its_time_is_over(store_url: str) -> None:
    with psycopg.connect(store_url, autocommit=True) as connection:
        assert seats.beat(connection, A, "a", 2, held_s=60) == (0, 1)
        assert seats.beat(connection, B, "b", 2, held_s=60) == ()  # A is yet to give one back
        connection.execute("update ingest_seat set held_until = now() - interval '1 second'")
        connection.execute("update ingest_member set present_until = now() - interval '1 second' where worker = 'a'")
        assert seats.beat(connection, B, "b", 2, held_s=60) == (0, 1)
        assert seats.beat(connection, A, "a", 2, held_s=60) == ()
        assert seats.beat(connection, B, "b", 2, held_s=60) in ((0,), (1,))


def test_who_leaves_in_order_leaves_its_seats_at_once(store_url: str) -> None:
    with psycopg.connect(store_url, autocommit=True) as connection:
        assert seats.beat(connection, A, "a", 3) == (0, 1, 2)
        seats.leave(connection, A)
        assert seats.beat(connection, B, "b", 3) == (0, 1, 2)


def test_many_at_once_never_hold_the_same_seat(store_url: str) -> None:
    found: dict[UUID, tuple[int, ...]] = {}

    def go(me: UUID) -> None:
        with psycopg.connect(store_url, autocommit=True) as connection:
            for _ in range(8):
                found[me] = seats.beat(connection, me, str(me), 16, held_s=60)

    threads = [threading.Thread(target=go, args=(UUID(int=n),)) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with psycopg.connect(store_url, autocommit=True) as connection:
        for me in sorted(found) * 2:
            found[me] = seats.beat(connection, me, str(me), 16, held_s=60)
    assert sorted(seat for mine in found.values() for seat in mine) == list(range(16))
