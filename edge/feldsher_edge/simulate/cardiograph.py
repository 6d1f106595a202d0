"""A virtual cardiograph: a pty that speaks the kit's protocol byte for byte at the pace of a real one.

Like a UART, and unlike a pty, it drops what the other side does not fetch in time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import tty
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from feldsher_signal import frame
from numpy.typing import NDArray

from feldsher_edge.simulate.patient import Source

TICK_S = 0.005
BURST = 64
"""Most frames at once (2.4 kB of the pty's 4 kB): where this process was not given the processor, its time slips; only
a gateway that does not read makes it lose."""
SERIAL = "SIM-0001"
FIRMWARE = "virtual 1.0"
VREF_UV = 2_400_000

Emit = Callable[[str, dict[str, object]], None]
"""Where a virtual device says what happened: event and fields."""


@dataclass(slots=True)
class Faults:
    """How the line and the kit misbehave. Chances are per frame of DATA.

    `lost_bytes`: a frame loses one byte; `bit_flips`: one bit of it changes; `lost_frames`: it never leaves the kit's
    ring; `mute`: commands are not answered; `unplug_after`, `fall_silent_after`, `stop_after`: samples of a recording
    after which the cable is pulled, nothing more is sent, or the kit ends by itself.
    """

    lost_bytes: float = 0.0
    bit_flips: float = 0.0
    lost_frames: float = 0.0
    mute: bool = False
    unplug_after: int | None = None
    fall_silent_after: int | None = None
    stop_after: int | None = None


class VirtualCardiograph:
    """A kit on a pty. `link` (a symbolic link) names its port for as long as it is plugged in.

    `pace`: device seconds per second; `rng`: for the faults.
    """

    def __init__(
        self,
        source: Source,
        link: Path,
        rng: random.Random,
        *,
        pace: float = 1.0,
        faults: Faults | None = None,
        emit: Emit | None = None,
    ) -> None:
        self.source = source
        self.link = link
        self.faults = faults or Faults()
        self.battery = 76
        self.off = 0
        self.sampling = False
        self.sent = 0
        self.lost = 0
        self.commands: list[int] = []
        self._rng = rng
        self._pace = pace
        self._emit = emit or _silent
        self._config = frame.Config()
        self._parser = frame.Parser()
        self._master = self._slave = -1
        self._samples: NDArray[np.int32] = np.zeros((len(frame.CHANNELS), 1), dtype=np.int32)
        self._counter = 0
        self._wanted = 0
        self._began_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> str:
        """The path by which a gateway opens it."""
        return str(self.link)

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

    def press_start(self, seconds: float) -> None:
        """Begin a recording by the kit's own button."""
        if not self.sampling:
            self._begin(round(seconds * self._config.rate))
            self._send(frame.EV_STATUS, 0, self._status().pack())

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EIO):
                return
            raise
        for kind, seq, payload in self._parser.feed(data):
            self.commands.append(kind)
            if not self.faults.mute:
                self._answer(kind, seq, payload)

    def _answer(self, kind: int, seq: int, payload: bytes) -> None:
        if kind == frame.CMD_ID:
            identity = frame.Identity(SERIAL, FIRMWARE, self._config.rate, self._config.gain, VREF_UV)
            self._send(frame.EV_ID, seq, identity.pack())
        elif kind == frame.CMD_LEAD_OFF:
            self._send(frame.EV_STATUS, seq, self._status().pack())
        else:
            try:
                result = self._obey(kind, payload)
            except frame.FrameError:
                result = frame.RESULT_BAD_PAYLOAD
            self._send(frame.EV_ACK, seq, frame.Ack(kind, result, self.sent, self.lost).pack())

    def _obey(self, kind: int, payload: bytes) -> int:
        if kind == frame.CMD_STOP:
            self._end_sampling()
            return frame.RESULT_OK
        if kind not in (frame.CMD_START, frame.CMD_CONFIG):
            return frame.RESULT_UNKNOWN
        if self.sampling:
            return frame.RESULT_BUSY
        if kind == frame.CMD_CONFIG:
            self._config = frame.parse_config(payload)
        else:
            self._begin(frame.parse_start(payload))
        return frame.RESULT_OK

    def _status(self) -> frame.Status:
        state = frame.STATE_SAMPLING if self.sampling else frame.STATE_IDLE
        off = self.off | self.source.off
        return frame.Status(state, off, self.battery, self.sent, self.lost, self._parser.bad_crc)

    def _begin(self, wanted: int) -> None:
        identity = frame.Identity(SERIAL, FIRMWARE, self._config.rate, self._config.gain, VREF_UV)
        n = wanted or 60 * self._config.rate
        self._samples = self.source.units(n, self._config.rate, identity.uv_per_bit())
        self.sampling, self._wanted = True, wanted
        self.sent = self.lost = self._counter = 0
        self._began_s = asyncio.get_running_loop().time()
        self._emit("recording", {"samples": wanted})
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """Send every sample that is due."""
        elapsed = asyncio.get_running_loop().time() - self._began_s
        due = min(int(elapsed * self._config.rate * self._pace), self._counter + BURST)
        if self._wanted:
            due = min(due, self._wanted)
        while self.sampling and self._counter < due:
            self._sample()
        if self.sampling and self._wanted and self._counter >= self._wanted:
            self._emit("last_sample", {"sent": self.sent, "lost": self.lost})
            self._end_sampling()
            self._send(frame.EV_STATUS, 0, self._status().pack())
        if self.sampling:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _sample(self) -> None:
        counter, self._counter = self._counter, self._counter + 1
        if counter == self.faults.unplug_after:
            self.unplug()
            return
        if counter == self.faults.stop_after:
            self._end_sampling()
            self._send(frame.EV_STATUS, 0, self._status().pack())
            return
        if self.faults.fall_silent_after is not None and counter >= self.faults.fall_silent_after:
            return
        if self._rng.random() < self.faults.lost_frames:
            self.lost += 1
            return
        channels = [int(v) for v in self._samples[:, counter % self._samples.shape[1]]]
        afe = frame.pack_afe(self.off | self.source.off, channels)
        self.sent += 1
        self._put(self._spoil(frame.frame(frame.EV_DATA, counter & 255, frame.pack_data(counter, afe))))

    def _spoil(self, data: bytes) -> bytes:
        if self._rng.random() < self.faults.lost_bytes:
            at = self._rng.randrange(len(data))
            data = data[:at] + data[at + 1 :]
        if self._rng.random() < self.faults.bit_flips:
            at = self._rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << self._rng.randrange(8)]) + data[at + 1 :]
        return data

    def _end_sampling(self) -> None:
        self.sampling = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self, kind: int, seq: int, payload: bytes) -> None:
        self._put(frame.frame(kind, seq, payload))

    def _put(self, data: bytes) -> None:
        """Write what fits; the rest is lost, as in a UART whose other side does not keep up."""
        if self._master >= 0:
            try:
                os.write(self._master, data)
            except BlockingIOError:
                return


def _silent(_event: str, _fields: dict[str, object]) -> None:
    return None
