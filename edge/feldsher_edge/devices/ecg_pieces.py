"""A belt's continuous ECG in pieces of ten seconds: samples at their own place by the belt's clock, holes left missing.

The belt stamps each frame with its own time. Its rate is not exactly the nominal one (±1 %) and drifts, so the period
is learned from the frames; what lies between two frames beyond it was lost. Wall time is the belt's time moved by the
smallest delay that a frame of the piece had on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import numpy as np
from feldsher_signal.record import MISSING

from feldsher_edge.ble import polar
from feldsher_edge.ble.polar import EcgFrame
from feldsher_edge.devices import EcgResult

PIECE_S = 10
NEW_STREAM_US = 600_000_000
"""After so long without a frame the next one begins another recording."""
_PERIOD_NS = 1e9 / polar.RATE
_TOLERANCE = 0.02
_LEARNING = 16
_LEAST_LOSS = 8
_RATIO_AFTER_US = 60_000_000


class Pieces:
    """Puts the frames of one belt together. `new_stream`: makes the id of a recording."""

    def __init__(self, device: str, new_stream: Callable[[], UUID]) -> None:
        self._device = device
        self._new_stream = new_stream
        self._stream = new_stream()
        self._part = 0
        self._period_ns = _PERIOD_NS
        self._last: tuple[int, int] | None = None
        self._first: tuple[int, int] | None = None
        self._begin(None)

    def _begin(self, first_ns: float | None) -> None:
        """Begin a piece whose first sample is of the belt's time `first_ns`, None: of the next frame's."""
        self._samples: list[int] = []
        self._lost = 0
        self._first_ns = first_ns
        self._offset_us: float | None = None

    def add(self, frame: EcgFrame, received_us: int) -> list[EcgResult]:
        """Take a frame in; return the pieces that are finished with it."""
        count = len(frame.samples)
        if not count:
            return []
        done: list[EcgResult] = []
        missing = self._missing(frame, received_us)
        if missing is None or missing > PIECE_S * polar.RATE:
            done += self.end("the belt sent nothing for a while" if missing else "the belt's clock was set")
            missing = 0
        if self._first_ns is None:
            self._begin(frame.last_ns - (count - 1) * self._period_ns)
            missing = 0
        self._samples += [int(MISSING)] * missing
        self._lost += missing
        self._samples += frame.samples
        offset_us = received_us - frame.last_ns / 1000
        self._offset_us = offset_us if self._offset_us is None else min(self._offset_us, offset_us)
        self._last = (frame.last_ns, received_us)
        self._first = self._first or self._last
        if len(self._samples) >= PIECE_S * polar.RATE:
            done += self.end(None)
            self._begin(frame.last_ns + self._period_ns)
        return done

    def _missing(self, frame: EcgFrame, received_us: int) -> int | None:
        """Return the samples lost before a frame, None where the belt's clock went back; learn the period."""
        if self._last is None or received_us - self._last[1] > NEW_STREAM_US:
            if self._last is not None:
                self._stream, self._part, self._first = self._new_stream(), 0, None
            return 0
        count, took_ns = len(frame.samples), frame.last_ns - self._last[0]
        if took_ns <= 0:
            return None
        missing = round(took_ns / self._period_ns) - count
        if missing >= _LEAST_LOSS:
            return missing
        if abs(took_ns / count / _PERIOD_NS - 1) < _TOLERANCE:
            self._period_ns += (took_ns / count - self._period_ns) / _LEARNING
        return 0

    def end(self, why: str | None) -> list[EcgResult]:
        """Return what is held as a piece, `why` it is a short one."""
        if self._first_ns is None or self._offset_us is None:
            self._begin(None)
            return []
        n = len(self._samples)
        piece = EcgResult(
            device=self._device,
            leads=("CHEST",),
            fs=float(polar.RATE),
            samples=np.array([self._samples], np.int32),
            uv_per_bit=(1.0,),
            started_us=round(self._first_ns / 1000 + self._offset_us),
            ended_us=round((self._first_ns + n * self._period_ns) / 1000 + self._offset_us),
            lost=self._lost,
            clock_ratio=self._ratio(),
            partial=why,
            stream=self._stream,
            part=self._part,
        )
        self._part += 1
        self._begin(None)
        return [piece]

    def _ratio(self) -> float | None:
        if self._first is None or self._last is None or self._last[1] - self._first[1] < _RATIO_AFTER_US:
            return None
        return (self._last[0] - self._first[0]) / 1000 / (self._last[1] - self._first[1])
