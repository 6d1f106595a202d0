"""A virtual board of ProtoCentral's: it sends OpenView's packets from the moment it is plugged in."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import numpy as np
from feldsher_signal import frame
from numpy.typing import NDArray

from feldsher_edge.devices.openview_packet import KINDS, Board, Sample, Vitals, encode
from feldsher_edge.simulate.patient import Source
from feldsher_edge.simulate.serial_device import Emit, Faults, VirtualSerial

BATCH = 8
LOOP_S = 40


class VirtualOpenView(VirtualSerial):
    """A board whose electrodes see `lead`; `uv_per_bit`: of its firmware; `batches`: eight samples a packet.

    `vitals`: what it says beside the ECG; `off`: an electrode is off (of the boards that tell).
    """

    def __init__(
        self,
        source: Source,
        link: Path,
        rng: random.Random,
        board: Board = "healthypi4",
        lead: str = "II",
        *,
        uv_per_bit: float = 0.1,
        batches: bool = False,
        pace: float = 1.0,
        faults: Faults | None = None,
        emit: Emit | None = None,
    ) -> None:
        super().__init__(link, rng, pace=pace, faults=faults, emit=emit)
        self.vitals = Vitals(97, 72, 16, Decimal("33.40"))
        self.off = False
        self._board: Board = board
        self._batches = batches
        scale = KINDS[board].uv_per_bit or uv_per_bit
        heard = source.units(LOOP_S * int(self.rate), self.rate, scale)[frame.CHANNELS.index(lead)]
        narrow = board != "healthypi5"
        self._units: NDArray[np.int32] = np.clip(heard, -(2**15), 2**15 - 1) if narrow else heard

    @property
    def rate(self) -> float:
        """Samples per second."""
        return KINDS[self._board].fs

    def plug_in(self) -> None:
        """Appear as a serial port, and stream at once."""
        super().plug_in()
        self._begin_sampling(0)

    def _hear(self, data: bytes) -> None:
        """Ignore what is said: these boards have nothing to configure."""

    def _frame(self, counter: int) -> bytes:
        if not self._batches:
            return encode(self._board, 2, Sample(self._ecg(counter, 1), off=self.off, vitals=self.vitals))
        if counter % BATCH != BATCH - 1:
            return b""
        first = counter - BATCH + 1
        waves = encode(self._board, 3, Sample(self._ecg(first, BATCH), vitals=self.vitals))
        return waves + encode(self._board, 4, Sample(vitals=self.vitals)) if first % (2 * BATCH) else waves

    def _ecg(self, first: int, n: int) -> tuple[int, ...]:
        return tuple(int(self._units[k % self._units.size]) for k in range(first, first + n))
