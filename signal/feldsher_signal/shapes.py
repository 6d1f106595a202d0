"""The shape of every beat of a long recording in a few numbers, grouped by likeness as the beats come.

A shape is the beat's stretch of each lead in means over a few samples, so that a hundred thousand beats cost
milliseconds; groups live on from piece to piece of a recording.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import contour, delineate
from feldsher_signal.jit import inner, kernel

BEFORE_S, AFTER_S, STEP_S = 0.10, 0.16, 0.011
"""The piece of a beat whose shape is compared (as in beats.py), and what one number of it is the mean of."""
LIKE, SURE = 0.90, 0.97
"""Correlation from which two complexes are of one group (as in beats.py), and from which none better is sought."""
GROUPS = 128
MEAN_BEFORE_S, MEAN_AFTER_S, MEAN_BEATS = 0.35, 0.55, 64
"""A group's mean beat: its first so many beats around the R peak."""
P_BACK_S, P_GAP_S, P_STEP_S, NEIGHBOURS = 0.26, 0.016, 0.008, 8
"""The stretch before the QRS in which P waves repeat (as in presence.py), beats compared with on each side."""
USUAL_ONSET_S = 0.05
"""From QRS onset to the R peak where a group's own mean beat could not be measured."""


@kernel("void(f4[:,::1], b1[::1], i8[::1], i8[::1], i8, f4[:,::1])", fast=True)
def rows(
    x: NDArray[np.float32],
    lead_on: NDArray[np.bool_],
    r: NDArray[np.int64],
    before: NDArray[np.int64],
    step: int,
    out: NDArray[np.float32],
) -> None:
    """Write each beat's stretch from r − before on, in means over `step` samples, lead after lead without its mean.

    `out`: (beats, leads · points); leads that are off and stretches that leave the signal are 0.
    """
    points = out.shape[1] // x.shape[0]
    for k in range(r.shape[0]):
        first = r[k] - before[k]
        inside = first >= 0 and first + points * step <= x.shape[1]
        for lead in range(x.shape[0]):
            at, total = lead * points, 0.0
            for i in range(points):
                value = 0.0
                if inside and lead_on[lead]:
                    for j in range(first + i * step, first + (i + 1) * step):
                        value += x[lead, j]
                out[k, at + i] = value / step
                total += value / step
            for i in range(points):
                out[k, at + i] -= total / points


@kernel("i8(f4[:,::1], f4[:,::1], i8[::1], i8, i8[::1])", fast=True)
def join(
    shape: NDArray[np.float32],
    leaders: NDArray[np.float32],
    size: NDArray[np.int64],
    count: int,
    label: NDArray[np.int64],
) -> int:
    """Write each beat's group and draw the group's leader to it; begin new groups; return how many there are now.

    `leaders` (GROUPS, length): the mean of unit shapes; a new group takes a free place while there is one.
    """
    length = shape.shape[1]
    unit = np.empty(length, np.float32)
    for k in range(shape.shape[0]):
        total = 0.0
        for i in range(length):
            total += shape[k, i] * shape[k, i]
        part = 1.0 / math.sqrt(total) if total > 0 else 0.0
        for i in range(length):
            unit[i] = shape[k, i] * part
        best, best_at = -2.0, 0
        for g in range(count):
            both, own = 0.0, 0.0
            for i in range(length):
                both += unit[i] * leaders[g, i]
                own += leaders[g, i] * leaders[g, i]
            like = both / math.sqrt(own) if own > 0 else 0.0
            if like > best:
                best, best_at = like, g
                if like > SURE:
                    break
        if best < LIKE and count < leaders.shape[0]:
            leaders[count], size[count] = unit, 0
            best_at = count
            count += 1
        else:
            weight = 1.0 / min(size[best_at] + 1, 32)
            for i in range(length):
                leaders[best_at, i] += weight * (unit[i] - leaders[best_at, i])
        size[best_at] += 1
        label[k] = best_at
    return count


@kernel("void(f4[:,::1], i8[::1], i8[::1], i8, f8[:,:,::1], i8[::1])")
def gather(
    x: NDArray[np.float32],
    r: NDArray[np.int64],
    label: NDArray[np.int64],
    before: int,
    total: NDArray[np.float64],
    count: NDArray[np.int64],
) -> None:
    """Add each group's first MEAN_BEATS beats up, from r − before on: total (groups, leads, width), count (groups)."""
    width = total.shape[2]
    for k in range(r.shape[0]):
        g, first = label[k], r[k] - before
        if count[g] >= MEAN_BEATS or first < 0 or first + width > x.shape[1]:
            continue
        count[g] += 1
        for lead in range(x.shape[0]):
            for i in range(width):
                total[g, lead, i] += x[lead, first + i]


@inner
def _level(x: NDArray[np.float32]) -> None:
    """Take the slope out of a stretch without mean."""
    n, moment = x.shape[0], 0.0
    for i in range(n):
        moment += x[i] * (i - 0.5 * (n - 1))
    tilt = moment * 12.0 / (n * (n * n - 1.0))
    for i in range(n):
        x[i] -= tilt * (i - 0.5 * (n - 1))


