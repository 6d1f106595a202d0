"""bleak's own BlueZ backend over a real D-Bus against the virtual org.bluez."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError
from bleak.uuids import normalize_uuid_16
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from feldsher_edge.ble.agent import keep_registered
from feldsher_edge.ble.session import Radio
from feldsher_edge.devices.ble_device import BleDevice
from feldsher_edge.devices.profiles import CUFF
from feldsher_edge.simulate import bluez
from feldsher_edge.simulate.air import Air, host
from feldsher_edge.simulate.bluez import VirtualBluez
from feldsher_edge.simulate.bluez_device import ADAPTER_PATH
from feldsher_edge.simulate.cuff import VirtualCuff
from feldsher_edge.simulate.sink import Kept
from feldsher_tools.dbus import DBus

SERVICE, MEASUREMENT = normalize_uuid_16(0x1810), normalize_uuid_16(0x2A35)
RNG = random.Random(1)  # noqa: S311 - jitter


class Now:
    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        return time.monotonic_ns()


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is another object's state
            await asyncio.sleep(0.01)


@pytest.fixture
async def daemon(dbus: DBus, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[VirtualBluez, VirtualCuff]]:
    """A virtual org.bluez with a cuff in reach; this process takes its bus for the system's."""
    for name, value in dbus.environment().items():
        monkeypatch.setenv(name, value)
    air = Air()
    it = await bluez.start(await host(air), dbus.address)
    cuff = VirtualCuff(air, lambda: datetime.now(UTC).replace(tzinfo=None))
    await cuff.power_on()
    yield it, cuff
    await it.stop()


@asynccontextmanager
async def running(work: Coroutine[object, object, None]) -> AsyncGenerator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_driver_receives_session_after_session(daemon: tuple[VirtualBluez, VirtualCuff]):
    bluetoothd, cuff = daemon
    kept = Kept()
    driver = BleDevice("cuff-1", CUFF, Now(), Radio(RNG), UTC, RNG, pause_s=(0.0, 0.1))
    async with running(driver.run(kept)):
        await until(lambda: bluetoothd.agent)
        for systolic in (120, 130, 140):
            await cuff.measure(Decimal(systolic), Decimal(80), Decimal(70))
            await until(lambda: cuff.queue == [] and cuff.connection is None)
        assert [one.readings[0].values[0].value for one in kept.sets] == [120, 130, 140]
        assert [one.device_now is not None for one in kept.sets] == [True] * 3
        assert (cuff.pairings, cuff.connections) == (1, 3)
        # Nobody stays subscribed through a connection that has ended.
        await until(lambda: not bluetoothd.listeners)


async def test_the_trap_that_sessions_avoid(daemon: tuple[VirtualBluez, VirtualCuff]):
    """A client that is not disconnected after the hang-up loses the next reading: the daemon confirms it for nobody."""
    bluetoothd, cuff = daemon
    heard: list[bytes] = []
    async with running(keep_registered(RNG)):
        await until(lambda: bluetoothd.agent)
        clients: list[BleakClient] = []
        for systolic in (120, 130):
            await cuff.measure(Decimal(systolic), Decimal(80), Decimal(70))
            found = await BleakScanner.find_device_by_filter(lambda _d, a: SERVICE in a.service_uuids, timeout=60)
            assert found is not None
            client = BleakClient(found, pair=True)
            clients.append(client)
            with suppress(BleakError, TimeoutError):
                await client.connect()
                await client.start_notify(MEASUREMENT, lambda _c, data: heard.append(bytes(data)))
            await until(lambda: cuff.queue == [] and cuff.connection is None)
        for client in clients:
            await client.disconnect()
    assert len(cuff.confirmed) == 2
    assert heard == cuff.confirmed[:1]


async def test_without_an_agent_every_session_pairs_anew(daemon: tuple[VirtualBluez, VirtualCuff]):
    _, cuff = daemon
    for session in (1, 2):
        await cuff.measure(Decimal(120), Decimal(80), Decimal(70))
        found = await BleakScanner.find_device_by_filter(lambda _d, a: SERVICE in a.service_uuids, timeout=60)
        assert found is not None
        async with BleakClient(found, pair=True) as client:
            assert client.is_connected
        assert cuff.pairings == session


async def test_the_driver_outlives_the_daemon(dbus: DBus, monkeypatch: pytest.MonkeyPatch):
    """bluetoothd is known to die; the scan that then hears nothing is started anew until there is one again."""
    for name, value in dbus.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("feldsher_edge.ble.agent._RETRY_S", 0.1)
    monkeypatch.setattr("feldsher_edge.ble.session._RETRY_S", 0.1)
    kept = Kept()
    driver = BleDevice("cuff-1", CUFF, Now(), Radio(RNG, silence_s=0.5), UTC, RNG, pause_s=(0.0, 0.1))
    async with running(driver.run(kept)):
        for systolic in (120, 130):
            air = Air()
            bluetoothd = await bluez.start(await host(air), dbus.address)
            cuff = VirtualCuff(air, lambda: datetime.now(UTC).replace(tzinfo=None))
            await cuff.power_on()
            await cuff.measure(Decimal(systolic), Decimal(80), Decimal(70))
            await until(lambda: cuff.queue == [] and cuff.connection is None)  # noqa: B023 - awaited in the loop
            await bluetoothd.stop()
    assert [one.readings[0].values[0].value for one in kept.sets] == [120, 130]


async def test_the_scan_of_a_gateway_that_was_killed_ends(daemon: tuple[VirtualBluez, VirtualCuff], dbus: DBus):
    async def start_discovery(bus: MessageBus) -> Message:
        call = Message(
            destination="org.bluez", path=ADAPTER_PATH, interface="org.bluez.Adapter1", member="StartDiscovery"
        )
        answer = await bus.call(call)
        assert answer is not None
        return answer

    killed = await MessageBus(bus_address=dbus.address).connect()
    assert (await start_discovery(killed)).message_type is MessageType.METHOD_RETURN
    assert (await start_discovery(killed)).error_name == "org.bluez.Error.InProgress"
    killed.disconnect()
    await killed.wait_for_disconnect()
    fresh = await MessageBus(bus_address=dbus.address).connect()
    await until(lambda: not daemon[0].scanner)
    assert (await start_discovery(fresh)).message_type is MessageType.METHOD_RETURN
    fresh.disconnect()
    await fresh.wait_for_disconnect()
