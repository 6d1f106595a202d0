"""A driver at work on a virtual serial device, delivering into memory: for tests and trials."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import numpy as np
from numpy.typing import NDArray

from feldsher_edge.devices import Cardiograph
from feldsher_edge.devices.serial_cardiograph import Patience
from feldsher_edge.simulate.serial_device import VirtualSerial
from feldsher_edge.simulate.sink import Kept

SHORT = Patience(lead_off_s=0.0, silence_s=20.0, poll_s=0.05, reopen_s=(0.0, 0.02))
"""For devices that do not keep anybody waiting, on a machine that may: the device's process is this one."""


class Ramp:
    """A source on which every sample of every channel has its own value: what arrives tells where it belongs."""

    off = 0

    def units(self, n: int, fs: float, uv_per_bit: float) -> NDArray[np.int32]:
        """Return the first `n` samples, int32 (8, n)."""
        return np.arange(n, dtype=np.int32) * 10 + np.arange(8, dtype=np.int32)[:, None] - 30_000


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something that another task brings about; TimeoutError where it does not."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is another object's state
            await asyncio.sleep(0.005)


@asynccontextmanager
async def at_work(
    driver: Cardiograph, device: VirtualSerial | None = None, state: str = "present"
) -> AsyncGenerator[Kept]:
    """Plug the device in, run the driver until it reports that state, and end both afterwards."""
    kept = Kept()
    if device is not None:
        device.plug_in()
    running = asyncio.create_task(driver.run(kept))
    try:
        await until(lambda: kept.states and kept.states[-1].state == state)
        yield kept
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        if device is not None:
            device.unplug()
