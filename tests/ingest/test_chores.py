"""Chores: done by one worker at a time, taken over when it ends, and one that fails keeps no other from its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from feldsher_ingest.chores import Chore, Chores, Connection
from feldsher_ingest.metrics import Metrics
from prometheus_client import CollectorRegistry

Begin = Callable[..., Chores]


@pytest.fixture
def begin(store_url: str) -> Iterator[Begin]:
    running: list[Chores] = []

    def start(name: str, **chores: Chore) -> Chores:
        made = Chores(store_url, name, Metrics(CollectorRegistry()), chores, every_s=0.05)
        running.append(made)
        made.start()
        return made

    yield start
    for made in running:
        made.stop()


def counter(done: list[str], name: str) -> Chore:
    def chore(connection: Connection) -> int:
        assert connection.execute(b"select 1").fetchone() == (1,)
        done.append(name)
        return 0

    return chore


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_does_them_and_another_goes_on_when_it_ends(begin: Begin) -> None:
    done: list[str] = []
    first = begin("a", rollup=counter(done, "a"))
    wait_until(lambda: len(done) >= 2)
    begin("b", rollup=counter(done, "b"))
    seen = len(done)
    wait_until(lambda: len(done) >= seen + 4)
    assert set(done) == {"a"}
    first.stop()
    wait_until(lambda: done[-1] == "b")


def test_what_is_left_is_done_at_once(begin: Begin) -> None:
    left, rounds = [5], threading.Event()

    def chore(connection: Connection) -> int:
        del connection
        if left[0]:
            left[0] -= 1
        else:
            rounds.set()
        return left[0]

    begin("a", rollup=chore)
    assert rounds.wait(60)


def test_what_can_wait_takes_turns_with_the_watch(begin: Begin) -> None:
    """Days of moving old recordings hold up nobody's alarm."""
    done: list[str] = []
    judging = [0]

    def tier(connection: Connection) -> int:
        del connection
        done.append("tier")
        judging[0] = 2  # meanwhile something is to be judged
        return int(done.count("tier") < 50)

    def watch(connection: Connection) -> int:
        del connection
        done.append("watch")
        judging[0] -= judging[0] > 0
        return judging[0]

    begin("a", watch_due=watch, tier=tier)
    wait_until(lambda: done.count("tier") >= 50)
    turns = "".join(one[0] for one in done)
    assert turns.startswith("wt" + "wwt" * 49), "all of the watch's, then a piece"


def test_one_that_fails_keeps_no_other_from_its_turn(begin: Begin) -> None:
    done: list[str] = []

    def broken(connection: Connection) -> int:
        connection.execute(b"select 1 / 0")
        raise AssertionError("not reached")

    begin("a", broken=broken, rollup=counter(done, "a"))
    wait_until(lambda: len(done) >= 2)


def test_a_lost_connection_is_opened_again(begin: Begin, store_url: str) -> None:
    done: list[str] = []
    begin("gone", rollup=counter(done, "a"))
    wait_until(lambda: bool(done))
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute(
            b"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gone chores'"
        )
    seen = len(done)
    wait_until(lambda: len(done) > seen + 1)
