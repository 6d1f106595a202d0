"""When an adapter is switched off and on again, and that it is, by real D-Bus calls on the virtual `org.bluez`."""

import itertools
from collections.abc import AsyncGenerator

import pytest
from dbus_fast.errors import DBusError
from feldsher_edge.ble import adapter
from feldsher_edge.ble.adapter import FAILED_CONNECTS, FAILED_SCANS, SILENCES, Care
from feldsher_edge.devices.profiles import THERMOMETER
from feldsher_edge.simulate import ble_bench
from feldsher_edge.simulate.ble_bench import BleBench, until
from feldsher_edge.simulate.kinds import KINDS
from feldsher_tools.dbus import DBus


class Bench:
    """A `Care` whose adapter is counted only; `fails`: it cannot be switched."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cycles = 0
        self.fails = False
        self.care = Care(self.cycle, lambda: self.now)

    async def cycle(self) -> None:
        self.cycles += 1
        if self.fails:
            raise DBusError("org.bluez.Error.Busy", "busy")


@pytest.mark.parametrize(
    ("note", "times"),
    [("scan_failed", FAILED_SCANS), ("connect_failed", FAILED_CONNECTS), ("silent", SILENCES)],
)
async def test_so_many_failures_in_a_row_cost_the_adapter_its_power(note: str, times: int):
    it = Bench()
    for _ in range(times):
        assert not await it.care.recover()
        getattr(it.care, note)()
    assert await it.care.recover()
    assert not await it.care.recover()
    assert (it.cycles, it.care.figures.power_cycles) == (1, 1)


@pytest.mark.parametrize(
    ("note", "works", "times"),
    [
        ("scan_failed", "heard", FAILED_SCANS),
        ("connect_failed", "connected", FAILED_CONNECTS),
        ("silent", "heard", SILENCES),
    ],
)
async def test_what_works_in_between_counts(note: str, works: str, times: int):
    it = Bench()
    for _ in range(3 * times):
        getattr(it.care, note)()
        getattr(it.care, works)()
        assert not await it.care.recover()


async def test_what_does_not_help_is_done_ever_more_rarely():
    it = Bench()
    at: list[float] = []
    for _ in range(4 * 3600):
        it.now += 1
        it.care.scan_failed()
        if await it.care.recover():
            at.append(it.now)
    assert [round(b - a) for a, b in itertools.pairwise(at)][:6] == [60, 120, 240, 480, 960, 1920]
    assert max(b - a for a, b in itertools.pairwise(at)) <= 3600


async def test_an_adapter_that_cannot_be_switched_is_tried_again_later():
    it = Bench()
    it.fails = True
    for _ in range(FAILED_SCANS):
        it.care.scan_failed()
    assert not await it.care.recover()
    it.fails, it.now = False, 61.0
    assert await it.care.recover()
    assert (it.cycles, it.care.figures.power_cycles) == (2, 1)


async def test_without_an_adapter_of_bluez_nothing_is_switched():
    care = Care(None, lambda: 0.0)
    for _ in range(2 * SILENCES):
        care.silent()
    assert not await care.recover()
    assert care.figures.scan_restarts == 2 * SILENCES


@pytest.fixture
async def air(dbus: DBus, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[BleBench]:
    for name, value in dbus.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("feldsher_edge.ble.session._RETRY_S", 0.01)
    monkeypatch.setattr("feldsher_edge.ble.adapter._OFF_S", 0.05)
    async with ble_bench.over_dbus(dbus.address, silence_s=0.5) as it:
        yield it


@pytest.mark.parametrize("how", ["busy", "deaf"])
async def test_a_stuck_adapter_is_freed_and_the_reading_arrives(air: BleBench, how: str):
    assert air.daemon is not None
    air.daemon.stuck = "busy" if how == "busy" else "deaf"
    device = KINDS["thermometer"].make(air.air, air.clock.local)
    await device.device.power_on()
    await device.take(1)
    async with air.driver(THERMOMETER):
        await until(air.readings)
    assert air.daemon.switched == [False, True]
    figures = air.radio.figures
    assert figures.power_cycles == 1
    assert (figures.scan_failures if how == "busy" else figures.scan_restarts) == 3


async def test_an_adapter_that_is_off_is_switched_on(air: BleBench):
    await adapter.power_cycle("hci0")
    assert air.daemon is not None
    assert air.daemon.switched == [False, True]
    await adapter.switch_on(5)
    assert air.daemon.switched[-1]


async def test_an_adapter_that_is_not_there_is_an_error(air: BleBench):
    with pytest.raises(DBusError):
        await adapter.power_cycle("hci7")
    assert air.daemon is not None
    assert air.daemon.switched == []
