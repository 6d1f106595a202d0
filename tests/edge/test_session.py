import ast
import asyncio
import random
from datetime import datetime
from pathlib import Path

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from bleak.uuids import normalize_uuid_16
from bumble.device import Advertisement
from feldsher_edge.ble.session import Radio
from feldsher_edge.simulate import bleak_bumble
from feldsher_edge.simulate.air import HOST_ADDRESS, Air, host
from feldsher_edge.simulate.cuff import ADDRESS, VirtualCuff

SERVICE = (normalize_uuid_16(0x1810),)
EDGE = Path(__file__).parents[2] / "edge" / "feldsher_edge"
OPENERS = {"BleakClient", "BleakClientWithServiceCache", "establish_connection"}
RNG = random.Random(1)  # noqa: S311 - jitter


def openers(source: str) -> set[str]:
    """The calls in a module that open a connection."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {f.id if isinstance(f, ast.Name) else getattr(f, "attr", "") for f in calls} & OPENERS


def test_only_sessions_open_connections():
    found = {str(path.relative_to(EDGE)) for path in EDGE.rglob("*.py") if openers(path.read_text())}
    assert found == {"ble/session.py"}


def test_the_look_for_openers_sees_one():
    assert openers("async with bleak.BleakClient(device) as client: pass") == {"BleakClient"}


def anyone(_device: BLEDevice, _advertisement: AdvertisementData) -> bool:
    return True


async def cuff_in(air: Air) -> VirtualCuff:
    cuff = VirtualCuff(air, lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - a cuff's local time
    await cuff.power_on()
    return cuff


async def test_an_error_inside_a_session_still_disconnects():
    air = Air()
    cuff = await cuff_in(air)
    await cuff.advertise()
    async with Radio(RNG, backend=bleak_bumble.backend(await host(air))) as radio:
        found = await asyncio.wait_for(radio.find(SERVICE, anyone), 5)

        async def break_off() -> None:
            async with radio.session(found, pair=False):
                assert cuff.connection is not None
                raise BleakError("a driver's own")

        with pytest.raises(BleakError, match="a driver's own"):
            await break_off()
        await asyncio.wait_for(cuff.hung_up.wait(), 5)


async def test_scanning_rests_while_connecting_and_goes_on_afterwards():
    air = Air()
    cuff = await cuff_in(air)
    adapter = await host(air)
    await cuff.advertise()
    async with Radio(RNG, backend=bleak_bumble.backend(adapter)) as radio:
        found = await asyncio.wait_for(radio.find(SERVICE, anyone), 5)
        async with radio.session(found, pair=False) as session:
            another = asyncio.create_task(radio.find(SERVICE, anyone))
            await asyncio.sleep(0.05)
            assert not session.gone.is_set()
        await cuff.advertise()
        assert (await asyncio.wait_for(another, 5)).address == ADDRESS


async def test_a_scan_that_hears_nothing_is_started_anew():
    async with Radio(RNG, backend=bleak_bumble.backend(await host(Air())), silence_s=0.02) as radio:
        waiting = asyncio.create_task(radio.find(SERVICE, anyone))
        async with asyncio.timeout(60):
            while radio.figures.scan_restarts < 3:  # noqa: ASYNC110 - counted inside the radio
                await asyncio.sleep(0.01)
        waiting.cancel()


async def test_an_adapter_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    air = Air()
    cuff = await cuff_in(air)
    adapter = await host(air)
    backend = bleak_bumble.backend(adapter)
    assert backend.scanner is not None
    start, tries = backend.scanner.start, 0

    async def failing(self: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise BleakError("adapter is off")
        await start(self)  # type: ignore[arg-type]

    monkeypatch.setattr(backend.scanner, "start", failing)
    monkeypatch.setattr("feldsher_edge.ble.session._RETRY_S", 0.01)
    await cuff.advertise()
    async with Radio(RNG, backend=backend) as radio:
        found = await asyncio.wait_for(radio.find(SERVICE, anyone), 5)
    assert (found.address, tries) == (ADDRESS, 2)


async def test_the_air_carries_advertisements_of_devices_only():
    air = Air()
    adapter = await host(air)
    heard: list[str] = []

    def on_advertisement(it: Advertisement) -> None:
        heard.append(it.address.to_string(False))

    adapter.on("advertisement", on_advertisement)
    cuff = await cuff_in(air)
    await adapter.start_scanning()
    await cuff.advertise()
    async with asyncio.timeout(60):
        while not heard:  # noqa: ASYNC110 - set by a callback
            await asyncio.sleep(0.01)
    assert set(heard) == {ADDRESS}
    assert HOST_ADDRESS not in heard
