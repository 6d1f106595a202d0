"""A gateway under trial: `python -m feldsher_edge.simulate.soak PLAN` runs the real gateway with made-up sources.

The sources are drivers as any other: they deliver into the real sink, keep what was not committed and bring it again,
and misbehave as real devices do. What the gateway has committed they write to a journal that outlives a SIGKILL, so
that afterwards every reading of it can be looked for in the cloud.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
from feldsher_signal import codec

from feldsher_edge import daemon, log, status
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import parse
from feldsher_edge.devices import DeviceError, EcgResult, Identity, Reading, ReadingSet, Sink, Value
from feldsher_edge.gateway import Gateway
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.journal import Journal
from feldsher_edge.simulate.scaled import ScaledClock, Wrong
from feldsher_edge.sink import identify
from feldsher_edge.store import Store, StoreError

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a device's local time
_PRESSURE, _MEAN, _PULSE, _OXYGEN, _SUGAR = 150021, 150023, 149546, 150456, 160020
_RETRY_S = 0.2


class Plan(msgspec.Struct, frozen=True):
    """One trial. `config`: TOML of the gateway; `samples`: a .npy file, int32 (leads, n), 500 per second.

    `hours` of virtual time at `scale`; `full`: virtual seconds from and to which the disk takes nothing more.
    """

    config: str
    journal: str
    samples: str
    origin_ns: int
    scale: float
    start_us: int
    hours: float
    seed: int
    cuffs: int = 12
    meters: int = 3
    belts: int = 4
    wrong: tuple[Wrong, ...] = ()
    full: tuple[tuple[float, float], ...] = ()


class Source:
    """A device that takes a reading every `period_s` virtual seconds and brings `at_once` of them together."""

    def __init__(self, plan: Plan, device: str, clock: ScaledClock, journal: Journal, period_s: float) -> None:
        self.device = device
        self._plan, self._clock, self._journal = plan, clock, journal
        self._period_s = period_s
        self._at_once = 10 if device.startswith("belt") else 1
        number = int(device.rpartition("-")[2])
        self._clock_error_s = (0, 0, -10_800, 5_400)[number % 4]  # two of four cuffs have a wrong clock
        self._phase_s = period_s * self._at_once * (number + 1) / 23

    def _random(self, k: int) -> Random:
        return Random(f"{self._plan.seed}/{self.device}/{k}")  # noqa: S311 - a trial must be repeatable

    async def run(self, sink: Sink) -> None:
        """Take readings until the trial's end; at times fail, as drivers do."""
        k = self._journal.next(self.device)
        while (due_s := self._phase_s + (k + self._at_once) * self._period_s) < self._plan.hours * 3600:
            await self._clock.sleep_until(due_s)
            chance = self._random(k).random()
            if chance < 0.002:
                sink.unreadable(self.device, b"\x16\xff\x07", "made up")
            if chance > 0.998 and self._clock.elapsed_s() < due_s + 600:
                await self._clock.sleep_until(due_s + 600)  # after the pause it does not fail again
                raise DeviceError("made up: the driver fails")
            numbers = range(k - 1 if 0.01 < chance < 0.03 and k else k, k + self._at_once)  # some bring the last again
            await self._deliver(sink, numbers)
            k += self._at_once
        await asyncio.Event().wait()

    async def _deliver(self, sink: Sink, numbers: range) -> None:
        while True:
            elapsed_s = self._clock.elapsed_s()
            now_us = self._clock.shown_us(elapsed_s)
            readings = tuple(self._reading(n, now_us) for n in numbers)
            clocked = self.device.startswith("cuff")
            device_now = self._device_time(elapsed_s) if clocked else None
            given = ReadingSet(
                self.device, "made up", readings, device_now, now_us if clocked else None,
                continuous=self.device.startswith("belt"),
            )  # fmt: skip
            before, cpu = time.perf_counter(), time.thread_time()
            try:
                sink.readings(given)
            except StoreError:  # as a cuff does: what was not confirmed is kept and brought again
                await asyncio.sleep(_RETRY_S)
                continue
            took = f"T {(time.perf_counter() - before) * 1e3:.3f} {(time.thread_time() - cpu) * 1e3:.3f}"
            self._journal.commit(self.device, numbers, took, *self._lines(numbers, readings, elapsed_s))
            return

    def _lines(self, numbers: range, readings: tuple[Reading, ...], elapsed_s: float) -> Iterator[str]:
        until_s = self._clock.elapsed_s()
        for n, reading in zip(numbers, readings, strict=True):
            taken_s = self._taken_s(n) if reading.sent_at else elapsed_s
            true_us = self._clock.true_us(taken_s)
            yield f"C {self.device} {n} {identify(self.device, reading)} {true_us} {elapsed_s:.1f} {until_s:.1f}"

    def _taken_s(self, n: int) -> float:
        return self._phase_s + (n + 1) * self._period_s

    def _device_time(self, elapsed_s: float) -> datetime:
        return _EPOCH + timedelta(seconds=self._clock.true_us(elapsed_s) // 1_000_000 + self._clock_error_s)

    def _reading(self, n: int, now_us: int) -> Reading:
        random = self._random(n)
        if self.device.startswith("belt"):
            return Reading((Value(_OXYGEN, Decimal(random.randrange(88, 100)), "%"),), now_us, sequence=n, raw=b"\x01")
        if self.device.startswith("meter"):
            return Reading((Value(_SUGAR, Decimal(random.randrange(40, 200)) / 10, "mmol/L"),), now_us, sequence=n)
        failed = random.random() < 0.02  # a cuff that could not measure says NaN
        pressures = [Decimal(random.randrange(60, 180)) for _ in range(3)]
        values = [Value(_PRESSURE + i, "nan" if failed else p, "mm[Hg]") for i, p in enumerate(pressures)]
        values.append(Value(_PULSE, Decimal(random.randrange(50, 110)), "/min"))
        return Reading(
            tuple(values), now_us, sent_at=self._device_time(self._taken_s(n)), user=1 + n % 2, status=0, raw=bytes(19)
        )


class HourlyCardiograph:
    """A cardiograph that records by itself every hour, whether anybody asks or not."""

    device = "ecg-0"

    def __init__(self, plan: Plan, clock: ScaledClock, journal: Journal) -> None:
        self._plan, self._clock, self._journal = plan, clock, journal
        self._samples = np.load(plan.samples)

    async def identify(self) -> Identity:
        """Return what it is."""
        return Identity("made up")

    async def record(self, seconds: float) -> EcgResult:
        """Refuse: nobody orders anything in a trial."""
        raise DeviceError(f"nobody asks for {seconds} s in a trial")

    async def run(self, sink: Sink) -> None:
        """Record every hour; what a SIGKILL cuts off before its commit is gone, as on a cardiograph."""
        k = self._journal.next(self.device)
        while (due_s := (k + 0.5) * 3600) < self._plan.hours * 3600:
            await self._clock.sleep_until(due_s)
            self._journal.begin(self.device, k)
            samples = self._samples.copy()
            samples[0, 0] = k  # no two recordings are the same
            now_us = self._clock.wall_us()
            scales = (4.88,) * len(samples)
            leads = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")[: len(samples)]
            while True:
                try:
                    sink.recorded(EcgResult(self.device, leads, 500.0, samples, scales, now_us - 10_000_000, now_us))
                    break
                except StoreError:
                    await asyncio.sleep(_RETRY_S)
            self._journal.write(f"E {k} {codec.sha256(samples).hex()}")
            k += 1
        await asyncio.Event().wait()


async def _fill_disk(plan: Plan, outbox: Outbox, clock: ScaledClock) -> None:
    """Let the disk be full at its times."""
    for begin, end in plan.full:
        if clock.elapsed_s() > end:
            continue
        await clock.sleep_until(begin)
        row = outbox.store.one("PRAGMA page_count")
        outbox.store.rows(f"PRAGMA max_page_count = {row[0] if row else 1}")
        await clock.sleep_until(end)
        outbox.store.rows("PRAGMA max_page_count = 1073741823")


async def run(plan: Plan) -> None:
    """Run the gateway until SIGTERM."""
    config = parse(plan.config)
    clock = ScaledClock(plan.origin_ns, plan.scale, plan.start_us, plan.wrong)
    journal = Journal(Path(plan.journal))
    name = daemon.gateway_name(config, None)
    outbox = Outbox(Store(config.state / "outbox.sqlite3"), Envelopes(name, clock), config.outbox)
    names = [("cuff", plan.cuffs, 1200.0), ("meter", plan.meters, 900.0), ("belt", plan.belts, 30.0)]
    sources = [Source(plan, f"{kind}-{i}", clock, journal, period_s) for kind, n, period_s in names for i in range(n)]
    ecg = HourlyCardiograph(plan, clock, journal)
    gateway = Gateway(config, outbox, daemon.broker(config, None), [ecg], sources, Random(plan.seed))  # noqa: S311
    parts = (gateway.run(), status.serve(gateway, config.state), _fill_disk(plan, outbox, clock))
    work = asyncio.ensure_future(_together(*parts))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    outbox.close()
    journal.close()


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for part in parts:
            tasks.create_task(part)


def main() -> None:
    """Run the trial that the file named by the first argument describes."""
    log.configure("warning")
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)))


if __name__ == "__main__":
    main()
