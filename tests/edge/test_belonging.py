"""The last user's readings in a cuff that changes hands are nobody's; what is measured after the pairing is owned."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from feldsher_edge.ble.session import Radio
from feldsher_edge.clock import Envelopes
from feldsher_edge.devices import Reading, ReadingSet
from feldsher_edge.devices.belonging import Belonging
from feldsher_edge.devices.ble_device import BleDevice
from feldsher_edge.devices.profiles import CUFF
from feldsher_edge.marks import StoredMeetings
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate import bleak_bumble
from feldsher_edge.simulate.air import Air, host
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.simulate.cuff import VirtualCuff
from feldsher_edge.simulate.sink import Kept
from feldsher_edge.simulate.storing import Faults
from feldsher_edge.sink import batch
from feldsher_edge.store import Store
from feldsher_ehr_core import wire

PAIRED = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now = PAIRED

    def wall_us(self) -> int:
        return int(self.now.timestamp() * 1e6)

    def mono_ns(self) -> int:
        return self.wall_us() * 1000

    def local(self) -> datetime:
        return self.now.replace(tzinfo=None)


@asynccontextmanager
async def gateway(cuff: VirtualCuff, air: Air, clock: Clock, meetings: dict[str, str]) -> AsyncGenerator[Kept]:
    rng = random.Random(1)  # noqa: S311 - jitter
    kept, radio = Kept(), Radio(rng, backend=bleak_bumble.backend(await host(air)))
    belonging = Belonging(PAIRED, UTC, meetings)
    driver = BleDevice("cuff-1", CUFF, clock, radio, UTC, rng, belonging=belonging, pause_s=(0.0, 0.01))
    running = asyncio.create_task(driver.run(kept))
    async with asyncio.timeout(60):
        while cuff.queue or cuff.connection:  # noqa: ASYNC110 - what is waited for is another object's state
            await asyncio.sleep(0.01)
        while not kept.sets:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)
    yield kept
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def measured(cuff: VirtualCuff, clock: Clock, at: datetime, systolic: int) -> None:
    clock.now = at
    await cuff.measure(Decimal(systolic), Decimal(80), Decimal(70))


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(days=400)])
async def test_the_last_users_readings_are_nobodys_however_wrong_the_cuffs_clock_is(behind: timedelta) -> None:
    air, clock = Air(), Clock()
    cuff = VirtualCuff(air, lambda: (clock.now - behind).replace(tzinfo=None))
    await cuff.power_on()
    await measured(cuff, clock, PAIRED - timedelta(days=3), 181)
    await measured(cuff, clock, PAIRED - timedelta(minutes=20), 182)
    await measured(cuff, clock, PAIRED + timedelta(minutes=5), 121)
    clock.now = PAIRED + timedelta(minutes=6)
    async with gateway(cuff, air, clock, {}) as kept:
        found = {one.readings[0].values[0].value: one.unowned for one in kept.sets}
    assert found == {Decimal(181): True, Decimal(182): True, Decimal(121): False}


async def test_a_cuff_without_a_clock_owns_nothing_in_its_first_session() -> None:
    air, clock = Air(), Clock()
    meetings: dict[str, str] = {}
    cuff = VirtualCuff(air, clock.local, faults=Faults(no_clock=True))
    await cuff.power_on()
    await measured(cuff, clock, PAIRED + timedelta(minutes=1), 181)
    async with gateway(cuff, air, clock, meetings) as kept:
        assert [one.unowned for one in kept.sets] == [True]
    assert len(meetings) == 1
    await measured(cuff, clock, PAIRED + timedelta(minutes=9), 121)
    async with gateway(cuff, air, clock, meetings) as kept:  # also after a restart
        assert [one.unowned for one in kept.sets] == [False]


def reading(sent_at: datetime | None) -> Reading:
    return Reading((), int((PAIRED + timedelta(hours=1)).timestamp() * 1e6), sent_at)


def test_without_a_pairing_time_nothing_is_doubted() -> None:
    belonging = Belonging(None, UTC, {})
    assert not belonging.first("AA")
    assert not belonging.unowned(reading(None), ReadingSet("AA", None, ()), first=True)


@pytest.mark.parametrize(
    ("sent_at", "first", "is_"),
    [
        (PAIRED + timedelta(minutes=5), True, True),
        (PAIRED + timedelta(minutes=5), False, False),
        (PAIRED - timedelta(minutes=5), False, True),
        (PAIRED + timedelta(days=300), False, True),
    ],
)
def test_a_clock_that_cannot_be_read_is_believed_where_it_is_plausible(
    sent_at: datetime, first: bool, is_: bool
) -> None:
    of = ReadingSet("AA", None, ())
    assert Belonging(PAIRED, UTC, {}).unowned(reading(sent_at.replace(tzinfo=None)), of, first=first) is is_


def test_meetings_last_over_a_restart_and_a_new_pairing_is_a_new_one(tmp_path: Path) -> None:
    outbox = Outbox(Store(tmp_path / "o.sqlite3"), Envelopes("gw", VirtualClock()))
    belonging = Belonging(PAIRED, UTC, StoredMeetings(outbox.store))
    assert belonging.first("AA")
    belonging.brought("AA")
    outbox.close()
    again = Outbox(Store(tmp_path / "o.sqlite3"), Envelopes("gw", VirtualClock()))
    assert not Belonging(PAIRED, UTC, StoredMeetings(again.store)).first("AA")
    assert Belonging(PAIRED + timedelta(days=1), UTC, StoredMeetings(again.store)).first("AA")
    env = Envelopes("gw", VirtualClock()).make(1)
    message = batch(env, ReadingSet("AA", None, (), unowned=True), (reading(None),), UTC)
    back = wire.decode_up(wire.encode(message))
    assert isinstance(back, wire.VitalsBatch)
    assert back.unowned
    again.close()
