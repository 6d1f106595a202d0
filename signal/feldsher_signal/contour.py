"""The shape of a signal read from its prefix sums: means, slopes, bumps, crests and feet of waves.

Every function takes prefix sums c of n samples (c[0] = 0, c[n] = their total), so that a mean over any window is two
reads. All are called by the kernels of delineate.py.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import inner, kernel

Row = NDArray[np.float64]


@inner
def mean(c: Row, a: int, b: int) -> float:
    """Return the mean of samples a … b−1 from prefix sums."""
    return (c[b] - c[a]) / (b - a) if b > a else 0.0


@inner
def slope(c: Row, i: int, s: int) -> float:
    """Return the mean of the s samples from i on less that of the s before."""
    n = c.shape[0] - 1
    return mean(c, i, min(i + s, n)) - mean(c, max(i - s, 0), i)


@inner
def bump(c: Row, i: int, w: int, lo: int, hi: int) -> float:
    """Return how far the mean over ±w stands above the line through its flanks (w to 3 w away, kept within lo … hi)."""
    a, b = max(i - w, lo), min(i + w + 1, hi)
    left, right = max(i - 3 * w, lo), min(i + 3 * w + 1, hi)
    least = max(w // 2, 1)
    if b - a < w or a - left < least or right - b < least:
        return 0.0
    before, after = 0.5 * (b - left), 0.5 * (right - a)
    line = (mean(c, left, a) * after + mean(c, b, right) * before) / (before + after)
    return mean(c, a, b) - line


@inner
def walk(g: Row, start: int, step: int, stop: int, threshold: float, run: int) -> int:
    """Return the first sample from `start` on by `step` from which g stays under `threshold` for `run` samples."""
    still, i = 0, start
    while i != stop:
        still = still + 1 if g[i] < threshold else 0
        if still >= run:
            return i - step * (run - 1)
        i += step
    return i - step * still


@inner
def quiet(g: Row, a: int, b: int, w: int) -> float:
    """Return the lowest mean of g over w samples within a … b: the noise of the slope; 0 where there is no room."""
    best, total = math.inf, 0.0
    for i in range(a, b):
        total += g[i]
        if i >= a + w:
            total -= g[i - w]
        if i >= a + w - 1:
            best = min(best, total / w)
    return best if best < math.inf else 0.0


@inner
def highest(g: Row, a: int, b: int) -> int:
    """Return where g is highest in a … b−1."""
    best = a
    for i in range(a, b):
        if g[i] > g[best]:
            best = i
    return best


@inner
def crest(c: Row, a: int, b: int, w: int, sign: float, lo: int, hi: int) -> int:
    """Return where `sign` times the smoothed signal stands highest over the chord from lo to hi, within a … b−1."""
    n = c.shape[0] - 1
    first = mean(c, max(lo - w, 0), min(lo + w + 1, n))
    last = mean(c, max(hi - w, 0), min(hi + w + 1, n))
    rise = (last - first) / max(hi - lo, 1)
    best, best_at = -math.inf, a
    for i in range(a, b):
        v = sign * (mean(c, max(i - w, 0), min(i + w + 1, n)) - first - rise * (i - lo))
        if v > best:
            best, best_at = v, i
    return best_at


@inner
def foot(c: Row, peak: int, stop: int, s: int, part: float, sign: float) -> int:
    """Return where, from `peak` toward `stop`, the slope has fallen to `part` of its steepest."""
    step = 1 if stop > peak else -1
    steepest, at = 0.0, peak
    i = peak
    while i != stop:
        v = -step * sign * slope(c, i, s)
        if v > steepest:
            steepest, at = v, i
        i += step
    i = at
    while i != stop and -step * sign * slope(c, i, s) > part * steepest:
        i += step
    return i


@inner
def blend(own: int, common: int, part: float) -> int:
    """Return a lead's own edge drawn to the common one."""
    return math.floor(part * own + (1 - part) * common + 0.5)


@inner
def centre(c: NDArray[np.float64], weight: Row, a: int, b: int, w: int, lo: int, hi: int) -> tuple[int, float]:
    """Return where in a … b−1 the leads together stand out most from their flanks, and by how much (weighted)."""
    best, best_at = 0.0, -1
    for i in range(a, b):
        total = 0.0
        for lead in range(c.shape[0]):
            if weight[lead] > 0:
                d = bump(c[lead], i, w, lo, hi)
                total += weight[lead] * d * d
        if total > best:
            best, best_at = total, i
    return best_at, math.sqrt(best)


@inner
def project(c: NDArray[np.float64], weight: Row, at: int, w: int, lo: int, hi: int, a: int, b: int, out: Row) -> float:
    """Write the prefix sums a … b of the leads projected on their pattern at `at`; return its size in µV."""
    leads, total, square = c.shape[0], 0.0, 0.0
    pattern = np.zeros(leads)
    for lead in range(leads):
        if weight[lead] > 0:
            d = bump(c[lead], at, w, lo, hi)
            pattern[lead] = d * weight[lead]
            square += d * d * weight[lead]
            total += weight[lead]
    size = math.sqrt(square)
    for i in range(a, b + 1):
        y = 0.0
        for lead in range(leads):
            y += pattern[lead] * (c[lead, i] - c[lead, a])
        out[i] = y / size if size > 0 else 0.0
    return size / math.sqrt(total) if total > 0 else 0.0


@kernel("void(f4[:,::1], f8[:,::1])")
def add_up(x: NDArray[np.float32], c: NDArray[np.float64]) -> None:
    """Write the prefix sums (leads, n + 1) of (leads, n), four leads at a time: one addition waits for the last."""
    n, fours = x.shape[1], x.shape[0] // 4 * 4
    for lead in range(0, fours, 4):
        p, q, r, s = 0.0, 0.0, 0.0, 0.0
        c[lead, 0] = c[lead + 1, 0] = c[lead + 2, 0] = c[lead + 3, 0] = 0.0
        for i in range(n):
            p += x[lead, i]
            q += x[lead + 1, i]
            r += x[lead + 2, i]
            s += x[lead + 3, i]
            c[lead, i + 1], c[lead + 1, i + 1], c[lead + 2, i + 1], c[lead + 3, i + 1] = p, q, r, s
    for lead in range(fours, x.shape[0]):
        p = 0.0
        c[lead, 0] = 0.0
        for i in range(n):
            p += x[lead, i]
            c[lead, i + 1] = p


def prefix_sums(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the prefix sums (leads, n + 1) of µV (leads, n) without gaps."""
    c = np.empty((x.shape[0], x.shape[1] + 1))
    add_up(np.ascontiguousarray(x), c)
    return c
