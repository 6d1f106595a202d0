"""Two workers that take the same readings at once, heard by gateways of both: everything is there once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest import copied
from feldsher_ingest.check import check
from feldsher_ingest.readings import columns
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Item, Saved, Store
from feldsher_ingest.vitals import Vitals

Rows = Callable[[str], list[tuple[Any, ...]]]


def items(messages: Sequence[wire.VitalsBatch]) -> list[Item]:
    return [check(wire.up_topic(m.env.gateway, "vitals"), wire.encode(m)) for m in messages]


def heard_by(gateway: SimulatedGateway, message: wire.VitalsBatch) -> wire.VitalsBatch:
    return msgspec.structs.replace(message, env=gateway.envelope())


@pytest.fixture
def two(store_url: str) -> Iterator[tuple[Store, Store]]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(Store(store_url, name)) for name in ("one", "two"))
        yield first, second


def at_once(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_who_is_locked_out_crosswise_begins_again(
    store_url: str, two: tuple[Store, Store], rows: Rows, blocked: Callable[[], None]
) -> None:
    """Another transaction has the second reading, and comes for the first, which the store has by then."""
    near, far = SimulatedGateway("gw-near", 1), SimulatedGateway("gw-far", 1)
    mine = [near.pressure(device="x"), near.pressure(device="y")]
    found: list[Saved] = []
    with psycopg.connect(store_url) as other:
        other.execute("set deadlock_timeout = '10min'")  # the store is the one that the server sends back
        _write(other, heard_by(far, mine[1]))
        storing = threading.Thread(target=lambda: found.append(two[0].save(items(mine))[0]))
        storing.start()
        blocked()
        _write(other, heard_by(far, mine[0]))
        other.rollback()
    storing.join(60)
    assert found[0].states == ["stored", "stored"]
    assert rows("select count(*), min(gateway), max(gateway) from vital_sign") == [(8, "gw-near", "gw-near")]
    assert rows("select sum(batch) from ingest_mark") == [(1,)]


def _write(connection: psycopg.Connection[Any], message: wire.VitalsBatch) -> None:
    Vitals().write(connection, columns([message]), None, lambda _: None)


def test_the_same_readings_in_any_order_are_there_once(
    two: tuple[Store, Store], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copied, "WORTH", 1)
    monkeypatch.setattr(copied, "INSERTED_AFTER_COLLISION", 1)
    near, far, shuffled = SimulatedGateway("gw-near", 1), SimulatedGateway("gw-far", 1), random.Random(1)  # noqa: S311
    first = [near.pressure(3, device=f"cuff-{i % 3}") for i in range(60)]
    second = [heard_by(far, message) for message in shuffled.sample(first, len(first))]
    states: dict[str, list[wire.ReceiptState | None]] = {"one": [], "two": []}

    def save(name: str, store: Store, messages: Sequence[wire.VitalsBatch]) -> None:
        for i in range(0, len(messages), 6):
            states[name] += store.save(items(messages[i : i + 6]))[0].states

    at_once(lambda: save("one", two[0], first), lambda: save("two", two[1], second))
    assert sorted(map(str, states["one"] + states["two"])) == ["duplicate"] * 60 + ["stored"] * 60
    assert rows("select count(*), count(distinct reading_id) from vital_reading") == [(180, 180)]
    told = rows("select jsonb_array_elements_text(body -> 'readings') from event")
    assert len(told) == len(set(told)) == 180
    assert rows("select count(*) from message") == [(120,)]


def test_the_same_messages_in_both_are_stored_by_one(two: tuple[Store, Store], rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    some = items([made.pressure() for _ in range(copied.WORTH + 10)])
    found: dict[str, Saved] = {}

    def save(name: str, store: Store) -> None:
        found[name] = store.save(some)[0]

    at_once(lambda: save("one", two[0]), lambda: save("two", two[1]))
    for one, other in zip(found["one"].states, found["two"].states, strict=True):
        assert {one, other} == {"stored", "duplicate"}
    assert rows("select count(*), count(distinct message_id) from event") == [(len(some), len(some))]
