"""Stretches of True in a row of flags."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stretches(row: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches of True (first, one past the last) in order."""
    if not row.any():
        return []
    edges: list[int] = (np.flatnonzero(row[1:] != row[:-1]) + 1).tolist()
    edges = [*((0,) if row[0] else ()), *edges, *((row.shape[0],) if row[-1] else ())]
    return list(zip(edges[::2], edges[1::2], strict=True))
