"""Roll-ups: whatever arrives in whatever order, a day's buckets are those of its readings counted one by one."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import vitals, wire
from feldsher_ehr_core.ids import reading_id
from feldsher_ingest import read, rollup
from feldsher_ingest.check import Checked
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Store

Rows = Callable[[str], list[tuple[Any, ...]]]
DAY = datetime(2026, 11, 22, tzinfo=UTC)
PULSE = vitals.PULSE.mdc


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url, "test") as opened:
        yield opened


@pytest.fixture
def connection(store_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store_url, autocommit=True) as opened:
        yield opened


def pulses(made: SimulatedGateway, at: list[tuple[datetime, int]]) -> wire.VitalsBatch:
    """Return pulses of a belt without a clock."""
    us = [round(time.timestamp() * 1e6) for time, _ in at]
    ids = [
        reading_id(device="belt", user=None, sent_at=None, values=[(PULSE, str(value))], sequence=t)
        for t, (_, value) in zip(us, at, strict=True)
    ]
    n = len(at)
    return msgspec.structs.replace(
        made.pressure(),
        device="belt",
        reading=tuple(ids),
        code=(PULSE,) * n,
        value=tuple(str(value) for _, value in at),
        absent=(None,) * n,
        unit=("/min",) * n,
        sent_at=(None,) * n,
        time_us=tuple(us),
        received_us=tuple(us),
        user=(None,) * n,
        status=(None,) * n,
    )


def put(store: Store, *messages: wire.UpMessage) -> None:
    saved, _ = store.save([Checked("", b"", message) for message in messages])
    assert saved.states == ["stored"] * len(messages)


def every_minute(day: datetime, n: int, seed: int) -> list[tuple[datetime, int]]:
    generator = random.Random(seed)  # noqa: S311 (made-up pulses)
    return [(day + timedelta(seconds=37 * i), generator.randrange(50, 120)) for i in range(n)]


def naive(at: list[tuple[datetime, int]], seconds: int) -> list[read.Bucket]:
    groups: dict[datetime, list[int]] = defaultdict(list)
    for time, value in at:
        groups[datetime.fromtimestamp(time.timestamp() // seconds * seconds, UTC)].append(value)
    return [
        read.Bucket(
            start, len(v), Decimal(min(v)), Decimal(max(v)), Decimal(statistics.fmean(v)).quantize(Decimal("1.000"))
        )
        for start, v in sorted(groups.items())
    ]


def rounded(found: list[read.Bucket]) -> list[read.Bucket]:
    return [read.Bucket(b.start, b.n, b.low, b.high, b.mean.quantize(Decimal("1.000"))) for b in found]


@pytest.mark.parametrize(("points", "seconds"), [(1500, 60), (30, 3600), (2, 86_400)])
def test_buckets_are_those_of_the_readings(
    store: Store, connection: psycopg.Connection[Any], points: int, seconds: int
) -> None:
    at, made = every_minute(DAY, 900, 1), SimulatedGateway("gw-a", 1)
    order = random.Random(2).sample(at, len(at))  # noqa: S311
    for i in range(0, len(order), 300):
        put(store, pulses(made, order[i : i + 300]))
        rollup.roll_up(connection)
    found = read.trend(connection, ["belt"], PULSE, DAY, DAY + timedelta(days=1), points=points)
    assert rounded(found) == naive(at, seconds)


def test_a_short_span_is_read_as_it_is(store: Store, connection: psycopg.Connection[Any]) -> None:
    at = every_minute(DAY, 900, 1)
    put(store, pulses(SimulatedGateway("gw-a", 1), at))
    rollup.roll_up(connection)
    end = DAY + timedelta(minutes=20)
    found = read.trend(connection, ["belt"], PULSE, DAY, end)
    assert [(b.start, b.low) for b in found] == [(time, Decimal(value)) for time, value in at if time < end]


def test_days_with_few_readings_are_read_as_they_are_among_those_that_are_rolled_up(
    store: Store, connection: psycopg.Connection[Any], rows: Rows
) -> None:
    made = SimulatedGateway("gw-a", 1)
    few = [(DAY - timedelta(days=1) + timedelta(hours=h), 60 + h) for h in (8, 20)]
    put(
        store, pulses(made, few), pulses(made, every_minute(DAY, 900, 1)), pulses(made, [(DAY + timedelta(days=2), 70)])
    )
    assert rollup.roll_up(connection) == 3
    assert rows("select day, readings from vital_dense") == [(date(2026, 11, 22), 900)]
    found = read.trend(connection, ["belt"], PULSE, DAY - timedelta(days=3), DAY + timedelta(days=3), points=200)
    assert [(b.start, b.n) for b in found if b.n == 1] == [(t, 1) for t, _ in few] + [(DAY + timedelta(days=2), 1)]
    assert sum(b.n for b in found) == 903


def test_nothing_is_due_twice_and_what_comes_later_is_due_again(
    store: Store, connection: psycopg.Connection[Any], rows: Rows
) -> None:
    made, at = SimulatedGateway("gw-a", 1), every_minute(DAY, 400, 1)
    put(store, pulses(made, at[:300]))
    assert [rollup.roll_up(connection) for _ in range(2)] == [1, 0]
    put(store, pulses(made, at[300:]))
    assert rollup.roll_up(connection) == 1
    assert rows("select readings from vital_dense") == [(400,)]
    assert rows("select sum(n)::int from vital_rollup where seconds = 86400") == [(400,)]


def test_a_correction_of_the_clock_moves_the_buckets(store: Store, connection: psycopg.Connection[Any]) -> None:
    made, at = SimulatedGateway("gw-a", 1, clock="unsynced"), every_minute(DAY, 300, 1)
    put(store, pulses(made, at))
    rollup.roll_up(connection)
    put(store, wire.ClockOffset(env=made.envelope(), offset_us=3_600_000_000, source="ntp"))
    assert rollup.roll_up(connection) == 1
    later = [(time + timedelta(hours=1), value) for time, value in at]
    found = read.trend(connection, ["belt"], PULSE, DAY, DAY + timedelta(days=1), points=30)
    assert rounded(found) == naive(later, 3600)


def test_a_roll_up_cut_short_leaves_the_day_due(store: Store, store_url: str, rows: Rows) -> None:
    put(store, pulses(SimulatedGateway("gw-a", 1), every_minute(DAY, 300, 1)))
    with psycopg.connect(store_url) as killed, killed.transaction(force_rollback=True):
        assert rollup.roll_up(killed) == 1
    assert rows("select count(*) from vital_due") == [(1,)]
    assert rows("select count(*) from vital_rollup") == [(0,)]


def test_measured_days_are_those_of_the_patients_zone(store: Store, connection: psycopg.Connection[Any]) -> None:
    at = [(DAY + timedelta(hours=h), 60) for h in (1, 18, 21)]
    put(store, pulses(SimulatedGateway("gw-a", 1), at))
    end = DAY + timedelta(days=2)
    assert read.measured_days(connection, ["belt"], PULSE, DAY, end, "UTC") == {date(2026, 11, 22): 3}
    found = read.measured_days(connection, ["belt"], PULSE, DAY, end, "Asia/Yekaterinburg")
    assert found == {date(2026, 11, 22): 2, date(2026, 11, 23): 1}
    assert read.measured_days(connection, ["belt"], vitals.SYSTOLIC.mdc, DAY, end, "UTC") == {}
