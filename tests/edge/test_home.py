"""Thermometer, oximeter and scale: the same driver, told apart by the table of profiles."""

from datetime import timedelta
from decimal import Decimal

import pytest
from feldsher_edge.ble.body_composition import BodyComposition
from feldsher_edge.ble.user_data import Consent
from feldsher_edge.devices.ble_device import Which
from feldsher_edge.devices.profiles import OXIMETER, SCALE, THERMOMETER
from feldsher_edge.simulate.ble_bench import BleBench, bench, until
from feldsher_edge.simulate.home import VirtualScale, VirtualSpotOximeter, VirtualThermometer
from feldsher_edge.simulate.storing import Faults


def values(it: BleBench) -> list[dict[int, object]]:
    return [{value.code: value.value for value in reading.values} for reading in it.readings()]


async def test_a_fever_arrives_with_its_time_and_both_clocks():
    it = await bench()
    device = VirtualThermometer(it.air, it.clock.local)
    await device.power_on()
    async with it.driver(THERMOMETER):
        await device.measure(Decimal("38.7"))
        await until(it.readings)
    (one,) = it.kept.sets
    assert values(it) == [{150364: Decimal("38.7")}]
    assert (one.device, one.device_now, one.gateway_now_us) == (device.address, it.clock.local(), it.clock.wall)
    assert (one.readings[0].sent_at, one.readings[0].values[0].unit) == (it.clock.local(), "Cel")
    assert device.pairings == 1


async def test_a_failed_temperature_is_no_number():
    it = await bench()
    device = VirtualThermometer(it.air, it.clock.local)
    await device.power_on()
    async with it.driver(THERMOMETER):
        await device.measure("nan")
        await until(it.readings)
    assert values(it) == [{150364: "nan"}]


async def test_a_spot_check_with_what_the_sensor_doubted():
    it = await bench()
    device = VirtualSpotOximeter(it.air, it.clock.local)
    await device.power_on()
    async with it.driver(OXIMETER):
        await device.measure(Decimal(94), Decimal(88), sensor=0x0020)
        await until(it.readings)
    assert values(it) == [{150456: 94, 149530: 88, 150448: Decimal("3.1")}]
    assert it.readings()[0].status == 0x0100 >> 5 | 0x0020 << 11
    assert not it.kept.sets[0].continuous


async def test_a_scale_brings_weight_and_both_packets_of_the_body():
    it = await bench()
    device = VirtualScale(it.air, it.clock.local, Faults(clock_error=timedelta(hours=2)))
    await device.power_on()
    first = BodyComposition(False, Decimal("22.0"), device.time(), 2, muscle_share=Decimal("40.0"), more=True)
    second = BodyComposition(False, "nan", impedance=Decimal("500.0"), more=True)
    async with it.driver(SCALE):
        await device.weigh(Decimal("71.005"), 2, body=(first, second))
        await until(lambda: len(it.readings()) == 3)
    assert values(it) == [
        {188748: Decimal("22.0"), 188772: Decimal("40.0")},
        {188780: Decimal("500.0")},
        {188736: Decimal("71.005")},
    ]
    # Users are told apart, also in the packet that does not name one; the clock is reported as it is.
    shown = it.clock.local() + timedelta(hours=2)
    assert [(r.user, r.sent_at) for r in it.readings()] == [(2, shown)] * 3
    assert it.kept.sets[0].device_now == shown


async def test_packets_of_the_smallest_size_are_read_as_well():
    it = await bench()
    device = VirtualScale(it.air, it.clock.local)
    device.limit_mtu()
    await device.power_on()
    async with it.driver(SCALE):
        await device.weigh(Decimal("71.005"))
        await until(it.readings)
    assert values(it) == [{188736: Decimal("71.005")}]


async def test_a_scale_that_knows_its_users_gives_readings_to_who_consents():
    it = await bench()
    device = VirtualScale(it.air, it.clock.local, codes={1: 1111, 2: 2222})
    await device.power_on()
    async with it.driver(SCALE, which=Which(consent=Consent(2, 2222))):
        await device.weigh(Decimal("71.005"), 2)
        await until(it.readings)
    assert it.readings()[0].user == 2


@pytest.mark.parametrize(
    ("codes", "why"), [({1: 1111}, "the code is not the one that the device shows"), (None, "has no User Data Service")]
)
async def test_what_is_wrong_with_a_consent_is_said_and_no_bond_is_blamed(codes: dict[int, int] | None, why: str):
    it = await bench()
    device = VirtualScale(it.air, it.clock.local, codes=codes)
    await device.power_on()
    async with it.driver(SCALE, which=Which(consent=Consent(1, 9))):
        await device.weigh(Decimal("71.005"))
        for _ in range(4):
            await until(lambda: any(s.state == "fault" and why in (s.detail or "") for s in it.kept.states))
            it.kept.states.clear()
            it.clock.advance(60)
    assert (it.readings(), device.pairings) == ([], 1)


async def test_what_a_scale_resends_is_the_same_reading():
    it = await bench()
    device = VirtualScale(it.air, it.clock.local, Faults(resends=True))
    await device.power_on()
    async with it.driver(SCALE):
        await device.weigh(Decimal("71.005"), 1)
        await until(lambda: it.clock.advance(30) or len(it.readings()) >= 3)
        await device.weigh(Decimal("71.005"), 2)
        await until(lambda: it.clock.advance(30) or len(it.ids()) == 2)
    # Two people of the same weight at the same second are two readings.
    assert len({r.user for r in it.readings()}) == 2
