"""What every virtual serial device is: a pty at the pace of a real line, with the faults of lines and devices.

Like a UART, and unlike a pty, it drops what the other side does not fetch in time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TICK_S = 0.005
BURST_BYTES = 2_400
"""Most at once, of the pty's 4 kB: where this process was not given the processor, its time slips; only a gateway that
does not read makes it lose."""

Emit = Callable[[str, dict[str, object]], None]
"""Where a virtual device says what happened: event and fields."""


@dataclass(slots=True)
class Faults:
    """How the line and the device misbehave. Chances are per sample.

    `lost_bytes`: its frame loses one byte; `bit_flips`: one bit of it changes; `lost_frames`: it never leaves the
    device; `mute`: commands are not answered; `unplug_after`, `fall_silent_after`, `stop_after`: samples of a recording
    after which the cable is pulled, nothing more is sent, or the device ends by itself; `stuck_after`: then the last
    one is sent again and again; `cut_out`: first sample and number of those that are lost together.
    """

    lost_bytes: float = 0.0
    bit_flips: float = 0.0
    lost_frames: float = 0.0
    mute: bool = False
    unplug_after: int | None = None
    fall_silent_after: int | None = None
    stop_after: int | None = None
    stuck_after: int | None = None
    cut_out: tuple[int, int] = (0, 0)


class VirtualSerial(ABC):
    """A device on a pty. `link` (a symbolic link) names its port for as long as it is plugged in.

    `pace`: device seconds per second; `rng`: for the faults.
    """

    def __init__(
        self,
        link: Path,
        rng: random.Random,
        *,
        pace: float = 1.0,
        faults: Faults | None = None,
        emit: Emit | None = None,
    ) -> None:
        self.link = link
        self.faults = faults or Faults()
        self.sampling = False
        self.sent = 0
        self.lost = 0
        self._rng = rng
        self._pace = pace
        self._emit = emit or _silent
        self._master = self._slave = -1
        self._counter = 0
        self._wanted = 0
        self._began_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.direct: Direct | None = None

    @property
    def at_s(self) -> float:
        """Seconds of its own time since it began to sample."""
        return self._counter / self.rate

    @property
    def port(self) -> str:
        """The path by which a gateway opens it."""
        return str(self.link)

    @property
    @abstractmethod
    def rate(self) -> float:
        """Samples per second."""

    @abstractmethod
    def _hear(self, data: bytes) -> None:
        """Take what the gateway says."""

    @abstractmethod
    def _frame(self, counter: int) -> bytes:
        """Return the bytes of a sample."""

    def _done(self) -> None:
        """Say that the wanted samples are sent, or that it has ended by itself."""
        self._emit("ended", {"sent": self.sent})

    def plug_in(self) -> None:
        """Appear as a serial port."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def unplug(self) -> None:
        """Disappear: whoever has the port open gets an error; a running recording ends."""
        if self._master >= 0:
            self._end_sampling()
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1
            self.link.unlink(missing_ok=True)
            self._emit("unplugged", {})

    def told(self, data: bytes) -> None:
        """Take what the gateway says without a line between."""
        self._hear(data)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EIO):
                return
            raise
        self._hear(data)

    def _begin_sampling(self, wanted: int) -> None:
        """Send samples, `wanted` of them, 0: until told to stop."""
        self._end_sampling()
        self.sampling, self._wanted = True, wanted
        self.sent = self.lost = self._counter = 0
        self._began_s = asyncio.get_running_loop().time()
        self._emit("recording", {"samples": wanted})
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _end_sampling(self) -> None:
        self.sampling = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        """Send every sample that is due."""
        elapsed = asyncio.get_running_loop().time() - self._began_s
        due = int(elapsed * self.rate * self._pace)
        if self._wanted:
            due = min(due, self._wanted)
        room = BURST_BYTES
        while self.sampling and self._counter < due and room > 0:
            room -= self._sample()
        if self.sampling and self._wanted and self._counter >= self._wanted:
            self._emit("last_sample", {"sent": self.sent, "lost": self.lost})
            self._end_sampling()
            self._done()
        if self.sampling:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _sample(self) -> int:
        """Send one sample, or do with it what the faults want; return how many bytes went out."""
        counter, self._counter = self._counter, self._counter + 1
        faults = self.faults
        if counter == faults.unplug_after:
            self.unplug()
            return 0
        if counter == faults.stop_after:
            self._end_sampling()
            self._done()
            return 0
        if faults.fall_silent_after is not None and counter >= faults.fall_silent_after:
            return 0
        if faults.stuck_after is not None:
            counter = min(counter, faults.stuck_after - 1)
        first, many = faults.cut_out
        if first <= counter < first + many or self._rng.random() < faults.lost_frames:
            self.lost += 1
            return 0
        self.sent += 1
        data = self._frame(counter)
        if data:  # some boards send several samples at once
            data = self._spoil(data)
            self._put(data)
        return len(data)

    def _spoil(self, data: bytes) -> bytes:
        if self._rng.random() < self.faults.lost_bytes:
            at = self._rng.randrange(len(data))
            data = data[:at] + data[at + 1 :]
        if self._rng.random() < self.faults.bit_flips:
            at = self._rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << self._rng.randrange(8)]) + data[at + 1 :]
        return data

    def _put(self, data: bytes) -> None:
        """Write what fits; the rest is lost, as in a UART whose other side does not keep up."""
        if self.direct is not None:
            self.direct.hear(data)
        elif self._master >= 0:
            try:
                os.write(self._master, data)
            except BlockingIOError:
                return


class Direct:
    """A port without a line, in the place of SerialPort: what the device sends is heard as it is sent.

    It is also the clock that belongs to it, the device's own: what arrives when does not depend on this machine.
    """

    def __init__(self, device: VirtualSerial) -> None:
        self.heard = 0
        self._device = device
        self._received: Callable[[bytes], None] | None = None

    def open(self, _path: str, _baud: int, received: Callable[[bytes], None], _lost: Callable[[str], None]) -> Direct:
        """Be the port of a session."""
        self._received = received
        self._device.direct = self
        return self

    def hear(self, data: bytes) -> None:
        """Hand over what the device sends."""
        if self._received is not None:
            self.heard += len(data)
            self._received(data)

    def write(self, data: bytes) -> None:
        """Tell the device something."""
        self._device.told(data)

    def close(self) -> None:
        """Be no session's port any more."""
        self._received = None
        self._device.direct = None

    def wall_us(self) -> int:
        """Return the device's time as the wall's."""
        return self.mono_ns() // 1000

    def mono_ns(self) -> int:
        """Return the device's time."""
        return round(self._device.at_s * 1e9)


def _silent(_event: str, _fields: dict[str, object]) -> None:
    return None
