"""Readings into the database: the way in makes no difference to what is kept and to what is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest import copied as module
from feldsher_ingest.bulk import bulk
from feldsher_ingest.readings import Columns, columns
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.vitals import Connection, Vitals
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Rows = Callable[[str], list[tuple[Any, ...]]]
MANY = module.WORTH
KEPT = (
    "select to_jsonb(v) - 'stored_at', device, gateway, user_no, codes"
    " from vital_reading v join vital_source s on s.no = source join vital_shape h on h.no = shape order by reading_id",
    "select * from latest_reading order by source, shape",
    "select source, day from vital_due order by 1, 2",
)


def write(vitals: Vitals, connection: Connection, batches: Sequence[wire.VitalsBatch], *, copied: bool) -> Columns:
    found = columns(batches)
    with connection.transaction():
        return vitals.write(connection, found, bulk(found) if copied else None, lambda _: None)


def heard_by(gateway: SimulatedGateway, message: wire.VitalsBatch) -> wire.VitalsBatch:
    return msgspec.structs.replace(message, env=gateway.envelope())


def test_many_at_once_are_all_new(store_url: str, rows: Rows) -> None:
    message = SimulatedGateway("gw-a", 1).pressure(MANY)
    with psycopg.connect(store_url, autocommit=True) as connection:
        new = write(Vitals(), connection, [message], copied=True)
    assert new.by_message() == {("gw-a", message.env.id): list(dict.fromkeys(message.reading))}
    assert rows("select count(*), min(gateway) from vital_sign") == [(4 * MANY, "gw-a")]
    assert rows("select reading_id from latest_reading") == [(message.reading[-1],)]


def test_one_that_is_there_costs_the_others_nothing(store_url: str, rows: Rows) -> None:
    near, far = SimulatedGateway("gw-near", 1), SimulatedGateway("gw-far", 2)
    first, fresh = near.pressure(device="cuff"), far.pressure(MANY)
    vitals = Vitals()
    with psycopg.connect(store_url, autocommit=True) as connection:
        write(vitals, connection, [first], copied=True)
        new = write(vitals, connection, [heard_by(far, first), fresh], copied=True)
    assert new.by_message() == {("gw-far", fresh.env.id): list(dict.fromkeys(fresh.reading))}
    assert rows("select count(*), count(distinct reading_id) from vital_reading") == [(MANY + 1, MANY + 1)]


def test_after_a_collision_nothing_is_copied_for_a_while(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INSERTED_AFTER_COLLISION", 2)
    made, vitals, copies = SimulatedGateway("gw-a", 1), Vitals(), list[bool]()
    real = psycopg.Cursor[Any].copy

    def copy(self: psycopg.Cursor[Any], *args: Any) -> Any:
        copies[-1] = True
        return real(self, *args)

    monkeypatch.setattr(psycopg.Cursor, "copy", copy)
    first = made.pressure(MANY)
    with psycopg.connect(store_url, autocommit=True) as connection:
        for message in (first, heard_by(made, first), *(made.pressure(MANY) for _ in range(3))):
            copies.append(False)
            write(vitals, connection, [message], copied=True)
    assert copies == [True, True, False, False, True]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=4), min_size=1, max_size=4), st.integers(0, 2**32))
def test_the_way_in_makes_no_difference(store_url: str, batches: list[list[int]], seed: int) -> None:
    """Batches of few messages that repeat each other and come through two gateways."""
    near, far = SimulatedGateway("gw-near", seed), SimulatedGateway("gw-far", seed + 1)
    heard = [near.pressure(3, device=f"cuff-{i % 2}") for i in range(4)]
    heard += [heard_by(far, message) for message in heard]
    found: list[object] = []
    for copied in (True, False):
        with pytest.MonkeyPatch.context() as patch, psycopg.connect(store_url) as connection:
            patch.setattr(module, "WORTH", 1)
            patch.setattr(module, "INSERTED_AFTER_COLLISION", 1)
            connection.execute("alter sequence vital_source_no_seq restart; alter sequence vital_shape_no_seq restart")
            vitals = Vitals()
            new = [write(vitals, connection, [heard[i] for i in batch], copied=copied) for batch in batches]
            kept = [connection.execute(query.encode()).fetchall() for query in KEPT]
            found.append(([n.by_message() for n in new], kept))
            connection.rollback()
    assert found[0] == found[1]
