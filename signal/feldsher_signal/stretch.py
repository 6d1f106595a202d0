"""Stretches of True in a row of flags."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stretches(row: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches of True (first, one past the last) in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
