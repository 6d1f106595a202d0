"""Medians over what surrounds each value of a long row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import inner, kernel


@inner
def _place(window: NDArray[np.float64], n: int, value: float) -> int:
    """Return the first place among the n ordered values at which `value` may stand."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if window[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel("void(f8[::1], i8, f8[::1])")
def slide(x: NDArray[np.float64], reach: int, out: NDArray[np.float64]) -> None:
    """Write for each value the median of it and up to `reach` on each side, as many as there are; no NaN."""
    n, count = x.shape[0], 0
    window = np.empty(2 * reach + 1)
    for i in range(-reach, n):
        if i + reach < n:
            at = _place(window, count, x[i + reach])
            for k in range(count, at, -1):
                window[k] = window[k - 1]
            window[at] = x[i + reach]
            count += 1
        if i > reach:
            at = _place(window, count, x[i - reach - 1])
            count -= 1
            for k in range(at, count):
                window[k] = window[k + 1]
        if i >= 0:
            out[i] = 0.5 * (window[(count - 1) // 2] + window[count // 2])


def medians(x: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return for each value (n,) the median of it and up to `reach` on each side, fewer at the ends."""
    out = np.empty(x.shape[0])
    slide(np.ascontiguousarray(x, np.float64), reach, out)
    return out
