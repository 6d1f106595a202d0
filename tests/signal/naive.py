"""Slow, obvious oracles of the kernels: plain Python, one idea at a time, nothing shared with the code they judge."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Samples = Sequence[float] | NDArray[np.float32] | NDArray[np.float64]


def cascade(x: Samples, sections: NDArray[np.float64]) -> list[float]:
    """Run a signal through sections by their difference equation y = b·x − a·y (direct form I)."""
    y = [float(v) for v in x]
    for b0, b1, b2, a1, a2 in sections.tolist():
        source, out = y, list[float]()
        for i, v in enumerate(source):
            x1, x2 = (source[i - 1] if i > 0 else 0.0), (source[i - 2] if i > 1 else 0.0)
            y1, y2 = (out[i - 1] if i > 0 else 0.0), (out[i - 2] if i > 1 else 0.0)
            out.append(b0 * v + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2)
        y = out
    return y


def energy_peaks(energy: Samples, width: int, hold: int) -> list[tuple[int, float]]:
    """Return the peaks of the moving sum: begun at 1.5 times the valley, ended at a quarter or after `hold` samples."""
    level = [math.fsum(float(v) for v in energy[max(i - width + 1, 0) : i + 1]) for i in range(len(energy))]
    out: list[tuple[int, float]] = []
    floor, at = 0.0, -1
    for i, v in enumerate(level):
        if at < 0:
            floor = min(floor, v)
            if v > 1.5 * max(floor, 0.0) + 1e-9:
                at = i
        elif v > level[at]:
            at = i
        elif v < 0.25 * level[at] or i - at >= hold:
            out.append((at, math.sqrt(level[at])))
            floor, at = v, -1
    return out


def median_of_beats(
    x: Samples, r: Sequence[int], level_at: Sequence[Sequence[int]], half: int, before: int, length: int
) -> list[float]:
    """Return the median over beats of each sample of one lead, each beat less the line through its two levels."""

    def level(at: int) -> float:
        near = [float(v) for v in x[max(at - half, 0) : at + half + 1] if not math.isnan(v)]
        return statistics.fmean(near) if near else 0.0

    out: list[float] = []
    for i in range(length):
        values: list[float] = []
        for at, (first, last) in zip(r, level_at, strict=True):
            j = at - before + i
            if 0 <= j < len(x) and not math.isnan(x[j]):
                part = min(max((j - first) / max(last - first, 1), -1.0), 1.0)
                values.append(float(x[j]) - (level(first) + part * (level(last) - level(first))))
        out.append(statistics.median(values) if values else 0.0)
    return out


def mean(x: Samples, a: int, b: int) -> float:
    """Return the mean of x[a:b]."""
    return statistics.fmean(float(v) for v in x[a:b])


def bump(x: Samples, i: int, w: int, lo: int, hi: int) -> float:
    """Return how far the middle third stands above the straight line through its flanks' centres."""
    a, b, left, right = max(i - w, lo), min(i + w + 1, hi), max(i - 3 * w, lo), min(i + 3 * w + 1, hi)
    least = max(w // 2, 1)
    if b - a < w or a - left < least or right - b < least:
        return 0.0
    at = [(left + a) / 2, (a + b) / 2, (b + right) / 2]
    first, last = mean(x, left, a), mean(x, b, right)
    return mean(x, a, b) - (first + (last - first) * (at[1] - at[0]) / (at[2] - at[0]))


def likeness(stretches: NDArray[np.float64], fit: Sequence[bool], reach: int) -> list[float]:
    """Return the correlation of each stretch with the sum of its fit neighbours."""
    out: list[float] = []
    for k in range(len(stretches)):
        near = [j for j in range(max(k - reach, 0), min(k + reach + 1, len(stretches))) if j != k and fit[j]]
        other = np.sum(stretches[near], axis=0) if near else np.zeros(stretches.shape[1])
        size = float(np.linalg.norm(other) * np.linalg.norm(stretches[k]))
        out.append(float(np.dot(other, stretches[k])) / size if size > 0 else 0.0)
    return out
