"""Medians, percentiles, differences of short rows: NumPy's own spend up to a tenth of a millisecond on arguments."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW = 50
"""So many values are sorted faster as a list."""


def steps(values: NDArray[Any]) -> NDArray[Any]:
    """Return the differences of neighbours (n − 1), as `np.diff` does."""
    return values[1:] - values[:-1]


def median(values: NDArray[Any]) -> float:
    """Return the median of a row as `np.median` does (NaN if any is); NaN of an empty one."""
    return percentile(values, 50.0)


def medians(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the median of each row (the last axis), as `np.median` does; rows hold no NaN and at least one value."""
    ordered, count = np.sort(rows, axis=-1), rows.shape[-1]
    return 0.5 * (np.asarray(ordered[..., (count - 1) // 2], np.float64) + ordered[..., count // 2])


def around(values: NDArray[Any], reach: int) -> NDArray[Any]:
    """Return for each value (n,) a row of it and `reach` on each side, mirrored beyond the ends."""
    n = values.shape[0]
    return values[_kept_places(n, reach) if n <= FEW else _places(n, reach)]


def _places(n: int, reach: int) -> NDArray[np.int64]:
    """Return where the rows of `around` are taken from."""
    at = np.arange(n, dtype=np.int64)[:, None] + np.arange(-reach, reach + 1, dtype=np.int64)
    folded: NDArray[np.int64] = np.remainder(at, 2 * n)
    return np.minimum(folded, 2 * n - 1 - folded)


_kept_places = functools.lru_cache(maxsize=64)(_places)


def percentile(values: NDArray[Any], percent: float) -> float:
    """Return a percentile of a row, linear between neighbours as `np.percentile` does; NaN of an empty one."""
    count = values.shape[0]
    ordered: Any
    if count <= FEW:
        ordered = values.tolist()
        whole = sum(ordered)
        ordered = sorted(ordered) if whole == whole else np.sort(values)  # NaN has no place among numbers
    else:
        ordered = np.sort(values)
    if count == 0 or ordered[-1] != ordered[-1]:  # NaN sorts last in NumPy
        return math.nan
    place = (count - 1) * percent / 100.0
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, count - 1)])
    return low + (place - below) * (high - low)
