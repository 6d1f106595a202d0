"""Every kind of Bluetooth device, through bleak's BlueZ backend and a D-Bus: nothing is lost, nothing comes twice.

What is measured arrives by its reading id, however often the device brings it.
"""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Protocol

import pytest
from feldsher_edge.devices.ble_device import FAILURES_BEFORE_FORGETTING, BleDevice, Which
from feldsher_edge.simulate.ble_bench import BleBench, until
from feldsher_edge.simulate.kinds import KINDS, Example
from feldsher_edge.simulate.storing import StoringDevice
from feldsher_ehr_core.vitals import RR_INTERVAL, VITALS


class Subject(Protocol):
    """What conftest's `subject` is."""

    @property
    def kind(self) -> str: ...

    @property
    def bench(self) -> BleBench: ...

    @property
    def virtual(self) -> Example | None: ...

    @property
    def which(self) -> Which | None: ...

    async def take(self, n: int) -> None: ...


STORING = ("cuff", "thermometer", "oximeter", "scale")
KEEPING = ("glucometer", "glucose_sensor")
WORN = ("belt", "running_oximeter")
FAILING = ("cuff", "thermometer", "oximeter", "belt", "running_oximeter")
WAIT_S = 300.0
SILENT_S = 0.4


async def powered(air: BleBench, kind: str, *, smallest_mtu: bool = False) -> Example:
    it = KINDS[kind].make(air.air, air.clock.local)
    if smallest_mtu:
        it.device.limit_mtu()
    await it.device.power_on()
    return it


def driver(air: BleBench, kind: str, **options: Any) -> AbstractAsyncContextManager[BleDevice]:
    """A driver that disconnects what is worn as soon as it is silent: so that there are sessions."""
    return air.driver(KINDS[kind].profile, linger_s=SILENT_S if kind in WORN else None, **options)


async def arrived(air: BleBench, count: int) -> None:
    """Wait for so many readings, while the gateway's clock goes on: pauses pass, batches are committed."""
    await until(lambda: air.clock.advance(0.2) or len(air.ids()) >= count, WAIT_S)


async def left(it: Example, kind: str) -> None:
    """Wait until the session is over; a sensor's goes on while it is worn."""
    if kind != "glucose_sensor":
        await until(lambda: it.device.connection is None, WAIT_S)


