"""Readings as binary COPY: the database reads from it what an insert of the same readings says."""

from __future__ import annotations

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest import copied as module
from feldsher_ingest import sql
from feldsher_ingest.bulk import Bulk, bulk
from feldsher_ingest.readings import Columns, columns
from feldsher_ingest.rows import Numbered, vitals
from feldsher_ingest.simulate import SimulatedGateway
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUERIES = sql.load("store.sql")
KEPT = b"select to_jsonb(v) - 'stored_at' from vital_reading v order by reading_id"
DECIMALS = ["0", "-0", "007", "120", "36.60", "-0.500", "+12", ".5", "5.", "7E1", "1.5e-3", "-2e+20", "9" * 30,
            "0.0001", "10000", "99990000", "1e-99", "12345678.87654321"]  # fmt: skip


def ready(found: Columns) -> Bulk:
    return Bulk(found, b"".join(r.bytes for r in found.reading_id))


@st.composite
def messages(draw: st.DrawFn) -> list[wire.VitalsBatch]:
    """Messages with something in every column, and nothing in some."""
    made = SimulatedGateway("gw-a", draw(st.integers(0, 2**32)))
    out: list[wire.VitalsBatch] = []
    for _ in range(draw(st.integers(1, 3))):
        batch = made.pressure(2, clocked=draw(st.booleans()))
        absent = draw(st.lists(st.none() | st.sampled_from(["nan", "nres"]), min_size=8, max_size=8))
        number = st.sampled_from(DECIMALS) | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str)
        values = tuple(None if reason else draw(number) for reason in absent)
        status = draw(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), min_size=8, max_size=8))
        batch = msgspec.structs.replace(
            batch, value=values, absent=tuple(absent), status=tuple(status) if draw(st.booleans()) else (status[0],) * 8
        )
        if batch.sent_at[0] is not None and draw(st.booleans()):
            now = {"device_now": "2026-11-22T12:00:00", "gateway_now_us": draw(st.integers(0, 2**51))}
            batch = msgspec.structs.replace(batch, sent_at=("2026-11-22T12:00",) * 8, **now)
        out.append(msgspec.structs.replace(batch, raw=draw(st.sampled_from([(), (b"one", b"")]))))
    return out


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages(), st.sampled_from([None, 0, -7_000_000]))
def test_copied_is_what_inserted_is(store_url: str, batches: list[wire.VitalsBatch], shift: int | None) -> None:
    found = columns(batches)
    numbered = Numbered([7, 8][: len(found.sources)], [9] * len(found.shapes), found.corrected(lambda _: shift))
    with psycopg.connect(store_url) as connection:
        connection.execute(QUERIES["vitals"], vitals(found, numbered))
        inserted = connection.execute(KEPT).fetchall()
        connection.rollback()
        with connection.cursor() as cursor, cursor.copy(QUERIES["copy_vitals"]) as copy:
            copy.write(ready(found).body(numbered))
        assert connection.execute(KEPT).fetchall() == inserted
        connection.rollback()
    assert len(inserted) == len(found)


def test_few_readings_are_not_worth_it_and_one_twice_cannot_be() -> None:
    made = SimulatedGateway("gw-a", 1)
    many = made.pressure(module.WORTH)
    assert bulk(columns([many])) is not None
    assert bulk(columns([made.pressure(module.WORTH - 1)])) is None
    assert bulk(columns([many, made.pressure(), many])) is None
    assert bulk(columns([])) is None


def test_a_number_that_does_not_fit_is_refused() -> None:
    many = msgspec.structs.replace(SimulatedGateway("gw-a", 1).pressure(), status=(2**31,) * 4)
    found = columns([many])
    with pytest.raises(OverflowError):
        ready(found).body(Numbered([1], [1], [None]))
