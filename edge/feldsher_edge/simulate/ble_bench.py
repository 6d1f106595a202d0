"""A radio, drivers and a sink in one process, around virtual devices: for tests of Bluetooth drivers.

The drivers reach the devices in one of three ways: `bench`, bleak over bumble, in user space and fast; `over_dbus`,
bleak's own BlueZ backend over a real D-Bus against the virtual `org.bluez`; `over_kernel`, the same against the real
kernel and the real `bluetoothd`, which see a virtual controller on `/dev/vhci` (root only: in a virtual machine).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from bumble.device import Device
from bumble.transport import open_transport
from feldsher_ehr_core.ids import reading_id

from feldsher_edge.ble.adapter import switch_on
from feldsher_edge.ble.session import SILENCE_S, Radio
from feldsher_edge.devices import Reading
from feldsher_edge.devices.ble_device import BleDevice, Which
from feldsher_edge.devices.profiles import Profile
from feldsher_edge.devices.records import Mark
from feldsher_edge.simulate import bleak_bumble, bluez
from feldsher_edge.simulate.air import Air, controller, host
from feldsher_edge.simulate.bluez import VirtualBluez
from feldsher_edge.simulate.sink import Kept

START = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)


@dataclass
class Steady:
    """A clock that moves on only where a test says so."""

    wall: int = int(START.timestamp() * 1e6)
    mono: int = 0

    def wall_us(self) -> int:
        """Return the wall time."""
        return self.wall

    def mono_ns(self) -> int:
        """Return the monotonic time."""
        return self.mono

    def local(self) -> datetime:
        """Return the wall time as a device shows it, in UTC."""
        return datetime.fromtimestamp(self.wall / 1e6, UTC).replace(tzinfo=None)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += int(seconds * 1e6)
        self.mono += int(seconds * 1e9)


@dataclass
class BleBench:
    """The gateway's side: `kept` is what its drivers delivered, `marks` up to where records were read.

    `adapter`: the virtual host, where it is one of ours; `daemon`: the virtual Bluetooth daemon, where it is.
    """

    air: Air
    radio: Radio
    adapter: Device | None = None
    daemon: VirtualBluez | None = None
    clock: Steady = field(default_factory=Steady)
    kept: Kept = field(default_factory=Kept)
    marks: dict[str, Mark] = field(default_factory=dict[str, Mark])
    rng: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - jitter

    def readings(self) -> list[Reading]:
        """Return all readings, in the order of their arrival."""
        return [reading for one in self.kept.sets for reading in one.readings]

    def ids(self) -> set[UUID]:
        """Return the ids by which the cloud tells readings apart."""
        return {
            reading_id(
                device=one.device,
                user=reading.user,
                sent_at=reading.sent_at.isoformat() if reading.sent_at else None,
                values=[(value.code, str(value.value)) for value in reading.values],
                sequence=reading.sequence,
            )
            for one in self.kept.sets
            for reading in one.readings
        }

    @asynccontextmanager
    async def driver(
        self,
        profile: Profile,
        *,
        which: Which | None = None,
        clock_is_true: bool = False,
        linger_s: float | None = None,
        ecg: bool = False,
    ) -> AsyncGenerator[BleDevice]:
        """Run a driver; its sessions follow each other without a pause."""
        it = BleDevice(
            f"{profile.kind}-1", profile, self.clock, self.radio, UTC, self.rng,
            which=which, marks=self.marks, clock_is_true=lambda: clock_is_true, linger_s=linger_s, ecg=ecg,
            pause_s=(0.0, 0.01),
        )  # fmt: skip
        async with running(it.run(self.kept)):
            yield it


async def bench() -> BleBench:
    """Return a bench in user space."""
    air = Air()
    adapter = await host(air)
    rng = random.Random(1)  # noqa: S311 - jitter
    return BleBench(air, Radio(rng, backend=bleak_bumble.backend(adapter)), adapter, rng=rng)


@asynccontextmanager
async def over_dbus(address: str, *, silence_s: float = SILENCE_S) -> AsyncGenerator[BleBench]:
    """Offer a bench behind a virtual `org.bluez` on the bus at `address`, which this process takes for the system's.

    `silence_s`: of its radio.
    """
    air = Air()
    adapter = await host(air)
    daemon = await bluez.start(adapter, address)
    rng = random.Random(1)  # noqa: S311 - jitter
    try:
        yield BleBench(air, Radio(rng, silence_s=silence_s), adapter, daemon, rng=rng)
    finally:
        await daemon.stop()


@asynccontextmanager
async def over_kernel(own_address: str) -> AsyncGenerator[BleBench]:
    """Offer a bench behind this machine's kernel and `bluetoothd`, by an adapter that exists meanwhile.

    `own_address`: the adapter's; `bluetoothd` keeps bonds by it, so another one has none.
    """
    air = Air()
    rng = random.Random(1)  # noqa: S311 - jitter
    async with await open_transport("vhci") as line:
        controller(air, "adapter", line, own_address)
        await switch_on(60.0)
        yield BleBench(air, Radio(rng), rng=rng)


@asynccontextmanager
async def running(work: Coroutine[object, object, None]) -> AsyncGenerator[None]:
    """Run something endless meanwhile, and end it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        # More than once: below Python 3.12 a library's `wait_for` may swallow a cancellation.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=1)
        with suppress(asyncio.CancelledError):
            task.result()


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition of other objects; TimeoutError where it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is another object's state
            await asyncio.sleep(0.01)
