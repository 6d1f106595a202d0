"""One set of test bodies, two benches: virtual devices (every run), or real ones named on the command line.

`--port /dev/ttyACM0`: a kit; `--ble AA:BB:CC:DD:EE:FF`: a cuff (take a measurement while the test waits).
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from feldsher_edge.ble.session import Radio
from feldsher_edge.devices.ble_device import BleDevice, Which
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.devices.profiles import CUFF
from feldsher_edge.simulate import bleak_bumble
from feldsher_edge.simulate.air import Air, host
from feldsher_edge.simulate.cardiograph import VirtualCardiograph
from feldsher_edge.simulate.cuff import VirtualCuff
from feldsher_edge.simulate.patient import synthetic
from feldsher_edge.simulate.sink import Kept

RNG = random.Random(1)  # noqa: S311 - jitter
PERSON_S = 120.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--port", help="serial port of a real kit")
    parser.addoption("--ble", help="Bluetooth address of a real cuff")


class SystemClock:
    """The two clocks of this machine."""

    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        return time.monotonic_ns()


@dataclass
class KitBench:
    driver: KitCardiograph
    kept: Kept
    real: bool


@dataclass
class CuffBench:
    kept: Kept
    virtual: VirtualCuff | None

    async def reading(self) -> None:
        """Have one measurement taken, and wait until it has arrived."""
        self.kept.arrived.clear()
        if self.virtual is not None:
            await self.virtual.measure(Decimal(132), Decimal(84), Decimal(71))
        async with asyncio.timeout(20 if self.virtual else PERSON_S):
            await self.kept.arrived.wait()


@pytest.fixture
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[KitBench]:
    port: str | None = request.config.getoption("--port")
    virtual = None
    if port is None:
        virtual = VirtualCardiograph(synthetic("normal", 1), tmp_path / "kit", RNG)
        virtual.plug_in()
        port = virtual.port
    it = KitBench(KitCardiograph("kit", port, SystemClock(), RNG), Kept(), virtual is None)
    running = asyncio.create_task(it.driver.run(it.kept))
    async with asyncio.timeout(20):
        while not it.kept.states:  # noqa: ASYNC110 - set by the driver
            await asyncio.sleep(0.02)
    yield it
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    if virtual is not None:
        virtual.unplug()


@pytest.fixture
async def cuff(request: pytest.FixtureRequest) -> AsyncGenerator[CuffBench]:
    address: str | None = request.config.getoption("--ble")
    if address is None:
        air = Air()
        radio = Radio(RNG, backend=bleak_bumble.backend(await host(air)))
        it = CuffBench(Kept(), VirtualCuff(air, lambda: datetime.now(UTC).replace(tzinfo=None)))
        assert it.virtual is not None
        await it.virtual.power_on()
    else:
        radio, it = Radio(RNG), CuffBench(Kept(), None)
    driver = BleDevice("cuff", CUFF, SystemClock(), radio, UTC, RNG, which=Which(address))
    running = asyncio.create_task(driver.run(it.kept))
    yield it
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
