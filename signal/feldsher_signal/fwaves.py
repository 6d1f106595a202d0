"""Flutter waves: how well the line between the QRS complexes repeats itself 220 to 340 times a minute.

QRS complexes are left out and what remains of an inferior lead and V1, where flutter waves are seen best (AHA/ACC/HRS
2007 part II, Mason), is compared with itself one and two periods later, over the gaps. A template of the whole beat is
not taken out: at a fixed ratio flutter waves keep their place in every beat and would go with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import order
from feldsher_signal.jit import kernel

STEP_S, BEFORE_S, AFTER_S, WIDE_AFTER_S = 0.008, 0.05, 0.09, 0.45
"""The grid, and what around an R peak is left out; of a ventricular beat its T wave too: that is as large as its QRS,
and a run of such beats repeats itself."""
DRIFT_S = 0.2
"""The moving mean taken away: about one flutter wave, so that these stand out and T waves and drift do not."""
PERIOD_S = (0.176, 0.272)
"""Flutter beats 240 to 340 times a minute (Mason 2007); slower down to 220 is looked for."""
LONGEST_S, FEWEST = 60.0, 5
INFERIOR, CHEST = ("III", "aVF", "II"), "V1"


@dataclass(frozen=True, slots=True)
class FWaves:
    """What repeats itself between the QRS complexes.

    `alike`: −1 … 1, likeness with itself one period and two periods later (the smaller); `period`: s; `ratio`: periods
    to a usual interval; `spread`: standard deviation of the intervals as a part of their mean; `size`: µV,
    RMS in the lead in which it is larger.
    """

    alike: float
    period: float
    ratio: float
    spread: float
    size: float

    @property
    def interval(self) -> float:
        """The usual interval between beats in s."""
        return self.period * self.ratio


def chosen(leads: tuple[str, ...], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows of an inferior lead and of V1; none where either cannot be used."""
    there = [name for name, good in zip(leads, usable.tolist(), strict=True) if good]
    first = next((name for name in INFERIOR if name in there), None)
    if first is None or CHEST not in there:
        return np.empty(0, np.int64)
    return np.array([leads.index(first), leads.index(CHEST)], np.int64)


@kernel("void(f8[:,::1], i8[::1], b1[::1], i8, i8, i8, f8[::1], f8[::1])", fast=True)
def repeats(
    c: NDArray[np.float64],
    rows: NDArray[np.int64],
    seen: NDArray[np.bool_],
    step: int,
    drift: int,
    first: int,
    out: NDArray[np.float64],
    rms: NDArray[np.float64],
) -> None:
    """Write how well leads `rows` of prefix sums c repeat themselves `first` + k steps later, −1 … 1, and their RMS.

    `seen`: which steps count; `drift`: steps to each side of the moving mean taken away; leads count alike.
    """
    n = seen.shape[0]
    v, both, size = np.zeros(n), np.zeros(out.shape[0]), np.zeros(out.shape[0])
    sums, counts, square, counted = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n), seen.astype(np.float64)
    for which in range(rows.shape[0]):
        row = c[rows[which]]
        for i in range(n):
            v[i] = (row[(i + 1) * step] - row[i * step]) / step if seen[i] else 0.0
            sums[i + 1] = sums[i] + v[i]
            counts[i + 1] = counts[i] + seen[i]
        power = 0.0
        for i in range(n):
            if seen[i]:
                a, b = max(i - drift, 0), min(i + drift + 1, n)
                v[i] -= (sums[b] - sums[a]) / (counts[b] - counts[a])
                power += v[i] * v[i]
        rms[which] = math.sqrt(power / max(counts[n], 1.0))
        # What is not seen is 0 and counts for nothing: sums without a question in them are many times faster.
        for i in range(n):
            square[i] = v[i] * v[i]
        for k in range(out.shape[0]):
            own, other, product = 0.0, 0.0, 0.0
            later, later_square, later_counted = v[first + k :], square[first + k :], counted[first + k :]
            for i in range(later.shape[0]):
                product += v[i] * later[i]
                own += square[i] * later_counted[i]
                other += counted[i] * later_square[i]
            both[k] += product / max(power, 1e-9)
            size[k] += math.sqrt(own * other) / max(power, 1e-9)
    for k in range(out.shape[0]):
        out[k] = both[k] / size[k] if size[k] > 0 else 0.0


def _between(at: NDArray[np.int64], wide: NDArray[np.bool_], n: int, grid: float) -> NDArray[np.bool_]:
    """Return which of n steps of `grid` s lie outside the complexes at steps `at`, of `wide` ones their T waves too."""
    seen = np.ones(n, np.bool_)
    for k, broad in zip(at.tolist(), wide.tolist(), strict=True):
        after = WIDE_AFTER_S if broad else AFTER_S
        seen[max(k - int(BEFORE_S / grid), 0) : k + int(after / grid) + 1] = False
    return seen


def find(
    c: NDArray[np.float64], fs: float, rows: NDArray[np.int64], r: NDArray[np.int64], wide: NDArray[np.bool_]
) -> FWaves | None:
    """Return what repeats itself between the beats r in leads `rows` of prefix sums c, or None; `wide`: V beats."""
    step, n = max(round(STEP_S * fs), 1), c.shape[1] - 1
    if not rows.shape[0] or r.shape[0] < FEWEST or n > LONGEST_S * fs:
        return None
    grid = step / fs
    first, last = round(PERIOD_S[0] / grid) - 1, round(PERIOD_S[1] / grid) + 1
    like, rms = np.empty(2 * last - first + 2), np.empty(rows.shape[0])
    at, drift = r // step, int(DRIFT_S / grid) // 2
    none = np.zeros(r.shape, np.bool_)
    repeats(c, rows, _between(at, none, n // step, grid), step, drift, first, like, rms)
    if wide.any():
        # Without the ventricular beats less is left, and little resembles itself by chance: both must.
        rest = np.empty(like.shape)
        repeats(c, rows, _between(at, wide, n // step, grid), step, drift, first, rest, rms)
        like = np.minimum(like, rest)
    best, period = -1.0, 0.0
    for k in range(1, last - first):
        if like[k] >= like[k - 1] and like[k] > like[k + 1]:
            twice = 2 * (first + k) - first
            value = min(float(like[k]), float(like[twice - 1 : twice + 2].max()))
            if value > best:
                best, period = value, (first + k + _peak(*like[k - 1 : k + 2].tolist())) * grid
    if not period:
        return None
    rr = order.steps(r) / fs
    return FWaves(best, period, order.median(rr) / period, float(rr.std() / rr.mean()), float(rms.max()))


def _peak(before: float, at: float, after: float) -> float:
    """Return how far from the middle one of three values the parabola through them has its peak, in steps."""
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
