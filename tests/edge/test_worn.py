"""Devices that are worn: batches for the disk's sake, one reading a minute for the record, the end of a connection."""

from decimal import Decimal
from itertools import cycle

from feldsher_edge.ble import heart_rate, oximeter
from feldsher_edge.ble.heart_rate import HeartRate
from feldsher_edge.devices.profiles import BELT, OXIMETER
from feldsher_edge.simulate.ble_bench import bench, until
from feldsher_edge.simulate.worn import BELT as BELT_ADDRESS
from feldsher_edge.simulate.worn import OXIMETER as OXIMETER_ADDRESS
from feldsher_edge.simulate.worn import StreamingDevice


def beats(n: int) -> list[bytes]:
    return [heart_rate.encode(HeartRate(60 + i % 40, contact=True, rr=(1024, 512))) for i in range(n)]


async def test_a_belt_is_committed_in_batches_and_once_a_minute_for_the_record():
    it = await bench()
    device = StreamingDevice(it.air, "SIM belt", BELT_ADDRESS, 0x180D, 0x2A37, beats(30), hangs_up=True)
    await device.power_on()
    await device.advertise()
    async with it.driver(BELT):
        await until(lambda: it.clock.advance(0.1) or len(device.sent) == 30)
        await until(lambda: len(it.readings()) == 60)
    single = [one for one in it.kept.sets if not one.continuous]
    assert single
    assert all([value.code for value in one.readings[0].values] == [147842, 147240] for one in single)
    assert device.pairings == 0
    # No value is lost or doubled: 30 rates with the newest interval, 30 older intervals at their own moments.
    assert len(it.ids()) == 60
    rates = [r for r in it.readings() if r.values[0].code == 147842]
    older = [r for r in it.readings() if r.values[0].code == 147240]
    assert [r.raw for r in sorted(rates, key=lambda r: r.received_us)] == device.sent
    assert {r.received_us for r in older} == {r.received_us - 500_000 for r in rates}
    assert {r.values[0].value for r in older} == {Decimal("1000.0")}


async def test_a_belt_that_is_not_on_the_skin_measures_nothing():
    it = await bench()
    packets = [heart_rate.encode(HeartRate(72, contact=False))] * 3
    device = StreamingDevice(it.air, "SIM belt", BELT_ADDRESS, 0x180D, 0x2A37, packets, hangs_up=True)
    await device.power_on()
    await device.advertise()
    async with it.driver(BELT):
        await until(lambda: len(it.readings()) == 3)
    assert all(one.continuous for one in it.kept.sets)
    assert {r.values[0].value for r in it.readings()} == {"nan"}


async def test_a_burst_of_notifications_is_kept_whole():
    it = await bench()
    device = StreamingDevice(it.air, "SIM belt", BELT_ADDRESS, 0x180D, 0x2A37, beats(500), every_s=0.0, hangs_up=True)
    await device.power_on()
    await device.advertise()
    async with it.driver(BELT):
        await until(lambda: it.clock.advance(0.001) or len(it.readings()) == 1000)
    assert sorted(r.raw for r in it.readings() if r.raw) == sorted(device.sent)
    assert max(len(one.readings) for one in it.kept.sets) <= 201


async def test_an_oximeter_that_falls_silent_is_disconnected_and_its_values_are_committed():
    it = await bench()
    pair = oximeter.Pair(Decimal(97), Decimal(61))
    packets = [oximeter.encode_continuous(oximeter.Continuous(pair, sensor=0))] * 5
    device = StreamingDevice(it.air, "SIM oximeter", OXIMETER_ADDRESS, 0x1822, 0x2A5F, packets)
    await device.power_on()
    await device.advertise()
    async with it.driver(OXIMETER, linger_s=0.2):
        await until(lambda: it.clock.advance(0.01) or len(it.readings()) == 5)
        await until(lambda: device.connections >= 2 or device.connection is None)
    assert {r.values[0].value for r in it.readings()} == {Decimal(97)}


async def test_what_is_held_outlives_the_loss_of_the_link():
    it = await bench()
    device = StreamingDevice(it.air, "SIM belt", BELT_ADDRESS, 0x180D, 0x2A37, cycle(beats(7)))
    await device.power_on()
    await device.advertise()
    async with it.driver(BELT):
        await until(lambda: it.clock.advance(0.01) or len(device.sent) == 20)
        await device.hang_up()
        await until(lambda: sum(one.continuous for one in it.kept.sets))
        assert len([r for r in it.readings() if r.raw]) >= 19
