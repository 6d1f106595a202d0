"""A virtual BITalino (r)evolution: a pty that obeys its commands of one byte, and streams its frames."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from feldsher_signal import frame
from numpy.typing import NDArray

from feldsher_edge.devices import bitalino_frame as bitalino
from feldsher_edge.devices.bitalino_session import VCC_UV
from feldsher_edge.simulate.patient import Source
from feldsher_edge.simulate.serial_device import Emit, Faults, VirtualSerial

_BUFFER_S = 15


class VirtualBitalino(VirtualSerial):
    """A board whose channels A1, A2 … see the leads `wired` through sensors of the gain `gain`.

    `version`: of its firmware; `battery`: what its converter reads.
    """

    def __init__(
        self,
        source: Source,
        link: Path,
        rng: random.Random,
        wired: Sequence[str] = ("II",),
        *,
        gain: float = 1100.0,
        version: tuple[int, int] = (5, 1),
        pace: float = 1.0,
        faults: Faults | None = None,
        emit: Emit | None = None,
    ) -> None:
        super().__init__(link, rng, pace=pace, faults=faults, emit=emit)
        self.source = source
        self.battery = 604
        self.threshold = 0
        self.commands = b""
        self._version = version
        self._gain = gain
        self._wired = tuple(wired)
        self._rate = 1000
        self._units: NDArray[np.int32] = np.zeros((1, 1), dtype=np.int32)
        self._hearts: dict[float, NDArray[np.int32]] = {}

    @property
    def rate(self) -> float:
        """Samples per second, as commanded."""
        return self._rate

    def _hear(self, data: bytes) -> None:
        self.commands += data
        for byte in data:
            if not self.faults.mute:
                self._obey(byte)

    def _obey(self, byte: int) -> None:
        if self.sampling:
            if byte == bitalino.STOP[0]:
                self._end_sampling()
        elif byte == bitalino.VERSION[0]:
            self._put(b"BITalino_v%d.%d\n" % self._version)
        elif byte == bitalino.STATE[0]:
            state = bitalino.State((512,) * bitalino.CHANNELS, self.battery, self.threshold)
            self._put(state.pack(spare=self._version >= (5, 2)))
        elif byte & 0x3F == 0x03:
            if self._rate != bitalino.RATES[byte >> 6]:
                self._rate = bitalino.RATES[byte >> 6]
                self._prepare()
        elif byte & 0x03 == 0x01:
            self._stream([n for n in range(bitalino.CHANNELS) if byte >> n + 2 & 1])
        elif byte & 0x03 == 0x00:
            self.threshold = byte >> 2

    def plug_in(self) -> None:
        """Appear as a serial port; the heart is made before anybody waits for its samples."""
        self._prepare()
        super().plug_in()

    def _prepare(self) -> None:
        """Make the heart as channels of either width see it: the same stretch of it for all."""
        scales = [VCC_UV / self._gain / 2 ** bitalino.bits(place) for place in range(bitalino.CHANNELS)]
        n = _BUFFER_S * self._rate
        self._hearts = {scale: self.source.units(n, self._rate, scale) for scale in dict.fromkeys(scales)}

    def _stream(self, chosen: list[int]) -> None:
        rows: list[NDArray[np.int32]] = []
        for place, channel in enumerate(chosen):
            lead = self._wired[channel] if channel < len(self._wired) else ""
            middle = bitalino.middle(place)
            heart = self._hearts[VCC_UV / self._gain / 2 ** bitalino.bits(place)]
            seen = heart[frame.CHANNELS.index(lead)] if lead else np.zeros(heart.shape[1], dtype=np.int32)
            rows.append(np.clip(seen + middle, 0, 2 * middle - 1).astype(np.int32))
        self._units = np.stack(rows)
        self._begin_sampling(0)

    def _frame(self, counter: int) -> bytes:
        channels = tuple(int(value) for value in self._units[:, counter % self._units.shape[1]])
        return bitalino.Frame(counter % bitalino.ROUND, channels).pack()
