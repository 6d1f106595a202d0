"""A virtual OpenBCI Cyton with its dongle: a pty that answers the board's letters with its texts, and streams packets.

BrainFlow's own driver of the Cyton accepts it (`tests/edge/test_brainflow.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from feldsher_signal import frame
from numpy.typing import NDArray

from feldsher_edge.devices import cyton_packet as cyton
from feldsher_edge.devices.impedance import CURRENT_A, PERIOD, SERIES_OHM
from feldsher_edge.simulate.patient import Source
from feldsher_edge.simulate.serial_device import Emit, Faults, VirtualSerial

RATE = 250
BANNER = (
    b"OpenBCI V3 8-16 channel\r\nOn Board ADS1299 Device ID: 0x%02X\r\n%sLIS3DH Device ID: 0x33\r\nFirmware: v%s\r\n$$$"
)
_DAISY = b"On Daisy ADS1299 Device ID: 0x3E\r\n"
_LENGTHS = {"x": 9, "z": 5, "~": 2, "/": 2}
_BUFFER_S = 60


class VirtualCyton(VirtualSerial):
    """A Cyton whose channels 1, 2 … see the leads `wired`; `ohms`: what lies between each channel's two electrodes.

    `firmware`: as it says, b"" for one before version 2; `amplifier`: its ADS1299's id; `on`: whether it is switched on
    (the dongle then answers for it).
    """

    def __init__(
        self,
        source: Source,
        link: Path,
        rng: random.Random,
        wired: Sequence[str] = frame.CHANNELS,
        *,
        pace: float = 1.0,
        faults: Faults | None = None,
        emit: Emit | None = None,
    ) -> None:
        super().__init__(link, rng, pace=pace, faults=faults, emit=emit)
        self.source = source
        self.ohms = [20_000.0] * cyton.CHANNELS
        self.firmware = b"3.1.2"
        self.amplifier = 0x3E
        self.daisy = False
        self.on = True
        self.heard = ""
        self.count = 0
        self._wired = tuple(wired)
        self._gains: list[int | None] = []
        self._testing: list[bool] = []
        self._pending = ""
        self._units: NDArray[np.int32] = np.zeros((cyton.CHANNELS, 1), dtype=np.int32)
        self.reset()

    @property
    def rate(self) -> float:
        """Samples per second."""
        return RATE

    @property
    def gains(self) -> tuple[int | None, ...]:
        """The gain of each channel, None where it is switched off."""
        return tuple(self._gains)

    @property
    def testing(self) -> bool:
        """Say whether the test current flows through any electrode."""
        return any(self._testing)

    def reset(self) -> None:
        """Be as after switching on: the gain is 24, whatever it was."""
        self._end_sampling()
        self._gains = [cyton.GAINS[-1]] * cyton.CHANNELS
        self._testing = [False] * cyton.CHANNELS
        self._pending = ""

    def _hear(self, data: bytes) -> None:
        for letter in data.decode("latin-1"):
            self.heard += letter
            if not self.faults.mute:
                self._letter(letter)

    def _letter(self, letter: str) -> None:
        if not self.on:
            self._say(b"Failure: Communications timeout - Device failed to poll Host")
            return
        self._pending += letter
        if len(self._pending) < _LENGTHS.get(self._pending[0], 1):
            return
        command, self._pending = self._pending, ""
        if command[0] in "xz":
            self._channel(command)
        elif command[0] == "~":
            self._say(b"Success: Sample rate is 250Hz" if command == "~6" else b"Sample rate is 250Hz")
        else:
            self._obey(command)

    def _obey(self, letter: str) -> None:
        actions: dict[str, Callable[[], None]] = {
            "v": self._reset_and_say,
            "d": self._defaults,
            "b": self._stream,
            "s": self._end_sampling,
            "c": self._without_daisy,
            "D": lambda: self._say(b"060110"),
            "V": lambda: self._say(b"v" + self.firmware),
        }
        if letter in actions:
            actions[letter]()

    def _say(self, text: bytes) -> None:
        """Answer; while it streams nothing is confirmed."""
        if not self.sampling:
            self._put(text + cyton.END)

    def _reset_and_say(self) -> None:
        self.reset()
        banner = BANNER % (self.amplifier, _DAISY if self.daisy else b"", self.firmware)
        self._put(banner if self.firmware else banner.replace(b"Firmware: v\r\n", b""))

    def _defaults(self) -> None:
        self._gains = [cyton.GAINS[-1]] * cyton.CHANNELS
        self._say(b"updating channel settings to default")

    def _without_daisy(self) -> None:
        if self.daisy:
            self.daisy = False
            self._say(b"daisy removed")

    def _channel(self, command: str) -> None:
        number = int(command[1]) if command[1] in "12345678" else 0
        of, last = (b"Channel", "X") if command[0] == "x" else (b"Lead off", "Z")
        if not number or command[-1] != last or not command[1:-1].isdecimal():
            self._say(b"Failure: too few chars")
            return
        if command[0] == "x":
            self._gains[number - 1] = None if command[2] == "1" else cyton.GAINS[int(command[3])]
        else:
            self._testing[number - 1] = command[2] == "1" or command[3] == "1"
        self._say(b"Success: %s set for %d" % (of, number))

    def _stream(self) -> None:
        if not self.sampling:
            self._units = self._seen(_BUFFER_S * RATE)
            self._begin_sampling(0)

    def _seen(self, n: int) -> NDArray[np.int32]:
        """Return what each channel's converter gives, int32 (8, n)."""
        out = np.zeros((cyton.CHANNELS, n), dtype=np.int32)
        heart: dict[float, NDArray[np.int32]] = {}  # by scale: all channels see the same stretch of it
        phase = np.cos(2 * np.pi * np.arange(n) / PERIOD)
        for channel, (lead, gain) in enumerate(zip(self._wired, self._gains, strict=False)):
            if gain is None or not lead:
                continue
            scale = cyton.uv_per_bit(gain)
            if scale not in heart:
                heart[scale] = self.source.units(n, RATE, scale)
            found = heart[scale][frame.CHANNELS.index(lead)].astype(np.float64)
            if self._testing[channel]:
                found += phase * CURRENT_A * (self.ohms[channel] + 2 * SERIES_OHM) * 1e6 / scale
            out[channel] = np.rint(np.clip(found, -cyton.FULL_SCALE - 1, cyton.FULL_SCALE)).astype(np.int32)
        return out

    def _frame(self, counter: int) -> bytes:
        channels = tuple(int(v) for v in self._units[:, counter % self._units.shape[1]])
        return cyton.Packet(counter % cyton.ROUND, channels).pack()
