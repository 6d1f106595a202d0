"""Originals become recordings once, find their order by its number, and are doubted where they contradict it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.orders import Orders
from feldsher_edge.original import Samples, Seen
from feldsher_edge.originals import Originals, Trust, disagreement, parts, started
from feldsher_edge.outbox import Outbox
from feldsher_edge.recordings import Recordings
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.store import Store
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject
from feldsher_ehr_core.ids import order_number
from feldsher_signal import codec

ORDER = UUID("01890000-0000-7000-8000-00feed123456")
TRUST = Trust(UTC)
WALL_US = 1_790_000_000_000_000


def seen(seed: int = 1, **fields: object) -> Seen:
    samples = np.random.default_rng(seed).integers(-500, 500, (2, 5000), dtype=np.int32)
    values: dict[str, object] = {
        "sha256": bytes([seed]) * 32,
        "size": 1000,
        "format": "DICOM",
        "recording": Samples(("I", "II"), 500.0, 5000, samples.tobytes(), (2.5, 2.5)),
        "subject": Subject(age=61, sex="female"),
        "recorded_at": datetime.fromtimestamp(WALL_US / 1e6 - 3600, UTC).replace(tzinfo=None).isoformat(),
        "maker": "Virtual",
    }
    return Seen(**(values | fields))  # type: ignore[arg-type]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(WALL_US)


@pytest.fixture
def outbox(tmp_path: Path, clock: VirtualClock) -> Iterator[Outbox]:
    rng = Random(1)  # noqa: S311 - repeatable on purpose
    opened = Outbox(Store(tmp_path / "o"), Envelopes("gw-1", clock, rng.randbytes))
    yield opened
    opened.close()


@pytest.fixture
def orders(outbox: Outbox) -> Orders:
    return Orders(outbox, ["kit-1"], 600, ["cart-1", "cart-2"])


@pytest.fixture
def originals(outbox: Outbox, orders: Orders) -> Originals:
    return Originals(outbox, orders, Recordings(outbox, orders, None))


def ordered(orders: Orders, order: UUID = ORDER, device: str = "cart-1", **subject: object) -> None:
    who = Subject(**({"age": 62, "sex": "female"} | subject))  # type: ignore[arg-type]
    orders.command(
        wire.OrderCommand(
            id=UUID(int=order.int + 1),
            sent_us=0,
            order=order,
            device=device,
            seconds=10.0,
            lapses_us=1 << 60,
            subject=who,
        )
    )


async def recordings_in(outbox: Outbox) -> list[wire.EcgRecording]:
    for _ in range(200):  # released by tasks of their own
        if not outbox.held():
            break
        await asyncio.sleep(0.01)
    bodies = [outbox.body(row.seq) for row in outbox.waiting(100)]
    messages = [wire.decode_up(body) for body in bodies if body is not None]
    return [m for m in messages if isinstance(m, wire.EcgRecording)]


def faults_in(outbox: Outbox) -> list[str | None]:
    bodies = [outbox.body(row.seq) for row in outbox.waiting(100)]
    messages = [wire.decode_up(body) for body in bodies if body is not None]
    return [m.detail for m in messages if isinstance(m, wire.DeviceStatus)]


async def test_an_original_becomes_a_recording_that_says_where_it_came_from(
    outbox: Outbox, originals: Originals
) -> None:
    it = seen()
    assert await originals.take("cart-1", "folder", it, TRUST) == "taken"
    (message,) = await recordings_in(outbox)
    assert it.recording is not None
    samples = codec.decode(message.samples, 2, message.n, message.codec)
    assert samples.astype("<i4").tobytes() == it.recording.samples
    assert (message.device, message.order, message.subject) == ("cart-1", None, it.subject)
    assert message.started_us == WALL_US - 3_600_000_000
    assert message.ended_us - message.started_us == 10_000_000
    assert message.origin is not None
    expected = wire.Origin("folder", "DICOM", it.sha256, 1000, WALL_US, it.recorded_at, "Virtual")
    assert message.origin == expected


async def test_the_same_bytes_are_never_taken_twice(outbox: Outbox, originals: Originals) -> None:
    verdicts = [await originals.take(device, "folder", seen(), TRUST) for device in ("cart-1", "cart-1", "cart-2")]
    assert verdicts == ["taken", "repeat", "repeat"]
    assert len(await recordings_in(outbox)) == 1


async def test_a_sop_instance_is_taken_once_and_contradicted_never(outbox: Outbox, originals: Originals) -> None:
    first = seen(1, uid=b"u" * 32)
    renamed = msgspec.structs.replace(first, sha256=b"2" * 32)
    other = seen(3, uid=b"u" * 32)
    assert [await originals.take("cart-1", "dicom", it, TRUST) for it in (first, renamed, other, other)] == [
        "taken",
        "repeat",
        "conflict",
        "conflict",
    ]
    assert len(await recordings_in(outbox)) == 1
    (detail,) = faults_in(outbox)
    assert detail is not None
    assert "SOP Instance UID: known with other samples" in detail


async def test_what_cannot_be_read_is_told_once_and_read_later_by_a_better_program(
    outbox: Outbox, originals: Originals
) -> None:
    bad = Seen(bytes([1]) * 32, 1000, fault="byte 12: no checksum")
    assert await originals.take("cart-1", "folder", bad, TRUST) == "quarantined"
    assert await originals.take("cart-1", "folder", bad, TRUST) == "repeat"
    assert originals.quarantined("cart-1") == 1
    assert faults_in(outbox) == [f"cannot be taken: byte 12: no checksum (SHA-256 {'01' * 32})"]
    assert await originals.take("cart-1", "folder", seen(), TRUST) == "taken"
    assert originals.quarantined("cart-1") == 0
    assert len(await recordings_in(outbox)) == 1


async def test_an_order_is_found_by_its_number_and_done(outbox: Outbox, orders: Orders, originals: Originals) -> None:
    ordered(orders)
    await originals.take("cart-1", "folder", seen(orders=("00000000", order_number(ORDER))), TRUST)
    (message,) = await recordings_in(outbox)
    assert (message.order, message.subject) == (ORDER, Subject(age=62, sex="female"))
    assert message.origin is not None
    assert message.origin.doubts == ()
    assert orders.open() == []


@pytest.mark.parametrize(
    ("device", "subject", "said"),
    [
        ("cart-2", {}, "which is for another cardiograph"),
        ("cart-1", {"sex": "male"}, "but says female where the order says male"),
        ("cart-1", {"age": 16}, "but says 61 years where the order says 16"),
    ],
)
async def test_what_contradicts_its_order_stays_unassigned(
    outbox: Outbox, orders: Orders, originals: Originals, device: str, subject: dict[str, object], said: str
) -> None:
    ordered(orders, ORDER, device, **subject)
    await originals.take("cart-1", "folder", seen(orders=(order_number(ORDER),)), TRUST)
    (message,) = await recordings_in(outbox)
    assert message.order is None
    assert message.subject == seen().subject
    assert message.origin is not None
    (doubt,) = message.origin.doubts
    assert doubt == f"it names order {order_number(ORDER)}, {said}"
    assert len(orders.open()) == 1


async def test_two_orders_in_one_file_are_no_order(outbox: Outbox, orders: Orders, originals: Originals) -> None:
    second = UUID(int=ORDER.int + 5)
    ordered(orders)
    ordered(orders, second)
    await originals.take("cart-1", "folder", seen(orders=(order_number(ORDER), order_number(second))), TRUST)
    (message,) = await recordings_in(outbox)
    assert message.order is None
    assert message.origin is not None
    assert message.origin.doubts == ("it names several orders",)


async def test_a_cart_may_have_many_orders_and_a_kit_one(orders: Orders) -> None:
    for device in ("cart-1", "kit-1"):
        for k in range(3):
            ordered(orders, UUID(int=ORDER.int + 100 * k + len(device)), device)
    assert sorted(order.device for order in orders.open()) == ["cart-1"] * 3 + ["kit-1"]


async def test_a_carts_order_lasts_as_long_as_the_cloud_says(orders: Orders, clock: VirtualClock) -> None:
    ordered(orders)
    ordered(orders, UUID(int=9), "kit-1")
    clock.advance(3600)
    orders.lapse_due()
    assert [order.device for order in orders.open()] == ["cart-1"]


async def test_sealed_originals_are_due_by_time_and_by_room(originals: Originals, clock: VirtualClock) -> None:
    for k in (1, 2, 3):
        await originals.take("cart-1", "folder", seen(k, size=100), TRUST)
        clock.advance(86_400)
    bad = Seen(bytes([9]) * 32, 1000, fault="byte 0: no format")
    await originals.take("cart-1", "folder", bad, TRUST)
    assert originals.due("cart-1", 30, 10_000) == []
    assert originals.due("cart-1", 1.5, 10_000) == [bytes([1]) * 32, bytes([2]) * 32]
    assert originals.due("cart-1", 30, 1100) == [bytes([1]) * 32, bytes([2]) * 32]
    assert originals.due("cart-2", 0, 0) == []
    clock.set_wall(clock.wall_us() + 366 * 86_400 * 1_000_000)  # the clock is set by a year: nothing grew older by it
    assert originals.due("cart-1", 30, 10_000) == []


async def test_removed_originals_are_still_known(tmp_path: Path, originals: Originals) -> None:
    await originals.take("cart-1", "folder", seen(), TRUST)
    sealed = tmp_path / f"{'01' * 32}.p7m"
    sealed.write_bytes(b"sealed")
    assert originals.remove_due("cart-1", 0.0, 0, tmp_path) == 1
    assert not sealed.exists()
    assert originals.due("cart-1", 0, 0) == []
    assert await originals.take("cart-1", "folder", seen(), TRUST) == "repeat"


async def test_long_recordings_go_in_equal_parts(outbox: Outbox, originals: Originals) -> None:
    samples = np.arange(2 * 65_003, dtype=np.int32).reshape(2, -1)
    it = Samples(("I", "II"), 500.0, 65_003, samples.tobytes(), (2.5, 2.5))
    await originals.take("cart-1", "folder", seen(recording=it), TRUST)
    messages = await recordings_in(outbox)
    assert [m.n for m in messages] == [21_667, 21_668, 21_668]
    assert [m.origin.part for m in messages if m.origin] == [(1, 3), (2, 3), (3, 3)]
    assert messages[1].partial == "part 2 of 3 of a longer recording"
    assert [b.started_us - a.ended_us for a, b in pairwise(messages)] == [0, 0]
    decoded = [codec.decode(m.samples, 2, m.n, m.codec) for m in messages]
    assert np.array_equal(np.concatenate(decoded, axis=1), samples)


def test_a_recording_of_sixty_seconds_is_one_part() -> None:
    it = Samples(("I",), 500.0, 30_000, bytes(4 * 30_000), (1.0,))
    (whole,) = parts("cart-1", it, 0, wire.Origin("folder", "EDF", b"", 1, 0), None)
    assert (whole.partial, whole.ended_us) == (None, 60_000_000)


NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("recorded_at", "zone", "synced", "at", "said"),
    [
        ("2026-11-23T11:30:00", "UTC", True, NOW - timedelta(minutes=30), None),
        ("2026-11-23T14:30:00", "Europe/Moscow", True, NOW - timedelta(minutes=30), None),
        ("2026-11-23T14:30:00+03:00", "UTC", True, NOW - timedelta(minutes=30), None),
        ("2026-11-23T12:03:00", "UTC", True, NOW, None),
        ("2026-11-23T12:06:00", "UTC", True, NOW - timedelta(seconds=10), "clock is ahead"),
        ("2002-11-22T09:10:00", "UTC", True, NOW - timedelta(seconds=10), "too old to believe"),
        ("0001-01-01T00:00:00", "Europe/Moscow", True, NOW - timedelta(seconds=10), "too old to believe"),
        ("9999-12-31T23:59:59", "America/New_York", True, NOW - timedelta(seconds=10), "clock is ahead"),
        ("2026-11-23T11:30:00", "UTC", False, NOW - timedelta(seconds=10), "the gateway's clock was not set"),
        (None, "UTC", True, NOW - timedelta(seconds=10), "does not say when"),
    ],
)
def test_a_carts_clock_is_believed_within_bounds(
    recorded_at: str | None, zone: str, synced: bool, at: datetime, said: str | None
) -> None:
    arrived_us = round(NOW.timestamp() * 1e6)
    started_us, doubt = started(recorded_at, arrived_us, 10.0, Trust(ZoneInfo(zone)), synced=synced)
    assert started_us == round(at.timestamp() * 1e6)
    assert (doubt is None) == (said is None)
    assert (said or "") in (doubt or "")


def test_a_birthday_is_no_contradiction() -> None:
    order = Subject(age=61, sex="female")
    assert disagreement(order, Subject(age=62)) is None
    assert disagreement(Subject(), order) is None
    assert disagreement(Subject(age=63), order) is not None
