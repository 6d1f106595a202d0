"""What the atria do between the beats: the stretch before each QRS, its period and its roughness, lead by lead.

Fibrillation and flutter show in the stretch from the end of one T wave to the next QRS (TQ), where nothing of the
ventricles is left: Stridh and Sörnmo, IEEE Trans Biomed Eng 2001;48:105.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import inner, kernel

LEADS = ("II", "V1", "III", "MLII", "V5", "I")
"""Leads whose atrial waves are judged, best first, at most MOST of them."""
MOST = 2
STEP_S = 0.008
BACK_S, GAP_S = 0.22, 0.016
"""The stretch in which a P wave is looked for, before the QRS onset."""
LAG_S = (0.15, 0.30)
"""Periods of atrial waves: 200 to 400 a minute, flutter's (240–340/min, Mason 2007) and more."""
LEAST_TQ_S = 0.28
"""Under this a TQ stretch holds no full period."""
_QRS_S = 0.05


@dataclass(frozen=True, slots=True)
class Atria:
    """What lies between the beats, by lead and beat.

    `before` (leads, beats, points): µV before each QRS without trend, NaN where there is none; `same`, `size` (leads,
    beats, lags): the TQ stretch's products with itself by lag, and their norm (0 where it is too short); `rough`: µV of
    its second difference (NaN without); `qrs`: µV from top to bottom; `lag_s`: the lags in s.
    """

    before: NDArray[np.float64]
    same: NDArray[np.float64]
    size: NDArray[np.float64]
    rough: NDArray[np.float64]
    qrs: NDArray[np.float64]
    lag_s: NDArray[np.float64]

    @classmethod
    def none(cls, beats: int) -> Atria:
        """Return what is known of `beats` beats where no lead can be judged."""
        empty, row = np.zeros((0, beats, 1)), np.zeros((0, beats))
        return cls(empty, empty, empty, row, row, np.zeros(1))


@inner
def _level(v: NDArray[np.float64], n: int) -> None:
    """Take the straight line out of the first n values."""
    total, moment = 0.0, 0.0
    for i in range(n):
        total += v[i]
        moment += v[i] * (i - 0.5 * (n - 1))
    tilt = moment * 12.0 / (n * (n * n - 1.0)) if n > 1 else 0.0
    for i in range(n):
        v[i] -= total / n + tilt * (i - 0.5 * (n - 1))


@inner
def _tq_start(before: int, now: int, fs: float) -> int:
    """Return where the T wave of the beat before is surely over: 42 % of the interval, 300 to 420 ms."""
    return before + int(max(0.30 * fs, min(0.42 * fs, 0.45 * (now - before))))


@inner
def _period(v: NDArray[np.float64], n: int, first: int, same: NDArray[np.float64], size: NDArray[np.float64]) -> None:
    """Write the products of the first n values with themselves `first` and more steps later, and their norms."""
    for j in range(same.shape[0]):
        lag = first + j
        if n - lag < 10:
            break
        both, own, other = 0.0, 0.0, 0.0
        for i in range(n - lag):
            both += v[i] * v[i + lag]
            own += v[i] * v[i]
            other += v[i + lag] * v[i + lag]
        same[j], size[j] = both, math.sqrt(own * other)


@inner
def _amplitude(c: NDArray[np.float64], r: int, half: int) -> float:
    """Return µV from lowest to highest within ±half samples of r, from prefix sums."""
    n = c.shape[0] - 1
    low, high = math.inf, -math.inf
    for i in range(max(r - half, 0), min(r + half + 1, n)):
        v = c[i + 1] - c[i]
        low, high = min(low, v), max(high, v)
    return high - low if high >= low else 0.0


@kernel(
    "void(f8[:,::1], i8[::1], i8[::1], i8[::1], f8, i8, i8, f8[:,:,::1], f8[:,:,::1], f8[:,:,::1],"
    " f8[:,::1], f8[:,::1])"
)
def stretches(
    c: NDArray[np.float64],
    rows: NDArray[np.int64],
    r: NDArray[np.int64],
    on: NDArray[np.int64],
    fs: float,
    step: int,
    lag: int,
    before: NDArray[np.float64],
    same: NDArray[np.float64],
    size: NDArray[np.float64],
    rough: NDArray[np.float64],
    amplitude: NDArray[np.float64],
) -> None:
    """Write what Atria holds of the leads `rows` from prefix sums c; `lag`: the first, in steps; onsets −1 = none."""
    gap, points = int(GAP_S * fs), before.shape[2]
    most = int(2.0 * fs) // step
    v = np.empty(max(most, points))
    for which in range(rows.shape[0]):
        row = c[rows[which]]
        for k in range(r.shape[0]):
            amplitude[which, k] = _amplitude(row, r[k], int(_QRS_S * fs))
            last = on[k] - gap
            first = last - points * step
            if on[k] >= 0 and first >= 0:
                for i in range(points):
                    v[i] = (row[first + (i + 1) * step] - row[first + i * step]) / step
                _level(v, points)
                before[which, k] = v[:points]
            if k == 0 or on[k] < 0:
                continue
            start = max(_tq_start(r[k - 1], r[k], fs), last - most * step)
            n = (last - start) // step
            if n * step < LEAST_TQ_S * fs:
                continue
            for i in range(n):
                v[i] = (row[start + (i + 1) * step] - row[start + i * step]) / step
            _level(v, n)
            _period(v, n, lag, same[which, k], size[which, k])
            total = 0.0
            for i in range(1, n - 1):
                d = v[i - 1] - 2 * v[i] + v[i + 1]
                total += d * d
            rough[which, k] = math.sqrt(total / (n - 2))


def chosen(leads: tuple[str, ...], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows of the leads in which atrial waves are judged: the best of LEADS, else the first usable."""
    there = [leads.index(name) for name in LEADS if name in leads and usable[leads.index(name)]]
    rest = [k for k in range(len(leads)) if usable[k] and k not in there]
    return np.array([*there, *rest][:MOST], np.int64)


def look(
    c: NDArray[np.float64], fs: float, r: NDArray[np.int64], on: NDArray[np.int64], rows: NDArray[np.int64]
) -> Atria:
    """Return what precedes the beats r (samples; QRS onsets `on`) in leads `rows` of prefix sums c (leads, n + 1)."""
    step = max(round(STEP_S * fs), 1)
    points = round((BACK_S - GAP_S) * fs) // step
    lags = np.arange(round(LAG_S[0] * fs / step), round(LAG_S[1] * fs / step) + 1)
    leads, beats = rows.shape[0], r.shape[0]
    before = np.full((leads, beats, points), np.nan)
    same, size = np.zeros((leads, beats, lags.shape[0])), np.zeros((leads, beats, lags.shape[0]))
    rough, amplitude = np.full((leads, beats), np.nan), np.zeros((leads, beats))
    stretches(c, rows, r, on, fs, step, int(lags[0]), before, same, size, rough, amplitude)
    return Atria(before, same, size, rough, amplitude, lags * step / fs)
