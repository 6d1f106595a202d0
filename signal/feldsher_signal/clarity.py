"""Can QRS complexes be told from what lies between them here? Second by second, from what the detector met.

Doubt grows with the height of the peaks that were not taken for beats (RMS, against the median height of the beats
around) and with how unlike each other the beats are: of each beat only the most alike of its neighbours counts, so that
ectopy, which repeats, is no doubt. Both over 10 s around. After the template-matching index of Orphanidou 2015 and the
detector agreement of Li, Mark & Clifford 2008. The limit leaves 99.5 % of mitdb and refuses most of nstdb's noise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import inner, kernel

NEIGHBOURS, SHIFTS = 4, 2
"""Beats on each side that a beat is compared with, at so many steps (8 ms) each way."""
BEFORE_S, AFTER_S = 4, 6
"""Seconds before a second's start and after it that speak for it."""
UNLIKE, LIMIT = 10.0, -0.6
"""Doubt = ln(other peaks / beats) + UNLIKE · (1 − likeness); beyond LIMIT nothing is told apart. The first alone would
need other peaks of 55 % of a beat's height: tall T waves are 30 to 40 % in slope."""
LEAST = 3
"""Beats from which their likeness is asked for."""


@inner
def _product(a: NDArray[np.float32], b: NDArray[np.float32], left: int, right: int) -> float:
    """Return the product of the middle of a moved by `left` with that of b moved by `right`."""
    total, width = 0.0, a.shape[0] - 2 * SHIFTS
    # Slices from 0 on: an index that might be negative keeps the loop from being vectorised.
    p, q = a[SHIFTS + left : SHIFTS + left + width], b[SHIFTS + right : SHIFTS + right + width]
    for i in range(width):
        total += p[i] * q[i]
    return total


@inner
def _sizes(shape: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return one over the size of each beat's and lead's middle at every shift (slopes have no mean); 0 of nothing."""
    out = np.zeros((shape.shape[0], shape.shape[1], 2 * SHIFTS + 1))
    for k in range(shape.shape[0]):
        for lead in range(shape.shape[1]):
            for shift in range(-SHIFTS, SHIFTS + 1):
                own = _product(shape[k, lead], shape[k, lead], shift, shift)
                out[k, lead, shift + SHIFTS] = 1.0 / math.sqrt(own) if own > 0 else 0.0
    return out


@kernel("void(f4[:,:,::1], f8[:,::1])", fast=True)
def likeness(shape: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    """Write for each beat and lead of (beats, leads, slopes) how alike the most alike of its neighbours is: −1 … 1."""
    beats, size = shape.shape[0], _sizes(shape)
    for k in range(beats):
        for lead in range(shape.shape[1]):
            best = -1.0
            for j in range(max(k - NEIGHBOURS, 0), min(k + NEIGHBOURS + 1, beats)):
                for shift in range(-SHIFTS, SHIFTS + 1):
                    if j != k and best < 0.999:
                        both = _product(shape[k, lead], shape[j, lead], 0, shift)
                        best = max(best, both * size[k, lead, SHIFTS] * size[j, lead, shift + SHIFTS])
            out[k, lead] = best if beats > 1 else 1.0


@inner
def _middle(values: NDArray[np.float64]) -> float:
    """Return the median of a few values, at least one."""
    ordered, n = values.copy(), values.shape[0]
    for i in range(1, n):
        v, j = ordered[i], i
        while j > 0 and ordered[j - 1] > v:
            ordered[j] = ordered[j - 1]
            j -= 1
        ordered[j] = v
    return 0.5 * (float(ordered[(n - 1) // 2]) + float(ordered[n // 2]))


@inner
def _others(
    at: NDArray[np.int64], peaks: NDArray[np.int64], heights: NDArray[np.float64], a: int, b: int
) -> tuple[int, float]:
    """Return how many of the peaks within a … b−1 are no beats, and the RMS of their heights."""
    total, count = 0.0, 0
    k = np.searchsorted(at, a)
    for i in range(np.searchsorted(peaks, a), np.searchsorted(peaks, b)):
        while k < at.shape[0] and at[k] < peaks[i]:
            k += 1
        if k >= at.shape[0] or at[k] != peaks[i]:
            total += heights[i] * heights[i]
            count += 1
    return count, math.sqrt(total / count) if count else 0.0


@kernel("void(i8[::1], f8[::1], f8[:,::1], i8[::1], f8[::1], i8, f8[::1])")
def doubts(
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    like: NDArray[np.float64],
    peaks: NDArray[np.int64],
    heights: NDArray[np.float64],
    width: int,
    out: NDArray[np.float64],
) -> None:
    """Write the doubt of each second of `width` samples from beats and from all candidate peaks (beats included)."""
    for second in range(out.shape[0]):
        a, b = (second - BEFORE_S) * width, (second + AFTER_S) * width
        first, last = np.searchsorted(at, a), np.searchsorted(at, b)
        others, high = _others(at, peaks, heights, a, b)
        # Where there is no beat the nearest ones say how high one would be.
        near, far = max(min(first, at.shape[0] - 1), 0), min(max(last, first + 1), at.shape[0])
        level = _middle(height[near:far]) if far > near else 0.0
        out[second] = math.log(max(high / level, 1e-3)) if others > 0 and level > 0 else -7.0
        if last - first >= LEAST:
            best = -1.0
            for lead in range(like.shape[1]):
                best = max(best, _middle(like[first:last, lead]))
            out[second] += UNLIKE * (1.0 - best)


def unclear(
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    shape: NDArray[np.float32],
    peaks: NDArray[np.int64],
    heights: NDArray[np.float64],
    width: int,
    seconds: int,
) -> NDArray[np.bool_]:
    """Return in which seconds of `width` samples beats cannot be told apart; arguments as the detector gives them."""
    like, out = np.zeros(shape.shape[:2]), np.empty(seconds)
    likeness(np.ascontiguousarray(shape), like)
    doubts(at, height, like, peaks, heights, width, out)
    return out > LIMIT