def some_slow(kinds: tuple[str, ...], quick: str) -> list[Any]:
    """All kinds as parameters, one of them in every run, the others only in the slow one."""
    return [kind if kind == quick else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


def shown(air: BleBench) -> set[object]:
    return {reading.values[0].value for reading in air.readings()}


async def test_readings_arrive_session_after_session(subject: Subject):
    bench, kind, it = subject.bench, subject.kind, subject.virtual
    async with driver(bench, kind, which=subject.which):
        for n in (1, 2, 3):
            await subject.take(n)
            await arrived(bench, n)
            if it is not None:
                await left(it, kind)
    assert bench.kept.quarantined == []
    assert len(bench.ids()) >= 3
    assert {value.code for reading in bench.readings() for value in reading.values} <= set(VITALS)
    assert all(reading.raw for reading in bench.readings() if reading.values[0].code != RR_INTERVAL.mdc)
    present = [state for state in bench.kept.states if state.state == "present"]
    assert present[0].identity is not None
    if it is not None:
        assert shown(bench) == {it.shows(n) for n in (1, 2, 3)}
        assert len(bench.ids()) == 3
        assert it.device.pairings == (1 if KINDS[kind].profile.pair else 0)
        assert present[0].battery == 87


@pytest.mark.parametrize("kind", some_slow((*STORING, *KEEPING, *WORN), "oximeter"))
async def test_a_device_that_hangs_up_in_the_middle_is_read_to_the_end(air: BleBench, kind: str):
    it = await powered(air, kind)
    it.hang_up_after(1)
    for n in (1, 2, 3):
        await it.take(n)
    async with driver(air, kind):
        await until(lambda: air.clock.advance(1) or air.readings(), WAIT_S)
        await left(it, kind)
        it.hang_up_after(None)
        if kind in KEEPING:
            await it.device.advertise()
        await arrived(air, 3)
    assert shown(air) == {it.shows(n) for n in (1, 2, 3)}
    assert len(air.ids()) == 3


@pytest.mark.parametrize("kind", some_slow(FAILING, "thermometer"))
async def test_a_measurement_that_failed_is_no_number(air: BleBench, kind: str):
    it = await powered(air, kind)
    assert it.fail is not None
    async with driver(air, kind):
        await it.fail()
        await it.take(1)
        await arrived(air, 2)
    assert shown(air) == {"nan", it.shows(1)}


@pytest.mark.parametrize("kind", some_slow(STORING, "scale"))
async def test_what_is_sent_again_is_one_reading(air: BleBench, kind: str):
    it = await powered(air, kind)
    assert isinstance(it.device, StoringDevice)
    it.device.faults.resends = True
    async with driver(air, kind):
        await it.take(1)
        await it.take(2)
        await until(lambda: air.clock.advance(1) or it.device.connections >= 3, WAIT_S)
        await left(it, kind)
    assert len(air.readings()) > 2
    assert len(air.ids()) == 2


@pytest.mark.parametrize("kind", some_slow(STORING, "thermometer"))
async def test_a_wrong_clock_is_kept_as_it_is_with_both_clocks(air: BleBench, kind: str):
    it = await powered(air, kind)
    assert isinstance(it.device, StoringDevice)
    it.device.faults.clock_error = timedelta(days=-300)
    wrong = air.clock.local() - timedelta(days=300)
    async with driver(air, kind):
        await it.take(1)
        await until(air.readings, WAIT_S)
    one = air.kept.sets[0]
    assert (one.readings[0].sent_at, one.device_now) == (wrong, wrong)
    assert one.gateway_now_us == air.clock.wall_us()
    assert it.device.clock_writes == []


@pytest.mark.slow  # three sessions of nine attempts each
@pytest.mark.parametrize("kind", [*STORING, *KEEPING])
async def test_a_lost_bond_is_told_and_made_anew(air: BleBench, kind: str):
    it = await powered(air, kind)
    async with driver(air, kind):
        await it.take(1)
        await arrived(air, 1)
        await it.device.hang_up()
        await left(it, "")
        await it.device.forget_bonds()
        it.device.comes_back = True
        await it.take(2)
        await arrived(air, 2)
    assert it.device.pairings == 2
    assert air.radio.figures.lost_bonds == 1
    faults = [state.detail or "" for state in air.kept.states if state.state == "fault"]
    assert len(faults) == FAILURES_BEFORE_FORGETTING + 1
    assert "bond" in faults[-1]


@pytest.mark.parametrize("kind", some_slow((*STORING, *KEEPING, *WORN), "glucometer"))
async def test_packets_of_the_smallest_size_and_in_a_burst(air: BleBench, kind: str):
    it = await powered(air, kind, smallest_mtu=True)
    it.device.comes_back = True
    for n in range(1, 31):
        await it.take(n)
    async with driver(air, kind):
        await arrived(air, 30)
    assert shown(air) == {it.shows(n) for n in range(1, 31)}


@pytest.mark.parametrize("kind", some_slow((*STORING, *KEEPING, *WORN), "belt"))
async def test_a_device_that_hangs_up_while_it_is_discovered_is_a_fault_and_not_the_end(air: BleBench, kind: str):
    it = await powered(air, kind)
    it.device.breaks_off = it.device.comes_back = True
    await it.take(1)
    async with driver(air, kind):
        await until(lambda: any(state.state == "fault" for state in air.kept.states), WAIT_S)
        it.device.breaks_off = False
        await until(lambda: air.clock.advance(1) or air.readings(), WAIT_S)
    assert shown(air) == {it.shows(1)}
