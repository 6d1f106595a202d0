"""The ledger: the way in makes no difference to what is kept and to who is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest import copied
from feldsher_ingest.ledger import Connection, Ledger, entries
from feldsher_ingest.simulate import SimulatedGateway
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Rows = Callable[[str], list[tuple[Any, ...]]]
KEPT = b"select m::text from message m order by gateway, id"


def spans_of(messages: Sequence[wire.UpMessage]) -> dict[tuple[str, Any], tuple[int, int]]:
    return {
        (m.env.gateway, m.env.id): (min(m.time_us), max(m.time_us)) for m in messages if isinstance(m, wire.VitalsBatch)
    }


def enter(ledger: Ledger, connection: Connection, messages: Sequence[wire.UpMessage]) -> list[wire.UpMessage]:
    spans = spans_of(messages)
    return list(ledger.enter(connection, messages, spans, entries(messages, spans)).values())


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=4), st.integers(0, 2**32))
def test_the_way_in_makes_no_difference(store_url: str, batches: list[list[int]], seed: int) -> None:
    made = [SimulatedGateway("gw-a", seed), SimulatedGateway("gw-b", seed, clock="unsynced")]
    every = [made[i % 2].pressure(2) if i < 6 else made[i % 2].heartbeat() for i in range(10)]
    found: list[object] = []
    for worth in (1, 1000):
        with pytest.MonkeyPatch.context() as patch, psycopg.connect(store_url) as connection:
            patch.setattr(copied, "WORTH", worth)
            patch.setattr(copied, "INSERTED_AFTER_COLLISION", 1)
            connection.execute("alter table message alter column stored_at set default '2026-11-22Z'")
            ledger = Ledger()
            new = [enter(ledger, connection, [every[i] for i in batch]) for batch in batches]
            found.append((new, connection.execute(KEPT).fetchall()))
            connection.rollback()
    assert found[0] == found[1]


def test_many_that_are_new_are_copied_and_one_that_is_not_is_found(store_url: str, rows: Rows) -> None:
    made, ledger = SimulatedGateway("gw-a", 1), Ledger()
    first = [made.heartbeat() for _ in range(copied.WORTH)]
    again = [made.heartbeat() for _ in range(copied.WORTH)]
    with psycopg.connect(store_url) as connection:
        assert enter(ledger, connection, first) == first
        assert enter(ledger, connection, [*again, first[7]]) == again
    assert rows("select count(*) from message") == [(2 * copied.WORTH,)]


def test_a_message_that_stands_twice_is_new_once(store_url: str) -> None:
    made = SimulatedGateway("gw-a", 1)
    some = [made.heartbeat() for _ in range(copied.WORTH)]
    assert entries([*some, some[0]], {}) is None
    assert entries(some, {}) is not None
    with psycopg.connect(store_url) as connection:
        assert enter(Ledger(), connection, [*some, some[0]]) == some
