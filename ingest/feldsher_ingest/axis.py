"""The samples of a continuous ECG in one row: where each of its pieces lies, what is missing between them, and when.

A piece says when it began by the gateway's clock, which hears of samples late by tens of milliseconds, now more, now
less. Pieces that continue each other are therefore laid end to end by counting, and only where the recording was
interrupted does the clock say how much is missing. The device's own rate is what its pieces' lengths say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

JITTER_US = 1_000_000
"""Pieces of one count whose times differ by less continue each other: what a radio delays, with room."""
SAME_RATE = 1e-4
"""A rate that differs from the nominal one by less is the nominal one."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    """Return an aware time as microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Return microseconds since 1970 as a time, UTC."""
    return _EPOCH + timedelta(microseconds=us)


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece as the store has it: its number, best known time and duration, samples, and whether it breaks off."""

    part: int
    start_us: int
    span_us: int
    n: int
    broken: bool


@dataclass(frozen=True, slots=True)
class Axis:
    """Where pieces lie. `rate`: true samples per second; of each piece `part`, `first` sample, `n`, `start_us`.

    Samples count from the first piece on; `total` of them there are, with what is missing in between.
    """

    rate: float
    part: NDArray[np.int64]
    first: NDArray[np.int64]
    n: NDArray[np.int64]
    start_us: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Samples from the first to the last, missing ones included."""
        return int(self.first[-1] + self.n[-1]) if self.first.size else 0

    def time_us(self, sample: int) -> int:
        """Return when a sample was taken, microseconds since 1970: counted from its piece, or from the one before."""
        k = max(int(np.searchsorted(self.first, sample, side="right")) - 1, 0)
        return int(self.start_us[k]) + round((sample - int(self.first[k])) / self.rate * 1e6)

    def sample(self, at_us: int) -> int:
        """Return the first sample at or after a time, counted on before the first piece and after the last one.

        ValueError where there is no piece.
        """
        if not self.first.size:
            raise ValueError("axis: there is no piece")
        k = max(int(np.flatnonzero(self.start_us <= at_us)[-1:].sum()), 0)
        ahead = math.ceil((at_us - int(self.start_us[k])) * self.rate / 1e6 - 1e-6)
        found = int(self.first[k]) + ahead
        return min(found, int(self.first[k + 1])) if k + 1 < self.first.size else found

    def within(self, start: int, stop: int) -> slice:
        """Return which pieces have samples from `start` to before `stop`."""
        begin = int(np.searchsorted(self.first + self.n, start, side="right"))
        return slice(begin, max(begin, int(np.searchsorted(self.first, stop, side="left"))))


def lay(pieces: Sequence[Piece], fs: float) -> Axis:
    """Return the axis of pieces in order of their numbers (each once); `fs`: nominal samples per second."""
    rows = [(p.part, p.start_us, p.span_us, p.n, p.broken) for p in pieces]
    return laid(np.array(rows, np.int64).reshape(-1, 5), fs)


def laid(pieces: NDArray[np.int64], fs: float) -> Axis:
    """Return the axis of pieces (pieces, 5) in order of their numbers: the fields of Piece; `fs`: nominal rate."""
    part, start, span, n = (np.ascontiguousarray(column) for column in pieces.T[:4])
    broken = pieces[:, 4] != 0
    rate = true_rate(int(n.sum()), int(span.sum()), fs)
    if not part.size:
        return Axis(rate, part, n, n, start)
    between = start[1:] - (start + span)[:-1]
    follows = (part[1:] == part[:-1] + 1) & ~broken[:-1] & (between < JITTER_US)
    missing = np.where(follows, 0, np.maximum(np.rint(between * rate / 1e6), 0)).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(n[:-1] + missing)])
    return Axis(rate, part, first, n, start)


def true_rate(n: int, span_us: int, fs: float) -> float:
    """Return samples per second of `n` samples that took so long; the nominal rate where that is nearly it."""
    if n < 1 or span_us < 1:
        return fs
    rate = n / span_us * 1e6
    return fs if abs(rate / fs - 1) < SAME_RATE else rate
