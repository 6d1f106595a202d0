"""Numbers of sources and shapes: the same for everybody, also for two workers at once, and forgotten when told."""

from __future__ import annotations

import threading

import psycopg
from feldsher_ingest.numbers import Numbers
from feldsher_ingest.readings import columns
from feldsher_ingest.simulate import SimulatedGateway


def test_the_same_get_the_same_number(store_url: str) -> None:
    made = columns([SimulatedGateway(name, 1).pressure(2) for name in ("gw-a", "gw-b", "gw-a")])
    with psycopg.connect(store_url) as connection:
        sources, shapes = Numbers().resolve(connection, made)
        again = Numbers().resolve(connection, made)
    assert (sources, shapes) == again
    assert sources[0] != sources[1]
    assert len(shapes) == 1


def test_numbers_of_a_transaction_that_failed_are_given_anew(store_url: str) -> None:
    numbers, made = Numbers(), columns([SimulatedGateway("gw-a", 1).pressure()])
    with psycopg.connect(store_url) as connection:
        numbers.resolve(connection, made)
        connection.rollback()
        numbers.clear()
        found, _ = numbers.resolve(connection, made)
        assert connection.execute("select no from vital_source").fetchall() == [(found[0],)]


def test_two_workers_that_number_the_same_at_once_agree(store_url: str) -> None:
    made = columns([SimulatedGateway("gw-a", 1).pressure()])
    found: list[tuple[list[int], list[int]]] = []

    def late() -> None:
        with psycopg.connect(store_url) as connection:
            found.append(Numbers().resolve(connection, made))

    with psycopg.connect(store_url) as connection:
        first = Numbers().resolve(connection, made)
        other = threading.Thread(target=late)
        other.start()
        with psycopg.connect(store_url, autocommit=True) as watcher:
            blocked = b"select count(*) from pg_locks where not granted"
            while watcher.execute(blocked).fetchone() == (0,):
                pass
        connection.commit()
        other.join()
    assert found == [first]
