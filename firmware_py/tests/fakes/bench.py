"""The whole firmware as a process on the real MicroPython: the model of the front end behind it, a line before it.

FOLDER keeps the flash, LINE is the kit's end of a pty, PACE the front end's seconds per second, SAMPLES a file of
8 × 32 bits (codes at gain 6, big-endian) per conversion, played in a ring. The process ends with exit code 3 where the
kit restarts. Commands come on standard input, one a line:

    off N          electrodes off (bits)        dead 0|1       the amplifier answers nothing
    host 0|1       the USB side's power         late N         the next N interrupts come as one
    hold N         press the button for N ms    hang           the task that looks at electrodes hangs
"""

import asyncio
import os
import struct
import sys
import time

import board
import ffi
import flash
import machine
import release
from front_end import FrontEnd, Source
from kit import app
from workbench import bench

F_SETFL = 4
O_NONBLOCK = 0o4000
MOST_AT_ONCE = 32
HASTE = 8
"""The patience of the watchdog and of those who watch tasks is so many times shorter here."""


class Played(Source):
    """Samples from a file, over and over."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")
        self._count = os.stat(path)[6] // 32

    def codes(self, index: int) -> tuple[int, ...]:
        """Return the inputs of a conversion."""
        self._file.seek(index % self._count * 32)
        return struct.unpack(">8i", self._file.read(32))


def open_line(path: str) -> object:
    """Open a terminal as machine.UART is: nothing waits. (The unix port's files do, unless told by fcntl.)"""
    stream = open(path, "r+b", buffering=0)
    ffi.open(None).func("i", "fcntl", "iii")(stream.fileno(), F_SETFL, O_NONBLOCK)
    return stream


def become(image: bytes) -> None:
    """Be the firmware that lies in the running slot: a mark in its first block says which."""
    at = image.find(b"feldsher kit firmware ")
    if at >= 0:
        words = image[at : image.find(b"\n", at)].decode().split()
        release.VERSION, release.SEQUENCE = words[3], int(words[5])
    if b"CRASHES" in image:
        machine.reset()
    if b"HAS NO AMPLIFIER" in image:
        FrontEnd.CHIP = 0


def release_key(path: str) -> bytes:
    """Return the key whose updates the kit takes; none where there is no such file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


class Table:
    """What happens around the kit: conversions when they are due, the dog, commands from the test."""

    def __init__(self, front_end: FrontEnd, kit: app.App) -> None:
        self._front_end = front_end
        self._kit = kit
        self._late = 0

    async def convert(self) -> None:
        """Convert what is due, and let the interrupt come for each: time slips where this process was not given any."""
        front_end = self._front_end
        while True:
            for _ in range(front_end.due(time.ticks_us(), MOST_AT_ONCE)):
                front_end.convert()
                if self._late and front_end.continuous:
                    self._late -= 1
                else:
                    bench.fall(board.DRDY)
            if bench.bitten():
                machine.reset(machine.WDT_RESET)
            await asyncio.sleep_ms(1)

    async def obey(self) -> None:
        """Do what the test says."""
        lines = asyncio.StreamReader(sys.stdin)
        while True:
            words = (await lines.readline()).decode().split()
            if not words:
                sys.exit(0)  # the test is gone
            number = int(words[1]) if len(words) > 1 else 0
            if words[0] == "off":
                self._front_end.off = number
            elif words[0] == "dead":
                self._front_end.dead = bool(number)
            elif words[0] == "host":
                bench.levels[board.HOST] = number
            elif words[0] == "late":
                self._late = number
            elif words[0] == "hang":
                self._kit.leads.look = asyncio.Event().wait  # a look that never ends
            elif words[0] == "hold":
                bench.levels[board.BUTTON] = 0
                await asyncio.sleep_ms(number)
                bench.levels[board.BUTTON] = 1


async def main(table: Table, it: app.App) -> None:
    """Run the kit and what is around it."""
    await asyncio.gather(table.convert(), table.obey(), it.run())


def start(arguments: list[str]) -> None:
    """Run it until it restarts."""
    folder, line, pace = arguments[:3]
    bench.folder = folder
    bench.stream = open_line(line)
    slot = flash.bootloader()
    first = bytearray(flash.BLOCK)
    flash.read(slot, 0, first)
    become(bytes(first))
    release.KEY = release_key(folder + "/key")
    model = FrontEnd(Played(arguments[3]) if len(arguments) > 3 else Source(), int(pace))
    bench.wire(model, board.SELECT, board.START, board.RESET)
    bench.haste = HASTE
    app.LIMIT_MS //= HASTE
    it = app.App(board.hardware())
    print("running", release.VERSION, release.SEQUENCE, slot)
    asyncio.run(main(Table(model, it), it))
