"""Slow and obvious twins of the rhythm kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from feldsher_signal import fibrillation
from feldsher_signal.between import Atria
from numpy.typing import NDArray


def row(
    first: int,
    last: int,
    rr: NDArray[np.float64],
    change: NDArray[np.float64],
    early: NDArray[np.bool_],
    wide: NDArray[np.bool_],
    unclear: NDArray[np.bool_],
    like: NDArray[np.float64],
    seen: NDArray[np.bool_],
    a: Atria,
) -> list[float]:
    """Return the FEATURES of beats first … last − 1 of one window."""
    v = rr[first + 1 : last]
    usual = float(np.median(v))
    cut = np.clip(v - usual, -0.3 * usual, 0.3 * usual)
    again = [float((cut[k:] * cut[:-k]).sum() / (cut**2).sum()) for k in (1, 2, 3)]
    moved = [float(change[k]) for k in range(first + 2, last) if not wide[k - 2 : k + 1].any()]
    clean = [float(rr[k]) for k in range(first + 1, last) if not wide[k - 1 : k + 1].any()]
    clean = clean if len(clean) >= 4 else v.tolist()
    most = max(sum(low <= x <= low + fibrillation.ALIKE_PART * usual for x in clean) for low in clean)
    near = fibrillation.SAME_PART * usual
    pairs = [(i, j) for i in range(len(v) - 1) for j in range(i + 1, len(v) - 1) if abs(v[i] - v[j]) < near]
    two = sum(abs(v[i + 1] - v[j + 1]) < near for i, j in pairs)
    steps = np.diff(v)
    own = [k for k in range(first, last) if not early[k]]
    rate = 60 / float(np.mean(v))
    return [
        math.log(0.01 + float(np.median(moved)) / usual) if len(moved) >= 3 else math.nan,
        most / len(clean),
        abs(again[0]),
        max(again[1], 0.0),
        max(again[2], 0.0),
        float(np.mean(steps[1:] * steps[:-1] < 0)),
        min(math.log(max(len(pairs), 1) / max(two, 0.25)), fibrillation.ENTROPY_MOST),
        max(rate - fibrillation.FAST, 0.0),
        float(np.median(like[own])),
        float(np.mean(seen[own])),
        *_waves(a, own, first, last),
        rate,
        float(np.mean(early[first:last])),
        float(np.mean(wide[first:last])),
        min(
            math.log(0.002 + float(np.median(a.rough[lead, first:last] / np.maximum(a.qrs[lead, first:last], 1.0))))
            for lead in range(a.rough.shape[0])
        ),
        float(np.mean(unclear[first:last])),
    ]


def _waves(a: Atria, own: list[int], first: int, last: int) -> tuple[float, float]:
    clear: list[float] = []
    period: list[float] = []
    for lead in range(a.before.shape[0]):
        pieces = a.before[lead, own]
        mean = pieces.mean(axis=0)
        rest = np.sqrt(((pieces - mean) ** 2).mean(axis=1))
        clear.append(math.log(0.5 + float(np.ptp(mean)) / max(float(np.median(rest)), 1e-3)))
        r = a.same[lead, first:last].sum(axis=0) / a.size[lead, first:last].sum(axis=0)
        period.append(max([0.0, *(r[j] for j in range(1, r.shape[0] - 1) if r[j] >= r[j - 1] and r[j] > r[j + 1])]))
    return max(clear), max(period)


def leak(v: Any) -> float:
    """Return the leakage of one window without drift."""
    half = int(math.pi * np.abs(v).sum() / np.abs(np.diff(v)).sum() + 0.5)
    return float(np.abs(v[half:] + v[:-half]).sum() / (np.abs(v[half:]) + np.abs(v[:-half])).sum())


def repeats(
    x: NDArray[np.float32], seen: NDArray[np.bool_], step: int, drift: int, lags: range
) -> tuple[list[float], list[float]]:
    """Return how well leads x repeat themselves by each lag where `seen`, and each lead's RMS."""
    n = seen.shape[0]
    leads: list[NDArray[np.float64]] = []
    for row in x:
        v = np.array([row[i * step : (i + 1) * step].mean(dtype=np.float64) for i in range(n)])
        near = [[j for j in range(max(i - drift, 0), min(i + drift + 1, n)) if seen[j]] for i in range(n)]
        leads.append(np.array([v[i] - v[near[i]].mean() if seen[i] else math.nan for i in range(n)]))
    size = [float(np.sqrt(np.nanmean(v**2))) for v in leads]
    out: list[float] = []
    for lag in lags:
        both, norm = 0.0, 0.0
        for v, rms in zip(leads, size, strict=True):
            pair = v / rms
            kept = [(float(pair[i]), float(pair[i + lag])) for i in range(n - lag) if seen[i] and seen[i + lag]]
            both += sum(a * b for a, b in kept)
            norm += math.sqrt(sum(a * a for a, _ in kept) * sum(b * b for _, b in kept))
        out.append(both / norm)
    return out, size
