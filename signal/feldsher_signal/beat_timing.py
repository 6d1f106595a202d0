"""The traits of time: each beat's intervals against those around it, of all beats and of the patient's usual ones.

After the intervals of de Chazal 2004, against local and whole means.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import beat_columns as columns
from feldsher_signal.beat_columns import Floats
from feldsher_signal.jit import inner, kernel

REACH, LONG_REACH, SHORT_REACH, P_REACH, FOLD_REACH, USUAL_REACH, NEAR = 20, 30, 5, 8, 10, 15, 4
"""Beats on each side that make the neighbourhood."""
LONG_TIMES = 1.4
"""A long interval: so many of the short ones (the 30th percentile) around."""
PREMATURE = 0.87
"""An interval under this part of the usual one is premature; de Chazal 2004 uses this ratio."""


@inner
def _insert(window: Floats, count: int, value: float) -> None:
    """Insert into a sorted row of `count` values."""
    i = count
    while i > 0 and window[i - 1] > value:
        window[i] = window[i - 1]
        i -= 1
    window[i] = value


@inner
def _remove(window: Floats, count: int, value: float) -> None:
    """Remove a value from a sorted row of `count` values."""
    i = 0
    while i < count - 1 and window[i] != value:
        i += 1
    while i < count - 1:
        window[i] = window[i + 1]
        i += 1


@inner
def around(values: Floats, reach: int, part: float, out: Floats) -> None:
    """Write the quantile `part` of each value and up to `reach` on each side (fewer at the ends)."""
    n = values.shape[0]
    window, count = np.empty(2 * reach + 2), 0
    for i in range(min(reach, n)):
        _insert(window, count, values[i])
        count += 1
    for k in range(n):
        if k + reach < n:
            _insert(window, count, values[k + reach])
            count += 1
        if k - reach - 1 >= 0:
            _remove(window, count, values[k - reach - 1])
            count -= 1
        place = part * (count - 1)
        low = int(place)
        high = min(low + 1, count - 1)
        out[k] = window[low] + (place - low) * (window[high] - window[low])


@inner
def _fold(rr: Floats, base: float, first: int, last: int) -> float:
    """Return how far long intervals are from whole numbers of short ones (0 dropped beats, 0.5 none or any)."""
    total, count = 0.0, 0
    for j in range(first, last):
        times = rr[j] / base
        if times > LONG_TIMES:
            total += abs(times - math.floor(times + 0.5))
            count += 1
    return total / count if count > 0 else 0.5


@kernel("void(f8[::1], f8[::1], f8[:,::1])")
def times(rr: Floats, p_like: Floats, out: Floats) -> None:
    """Write the traits of time from the intervals (s; beats − 1 of them, at least two) and of P likeness."""
    n = rr.shape[0] + 1
    usual, long, jump, restless = np.empty(n - 1), np.empty(n - 1), np.empty(n - 2), np.empty(n - 2)
    short = np.empty(n - 1)
    around(rr, FOLD_REACH, 0.3, short)
    part, now, local = np.empty(n - 2), np.empty(n - 2), np.empty(n)
    around(rr, REACH, 0.5, usual)
    around(rr, LONG_REACH, 0.8, long)
    for k in range(n - 2):
        jump[k] = abs(rr[k + 1] - rr[k])
        part[k] = jump[k] / usual[k + 1]
    around(jump, REACH, 0.5, restless)
    around(part, SHORT_REACH, 0.5, now)
    around(p_like, P_REACH, 0.5, local)
    whole, total = rr.mean(), 0.0
    sums = np.zeros(n)
    for k in range(n - 1):
        total += rr[k]
        sums[k + 1] = total
    for k in range(n):
        j = max(k - 1, 0)
        prev = rr[j] if k > 0 else usual[0]
        after = rr[k] if k < n - 1 else usual[n - 2]
        first, last = max(j - LONG_REACH, 0), min(j + LONG_REACH + 1, n - 1)
        out[k, columns.EARLY], out[k, columns.LATE], out[k, columns.RATIO] = (
            prev / usual[j],
            after / usual[j],
            prev / after,
        )
        out[k, columns.MEAN] = prev * (last - first) / (sums[last] - sums[first])
        out[k, columns.ALL], out[k, columns.LONG] = prev / whole, prev / long[j]
        out[k, columns.SUM], out[k, columns.RR] = 0.5 * (prev + after) / usual[j], prev
        out[k, columns.CHANGE] = prev / rr[k - 2] if k > 1 else 1.0
        out[k, columns.RESTLESS], out[k, columns.NOW] = restless[max(k - 2, 0)] / usual[j], now[max(k - 2, 0)]
        out[k, columns.FOLD] = _fold(rr, short[j], max(j - FOLD_REACH, 0), min(j + FOLD_REACH + 1, n - 1))
        out[k, columns.BEFORE] = out[k - 1, columns.EARLY] if k > 0 else 1.0
        out[k, columns.P_LIKE], out[k, columns.P_LOCAL], out[k, columns.P_REL] = (
            p_like[k],
            local[k],
            p_like[k] - local[k],
        )


@kernel("void(f8[::1], b1[::1], f8[:,::1])")
def against_usual(rr: Floats, usual: NDArray[np.bool_], out: Floats) -> None:
    """Write the traits of time against the intervals between usual beats that are in time, and of the neighbours.

    `rr` as for `times`, whose traits must be in `out`, and those of shape too; a run of ectopic beats makes its own
    rate usual around it, but not the patient's.
    """
    n, count = rr.shape[0] + 1, 0
    plain, where = np.empty(n), np.empty(n, np.int64)
    for k in range(1, n):
        if usual[k] and usual[k - 1] and out[k, columns.EARLY] > PREMATURE:
            plain[count], where[count] = rr[k - 1], k
            count += 1
    middle, at = np.empty(max(count, 1)), 0
    if count > 0:
        around(plain[:count], USUAL_REACH, 0.5, middle)
    for k in range(n):
        while at + 1 < count and abs(where[at + 1] - k) <= abs(where[at] - k):
            at += 1
        out[k, columns.EARLY_USUAL] = out[k, columns.RR] / middle[at] if count > 0 else out[k, columns.EARLY]
        after = rr[min(k, n - 2)]
        out[k, columns.LATE_USUAL] = after / middle[at] if count > 0 else out[k, columns.LATE]
        near, all_near = 0.0, 0.0
        for j in range(max(k - NEAR, 0), min(k + NEAR + 1, n)):
            if j != k:
                near += usual[j]
                all_near += 1.0
        out[k, columns.NEAR_USUAL] = near / all_near
        out[k, columns.BEFORE_CORR] = out[max(k - 1, 0), columns.CORR] if k > 0 else 1.0
        out[k, columns.AFTER_CORR] = out[k + 1, columns.CORR] if k < n - 1 else 1.0
        out[k, columns.AFTER_EARLY] = out[k + 1, columns.EARLY] if k < n - 1 else 1.0
