"""Questions to a board that streams, and its samples by a counter: over a bare pty, without any board's protocol."""

import asyncio
import os
import tty
from collections.abc import AsyncGenerator
from datetime import UTC

import pytest
from feldsher_edge.clock import SystemClock
from feldsher_edge.devices import DeviceError, Identity, Status
from feldsher_edge.devices.leads import Leads
from feldsher_edge.devices.serial_session import Opening
from feldsher_edge.devices.stream_session import StreamSession
from feldsher_edge.devices.track import Signals, Track
from feldsher_edge.simulate.serial_bench import until
from feldsher_edge.simulate.sink import Kept


class Letters(StreamSession):
    """A board that streams its count, one byte a sample, starting over after 10."""

    async def open(self) -> None:
        """Nothing to do."""

    async def identify(self) -> Identity:
        return Identity("letters")

    async def status(self) -> Status:
        return Status("b", "present")

    async def prepare(self, wait_s: float) -> None:
        """Nothing to do."""

    def signals(self) -> Signals:
        return Signals(Leads(("I",), (1.0,)), 10.0, 10)

    async def _start(self, track: Track) -> None:
        self._port.write(b"b")

    async def _stop(self) -> int | None:
        self._flush()
        return None

    def _errors(self) -> int:
        return 0

    def _take(self, data: bytes) -> None:
        for byte in data:
            self._sampled(byte, (byte,))

    async def ask(self, command: bytes, end: bytes, within_s: float = 1.0) -> bytes:
        return await self._ask(command, lambda heard: heard if heard.endswith(end) else None, within_s)

    async def hush(self) -> None:
        await self._hush(b"s", 0.5)


class Wire:
    def __init__(self) -> None:
        self.far, self.near = os.openpty()
        tty.setraw(self.far)
        tty.setraw(self.near)
        os.set_blocking(self.far, False)
        self.session = Letters(Opening(os.ttyname(self.near), "b", SystemClock(UTC), Kept(), 1.0))

    def heard(self) -> bytes:
        try:
            return os.read(self.far, 100)
        except BlockingIOError:
            return b""


@pytest.fixture
async def wire() -> AsyncGenerator[Wire]:
    it = Wire()
    yield it
    it.session.close()
    for fd in (it.near, it.far):
        os.close(fd)


async def test_an_answer_may_come_in_pieces(wire: Wire):
    asking = asyncio.create_task(wire.session.ask(b"v", b"$$$", 60.0))
    await until(wire.heard)
    for piece in (b"ban", b"ner$", b"$$"):
        os.write(wire.far, piece)
        await asyncio.sleep(0.01)
    assert await asking == b"banner$$$"


async def test_a_question_is_repeated_and_what_was_said_instead_is_told(wire: Wire):
    asking = asyncio.create_task(wire.session.ask(b"v", b"$$$"))
    for _ in range(2):
        await until(lambda: wire.heard() == b"v")
    os.write(wire.far, b"what?")
    with pytest.raises(DeviceError, match=r"no answer to b'v', sent 2 times: 'what\?'"):
        await asking
    assert wire.heard() == b""


async def test_a_device_that_goes_ends_the_question_at_once(wire: Wire):
    asking = asyncio.create_task(wire.session.ask(b"v", b"$$$", 60.0))
    await until(wire.heard)
    os.close(wire.far)
    with pytest.raises(DeviceError, match="unplugged"):
        await asyncio.wait_for(asking, 60)
    assert wire.session.gone is not None
    wire.far = os.open(os.devnull, os.O_RDONLY)


async def test_hushing_waits_until_nothing_comes(wire: Wire):
    hushing = asyncio.create_task(wire.session.hush())
    await until(wire.heard)
    for _ in range(4):
        os.write(wire.far, bytes(3))
        await asyncio.sleep(0.005)
    assert not hushing.done()
    await asyncio.wait_for(hushing, 60)


async def test_samples_are_placed_by_their_count_and_a_doubtful_end_is_believed(wire: Wire):
    recording = asyncio.create_task(wire.session.record(2))
    await until(wire.heard)
    os.write(wire.far, bytes([4, 5, 6, 9]))
    result = await recording
    assert result.samples[0].tolist()[:3] == [4, 5, 6]
    assert (result.samples.shape[1], result.samples[0, -1], result.lost) == (6, 9, 2)
    assert result.partial == "no data for 1.0 s after 0.6 s"


async def test_a_recording_whose_last_sample_is_lost_ends_with_what_comes_after_it(wire: Wire):
    recording = asyncio.create_task(wire.session.record(2))
    await until(wire.heard)
    os.write(wire.far, bytes(n % 10 for n in (*range(19), 20, 21)))
    result = await recording
    assert (result.partial, result.samples.shape[1], result.lost) == (None, 20, 1)
