import asyncio
import os
import random
from pathlib import Path

import numpy as np
import pytest
from feldsher_edge.simulate.cardiograph import VirtualCardiograph
from feldsher_signal import frame
from numpy.typing import NDArray

RNG = random.Random(1)  # noqa: S311 - faults


class Flat:
    off = 0

    def units(self, n: int, fs: float, uv_per_bit: float) -> NDArray[np.int32]:
        return np.zeros((8, n), dtype=np.int32)


class Line:
    """The gateway's end of the pty, with nothing of the driver."""

    def __init__(self, kit: VirtualCardiograph) -> None:
        self.fd = os.open(kit.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.parser = frame.Parser()
        self.heard: list[tuple[int, int, bytes]] = []

    async def ask(self, kind: int, payload: bytes = b"", seq: int = 7) -> tuple[int, int, bytes]:
        os.write(self.fd, frame.frame(kind, seq, payload))
        return await self.next()

    async def next(self) -> tuple[int, int, bytes]:
        async with asyncio.timeout(60):
            while not self.heard:
                await asyncio.sleep(0.002)
                self.heard += self.read()
        return self.heard.pop(0)

    def read(self) -> list[tuple[int, int, bytes]]:
        try:
            return self.parser.feed(os.read(self.fd, 4096))
        except BlockingIOError:
            return []


@pytest.fixture
async def kit(tmp_path: Path):
    it = VirtualCardiograph(Flat(), tmp_path / "kit", RNG, pace=10.0)
    it.plug_in()
    yield it
    it.unplug()


@pytest.fixture
async def line(kit: VirtualCardiograph):
    it = Line(kit)
    yield it
    os.close(it.fd)


async def test_every_command_is_answered_with_its_seq(line: Line):
    kind, seq, payload = await line.ask(frame.CMD_ID, seq=9)
    assert (kind, seq) == (frame.EV_ID, 9)
    assert frame.parse_identity(payload).serial == "SIM-0001"
    assert (await line.ask(frame.CMD_LEAD_OFF))[0] == frame.EV_STATUS
    for command, payload, result in (
        (frame.CMD_CONFIG, frame.Config(500, 5, 0).pack(), frame.RESULT_BAD_PAYLOAD),
        (frame.CMD_CONFIG, frame.Config(250, 12, 0).pack(), frame.RESULT_OK),
        (frame.CMD_STOP, b"", frame.RESULT_OK),
        (0x70, b"", frame.RESULT_UNKNOWN),
    ):
        _, _, answer = await line.ask(command, payload)
        assert (frame.parse_ack(answer).command, frame.parse_ack(answer).result) == (command, result)
    identity = frame.parse_identity((await line.ask(frame.CMD_ID))[2])
    assert (identity.rate, identity.gain) == (250, 12)


async def test_it_counts_stops_by_itself_and_says_so(line: Line):
    # Together: a hundred samples take it twenty milliseconds.
    both = (frame.CMD_START, 7, frame.pack_start(100)), (frame.CMD_CONFIG, 8, frame.Config().pack())
    os.write(line.fd, b"".join(frame.frame(*each) for each in both))
    found = [await line.next()]
    while found[-1][0] != frame.EV_STATUS:
        found.append(await line.next())
    (busy,) = (frame.parse_ack(payload) for kind, seq, payload in found if (kind, seq) == (frame.EV_ACK, 8))
    assert busy.result == frame.RESULT_BUSY
    counters = [frame.parse_data(payload)[0] for kind, _, payload in found if kind == frame.EV_DATA]
    assert counters == list(range(100))
    status = frame.parse_status(found[-1][2])
    assert (found[-1][1], status.state, status.sent, status.lost) == (0, frame.STATE_IDLE, 100, 0)


async def test_what_nobody_fetches_is_lost_as_in_a_uart(kit: VirtualCardiograph, line: Line):
    await line.ask(frame.CMD_START, frame.pack_start(1000))
    async with asyncio.timeout(60):
        while kit.sampling:  # noqa: ASYNC110 - the kit ends by itself
            await asyncio.sleep(0.01)
    found = line.read()
    assert 0 < len(found) * 38 <= 4096
    assert kit.sent == 1000


async def test_the_port_comes_and_goes(kit: VirtualCardiograph, line: Line):
    kit.unplug()
    assert os.read(line.fd, 1) == b""  # hung up
    assert not kit.link.exists()
    kit.plug_in()
    assert kit.link.exists()
