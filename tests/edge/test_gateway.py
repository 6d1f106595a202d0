"""The whole gateway with stand-in devices on the real broker: orders, recordings, readings, restarts, full disks."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from random import Random
from uuid import UUID

import numpy as np
import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Config, parse
from feldsher_edge.devices import DeviceError, EcgResult, Identity, LiveChunk, Reading, ReadingSet, Sink, Status, Value
from feldsher_edge.gateway import Gateway
from feldsher_edge.link import Broker
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_edge.store import Store
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject
from feldsher_ehr_core.vitals import DIASTOLIC, PULSE, SYSTOLIC
from structlog.testing import capture_logs

Reach = Callable[..., Broker]
StartCloud = Callable[..., VirtualCloud]
_NAMES = count(1)
FAST = """
[mqtt]
backoff_base_s = 0.05
backoff_cap_s = 0.3
receipt_timeout_s = 60
heartbeat_s = 0.2
[interpreter]
enabled = false
"""


class StandInKit:
    """A cardiograph that records at once, cannot start, or breaks, as it is told."""

    device = "kit-1"

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.recorded = 0
        self.sink: Sink | None = None
        self.runs = 0

    async def run(self, sink: Sink) -> None:
        self.sink = sink
        self.runs += 1
        sink.status(Status(self.device, "present", identity=Identity("kit", "7", "1.0")))
        await asyncio.Event().wait()

    async def identify(self) -> Identity:
        return Identity("kit", "7", "1.0")

    async def record(self, seconds: float) -> EcgResult:
        if self.fault:
            raise self.fault
        self.recorded += 1
        result = ecg(seconds)
        if self.sink is not None:
            piece = result.samples[:, :50]
            self.sink.live(LiveChunk(self.device, result.fs, result.leads, result.uv_per_bit, 0, piece))
        return result


class StandInCuff:
    """A cuff that brings one reading, and a driver that fails at its first start."""

    device = "cuff-1"

    def __init__(self) -> None:
        self.starts = 0

    async def run(self, sink: Sink) -> None:
        self.starts += 1
        if self.starts == 1:
            raise RuntimeError("a driver that fails")
        sink.readings(readings())
        await asyncio.Event().wait()


def ecg(seconds: float = 10.0) -> EcgResult:
    samples = np.zeros((12, int(seconds * 500)), dtype=np.int32)
    return EcgResult("kit-1", tuple(f"L{i}" for i in range(12)), 500.0, samples, (1.0,) * 12, 0, int(seconds * 1e6))


def readings() -> ReadingSet:
    values = (
        Value(SYSTOLIC.mdc, Decimal(120), SYSTOLIC.unit),
        Value(DIASTOLIC.mdc, "nan", DIASTOLIC.unit),
        Value(PULSE.mdc, Decimal("71.5"), PULSE.unit),
    )
    one = Reading(values, received_us=1_700_000_000_000_000, sent_at=datetime(2027, 1, 15, 11, 0), user=2, raw=b"raw")  # noqa: DTZ001
    return ReadingSet("AA:BB", "UA-651", (one,), device_now=datetime(2027, 1, 15, 11, 1), gateway_now_us=5)  # noqa: DTZ001


class Bench:
    """One gateway with its stand-ins on one state directory."""

    def __init__(self, folder: Path, broker: Broker, gateway: str) -> None:
        self.folder, self.broker, self.name = folder, broker, gateway
        self.clock = VirtualClock(wall_us=time.time_ns() // 1000)
        self.kit = StandInKit()
        self.cuff = StandInCuff()
        self.config: Config = parse(FAST)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Gateway]:
        outbox = Outbox(Store(self.folder / "o"), Envelopes(self.name, self.clock))
        rng = Random(1)  # noqa: S311 - repeatable on purpose
        gateway = Gateway(self.config, outbox, self.broker, [self.kit], [self.cuff], rng)
        task = asyncio.create_task(gateway.run())
        try:
            yield gateway
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            outbox.close()

    def order(self, cloud: VirtualCloud, number: int, device: str = "kit-1", *, valid_s: float = 600) -> UUID:
        order = UUID(int=number)
        lapses_us = self.clock.wall_us() + int(valid_s * 1e6)
        command = wire.OrderCommand(
            **cloud.down(), order=order, device=device, seconds=2.0, lapses_us=lapses_us, subject=Subject(age=50)
        )
        cloud.send(self.name, command)
        return order


@pytest.fixture
def bench(tmp_path: Path, reach: Reach) -> Bench:
    name = f"gw-{os.getpid()}-g{next(_NAMES)}"
    return Bench(tmp_path, reach(name), name)


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of other threads have no event
            await asyncio.sleep(0.01)


def states(cloud: VirtualCloud, order: UUID) -> list[str]:
    stored = [m for m in cloud.stored.values() if isinstance(m, wire.OrderState) and m.order == order]
    return [m.state for m in sorted(stored, key=lambda m: m.env.seq)]


async def test_an_order_becomes_a_recording_at_the_cloud(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    async with bench.running():
        await until(lambda: there.of(wire.Birth))
        order = bench.order(there, 1)
        await until(lambda: states(there, order) == ["armed", "recording", "taken"])
        await until(lambda: there.of(wire.EcgRecording))
        bench.order(there, 1)  # the cloud repeats itself until it hears of the order
        marker = bench.order(there, 2)  # handled after the repeat
        await until(lambda: states(there, marker)[-1:] == ["taken"])
        await until(lambda: len(there.of(wire.EcgRecording)) == 2)
    recording, after = there.of(wire.EcgRecording)
    assert after.order == marker
    assert [(piece.order, piece.n) for piece in there.of(wire.LiveStrip)] == [(order, 50), (marker, 50)]
    assert states(there, order) == ["armed", "recording", "taken"]
    assert (recording.order, recording.device, recording.n) == (order, "kit-1", 1000)
    assert recording.not_interpreted == "interpretation is switched off on this gateway"
    assert bench.kit.recorded == 2


async def test_birth_heartbeat_and_devices(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    async with bench.running():
        await until(lambda: len(there.of(wire.Heartbeat)) >= 2)
        await until(lambda: there.of(wire.DeviceStatus))
    birth = there.of(wire.Birth)[0]
    assert (birth.starts, birth.devices) == (1, ("kit-1", "cuff-1"))
    assert there.of(wire.Heartbeat)[-1].sources.keys() >= {"kit-1"}
    status = there.of(wire.DeviceStatus)[0]
    assert (status.device, status.state, status.model, status.firmware) == ("kit-1", "present", "kit", "1.0")
    async with bench.running():
        await until(lambda: any(b.starts == 2 for b in there.of(wire.Birth)))


async def test_a_driver_that_fails_is_started_again_and_its_readings_arrive(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    async with bench.running():
        await until(lambda: there.of(wire.VitalsBatch))
    assert bench.cuff.starts == 2
    batch = there.of(wire.VitalsBatch)[0]
    assert batch.code == (SYSTOLIC.mdc, DIASTOLIC.mdc, PULSE.mdc)
    assert batch.value == ("120", None, "71.5")
    assert batch.absent == (None, "nan", None)
    assert len(set(batch.reading)) == 1
    assert (batch.sent_at[0], batch.user, batch.raw) == ("2027-01-15T11:00:00", (2, 2, 2), (b"raw",))


async def test_a_cardiograph_that_is_away_is_tried_until_the_order_lapses(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    bench.kit.fault = DeviceError("no such port")
    async with bench.running() as gateway:
        await until(lambda: there.of(wire.Birth))
        first = bench.order(there, 1)
        await until(lambda: [s for s in states(there, first) if s == "recording"])
        bench.clock.advance(601)
        await until(lambda: states(there, first)[-1] == "lapsed")
        second = bench.order(there, 2)
        await until(gateway.orders.open)
        bench.kit.fault = None
        await until(lambda: states(there, second)[-1:] == ["taken"])
    lapsed = [m for m in there.of(wire.OrderState) if m.state == "lapsed"]
    assert lapsed[0].detail == "no such port"
    assert bench.kit.recorded == 1


async def test_a_driver_that_breaks_while_recording_takes_nothing_along(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    bench.kit.fault = RuntimeError("broken driver")
    async with bench.running():
        await until(lambda: there.of(wire.Birth))
        order = bench.order(there, 1)
        await until(lambda: "recording" in states(there, order))
        bench.kit.fault = None
        await until(lambda: states(there, order)[-1:] == ["taken"])


async def test_a_recording_started_at_the_device_is_unassigned(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    async with bench.running():
        await until(lambda: bench.kit.sink)
        assert bench.kit.sink is not None
        bench.kit.sink.recorded(ecg())
        await until(lambda: there.of(wire.EcgRecording))
    assert there.of(wire.EcgRecording)[0].order is None


async def test_an_order_armed_before_a_restart_is_taken_after_it(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    bench.kit.fault = DeviceError("unplugged")
    async with bench.running() as gateway:
        await until(lambda: there.of(wire.Birth))
        order = bench.order(there, 1)
        await until(gateway.orders.open)
    bench.kit.fault = None
    async with bench.running():
        await until(lambda: states(there, order)[-1:] == ["taken"])
    assert [m.order for m in there.of(wire.EcgRecording)] == [order]


async def test_what_was_receipted_is_sent_again_on_request(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    async with bench.running() as gateway:
        await until(lambda: there.of(wire.VitalsBatch))
        await until(lambda: gateway.outbox.counts().kept >= 1 and sum(gateway.outbox.counts().waiting) == 0)
        there.stored.clear()  # a backup was restored
        there.send(bench.name, wire.ResendRequest(**there.down(), since_us=0))
        await until(lambda: any(isinstance(m, wire.VitalsBatch) for m in there.stored.values()))


async def test_a_step_of_the_wall_clock_is_reported(bench: Bench, cloud: StartCloud) -> None:
    there = cloud()
    async with bench.running():
        await until(lambda: there.of(wire.Birth))
        bench.clock.set_wall(bench.clock.wall_us() + 3600_000_000)
        await until(lambda: there.of(wire.ClockOffset))
    assert there.of(wire.ClockOffset)[0].offset_us == 3600_000_000


async def test_a_full_disk_ends_nothing(bench: Bench, cloud: StartCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feldsher_edge.recordings._RETRY_S", 0.05)
    there = cloud()
    with capture_logs() as logs:
        await full_disk(bench, there, logs)


async def full_disk(bench: Bench, there: VirtualCloud, logs: Sequence[Mapping[str, object]]) -> None:
    async with bench.running() as gateway:
        await until(lambda: there.of(wire.VitalsBatch))
        await until(lambda: sum(gateway.outbox.counts().waiting) == 0)
        store = gateway.outbox.store
        (pages,) = store.rows("PRAGMA page_count")[0]
        store.run("DELETE FROM message")
        store.rows(f"PRAGMA max_page_count = {pages}")
        bench.clock.set_wall(bench.clock.wall_us() + 3600_000_000)
        task = asyncio.create_task(gateway.recordings.take(ecg_of_noise(), None))
        await until(lambda: len([e for e in logs if e["event"] == "recording not yet stored"]) >= 2)
        assert not task.done()  # kept in memory, tried again
        store.rows("PRAGMA max_page_count = 1000000")
        await until(lambda: there.of(wire.EcgRecording))
        await task


def ecg_of_noise() -> EcgResult:
    samples = np.random.default_rng(1).integers(-(2**20), 2**20, (12, 5000), dtype=np.int32)
    return EcgResult("kit-1", tuple(f"L{i}" for i in range(12)), 500.0, samples, (1.0,) * 12, 0, 10_000_000)
