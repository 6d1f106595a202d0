"""How long a reading that was confirmed to the cuff lives only in memory (hazard H1): told, and nothing of it lost.

The cuff and its radio run in a thread of their own, so that its clock reading does not wait for the gateway's commit.
"""

import asyncio
import random
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from feldsher_edge.ble.session import Radio
from feldsher_edge.clock import Envelopes, SystemClock
from feldsher_edge.devices import ReadingSet
from feldsher_edge.devices.ble_device import BleDevice
from feldsher_edge.devices.profiles import CUFF
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.ble_bench import BleBench, running, until
from feldsher_edge.simulate.cuff import VirtualCuff
from feldsher_edge.sink import GatewaySink, Sources
from feldsher_edge.store import Store

READINGS = 20
RNG = random.Random(1)  # noqa: S311 - jitter


class TimedSink(GatewaySink):
    """The gateway's own sink; `at` notes when each reading was on the disk, nanoseconds."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(outbox, Sources(time.monotonic_ns), UTC, lambda _: None, lambda _: None)
        self.at: list[int] = []

    def readings(self, readings: ReadingSet) -> None:
        super().readings(readings)
        self.at.append(time.monotonic_ns())


async def bring(made: AbstractAsyncContextManager[BleBench], confirmed: list[int], enough: threading.Event) -> None:
    def happened(event: str, _fields: dict[str, object]) -> None:
        if event == "cuff_confirmed":
            confirmed.append(time.monotonic_ns())

    async with made as air:
        cuff = VirtualCuff(air.air, lambda: datetime.now(UTC).replace(tzinfo=None), emit=happened)
        await cuff.power_on()
        for n in range(READINGS):
            await cuff.measure(Decimal(120 + n), Decimal(80), Decimal(70))
        while not enough.is_set():  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.05)


async def test_what_was_confirmed_is_on_the_disk_soon_after(
    around_air: Callable[[], AbstractAsyncContextManager[BleBench]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    confirmed: list[int] = []
    enough = threading.Event()
    clock = SystemClock()
    outbox = Outbox(Store(tmp_path / "outbox.sqlite3"), Envelopes("gw-1", clock))
    sink = TimedSink(outbox)
    # asyncio.run ends also what the cuff still does after its last confirmation
    bringing = asyncio.create_task(asyncio.to_thread(asyncio.run, bring(around_air(), confirmed, enough)))
    driver = BleDevice("cuff", CUFF, clock, Radio(RNG), UTC, RNG, pause_s=(0.0, 0.1))
    try:
        async with running(driver.run(sink)):
            await until(lambda: len(sink.at) >= READINGS and len(confirmed) >= READINGS, 300)
    finally:
        enough.set()
        await bringing
    assert outbox.counts().waiting[2] >= READINGS
    outbox.close()
    windows = [(end - start) / 1e6 for start, end in zip(confirmed, sink.at, strict=True)]
    with capsys.disabled():
        print(
            f"\nconfirmed to committed: the first reading {windows[0]:.1f} ms, of {READINGS} in a burst "
            f"{statistics.median(windows):.1f} ms, at most {max(windows):.1f} ms"
        )