@kernel("void(f4[:,::1], b1[::1], i8, f4[::1])", fast=True)
def repeats(shape: NDArray[np.float32], fit: NDArray[np.bool_], points: int, out: NDArray[np.float32]) -> None:
    """Write each beat's correlation with the sum of its fit neighbours' stretches, every lead's line taken out first.

    `shape` (beats, leads · points) is changed; a beat without neighbours or without a stretch gets 0.
    """
    beats, length = shape.shape
    for k in range(beats):
        for at in range(0, length, points):
            _level(shape[k, at : at + points])
    total = np.zeros(length)
    for k in range(-NEIGHBOURS, beats):
        new, old = k + NEIGHBOURS, k - NEIGHBOURS - 1
        for i in range(length):
            if new < beats and fit[new]:
                total[i] += shape[new, i]
            if old >= 0 and fit[old]:
                total[i] -= shape[old, i]
        if k < 0:
            continue
        own, other, both = 0.0, 0.0, 0.0
        for i in range(length):
            rest = total[i] - (shape[k, i] if fit[k] else 0.0)
            own += shape[k, i] * shape[k, i]
            other += rest * rest
            both += shape[k, i] * rest
        out[k] = both / math.sqrt(own * other) if own > 1e-6 and other > 1e-6 else 0.0


class Groups:
    """The groups of one recording: leaders, mean beats, and from those QRS onset (samples before R) and width (ms)."""

    def __init__(self, leads: int, fs: float) -> None:
        """Begin without any."""
        self.fs, self.leads = fs, leads
        self.step = max(round(STEP_S * fs), 1)
        self.points = max(round((BEFORE_S + AFTER_S) * fs) // self.step, 4)
        self.leaders = np.zeros((GROUPS, leads * self.points), np.float32)
        self.size, self.summed = np.zeros(GROUPS, np.int64), np.zeros(GROUPS, np.int64)
        self.before = round(MEAN_BEFORE_S * fs)
        self.total = np.zeros((GROUPS, leads, self.before + round(MEAN_AFTER_S * fs)))
        self.onset = np.full(GROUPS, round(USUAL_ONSET_S * fs), np.int64)
        self.width = np.full(GROUPS, np.nan)
        self.count = 0
        self._measured = np.zeros(GROUPS, np.int64)

    def add(self, x: NDArray[np.float32], lead_on: NDArray[np.bool_], r: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return each beat's group in µV x (leads, n) and learn from it."""
        shape = np.empty((r.shape[0], self.leaders.shape[1]), np.float32)
        before = np.zeros(r.shape[0], np.int64) + round(BEFORE_S * self.fs)
        rows(x, lead_on, r, before, self.step, shape)
        label = np.empty(r.shape[0], np.int64)
        self.count = join(shape, self.leaders, self.size, self.count, label)
        gather(x, r, label, self.before, self.total, self.summed)
        for g in range(self.count):
            # Measured at the third beat, and again when the mean is complete.
            if self.summed[g] > self._measured[g] and (self._measured[g] == 0 or self.summed[g] == MEAN_BEATS):
                self._measure(g, lead_on)
        return label

    def _measure(self, g: int, lead_on: NDArray[np.bool_]) -> None:
        if self.summed[g] < 3:
            return
        mean = np.ascontiguousarray(self.total[g] / self.summed[g], np.float32)
        at = np.array([self.before])
        marks, _ = delineate.delineate(
            contour.prefix_sums(mean), self.fs, delineate.Sought(at, lead_on, mean.shape[1], True)
        )
        on, off = marks[0, -1, delineate.QRS_ON], marks[0, -1, delineate.QRS_OFF]
        self._measured[g] = self.summed[g]
        if on >= 0:
            self.onset[g], self.width[g] = self.before - on, (off - on) * 1000.0 / self.fs

    def likeness(self) -> NDArray[np.float64]:
        """Return the (groups, groups) correlations of the leaders."""
        found = self.leaders[: self.count].astype(np.float64)
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found @ found.T

    def p_likeness(
        self, x: NDArray[np.float32], lead_on: NDArray[np.bool_], r: NDArray[np.int64], label: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return −1 … 1 for each beat: how well the 260 ms before its QRS repeat in its neighbours."""
        step = max(round(P_STEP_S * self.fs), 1)
        back, gap = round(P_BACK_S * self.fs), round(P_GAP_S * self.fs)
        points = (back - gap) // step
        out = np.zeros(r.shape[0], np.float32)
        if r.shape[0] > 1 and points > 2:
            shape = np.empty((r.shape[0], self.leads * points), np.float32)
            rows(x, lead_on, r, self.onset[label] + gap + points * step, step, shape)
            rr = np.diff(r, prepend=r[0])
            repeats(shape, rr > 0.7 * np.median(rr[1:]), points, out)
        return out
