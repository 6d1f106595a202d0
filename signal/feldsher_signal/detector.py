"""The QRS complexes of leads fed in chunks of any size, or of a whole recording: the same ones however they are cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import clarity, envelope, leads, order, qrs

LEARN_S = 8
"""Seconds of candidates that set the first signal level."""
SHAPE_S = 0.07
"""The slopes within so much of a beat's middle, and some more for comparing at shifts, are its shape."""


def _first_levels(at: NDArray[np.int64], height: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Return the memory that the first LEARN_S seconds suggest: the median of each second's highest candidate."""
    highest: dict[int, float] = {}
    for step, h in zip(at.tolist(), height.tolist(), strict=True):
        second = int(step // rate)
        if second < LEARN_S:
            highest[second] = max(h, highest.get(second, 0.0))
    level = order.median(np.array([*highest.values()])) if highest else 0.0
    mem = np.empty((3, qrs.MEMORY + 1))
    mem[qrs.SIGNAL], mem[qrs.NOISE], mem[qrs.RR] = level, 0.1 * level, 0.8 * rate
    return mem


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """Detections in order: `at` about where (samples), height (amplitude), shape (beats, leads, slopes).

    `peaks`: about where every candidate is up to the last detection, `heights` theirs; `settled`: no detection before
    this sample will follow.
    """

    at: NDArray[np.int64]
    height: NDArray[np.float64]
    shape: NDArray[np.float32]
    peaks: NDArray[np.int64]
    heights: NDArray[np.float64]
    settled: int

    @property
    def evidence(self) -> tuple[Ints, Floats, NDArray[np.float32], Ints, Floats]:
        """What clarity.unclear judges by."""
        return self.at, self.height, self.shape, self.peaks, self.heights


def joined(found: list[Found]) -> Found:
    """Return what a detector has found, chunk by chunk, as one."""
    return Found(
        np.concatenate([f.at for f in found]),
        np.concatenate([f.height for f in found]),
        np.concatenate([f.shape for f in found]),
        np.concatenate([f.peaks for f in found]),
        np.concatenate([f.heights for f in found]),
        found[-1].settled,
    )


class Detector:
    """Finds the QRS complexes of leads fed in chunks of any size, the same ones however they are cut.

    It learns from the first LEARN_S seconds before it answers; a beat is final once the next is found, or after 0.5 s.
    """

    def __init__(self, count: int, fs: float) -> None:
        self._fs, self._envelope = fs, envelope.Envelope(count, fs)
        rate = self._rate = self._envelope.rate
        self._steps = max(round(fs), 2) / self._envelope.step
        self._width, self._hold = max(round(leads.WINDOW_S * rate), 1), round(qrs.HOLD_S * rate)
        self._every, self._opening = round(leads.WEIGH_S * rate), round(LEARN_S * rate)
        self._half, self._lag = round(SHAPE_S * rate) + clarity.SHIFTS, round(0.5 * leads.WINDOW_S * rate)
        self._keep = round((qrs.SEARCH_BACK_S + 2.0) * rate)
        self._pieces, self._state = np.zeros((count, leads.PIECES)), np.zeros((2, count))
        self._weighed, self._ring = np.zeros(2), np.zeros((count, self._width))
        self._sums, self._s, self._judged = np.zeros(count), np.zeros(qrs.PEAK_STATE), np.zeros(qrs.JUDGE_STATE)
        self._mem: NDArray[np.float64] | None = None
        self._slope, self._base, self._done = np.zeros((count, 0), np.float32), 0, 0
        self._on, self._second = np.ones((0, count), np.bool_), 0
        self._at, self._height, self._next = np.empty(0, np.int64), np.empty(0), 0
        self._last: int = -1
        self._given, self._told, self._settled = False, 0, 0

    def feed(self, x: NDArray[np.float32], on: NDArray[np.bool_]) -> Found:
        """Take whole seconds of µV (leads, n), NaN where missing, and by second which leads count; return new beats."""
        self._on = np.concatenate([self._on, on])
        self._slope = np.concatenate([self._slope, self._envelope.feed(x)], axis=1)
        return self._advance(False)

    def finish(self, x: NDArray[np.float32], on: NDArray[np.bool_]) -> Found:
        """Take the rest, or nothing; return the last beats."""
        self._on = np.concatenate([self._on, on])
        tail = delay(self._fs) + round((qrs.HOLD_S + 0.06) * self._fs)
        after = np.repeat(x[:, -1:], tail, axis=1) if x.shape[1] else np.full((x.shape[0], tail), np.nan, np.float32)
        new = [self._envelope.feed(x), self._envelope.feed(after)]
        self._slope = np.concatenate([self._slope, *new], axis=1)
        return self._advance(True)

    def _advance(self, last: bool) -> Found:
        end, learned = self._base + self._slope.shape[1], self._opening + self._hold + 1
        if self._mem is None and (last or end >= learned):
            if self._slope.shape[0] > 1:
                steps = min(end, self._opening)
                leads.learn(self._slope, steps, self._width, self._pieces, self._state, self._weighed)
            self._seek(min(end, learned))
            self._mem = _first_levels(self._at, self._height, self._rate)
        if self._mem is not None:
            self._seek(end)
            return self._decide(self._mem, last)
        return self._found(np.empty(0, np.int64), 0)

    def _seek(self, end: int) -> None:
        """Find the candidates up to step `end`."""
        a, b = self._done - self._base, end - self._base
        at, height = np.empty(b - a, np.int64), np.empty(b - a)
        count = qrs.candidates(
            *(self._slope, a, b, self._on, self._steps, self._second, self._pieces, self._state, self._weighed),
            *(self._ring, self._sums, self._s, self._every, self._hold, at, height),
        )
        self._at, self._height = (
            np.concatenate([self._at, at[:count]]),
            np.concatenate([self._height, height[:count]]),
        )
        self._done = end

    def _decide(self, mem: NDArray[np.float64], last: bool) -> Found:
        """Judge the candidates that wait; return the beats that are final."""
        s, out = self._judged, np.empty(self._at.shape[0] + 2, np.int64)
        s[qrs.FOUND] = 0.0
        if self._last >= 0:
            out[0], s[qrs.FOUND] = self._last, 1.0
        count = qrs.judge(self._at, self._height, self._next, self._rate, mem, s, out)
        self._next = self._at.shape[0]
        final = count
        if count and not last and self._done - s[qrs.LAST_AT] <= (qrs.P_WAVE_S + qrs.HOLD_S + 0.05) * self._rate:
            final -= 1
        first = 1 if self._last >= 0 and self._given else 0
        found = self._found(out[first:final].copy(), int(out[final - 1]) + 1 if final else 0)
        if count:
            self._last, self._given = int(out[count - 1]), final == count
        self._forget()
        return found

    def _found(self, number: NDArray[np.int64], until: int) -> Found:
        """Return candidates as detections, and all candidates before number `until` that were not returned yet."""
        at, told = self._at[number], slice(self._told, max(until, self._told))
        self._told = told.stop
        shape = np.zeros((number.shape[0], self._slope.shape[0], 2 * self._half + 1), np.float32)
        qrs.shapes(self._slope, at - self._lag - self._half - self._base, shape)
        self._settled = max(self._settled, self._done - self._keep, int(at[-1]) if at.shape[0] else 0)
        return Found(
            self._samples(at),
            self._height[number],
            shape,
            self._samples(self._at[told]),
            self._height[told],
            int(self._samples(np.array([self._settled]))[0]),
        )

    def _samples(self, step: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.maximum(step * self._envelope.step + self._envelope.step // 2 - delay(self._fs), 0)

    def _forget(self) -> None:
        """Drop what no later answer can need."""
        least = self._done - self._keep
        gone = min(int(np.searchsorted(self._at, least)), self._told, max(self._last, 0))
        self._at, self._height = self._at[gone:], self._height[gone:]
        self._next -= gone
        self._told -= gone
        self._last -= gone if self._last >= 0 else 0
        self._judged[qrs.PENDING] = max(self._judged[qrs.PENDING] - gone, 0.0)
        cut = max(least - round(self._rate) - self._base, 0)
        self._slope, self._base = self._slope[:, cut:], self._base + cut
        seconds = max(min(int(self._done / self._steps) - 1 - self._second, self._on.shape[0] - 1), 0)
        self._on, self._second = self._on[seconds:], self._second + seconds


def delay(fs: float) -> int:
    """Return by how many samples the energy's peak follows the middle of the QRS: half the window and the band-pass."""
    return round((0.5 * leads.WINDOW_S + envelope.DELAY_S) * fs)


def find(x: NDArray[np.float32], fs: float, lead_on: NDArray[np.bool_]) -> Found:
    """Return the QRS complexes of a whole recording in µV (leads, n) from the leads that are on."""
    chosen = x if lead_on.all() else x[lead_on]
    return Detector(chosen.shape[0], fs).finish(chosen, np.ones((1, chosen.shape[0]), np.bool_))


def detect(x: NDArray[np.float32], fs: float, lead_on: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return about where the QRS complexes are (±50 ms) in µV (leads, n), from the leads that are on."""
    if x.shape[1] < 2 or not lead_on.any():
        return np.empty(0, np.int64)
    return np.minimum(find(x, fs, lead_on).at, x.shape[1] - 1)
