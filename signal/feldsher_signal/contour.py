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
def bend(c: Row, i: int, s: int) -> float:
    """Return s times what `slope` does, where no window is cut off (s ≤ i ≤ n − s): no division, so loops are wide."""
    return (c[i + s] - c[i]) - (c[i] - c[i - s])


@inner
def add_bends(c: Row, a: int, b: int, s: int, part: float, out: Row) -> None:
    """Add `part` times the square of each bend of a … b−1 to `out`.

    Slices from 0 on, here and below: an index that might be negative keeps the loops from being vectorised.
    """
    back, here, ahead, into = c[a - s : b - s], c[a:b], c[a + s : b + s], out[a:b]
    for i in range(b - a):
        d = (ahead[i] - here[i]) - (here[i] - back[i])
        into[i] += part * d * d


@inner
def steepness(c: Row, a: int, b: int, s: int, out: Row) -> None:
    """Write how steep each of a … b−1 is: the slope's size, where no window is cut off."""
    back, here, ahead, into, part = c[a - s : b - s], c[a:b], c[a + s : b + s], out[a:b], 1.0 / s
    for i in range(b - a):
        into[i] = part * abs((ahead[i] - here[i]) - (here[i] - back[i]))


@inner
def windows(i: int, w: int, lo: int, hi: int) -> tuple[int, int, int, int, float, float, float]:
    """Return where the windows of a bump lie (four edges) and the parts of its middle and its flanks.

    The same for all leads. Middle: ±w; flanks: w to 3 w away, kept within lo … hi; parts of 0 where there is no room.
    """
    a, b = max(i - w, lo), min(i + w + 1, hi)
    left, right = max(i - 3 * w, lo), min(i + 3 * w + 1, hi)
    least = max(w // 2, 1)
    if b - a < w or a - left < least or right - b < least:
        return 0, 0, 0, 0, 0.0, 0.0, 0.0
    whole = float(b - left + right - a)
    return left, a, b, right, 1.0 / (b - a), (right - a) / (whole * (a - left)), (b - left) / (whole * (right - b))


@inner
def stands(c: Row, at: tuple[int, int, int, int, float, float, float]) -> float:
    """Return how far the mean over the middle window stands above the line through its flanks."""
    left, a, b, right, middle, before, after = at
    return middle * (c[b] - c[a]) - before * (c[a] - c[left]) - after * (c[right] - c[b])


@inner
def bump(c: Row, i: int, w: int, lo: int, hi: int) -> float:
    """Return how far the mean over ±w stands above the line through its flanks (w to 3 w away, kept within lo … hi)."""
    return stands(c, windows(i, w, lo, hi))


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
    if b - a < w:
        return 0.0
    row, total = g[a:b], 0.0
    for i in range(w):
        total += row[i]
    best = total
    for i in range(b - a - w):
        total += row[i + w] - row[i]
        best = min(best, total)
    return best / w


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
    best, best_at, size = -math.inf, a, 2 * w + 1
    whole = a >= w and b + w <= n
    for i in range(a, b):
        here = (c[i + w + 1] - c[i - w]) / size if whole else mean(c, max(i - w, 0), min(i + w + 1, n))
        v = sign * (here - first - rise * (i - lo))
        if v > best:
            best, best_at = v, i
    return best_at


@inner
def foot(c: Row, peak: int, stop: int, s: int, part: float, sign: float) -> int:
    """Return where, from `peak` toward `stop`, the slope has fallen to `part` of its steepest."""
    step = 1 if stop > peak else -1
    whole = min(peak, stop) >= s and max(peak, stop) + s < c.shape[0]
    falling = -step * sign
    steepest, at = 0.0, peak
    i = peak
    while i != stop:
        v = falling * (bend(c, i, s) if whole else s * slope(c, i, s))
        if v > steepest:
            steepest, at = v, i
        i += step
    i = at
    while i != stop and falling * (bend(c, i, s) if whole else s * slope(c, i, s)) > part * steepest:
        i += step
    return i


@inner
def blend(own: int, common: int, part: float) -> int:
    """Return a lead's own edge drawn to the common one."""
    return math.floor(part * own + (1 - part) * common + 0.5)


@inner
def along(c: NDArray[np.float64], pattern: Row, size: float, a: int, b: int, out: Row) -> None:
    """Write the prefix sums a … b of the leads projected on a pattern, divided by `size`; 0 where that is 0."""
    out[a : b + 1] = 0.0
    if size > 0:
        for lead in range(c.shape[0]):
            part, row, into = pattern[lead] / size, c[lead, a : b + 1], out[a : b + 1]
            if part != 0:
                for i in range(row.shape[0]):
                    into[i] += part * (row[i] - row[0])


@inner
def project(c: NDArray[np.float64], weight: Row, at: int, w: int, lo: int, hi: int, a: int, b: int, out: Row) -> float:
    """Write the prefix sums a … b of the leads projected on their pattern at `at`; return its size in µV."""
    leads, total, square = c.shape[0], 0.0, 0.0
    pattern, room = np.zeros(leads), windows(at, w, lo, hi)
    for lead in range(leads):
        if weight[lead] > 0:
            d = stands(c[lead], room)
            pattern[lead] = d * weight[lead]
            square += d * d * weight[lead]
            total += weight[lead]
    size = math.sqrt(square)
    along(c, pattern, size, a, b, out)
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
