"""Ventricular fibrillation and flutter: a wave that is nearly its own mirror image half a period later.

The filter of Kuo & Dillman, Computers in Cardiology 1978: the leakage, what is left when a signal is added to
itself half a mean period later, is small for a wave without complexes and large for complexes with rests between them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import stretch
from feldsher_signal.jit import kernel

STEP_S, WINDOW_S, DRIFT_S = 0.008, 4.0, 0.5
LEAK = 0.45
"""Leakage under which a window holds no complexes: on cinc2017 none is under 0.53, ventricular flutter of MIT-BIH 207
lies at 0.26 to 0.40 (Kuo & Dillman: 0.406 beside a QRS detector's word)."""
LEAST_UV = 80.0
"""Mean size of the wave under which it may be a disturbance of a flat line."""


@kernel("void(f8[:,::1], i8[::1], i8, i8, i8, f8[:,:,::1])")
def leakage(
    c: NDArray[np.float64], rows: NDArray[np.int64], step: int, width: int, drift: int, out: NDArray[np.float64]
) -> None:
    """Write (leads, windows, 2) leakage and mean size (µV) by half-overlapping windows of `width` steps.

    `c`: prefix sums of µV; `drift`: steps of the moving mean that is taken away.
    """
    v = np.empty(width)
    for which in range(rows.shape[0]):
        row = c[rows[which]]
        last = row.shape[0] - 1
        for k in range(out.shape[1]):
            first = k * (width // 2)
            total, change = 0.0, 0.0
            for i in range(width):
                a = (first + i) * step
                lo, hi = max(a - drift * step // 2, 0), min(a + drift * step // 2, last)
                v[i] = (row[a + step] - row[a]) / step - (row[hi] - row[lo]) / (hi - lo)
                total += abs(v[i])
                change += abs(v[i] - v[i - 1]) if i else 0.0
            half = int(math.pi * total / max(change, 1e-9) + 0.5)
            half = min(max(half, 1), width // 2)
            rest, both = 0.0, 0.0
            for i in range(half, width):
                rest += abs(v[i] + v[i - half])
                both += abs(v[i]) + abs(v[i - half])
            out[which, k, 0] = rest / both if both > 0 else 1.0
            out[which, k, 1] = total / width


def stretches(c: NDArray[np.float64], fs: float, rows: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Return the stretches (samples from, to) in which the leads `rows` of prefix sums c hold no complexes."""
    step = max(round(STEP_S * fs), 1)
    width = round(WINDOW_S * fs / step)
    count = ((c.shape[1] - 1) // step - width) // (width // 2) + 1
    if count < 1 or not rows.shape[0]:
        return ()
    found = np.empty((rows.shape[0], count, 2))
    leakage(c, rows, step, width, round(DRIFT_S * fs / step), found)
    middle = np.sort(found, axis=0)[rows.shape[0] // 2]
    held = (middle[:, 0] < LEAK) & (middle[:, 1] > LEAST_UV)
    hop = width // 2 * step
    return tuple((a * hop, min((b - 1) * hop + width * step, c.shape[1] - 1)) for a, b in stretch.stretches(held))
