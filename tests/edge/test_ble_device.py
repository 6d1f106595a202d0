"""The driver of all Bluetooth health devices, with a cuff: sessions, bonds, clocks, faults, what is kept."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from bumble.device import Advertisement, Device
from feldsher_edge.devices import Reading, decode
from feldsher_edge.devices.ble_device import FAILURES_BEFORE_FORGETTING, LOST_BOND, Which
from feldsher_edge.devices.intake import reading_of
from feldsher_edge.devices.profiles import CUFF
from feldsher_edge.simulate import ble_bench
from feldsher_edge.simulate.ble_bench import BleBench, Steady, until
from feldsher_edge.simulate.cuff import ADDRESS, VirtualCuff
from feldsher_edge.simulate.sink import Kept
from feldsher_edge.simulate.storing import Faults


@dataclass
class CuffBench:
    """A gateway's radio, a cuff and a sink, all in this process."""

    ble: BleBench
    cuff: VirtualCuff

    @property
    def clock(self) -> Steady:
        return self.ble.clock

    @property
    def kept(self) -> Kept:
        return self.ble.kept

    def readings(self) -> list[Reading]:
        return self.ble.readings()


@asynccontextmanager
async def bench(
    faults: Faults | None = None,
    *,
    clock_is_true: bool = False,
    linger_s: float | None = None,
    address: str | None = None,
    breaks_off: bool = False,
) -> AsyncGenerator[CuffBench]:
    it = await ble_bench.bench()
    cuff = VirtualCuff(it.air, it.clock.local, faults=faults)
    cuff.breaks_off = breaks_off
    await cuff.power_on()
    async with it.driver(CUFF, which=Which(address), clock_is_true=clock_is_true, linger_s=linger_s):
        yield CuffBench(it, cuff)


async def test_stored_readings_arrive_with_who_and_when():
    async with bench(address=ADDRESS.lower()) as it:
        await it.cuff.measure(Decimal(132), Decimal(84), Decimal(71), user=1)
        await it.cuff.measure(Decimal(118), Decimal(76), Decimal(64), user=2, status=0x0004)
        await until(lambda: len(it.readings()) == 2)
        await it.cuff.hung_up.wait()
        first, second = it.readings()
        assert [(v.code, v.value, v.unit) for v in first.values] == [
            (150021, Decimal(132), "mm[Hg]"),
            (150022, Decimal(84), "mm[Hg]"),
            (150023, Decimal(100), "mm[Hg]"),
            (149546, Decimal(71), "/min"),
        ]
        assert (first.user, second.user, second.status) == (1, 2, 4)
        assert first.sent_at == it.clock.local()
        assert first.raw == it.cuff.confirmed[0]
        assert it.kept.sets[0].device == ADDRESS
        assert (it.kept.sets[0].device_now, it.kept.sets[0].gateway_now_us) == (it.clock.local(), it.clock.wall)
        (state,) = it.kept.states
        assert state.battery == 87
        assert state.identity is not None
        assert (state.identity.model, state.identity.firmware) == ("UA-651BLE virtual", "1.0")
        assert it.cuff.queue == []
        assert it.cuff.clock_writes == []


async def test_a_second_session_after_the_cuff_hung_up_uses_the_bond():
    async with bench() as it:
        for systolic in (120, 130, 140):
            await it.cuff.measure(Decimal(systolic), Decimal(80), Decimal(70))
            await until(lambda: it.cuff.queue == [] and it.cuff.connection is None)
        assert [r.values[0].value for r in it.readings()] == [120, 130, 140]
        assert (it.cuff.connections, it.cuff.pairings) == (3, 1)


async def test_another_cuff_than_the_configured_one_is_left_alone():
    async with bench(address="F0:F1:F2:F3:F4:99") as it:
        await it.cuff.measure(Decimal(132), Decimal(84), Decimal(71))
        heard: list[Advertisement] = []
        assert it.ble.adapter is not None
        it.ble.adapter.on(Device.EVENT_ADVERTISEMENT, heard.append)
        await until(lambda: len(heard) >= 5)  # the driver has heard the earlier ones and had time to connect
        assert it.cuff.connections == 0


async def test_a_failed_reading_arrives_without_a_number():
    async with bench() as it:
        await it.cuff.measure("nan", "nan", "nan")
        await until(it.readings)
        assert [value.value for value in it.readings()[0].values] == ["nan"] * 4


async def test_kilopascals_stay_kilopascals():
    async with bench() as it:
        await it.cuff.measure(Decimal("17.6"), Decimal("11.2"), Decimal(71), unit="kPa")
        await until(it.readings)
        values = it.readings()[0].values
        assert [(str(v.value), v.unit) for v in values[:3]] == [("17.6", "kPa"), ("11.2", "kPa"), ("13.3", "kPa")]


async def test_what_is_sent_again_is_the_same_reading():
    async with bench(Faults(resends=True)) as it:
        await it.cuff.measure(Decimal(132), Decimal(84), Decimal(71))
        await until(lambda: len(it.readings()) >= 2)
        assert len(it.ble.ids()) == 1


