"""The kit's firmware as a process under the real MicroPython, on a cable that can be pulled, bent and cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tty
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from feldsher_edge.devices import kit_line
from feldsher_tools.place import ROOT

FIRMWARE = ROOT / "firmware_py"
RESTARTS = 3
CHUNK = 2048
HEAP = "1m"
"""Enough to compile the sources as well, which are frozen on a kit: test_budget.py says what it really needs."""


class Cable:
    """Two ptys and what carries bytes between them: the kit's end stays, the gateway's end (`port`) can be pulled.

    `flips`, `losses`: chance per piece that a bit of it changes, or a byte of it is lost, on the way to the gateway.
    """

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.link = folder / "kit"
        self.flips = 0.0
        self.losses = 0.0
        self.carried = 0
        self._rng = random.Random(seed)  # noqa: S311 - faults
        self._kit, self._kit_end = _pty()
        self.kit_path = os.ttyname(self._kit_end)
        self._gateway = self._gateway_end = -1

    @property
    def port(self) -> str:
        """The path by which a gateway opens the kit."""
        return str(self.link)

    def plug_in(self) -> None:
        """Connect a gateway's end."""
        self._gateway, self._gateway_end = _pty()
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._gateway_end))
        loop = asyncio.get_running_loop()
        loop.add_reader(self._gateway, self._to_kit)
        loop.add_reader(self._kit, self._to_gateway)

    def unplug(self) -> None:
        """Pull it: whoever has the port open gets an error, and nobody takes what the kit sends."""
        if self._gateway < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._gateway)
        loop.remove_reader(self._kit)
        os.close(self._gateway)
        os.close(self._gateway_end)
        self._gateway = self._gateway_end = -1
        self.link.unlink(missing_ok=True)

    def noise(self, data: bytes) -> None:
        """Let bytes reach the kit that no gateway sent."""
        os.write(self._kit, data)

    def close(self) -> None:
        """Let everything go."""
        self.unplug()
        os.close(self._kit)
        os.close(self._kit_end)

    def _to_kit(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._kit, os.read(self._gateway, CHUNK))

    def _to_gateway(self) -> None:
        with contextlib.suppress(OSError):
            data = os.read(self._kit, CHUNK)
            self.carried += len(data)
            os.write(self._gateway, self._bent(data))

    def _bent(self, data: bytes) -> bytes:
        if self._rng.random() < self.losses:
            at = self._rng.randrange(len(data))
            data = data[:at] + data[at + 1 :]
        if self._rng.random() < self.flips and data:
            at = self._rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << self._rng.randrange(8)]) + data[at + 1 :]
        return data


def _pty() -> tuple[int, int]:
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


class KitProcess:
    """The kit: it is started again whenever it restarts. `said`: what it printed, one line per start first."""

    def __init__(self, micropython: str, folder: Path, cable: Cable, pace: int, samples: Path | None) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.starts = 0
        self.exit_code: int | None = None
        self._command = [micropython, "-X", f"heapsize={HEAP}", str(FIRMWARE / "tests" / "start.py")]
        self._command += [str(folder), cable.kit_path, str(pace), *([str(samples)] if samples else [])]
        self._process: asyncio.subprocess.Process | None = None
        self._power_cut = False

    async def run(self) -> None:
        """Run it until it ends other than by a restart."""
        while True:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
            )
            self._process = process
            assert process.stdout is not None
            async for line in process.stdout:
                self.said.append(line.decode().rstrip())
                self.starts += line.startswith(b"running ")
            code = await process.wait()
            if self._power_cut:
                self._power_cut = False
                for name in ("rtc", "cause"):
                    (self.folder / name).unlink(missing_ok=True)
            elif code != RESTARTS:
                self.exit_code = code
                return

    def say(self, command: str) -> None:
        """Tell the workbench something (firmware_py/tests/fakes/bench.py lists what)."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")

    def cut_power(self) -> None:
        """Take its power: it starts anew, with nothing but its flash."""
        assert self._process is not None
        self._power_cut = True
        self._process.kill()

    async def end(self) -> None:
        """End it for good."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def running_kit(
    micropython: str, folder: Path, *, pace: int = 1, samples: Path | None = None
) -> AsyncGenerator[tuple[KitProcess, Cable]]:
    """Run a kit on a cable that is plugged in, and be patient: it is a process that may wait for the processor."""
    flash = folder / "flash"
    flash.mkdir(exist_ok=True)
    cable = Cable(folder)
    cable.plug_in()
    kit = KitProcess(micropython, flash, cable, pace, samples)
    running = asyncio.create_task(kit.run())
    patience = pytest.MonkeyPatch()
    patience.setattr(kit_line, "ANSWER_S", 1.0)
    patience.setattr(kit_line, "QUIET_S", 0.5)
    try:
        await until(lambda: kit.starts, running, kit)
        yield kit, cable
    finally:
        patience.undo()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await kit.end()
        cable.close()


async def until(condition: object, running: asyncio.Task[None], kit: KitProcess, seconds: float = 60.0) -> None:
    """Wait for a condition while the kit lives."""
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            assert not running.done(), kit.said
            await asyncio.sleep(0.005)
