"""The gateway's local socket: test recordings, critical ECGs with pictures, last readings, the live strip."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.devices import DeviceError, EcgResult, Identity, LiveChunk, Reading, ReadingSet, Sink, Value
from feldsher_edge.local.client import SOCKET, LocalError, ask, ask_soon, live, understood
from feldsher_edge.local.service import LocalService, judgement, piece_of
from feldsher_edge.local.words import (
    Drawn,
    EcgLine,
    Ecgs,
    Judged,
    Picture,
    ReadingLine,
    Readings,
    TrialRecording,
)
from feldsher_edge.outbox import Outbox
from feldsher_edge.recordings import message_maker
from feldsher_edge.room import Priority
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.sink import batch
from feldsher_edge.store import Store
from feldsher_ehr_core.ecg import Interpretation, Measurements, Quality, Statement
from feldsher_signal.record import MISSING, Recording

LEADS = ("I", "II")


def result(n: int = 2000, **fields: object) -> EcgResult:
    samples = np.tile(np.arange(n, dtype=np.int32) % 200, (2, 1))
    whole = EcgResult("ecg-1", LEADS, 500.0, samples, (5.0, 5.0), 1_000_000, 5_000_000)
    return dataclasses.replace(whole, **fields)  # type: ignore[arg-type]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for is another object's state
            await asyncio.sleep(0.01)


class Bedside:
    """A cardiograph that gives a fixed recording, or refuses."""

    device = "ecg-1"

    def __init__(self) -> None:
        self.refuses: str | None = None

    async def run(self, sink: Sink) -> None:
        del sink

    async def identify(self) -> Identity:
        return Identity("made up")

    async def record(self, seconds: float) -> EcgResult:
        if self.refuses is not None:
            raise DeviceError(self.refuses)
        return result(int(seconds * 500))


async def draw(recording: Recording, shown: Interpretation | None) -> str:
    return f"<svg>{recording.n} {shown.statements[0].code if shown else '-'}</svg>"


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncGenerator[Outbox]:
    made = Outbox(Store(tmp_path / "outbox.sqlite3"), Envelopes("gw-local", VirtualClock()))
    yield made
    made.close()


@pytest.fixture
async def service(outbox: Outbox, tmp_path: Path) -> AsyncGenerator[LocalService]:
    made = LocalService(outbox, [Bedside()], draw)
    task = asyncio.create_task(made.serve(tmp_path))
    await until((tmp_path / SOCKET).exists)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def opinion(*codes: str) -> Interpretation:
    statements = tuple(Statement(code, f"text of {code}", "definite", (), critical=True) for code in codes)
    quality, found = Quality(True, {}), Measurements(rate=71.0)
    return Interpretation("test", 500.0, LEADS, 2000, quality, (), (), (), found, statements, {}, "-")


def put_ecg(outbox: Outbox, *codes: str) -> int:
    held = outbox.hold(message_maker(result(), None))
    with_opinion = msgspec.structs.replace(held.message, interpretation=opinion(*codes), not_interpreted=None)
    outbox.release(held.seq, with_opinion, Priority.ALARM if codes else None)
    return held.seq


async def test_a_trial_recording_is_judged_and_stored_nowhere(
    service: LocalService, outbox: Outbox, tmp_path: Path
) -> None:
    told = await ask_soon(tmp_path, TrialRecording("ecg-1", 2.0), Judged)
    assert (told.seconds, told.lost, told.partial) == (2.0, 0, None)
    assert [(lead.lead, lead.range_uv, lead.off) for lead in told.leads] == [("I", 995.0, False), ("II", 995.0, False)]
    assert sum(outbox.counts().waiting) == outbox.counts().held == 0
    assert service.draw is draw


async def test_what_cannot_be_done_is_told_to_the_technician(service: LocalService, tmp_path: Path) -> None:
    for question, words in (
        (TrialRecording("ecg-9"), "there are: ecg-1"),
        (TrialRecording("ecg-1", 600), "at most 20 s"),
        (Picture(99), "no ECG has the number 99"),
    ):
        with pytest.raises(LocalError, match=words):
            await ask_soon(tmp_path, question, Judged)
    (bedside,) = service.cardiographs
    assert isinstance(bedside, Bedside)
    bedside.refuses = "it is recording"
    with pytest.raises(LocalError, match="it is recording"):
        await ask_soon(tmp_path, TrialRecording("ecg-1"), Judged)
    service.draw = None
    with pytest.raises(LocalError, match="switched off"):
        await ask_soon(tmp_path, Picture(1), Drawn)


async def test_critical_ecgs_are_listed_sent_or_not_and_only_they_are_drawn(
    service: LocalService, outbox: Outbox, tmp_path: Path
) -> None:
    plain = put_ecg(outbox)
    first = put_ecg(outbox, "VTAC")
    second = put_ecg(outbox, "AMI", "STE_")
    sent = outbox.body(first)
    assert sent is not None
    (row,) = [row for row in outbox.waiting(10) if row.seq == first]
    outbox.receipt([row.id], ["stored"])
    newest, oldest = await ask_soon(tmp_path, Ecgs(), list[EcgLine])
    assert (newest.seq, newest.sent, newest.statements) == (second, False, ("text of AMI", "text of STE_"))
    assert (oldest.seq, oldest.sent, oldest.rate) == (first, True, 71.0)
    assert (await ask_soon(tmp_path, Picture(second), Drawn)).svg == "<svg>2000 AMI</svg>"
    with pytest.raises(LocalError, match="no ECG has the number"):
        await ask_soon(tmp_path, Picture(plain), Drawn)
    assert service.outbox is outbox


async def test_last_readings(service: LocalService, outbox: Outbox, tmp_path: Path) -> None:
    reading = Reading((Value(150021, Decimal(132), "mm[Hg]"), Value(150022, "nan", "mm[Hg]")), 7_000_000)
    outbox.put(lambda env: batch(env, ReadingSet("AA:BB", None, ()), (reading,), UTC))
    found = await ask_soon(tmp_path, Readings(), list[ReadingLine])
    assert [(line.name, line.value, line.sent) for line in found] == [
        ("Systolic blood pressure", "132", False),
        ("Diastolic blood pressure", "nan", False),
    ]
    assert len(service.cardiographs) == 1


@asynccontextmanager
async def watching(state: Path, service: LocalService) -> AsyncGenerator[asyncio.Queue[object]]:
    got: asyncio.Queue[object] = asyncio.Queue()

    async def watch() -> None:
        async for piece in live(state):
            got.put_nowait(piece)

    task = asyncio.create_task(watch())
    await until(lambda: service._watchers)  # pyright: ignore[reportPrivateUsage]
    yield got
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def chunk(first: int) -> LiveChunk:
    samples = np.array([[1, MISSING, 3], [4, 5, 6]], dtype=np.int32)
    return LiveChunk("ecg-1", 500.0, LEADS, (2.0, 0.5), first, samples)


async def test_the_live_strip_reaches_who_looks_on_and_nobody_else(service: LocalService, tmp_path: Path) -> None:
    service.show(chunk(0))
    async with watching(tmp_path, service) as got:
        service.show(chunk(3))
        piece = await got.get()
        assert piece == piece_of(chunk(3))
    await until(lambda: not service._watchers)  # pyright: ignore[reportPrivateUsage]
    assert piece_of(chunk(3)).uv == ((2, None, 6), (2, 2, 3))


async def test_a_slow_reader_misses_the_oldest_and_holds_nobody_up(service: LocalService, tmp_path: Path) -> None:
    async with watching(tmp_path, service) as got:
        for number in range(200):
            service.show(chunk(number))
        first = await got.get()
        assert msgspec.structs.asdict(first)["first"] == 150  # type: ignore[arg-type]


async def test_nonsense_is_answered_and_the_socket_is_the_owners_alone(service: LocalService, tmp_path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
    writer.write(b'{"type": "wipe"}\n')
    assert b"not understood" in await reader.read()
    writer.close()
    assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
    assert service.draw is not None


def test_no_gateway_and_no_right_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="is it running"):
        ask(tmp_path, Ecgs(), list[EcgLine])
    with pytest.raises(LocalError, match="cannot be read"):
        understood(b"", Drawn)


def test_a_trials_leads_are_judged() -> None:
    samples = np.full((2, 100), MISSING, dtype=np.int32)
    samples[0, :50] = 7
    told = judgement(result(samples=samples, lead_off=("II",), lost=50, partial="unplugged"))
    assert [(lead.range_uv, lead.missing, lead.off) for lead in told.leads] == [(0.0, 0.5, False), (0.0, 1.0, True)]
    assert (told.lost, told.partial) == (50, "unplugged")
