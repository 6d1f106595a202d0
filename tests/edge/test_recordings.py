"""A recording is on disk before it is interpreted, and goes out whatever happens to its interpretation."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from uuid import UUID

import numpy as np
import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.devices import EcgResult
from feldsher_edge.interpreter import NotInterpreted
from feldsher_edge.orders import Order, Orders
from feldsher_edge.outbox import Outbox
from feldsher_edge.recordings import Recordings
from feldsher_edge.room import Priority
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.store import Store
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation, Measurements, Quality, Subject
from feldsher_signal import codec
from feldsher_signal.record import Recording
from structlog.testing import capture_logs

SAMPLES = np.random.default_rng(1).integers(-500, 500, (12, 5000), dtype=np.int32)


def result(samples: np.ndarray = SAMPLES, **fields: object) -> EcgResult:
    values: dict[str, object] = {
        "device": "kit-1",
        "leads": tuple(f"L{i}" for i in range(samples.shape[0])),
        "fs": 500.0,
        "samples": samples,
        "uv_per_bit": (2.5,) * samples.shape[0],
        "started_us": 1_000_000,
        "ended_us": 11_000_000,
        "lost": 3,
        "lead_off": ("V6",),
    }
    return EcgResult(**(values | fields))  # type: ignore[arg-type]


def opinion_of(recording: Recording, conclusion: str = "unconfirmed: test") -> Interpretation:
    return Interpretation(
        "test",
        recording.fs,
        recording.leads,
        recording.n,
        Quality(True, {}),
        (),
        (),
        (),
        Measurements(),
        (),
        {},
        conclusion,
    )


class Engine:
    """Interprets at once, later, or not at all; notes what it was given."""

    def __init__(self, fault: Exception | None = None, *, conclusion: str = "unconfirmed: test") -> None:
        self.fault = fault
        self.conclusion = conclusion
        self.seen: list[tuple[Recording, Subject]] = []
        self.go = asyncio.Event()
        self.go.set()

    async def interpret(self, recording: Recording, subject: Subject) -> Interpretation:
        self.seen.append((recording, subject))
        await self.go.wait()
        if self.fault:
            raise self.fault
        return opinion_of(recording, self.conclusion)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    rng = Random(1)  # noqa: S311 - repeatable on purpose
    opened = Outbox(Store(tmp_path / "o"), Envelopes("gw-1", VirtualClock(), rng.randbytes))
    yield opened
    opened.close()


@pytest.fixture
def orders(outbox: Outbox) -> Orders:
    return Orders(outbox, ["kit-1"], 600)


def armed(orders: Orders) -> Order:
    command = wire.OrderCommand(
        id=UUID(int=9),
        sent_us=0,
        order=UUID(int=1),
        device="kit-1",
        seconds=10.0,
        lapses_us=1 << 60,
        subject=Subject(age=61, sex="female"),
    )
    orders.command(command)
    order = orders.next("kit-1")
    assert order is not None
    orders.started(order.id)
    return order


def recordings_in(outbox: Outbox) -> list[wire.EcgRecording]:
    bodies = [outbox.body(row.seq) for row in outbox.waiting(100)]
    messages = [wire.decode_up(body) for body in bodies if body is not None]
    return [m for m in messages if isinstance(m, wire.EcgRecording)]


async def test_an_ordered_recording_goes_out_with_its_interpretation(outbox: Outbox, orders: Orders) -> None:
    engine = Engine()
    order = armed(orders)
    await Recordings(outbox, orders, engine).take(result(), order)
    (message,) = recordings_in(outbox)
    assert (message.order, message.subject) == (order.id, Subject(age=61, sex="female"))
    assert message.interpretation == opinion_of(engine.seen[0][0])
    assert message.not_interpreted is None
    decoded = codec.decode(message.samples, 12, 5000)
    assert np.array_equal(decoded, SAMPLES)
    assert message.sha256 == codec.sha256(SAMPLES)
    assert (message.lost, message.lead_off, message.n, message.uv_per_bit[0]) == (3, ("V6",), 5000, 2.5)
    assert engine.seen[0][1] == order.subject
    assert orders.open() == []


async def test_the_recording_is_on_disk_while_it_is_interpreted(outbox: Outbox, orders: Orders) -> None:
    engine = Engine()
    engine.go.clear()
    task = asyncio.create_task(Recordings(outbox, orders, engine).take(result(), armed(orders)))
    while not outbox.held():  # noqa: ASYNC110 - the disk has no event
        await asyncio.sleep(0.01)
    assert recordings_in(outbox) == []
    engine.go.set()
    await task
    assert len(recordings_in(outbox)) == 1
    assert outbox.held() == []


async def test_what_a_power_cut_left_is_interpreted_and_sent_after_the_start(outbox: Outbox, orders: Orders) -> None:
    order = armed(orders)
    (held,) = Recordings(outbox, orders, None).hold(result(), order)
    engine = Engine()
    await Recordings(outbox, orders, engine).resume()
    (message,) = recordings_in(outbox)
    assert message.env == held.message.env
    assert message.interpretation is not None
    assert np.array_equal(engine.seen[0][0].samples, SAMPLES)
    assert engine.seen[0][1] == order.subject
    assert orders.open() == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (NotInterpreted("the interpreter took longer than 5 s"), "the interpreter took longer than 5 s"),
        (RuntimeError("boom"), "the interpreter failed: RuntimeError"),
    ],
)
async def test_without_interpretation_it_goes_out_with_the_reason(
    outbox: Outbox, orders: Orders, fault: Exception, reason: str
) -> None:
    await Recordings(outbox, orders, Engine(fault)).take(result(), armed(orders))
    (message,) = recordings_in(outbox)
    assert (message.interpretation, message.not_interpreted) == (None, reason)
    assert orders.open() == []


async def test_a_recording_without_an_order_is_unassigned(outbox: Outbox, orders: Orders) -> None:
    engine = Engine()
    Recordings(outbox, orders, engine).keep(result())
    assert len(outbox.held()) == 1  # committed before `keep` returned
    while not recordings_in(outbox):  # noqa: ASYNC110 - the disk has no event
        await asyncio.sleep(0.01)
    (message,) = recordings_in(outbox)
    assert (message.order, message.subject) == (None, None)
    assert message.interpretation is not None
    assert engine.seen[0][1] == Subject()


def test_a_piece_of_a_continuous_recording_is_on_its_way_at_once(outbox: Outbox, orders: Orders) -> None:
    engine = Engine()
    Recordings(outbox, orders, engine).keep(result(stream=UUID(int=7), part=3))
    (message,) = recordings_in(outbox)
    assert (message.stream, message.part, message.order) == (UUID(int=7), 3, None)
    assert message.not_interpreted == "a piece of a continuous recording"
    assert outbox.counts().waiting[Priority.CONTINUOUS] == 1
    assert outbox.held() == []


async def test_an_interpretation_too_large_for_the_message_is_left_out(outbox: Outbox, orders: Orders) -> None:
    await Recordings(outbox, orders, Engine(conclusion="x" * wire.MAX_BYTES)).take(result(), armed(orders))
    (message,) = recordings_in(outbox)
    assert message.interpretation is None
    assert message.not_interpreted == "the interpretation does not fit the message"


async def test_a_recording_too_large_for_one_message_is_divided_and_nothing_is_lost(
    outbox: Outbox, orders: Orders
) -> None:
    noise = np.random.default_rng(2).integers(-(2**30), 2**30, (12, 30_000), dtype=np.int32)
    await Recordings(outbox, orders, Engine()).take(result(noise, ended_us=61_000_000), armed(orders))
    parts = recordings_in(outbox)
    assert len(parts) > 1
    joined = np.concatenate([codec.decode(p.samples, 12, p.n) for p in parts], axis=1)
    assert np.array_equal(joined, noise)
    assert parts[0].started_us == 1_000_000
    assert parts[-1].ended_us == 61_000_000
    assert all(a.ended_us == b.started_us for a, b in pairwise(parts))
    assert all(p.partial and p.interpretation for p in parts)
    assert orders.open() == []


async def test_a_failing_disk_keeps_the_recording_in_memory_until_it_works(
    outbox: Outbox, orders: Orders, file_limit: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feldsher_edge.recordings._RETRY_S", 0.01)
    noise = np.random.default_rng(2).integers(-(2**20), 2**20, (12, 5000), dtype=np.int32)
    order = armed(orders)
    wal = outbox.store.path.with_name(outbox.store.path.name + "-wal")
    with capture_logs() as logs:
        file_limit(wal.stat().st_size + 50_000)
        task = asyncio.create_task(Recordings(outbox, orders, Engine()).take(result(noise), order))
        while len([entry for entry in logs if entry["event"] == "recording not yet stored"]) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not task.done()
        file_limit(resource.RLIM_INFINITY)
        await task
    assert "SQLITE_IOERR_WRITE" in logs[0]["error"]
    (message,) = recordings_in(outbox)
    assert np.array_equal(codec.decode(message.samples, 12, 5000), noise)
    assert orders.open() == []


class Stumbling:
    """In the place of `Outbox.release`: fails some times for the first recording that it meets."""

    def __init__(self, outbox: Outbox, times: int) -> None:
        self.release = outbox.release
        self.times = times
        self.victim: int | None = None

    def __call__(self, seq: int, message: wire.UpMessage | None = None, priority: Priority | None = None) -> None:
        self.victim = self.victim or seq
        if seq == self.victim and self.times:
            self.times -= 1
            raise RuntimeError("stumbled")
        self.release(seq, message, priority)


async def test_a_recording_whose_release_fails_is_released_later(
    outbox: Outbox, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feldsher_edge.recordings._RETRY_S", 0.01)
    monkeypatch.setattr(outbox, "release", Stumbling(outbox, 2))
    with capture_logs() as logs:
        Recordings(outbox, orders, Engine()).keep(result())
        while not recordings_in(outbox):  # noqa: ASYNC110 - the disk has no event
            await asyncio.sleep(0.01)
    assert [(e["log_level"], e["attempt"]) for e in logs if e["event"] == "recording not released"] == [
        ("error", 1),
        ("error", 2),
    ]
    assert recordings_in(outbox)[0].interpretation is not None


async def test_a_recording_that_cannot_be_released_stays_on_disk_and_stops_no_other(
    outbox: Outbox, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feldsher_edge.recordings._RETRY_S", 0.01)
    stumbling = Stumbling(outbox, 10**9)
    recordings = Recordings(outbox, orders, Engine())
    first = recordings.hold(result(device="first"), None)[0]
    recordings.hold(result(device="second"), None)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(outbox, "release", stumbling)
        await recordings.resume()
    assert [m.device for m in recordings_in(outbox)] == ["second"]
    assert [held.seq for held in outbox.held()] == [first.seq]
    assert ("recording stays held until the next start", first.seq) in [(e["event"], e.get("seq")) for e in logs]
    await Recordings(outbox, orders, Engine()).resume()
    assert sorted(m.device for m in recordings_in(outbox)) == ["first", "second"]


async def test_switched_off_interpretation_is_said(outbox: Outbox, orders: Orders) -> None:
    await Recordings(outbox, orders, None).take(result(), armed(orders))
    assert recordings_in(outbox)[0].not_interpreted == "interpretation is switched off on this gateway"
