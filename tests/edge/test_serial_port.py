import asyncio
import os
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from feldsher_edge.serial_port import PortError, SerialPort


class Wire:
    """Both ends of a pty, and what a port on it reported."""

    def __init__(self) -> None:
        self.far, self.near = os.openpty()
        tty.setraw(self.far)
        tty.setraw(self.near)
        self.received = b""
        self.lost: list[str] = []
        self.path = os.ttyname(self.near)

    def open(self) -> SerialPort:
        return SerialPort(self.path, 115_200, self._take, self.lost.append)

    def _take(self, data: bytes) -> None:
        self.received += data

    def unplug(self) -> None:
        if self.far >= 0:
            os.close(self.far)
            self.far = -1


@pytest.fixture
def wire() -> Iterator[Wire]:
    it = Wire()
    yield it
    it.unplug()
    os.close(it.near)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.002)


async def test_every_byte_passes_untranslated_both_ways(wire: Wire):
    port = wire.open()
    every = bytes(range(256))
    os.write(wire.far, every)
    port.write(every)
    await settle()
    assert wire.received == every
    assert os.read(wire.far, 1000) == every
    port.close()
    assert wire.lost == []


async def test_what_lay_there_before_is_not_taken_for_an_answer(wire: Wire):
    os.write(wire.far, b"old")
    port = wire.open()
    os.write(wire.far, b"new")
    await settle()
    assert wire.received == b"new"
    port.close()


async def test_unplugging_is_told_once_and_clearly(wire: Wire):
    port = wire.open()
    wire.unplug()
    await settle()
    assert len(wire.lost) == 1
    assert wire.lost[0].startswith(f"{wire.path}: ")
    assert not port.is_open
    with pytest.raises(PortError, match="not open"):
        port.write(b"x")
    port.close()


async def test_a_port_in_use_is_refused(wire: Wire):
    port = wire.open()
    with pytest.raises(PortError, match=wire.path):
        wire.open()
    port.close()
    wire.open().close()


async def test_a_port_that_is_none(tmp_path: Path):
    with pytest.raises(PortError, match=r"kit: No such file or directory"):
        SerialPort(str(tmp_path / "kit"), 115_200, lambda _: None, lambda _: None)


async def test_a_line_that_takes_no_more_is_an_error_and_no_hang(wire: Wire):
    port = wire.open()

    def fill() -> None:
        for _ in range(100):
            port.write(bytes(1000))

    with pytest.raises(PortError, match=wire.path):
        fill()
    assert port.is_open
    port.close()
