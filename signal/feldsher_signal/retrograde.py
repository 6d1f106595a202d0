"""P waves behind the QRS: atria woken backwards from the AV junction, inverted in II, III and aVF, upright in aVR."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HALF_S, FLANK_S = 0.012, 0.044
"""Half of the stretch that stands out, and how far away its flanks are: a retrograde P wave lasts some 80 ms."""
FROM_S, TO_S = 0.020, 0.160
"""After the end of the QRS, where it is looked for: before it is the QRS itself, behind it the T wave's top."""
INVERTED, UPRIGHT = ("II", "III", "aVF"), "aVR"


def _standing_out(y: NDArray[np.float64], at: NDArray[np.int64], half: int, flank: int) -> NDArray[np.float64]:
    """Return by how many µV the mean of y over ± half about each of `at` is over those `flank` before and after."""
    sums = np.concatenate([[0.0], np.cumsum(y)])

    def mean(k: NDArray[np.int64]) -> NDArray[np.float64]:
        return (sums[k + half + 1] - sums[k - half]) / (2 * half + 1)

    return mean(at) - 0.5 * (mean(at - flank) + mean(at + flank))


def size(x: NDArray[np.float32], fs: float, leads: tuple[str, ...], off: int) -> float:
    """Return by how many µV a P wave behind the QRS stands out, 0 where there is none or these leads are not all there.

    `x`: leads of a median beat in µV; `off`: the sample at which its QRS ends. The least of the three leads in which it
    must be inverted counts; in aVR, which looks from where it comes, it must be half as high as that.
    """
    half, flank = max(round(HALF_S * fs), 1), round(FLANK_S * fs)
    first, last = off + round(FROM_S * fs), min(off + round(TO_S * fs), x.shape[1] - flank - half - 1)
    if off < 0 or last <= first or first - flank - half < 0 or not {*INVERTED, UPRIGHT} <= set(leads):
        return 0.0
    at: NDArray[np.int64] = np.arange(first, last, dtype=np.int64)
    rows = x[[leads.index(name) for name in (*INVERTED, UPRIGHT)]].astype(np.float64)
    out = [_standing_out(row, at, half, flank) for row in rows]
    least = np.min([-out[0], -out[1], -out[2], 2.0 * out[3]], axis=0)
    return max(float(least.max()), 0.0)