async def test_a_cuff_without_a_clock_keeps_equal_readings_apart():
    async with bench(Faults(no_clock=True)) as it:
        for _ in range(2):
            await it.cuff.measure(Decimal(120), Decimal(80), Decimal(70))
            await until(lambda: it.cuff.queue == [] and it.cuff.connection is None)
            it.clock.advance(60)
        assert [r.sent_at for r in it.readings()] == [None, None]
        assert it.kept.sets[0].device_now is None
        assert len(it.ble.ids()) == 2


async def test_a_cuff_without_a_clock_that_sends_again_at_once_sends_one_reading():
    async with bench(Faults(no_clock=True, resends=True)) as it:
        await it.cuff.measure(Decimal(120), Decimal(80), Decimal(70))
        await until(lambda: len(it.readings()) == 1 and it.cuff.connection is None)
        it.clock.advance(5)
        await until(lambda: len(it.readings()) == 2)
        assert len(it.ble.ids()) == 1


async def test_a_wrong_clock_is_reported_as_it_is_and_set_only_where_allowed():
    async with bench(Faults(clock_error=timedelta(days=-300)), clock_is_true=True) as it:
        await it.cuff.measure(Decimal(120), Decimal(80), Decimal(70))
        await until(lambda: it.readings() and it.cuff.connection is None)
        shown = it.clock.local() - timedelta(days=300)
        assert it.readings()[0].sent_at == shown
        assert it.kept.sets[0].device_now == shown
        assert len(it.cuff.clock_writes) == 1
        assert it.cuff.faults.clock_error == timedelta()
        assert it.kept.states[0].detail == "clock set to 2026-11-23T01:02:03, it showed 2026-01-27T01:02:03"


async def test_an_unreadable_frame_is_quarantined_with_its_byte():
    async with bench() as it:
        await it.cuff.store(bytes.fromhex("fe202700750055005f00e407091810093a690001"))
        await it.cuff.measure(Decimal(120), Decimal(80), Decimal(70))
        await until(it.readings)
        ((device, raw, why),) = it.kept.quarantined
        assert (device, raw.hex()) == (ADDRESS, "fe202700750055005f00e407091810093a690001")
        assert "byte" in why


async def test_a_cuff_that_never_hangs_up_is_disconnected():
    async with bench(Faults(stays_connected=True), linger_s=0.2) as it:
        await it.cuff.measure(Decimal(120), Decimal(80), Decimal(70))
        await until(lambda: it.readings() and it.cuff.hung_up.is_set())


async def test_a_cuff_that_breaks_off_is_read_to_the_end():
    async with bench(Faults(hangs_up_after=1)) as it:
        for systolic in (120, 130, 140):
            await it.cuff.measure(Decimal(systolic), Decimal(80), Decimal(70))
        await until(lambda: len(it.readings()) == 3)
        assert [r.values[0].value for r in it.readings()] == [120, 130, 140]
        assert it.cuff.connections == 3


async def test_a_cuff_that_hangs_up_during_discovery_is_a_fault_and_not_the_end():
    async with bench(breaks_off=True) as it:
        await it.cuff.measure(Decimal(120), Decimal(80), Decimal(70))
        await until(lambda: any(state.state == "fault" for state in it.kept.states), 30)
        it.cuff.breaks_off = False
        await until(lambda: it.clock.advance(60) or it.readings(), 30)


async def test_a_lost_bond_is_made_anew():
    async with bench() as it:
        await it.cuff.measure(Decimal(120), Decimal(80), Decimal(70))
        await until(lambda: it.readings() and it.cuff.connection is None)
        await it.cuff.forget_bonds()
        await it.cuff.measure(Decimal(130), Decimal(80), Decimal(70))
        await until(lambda: it.clock.advance(60) or len(it.readings()) == 2)
        assert it.cuff.pairings == 2
        faults = [state.detail for state in it.kept.states if state.state == "fault"]
        assert len(faults) == FAILURES_BEFORE_FORGETTING + 1
        assert faults[-1] == LOST_BOND
        assert it.ble.radio.figures.lost_bonds == 1


async def test_what_the_disk_refuses_is_committed_later():
    async with bench() as it:
        it.kept.disk_full = True
        await it.cuff.measure(Decimal(120), Decimal(80), Decimal(70))
        await until(lambda: it.cuff.confirmed)
        assert it.readings() == []
        it.kept.disk_full = False
        await until(it.readings)


@pytest.mark.parametrize(
    ("raw", "sequence"),
    [
        ("1e8a00580078000000041114293b3c00012700", 417204159),  # the year is unknown
        ("1e8a0058007800ea07021f14293b3c00012700", 20260231204159),  # no such day
    ],
)
def test_a_time_that_is_no_moment_still_makes_one_reading(raw: str, sequence: int):
    data = bytes.fromhex(raw)
    reading = reading_of(decode.pressure(data)[0], data, 7_000_000, 7)
    assert (reading.sent_at, reading.sequence, reading.received_us) == (None, sequence, 7_000_000)


def test_an_unknown_user_is_no_user():
    data = bytes.fromhex("08780050006400ff")
    assert reading_of(decode.pressure(data)[0], data, 0, 0).user is None
