"""Links as leases come and go: taken over from the dead and the stalled, kept from fighting, given back in order."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from feldsher_ingest import seats
from feldsher_ingest.crew import Crew
from feldsher_ingest.inbox import Arrived
from feldsher_ingest.settings import Settings
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway

Connect = Callable[[str], GatewayClient]
Join = Callable[..., Crew]
BEAT_S = 0.1
GENERATOR = random.Random(1)  # noqa: S311 (waiting times)


@pytest.fixture
def heard() -> list[Arrived]:
    return []


@pytest.fixture
def join(settings: Settings, heard: list[Arrived]) -> Iterator[Join]:
    crews: list[Crew] = []

    def start(url: str | None = None, held_s: float = 60.0) -> Crew:
        mine = dataclasses.replace(settings, database_url=url or settings.database_url)
        crew = Crew(mine, heard.append, GENERATOR, held_s=held_s, beat_s=BEAT_S)
        crews.append(crew)
        crew.start()
        return crew

    yield start
    for crew in crews:
        crew.stop()


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_second_waits_in_reserve_and_takes_over_when_the_first_leaves(join: Join) -> None:
    first = join()
    wait_until(lambda: first.up and first.seats == (0,))
    second = join()
    wait_until(lambda: second.up)
    assert (second.seats, second.shards) == ((), ())
    first.stop()
    wait_until(lambda: second.up and second.seats == (0,))
    assert second.shards == tuple(range(16))


def test_whose_lease_has_ended_is_replaced_and_does_not_come_back(
    join: Join, heard: list[Arrived], gateway: Connect, store_url: str
) -> None:
    stalled = join(held_s=1.0)
    wait_until(lambda: stalled.up and stalled.seats == (0,))
    with psycopg.connect(store_url) as blocker:
        # it loses the database alone: its beats wait for a lock, and it stays at the broker
        blocker.execute("select pg_advisory_xact_lock(hashtext('ingest_seat'))")
        wait_until(lambda: not stalled.up)
        blocker.execute("update ingest_seat set holder = gen_random_uuid(), held_until = now() + interval '1 hour'")
    wait_until(lambda: stalled.seats == ())
    assert not stalled.publish("feldsher/1/gw-a/down/receipt", b"")
    with psycopg.connect(store_url) as connection:
        connection.execute("delete from ingest_seat")
    wait_until(lambda: stalled.up and stalled.seats == (0,))
    gateway("gw-a").send(SimulatedGateway("gw-a", 1).pressure())
    wait_until(lambda: len(heard) == 1)


def test_without_a_database_it_takes_no_seat(join: Join, settings: Settings) -> None:
    lost = join(settings.database_url.rsplit("/", 1)[0] + "/nowhere")
    time.sleep(5 * BEAT_S)
    assert not lost.up
    assert lost.seats == ()


def test_a_stumble_costs_a_beat_and_not_the_seats(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stops for a while between two questions finds itself no member: that must not end its keeper."""
    real, stumbles = seats.beat, [ValueError("not in list"), FileNotFoundError("ingest.0.pem is missing")]

    def beat(*given: Any) -> tuple[int, ...]:
        if stumbles:
            raise stumbles.pop()
        return real(*given)

    monkeypatch.setattr(seats, "beat", beat)
    crew = join()
    wait_until(lambda: crew.up and crew.seats == (0,))
    assert not stumbles


def test_a_missing_certificate_is_told_before_anything_starts(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ingest\.0\.pem is missing"):
        Crew(dataclasses.replace(settings, clients=tmp_path), lambda _: None, GENERATOR)
