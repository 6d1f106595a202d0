"""One set of test bodies, three benches, chosen by `--bench`:

`virtual` (every run): virtual devices; the Bluetooth ones behind a virtual `org.bluez` on a real D-Bus.
`vm`: the same in a virtual machine with a real kernel and the real `bluetoothd` (qemu; the first run fetches it).
`kernel`: the same with this machine's own kernel and `bluetoothd` (what the virtual machine runs inside; root).

Real hardware, one device a run: `--port /dev/ttyACM0` is a kit; `--board cyton --board-port /dev/ttyUSB0` a board;
`--ble AA:BB:CC:DD:EE:FF --kind thermometer` a Bluetooth device: measure when the test asks for it, within two minutes.
"""

import asyncio
import itertools
import os
import random
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from feldsher_edge.ble.session import Radio
from feldsher_edge.clock import SystemClock
from feldsher_edge.devices.ble_device import Which
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.simulate import ble_bench
from feldsher_edge.simulate.air import Air
from feldsher_edge.simulate.ble_bench import BleBench, Steady
from feldsher_edge.simulate.cardiograph import VirtualCardiograph
from feldsher_edge.simulate.kinds import KINDS, Example
from feldsher_edge.simulate.patient import synthetic
from feldsher_edge.simulate.sink import Kept
from feldsher_tools import virtual_machine
from feldsher_tools.dbus import DBus
from feldsher_tools.place import find_place

RNG = random.Random(1)  # noqa: S311 - jitter
_ADAPTERS = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench", choices=("virtual", "vm", "kernel"), default="virtual", help="what the tests run on")
    parser.addoption("--port", help="serial port of a real kit")
    parser.addoption("--board", choices=("cyton", "healthypi4", "bitalino"), help="what a real board is")
    parser.addoption("--board-port", help="serial port of a real board")
    parser.addoption("--ble", help="Bluetooth address of a real device")
    parser.addoption("--kind", choices=sorted(KINDS), default="cuff", help="what the device at --ble is")


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run the same command inside the virtual machine, where that is the bench."""
    if config.getoption("--bench") != "vm":
        return None
    arguments = [argument for argument in config.invocation_params.args if argument != "--bench=vm"]
    if "--bench" in arguments:
        at = arguments.index("--bench")
        del arguments[at : at + 2]
    return virtual_machine.run_tests([*arguments, "--bench=kernel"])


@dataclass
class KitBench:
    driver: KitCardiograph
    kept: Kept
    real: bool


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
    async with asyncio.timeout(60):
        while not it.kept.states:  # noqa: ASYNC110 - set by the driver
            await asyncio.sleep(0.02)
    yield it
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    if virtual is not None:
        virtual.unplug()


@pytest.fixture(scope="session")
def bus(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the D-Bus on which `org.bluez` is; this process takes it for the system's."""
    if request.config.getoption("--bench") == "kernel":
        yield os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
        return
    with DBus(find_place(), name=f"hardware-{os.getpid()}-dbus") as it, pytest.MonkeyPatch.context() as patch:
        for name, value in it.environment().items():
            patch.setenv(name, value)
        yield it.address


def around(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[BleBench]:
    """The gateway's side of the Bluetooth bench, with an adapter that has no bonds yet."""
    bus: str = request.getfixturevalue("bus")
    if request.config.getoption("--bench") == "kernel":
        return ble_bench.over_kernel(f"00:1B:DC:06:00:{next(_ADAPTERS) % 256:02X}")
    return ble_bench.over_dbus(bus)


@pytest.fixture
def around_air(request: pytest.FixtureRequest) -> Callable[[], AbstractAsyncContextManager[BleBench]]:
    """Make the bench, in whichever event loop; a real device has none."""
    if request.config.getoption("--ble"):
        pytest.skip("a real device does not tell when it has heard the confirmation")
    request.getfixturevalue("bus")
    return lambda: around(request)


@pytest.fixture
async def air(request: pytest.FixtureRequest) -> AsyncGenerator[BleBench]:
    """The Bluetooth bench for virtual devices that misbehave."""
    if request.config.getoption("--ble"):
        pytest.skip("a real device has no faults on demand")
    async with around(request) as it:
        yield it


class RunningClock(Steady):
    """The two clocks of this machine, in the place of one that is told to go on."""

    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        return time.monotonic_ns()


@dataclass
class Subject:
    """A device under test; `virtual` None: a real one, with which a person measures."""

    kind: str
    bench: BleBench
    virtual: Example | None
    which: Which | None = None

    async def take(self, n: int) -> None:
        """Have one measurement taken."""
        if self.virtual is not None:
            await self.virtual.take(n)
        else:
            print(f"\nNow take measurement {n} with the {self.kind} …", file=sys.__stderr__, flush=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "subject" in metafunc.fixturenames:
        config = metafunc.config
        kinds = [config.getoption("--kind")] if config.getoption("--ble") else list(KINDS)
        metafunc.parametrize("subject", kinds, indirect=True)


@pytest.fixture
async def subject(request: pytest.FixtureRequest) -> AsyncGenerator[Subject]:
    """Every kind of Bluetooth device in turn, or the real one."""
    kind: str = request.param
    address: str | None = request.config.getoption("--ble")
    if address is not None:
        bench = BleBench(Air(), Radio(RNG), clock=RunningClock())
        yield Subject(kind, bench, None, Which(address))
        return
    async with around(request) as made:
        virtual = KINDS[kind].make(made.air, made.clock.local)
        await virtual.device.power_on()
        yield Subject(kind, made, virtual)
