"""Cardiograms into the database: the way in makes no difference to what is kept and to what is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation, Measurements, Quality, Subject
from feldsher_ingest.check import check
from feldsher_ingest.recordings import CollisionError, write
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Store

Rows = Callable[[str], list[tuple[Any, ...]]]
MANY = 4
KEPT = "select id, order_id, leads, uv_per_bit, lead_off, samples, partial, engine from ecg_recording"
OPINION = Interpretation(
    "test 1", 500.0, ("I",), 500, Quality(True, {}), (), (), (), Measurements(60.0, 160.0), (), {"NORM": 1.0}, "sinus"
)


def recordings(made: SimulatedGateway) -> list[wire.EcgRecording]:
    """Recordings with something in every column, and with nothing in those that may be empty."""
    plain = [made.recording(leads=2, seconds=1) for _ in range(MANY)]
    whole = msgspec.structs.replace(
        made.recording(leads=1, seconds=1),
        order=UUID(int=7),
        clock_ratio=1.00001,
        partial="stopped",
        lead_off=("L0",),
        subject=Subject(age=70, sex="female"),
        interpretation=OPINION,
        lost=3,
        crc_errors=4,
        origin=wire.Origin(via="folder", format="SCP-ECG", sha256=bytes(32), size=9, recorded_at=None, arrived_us=1),
    )
    return [*plain, whole, msgspec.structs.replace(made.recording(leads=1, seconds=1), not_interpreted="late")]


def test_everything_is_kept(store_url: str, rows: Rows) -> None:
    some = recordings(SimulatedGateway("gw-a", 1))
    with psycopg.connect(store_url) as connection:
        assert write(connection, some, lambda _: 90_000_001) == set()
    wanted = [
        (m.env.id, m.order, list(m.leads), list(m.uv_per_bit), list(m.lead_off), m.samples, m.partial,
         None if m.interpretation is None else m.interpretation.engine)
        for m in some
    ]  # fmt: skip
    assert sorted(rows(KEPT)) == sorted(wanted)
    assert rows("select distinct corrected_started_at - started_at = '90.000001 s' from ecg_recording") == [(True,)]
    assert rows("select subject ->> 'age', origin ->> 'format' from ecg_recording where lost = 3") == [
        ("70", "SCP-ECG")
    ]


def test_one_that_is_there_costs_the_others_nothing(store_url: str, rows: Rows) -> None:
    some = recordings(SimulatedGateway("gw-a", 1))
    with psycopg.connect(store_url) as connection:
        assert write(connection, some[2:3], lambda _: None) == set()
        assert write(connection, some, lambda _: None) == {("gw-a", some[2].env.id)}
    assert rows("select count(*) from ecg_recording") == [(len(some),)]


def test_another_gateways_recording_is_named(store_url: str) -> None:
    first, *others = recordings(SimulatedGateway("gw-a", 1))
    foreign = msgspec.structs.replace(first, env=msgspec.structs.replace(first.env, gateway="gw-b"))
    with psycopg.connect(store_url) as connection:
        write(connection, [first], lambda _: None)
        with pytest.raises(CollisionError, match=str(first.env.id)):
            write(connection, [foreign, *others], lambda _: None)


def test_nothing_is_nothing(store_url: str) -> None:
    with psycopg.connect(store_url) as connection:
        assert write(connection, [], lambda _: None) == set()


def test_many_are_kept_by_the_role_that_row_level_security_binds(store_url: str, rows: Rows) -> None:
    gateway = SimulatedGateway("gw-a", 1)
    many = [gateway.recording(leads=1, seconds=1) for _ in range(MANY)]
    with Store(store_url, "bound") as store:
        saved, _ = store.save([check(wire.up_topic("gw-a", "ecg"), wire.encode(m)) for m in many])
        bound = store.run(lambda c: c.execute("select current_user").fetchone())
    assert bound == ("feldsher_ingest",)
    assert saved.states == ["stored"] * MANY
    assert rows("select count(*) from ecg_recording") == [(MANY,)]
