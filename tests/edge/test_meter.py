"""Glucose meters and sensors: read from where the gateway stopped, whatever happened in between."""

from datetime import timedelta
from decimal import Decimal

import pytest
from feldsher_edge.ble.racp import Op, Operator, Request, Result
from feldsher_edge.devices import records
from feldsher_edge.devices.profiles import GLUCOMETER, GLUCOSE_SENSOR
from feldsher_edge.simulate.ble_bench import BleBench, bench, until
from feldsher_edge.simulate.meter import SENSOR, VirtualMeter, VirtualSensor

ALL = Request(Op.REPORT, Operator.ALL)


def numbers(it: BleBench) -> list[int | None]:
    return [reading.sequence for reading in it.readings()]


async def session(it: BleBench, device: VirtualMeter) -> None:
    """One visit of the meter, to its end."""
    before = device.connections
    async with it.driver(GLUCOMETER):
        await device.advertise()
        await until(lambda: device.connections > before and device.requests)
        await until(lambda: device.connection is None)


async def meter(it: BleBench) -> VirtualMeter:
    device = VirtualMeter(it.air, it.clock.local)
    await device.power_on()
    for number in (1, 2, 3):
        device.measure(number, Decimal("0.00095") + number * Decimal("0.00001"))
    return device


async def test_a_meter_is_read_on_from_its_last_record():
    it = await bench()
    device = await meter(it)
    device.measure(3, Decimal("0.00120"), meal=3)
    await session(it, device)
    assert numbers(it) == [1, 2, 3, 3]
    assert [(v.code, v.value, v.unit) for v in it.readings()[2].values] == [(160184, Decimal(120), "mg/dL")]
    assert [(v.code, v.value) for v in it.readings()[3].values] == [(8417864, Decimal(3))]
    assert it.readings()[3].sent_at == it.readings()[2].sent_at == it.clock.local()
    device.measure(4, Decimal("0.00110"))
    await session(it, device)
    assert device.requests == [ALL, Request(Op.REPORT, Operator.AT_LEAST, (3,))]
    # The last one and its meal came back unchanged, and are the same readings.
    assert numbers(it)[4:] == [3, 3, 4]
    assert len(it.ids()) == 5


async def test_a_meter_that_was_reset_is_read_anew():
    it = await bench()
    device = await meter(it)
    await session(it, device)
    device.records.clear()
    it.clock.advance(3600)
    device.measure(1, Decimal("0.00200"))
    await session(it, device)
    assert device.requests[1:] == [Request(Op.REPORT, Operator.AT_LEAST, (3,)), ALL]
    assert numbers(it) == [1, 2, 3, 1]
    # Also where the new records have already overtaken the last number.
    device.records.clear()
    for number in range(1, 5):
        device.measure(number, Decimal("0.00300"))
    await session(it, device)
    assert numbers(it)[4:] == [1, 2, 3, 4, 1, 2, 3, 4][-len(numbers(it)[4:]) :]
    assert {1, 2, 3, 4} <= set(numbers(it)[4:])


async def test_a_meter_that_hangs_up_in_the_middle_is_read_to_the_end():
    it = await bench()
    device = await meter(it)
    device.faults.hangs_up_after = 2
    await session(it, device)
    assert numbers(it) == [1, 2]
    device.faults.hangs_up_after = None
    await session(it, device)
    assert numbers(it) == [1, 2, 2, 3]
    assert len(it.ids()) == 3


async def test_no_mark_is_set_beyond_what_is_committed():
    it = await bench()
    device = await meter(it)
    it.kept.disk_full = True
    async with it.driver(GLUCOMETER):
        await device.advertise()
        await until(lambda: device.reported)
        await until(lambda: device.connection is None)
        assert it.marks == {}
        it.kept.disk_full = False
        await until(lambda: len(it.ids()) == 3)


@pytest.mark.parametrize("result", [Result.NOT_COMPLETED, 0x77])
async def test_a_meter_that_refuses_is_a_fault_with_its_answer(result: int):
    it = await bench()
    device = await meter(it)
    device.faults.refuses = result
    await session(it, device)
    (fault,) = [s for s in it.kept.states if s.state == "fault"]
    assert ("not_completed" if result == Result.NOT_COMPLETED else "answer 0x77") in (fault.detail or "")


async def test_a_meter_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(records.Records.__init__, "__defaults__", (0.1,))
    it = await bench()
    device = await meter(it)
    device.faults.never_answers = True
    await session(it, device)
    assert any("TimeoutError" in (s.detail or "") for s in it.kept.states if s.state == "fault")


async def test_an_empty_meter_is_no_fault():
    it = await bench()
    device = await meter(it)
    device.records.clear()
    await session(it, device)
    assert (it.readings(), [s.state for s in it.kept.states]) == ([], ["present"])


async def test_a_sensor_is_read_back_and_then_listened_to():
    it = await bench()
    device = VirtualSensor(it.air, it.clock.local())
    await device.power_on()
    for minute in (5, 10):
        device.measure(minute, Decimal(100 + minute))
    async with it.driver(GLUCOSE_SENSOR):
        await device.advertise()
        await until(lambda: numbers(it) == [5, 10])
        device.measure(15, Decimal(115), flipped=True)
        await device.say(15)
        device.measure(20, Decimal(120))
        await device.say(20)
        await until(lambda: numbers(it) == [5, 10, 20])
        assert [r.sent_at for r in it.readings()] == [it.clock.local() + timedelta(minutes=m) for m in (5, 10, 20)]
        ((quarantined, _, why),) = it.kept.quarantined
        assert (quarantined, "CRC" in why) == (SENSOR, True)
        await device.hang_up()
        await until(lambda: it.marks and it.marks[SENSOR].sequence == 20)
        it.clock.advance(60)
        await device.advertise()
        await until(lambda: len(device.requests) == 2)
        assert device.requests[1] == Request(Op.REPORT, Operator.AT_LEAST, (20,))
