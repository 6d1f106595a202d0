"""The P wave before a QRS: the bump that stands out most there, in this beat and at the same place in its neighbours.

Bumps of every lead are read on a grid before each QRS; a beat's own are added to the mean of those of the beats around
it, so that a small P wave is found where its neighbours have theirs, and one that moves (AV block) by its own size.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.contour import Row, along, blend, crest, foot, stands, windows
from feldsher_signal.jit import inner

ON, PEAK, OFF, QRS_ON, T_OFF = 0, 1, 2, 3, 8
HALF_S, SLOPE_S, ON_PART, OFF_PART, OWN = 0.036, 0.028, 0.403, 0.486, 0.649
ON_SHIFT_S, OFF_SHIFT_S, GAP_S, LEAST_UV = 0.0, -0.009, 0.010, 6.0
"""LEAST_UV (RMS of the bump over leads) only keeps a flat line from having P waves: whether there is one at all is told
by whether it repeats (presence.py), and at 12 µV small ones that do were lost (1.9 % of all in ludb's second half and
qtdb's sel840), at 6 none, and no false one came: experts mark none smaller."""
REACH_S, REACH_RR, AFTER_S, OVER_S = 0.42, 0.50, 0.0, 0.02
"""A P wave is sought no further before R, and no further into the T wave before it."""
LEAST_TP_S, LEAST_RR_S, ON_T_S, PAST_T_S, LATEST_S = 0.12, 0.5, 0.20, 0.08, 0.48
"""At intervals from LEAST_RR_S on a T wave is over LEAST_TP_S before the next QRS; one that is not has a P wave on its
descent, which is sought from ON_T_S before the QRS and PAST_T_S after T's peak. A peak later than T waves end, bundle
branch block or not (LATEST_S: QTc of 480 ms by Fridericia's cube root), is the P wave's own. At shorter ones, as in
supraventricular tachycardia, there may be no P wave."""
STEP_S, STEPS = 0.008, 48
AROUND, SHARED = 4, 1.0
"""Beats on each side whose bumps are shared, and how much their mean counts beside the beat's own."""
USUAL_S, SPREAD_S = 0.10, 0.12
"""From a P wave's middle to the QRS: where it usually is, and how slowly a bump elsewhere counts less."""


@inner
def t_over(qrs: int, t_peak: int, t_end: int, rr: int, on: int, fs: float) -> int:
    """Return from where on a P wave may be sought before the QRS at `on`, an interval rr after the beat before it.

    `qrs`, `t_peak`, `t_end`: where the QRS of that beat begins, where its T wave peaks (−1 = none) and ends.
    """
    if t_peak < 0 or on - t_end >= LEAST_TP_S * fs or rr < LEAST_RR_S * fs:
        return t_end
    late = t_peak - qrs > LATEST_S * (rr / fs) ** (1.0 / 3.0) * fs
    first = on - int(ON_T_S * fs)
    return min(t_end, first if late else max(first, t_peak + int(PAST_T_S * fs)))


@inner
def bumps(
    c: NDArray[np.float64], weight: Row, r: int, before: int, t_end: int, on: int, fs: float, out: NDArray[np.float32]
) -> None:
    """Write (leads, STEPS) how far each lead stands out at each step before the QRS; 0 where no P wave can be."""
    w, step = max(2, int(HALF_S * fs)), max(1, round(STEP_S * fs))
    last = on - int(GAP_S * fs)
    first = max(t_end + int(AFTER_S * fs), r - int(min(REACH_S * fs, REACH_RR * (r - before))) + w // 2, w)
    room = max(first - w // 2 - int(OVER_S * fs), 0)
    out[:] = 0.0
    for j in range(STEPS):
        i = last - w - j * step
        if i < first:
            break
        at = windows(i, w, room, last)
        for lead in range(c.shape[0]):
            if weight[lead] > 0:
                out[lead, j] = stands(c[lead], at)


@inner
def together(ring: NDArray[np.float32], k: int, low: int, high: int, out: NDArray[np.float32]) -> None:
    """Write beat k's bumps plus SHARED times the mean of its neighbours'; 0 where it has none itself.

    `ring`: the bumps of beats low … high−1, each at its number modulo the ring's length.
    """
    size, own, flat = ring.shape[0], ring[k % ring.shape[0]].ravel(), out.ravel()
    share = np.float32(SHARED / max(high - low - 1, 1))
    flat[:] = 0.0
    for m in range(low, high):
        if m != k:
            other = ring[m % size].ravel()
            for j in range(flat.shape[0]):
                flat[j] += share * other[j]
    for j in range(flat.shape[0]):
        flat[j] = flat[j] + own[j] if own[j] != 0 else np.float32(0)


@inner
def place(both: NDArray[np.float32], weight: Row, fs: float) -> int:
    """Return at which step before the QRS the leads' bumps together stand out most, weighed by place; −1 for none."""
    best, at, step = 0.0, -1, max(1, round(STEP_S * fs))
    for j in range(both.shape[1]):
        total = 0.0
        for lead in range(both.shape[0]):
            total += weight[lead] * both[lead, j] * both[lead, j]
        z = ((j * step) / fs + HALF_S + GAP_S - USUAL_S) / SPREAD_S
        total *= math.exp(-0.5 * z * z)
        if total > best:
            best, at = total, j
    return at


@inner
def p_wave(
    c: NDArray[np.float64],
    weight: Row,
    at: int,
    pattern: Row,
    own: NDArray[np.float32],
    on: int,
    fs: float,
    g: Row,
    out: NDArray[np.int64],
) -> float:
    """Write the P wave at step `at` before a QRS in every lead and globally; return its size in µV (RMS), 0 = absent.

    `own`: the beat's bumps.
    """
    leads, n = c.shape[0], c.shape[1] - 1
    w, s, smooth = max(2, int(HALF_S * fs)), max(1, round(SLOPE_S * fs)), max(1, int(0.006 * fs))
    middle = on - int(GAP_S * fs) - w - at * max(1, round(STEP_S * fs))
    total, square = 0.0, 0.0
    for lead in range(leads):
        total += weight[lead]
        square += weight[lead] * own[lead, at] * own[lead, at]
    size = math.sqrt(square / total) if total > 0 else 0.0
    lo, hi, half = max(middle - int(0.14 * fs), 0), min(on + int(0.02 * fs), n - 1), int(0.03 * fs)
    part = g[: n + 1]
    along(c, pattern, math.sqrt(np.sum(pattern * pattern)), lo, hi, g)
    a, b = max(middle - half, lo + 1), min(middle + half, on)
    peak = crest(part, a, b, smooth, 1.0, max(middle - 2 * w, lo), min(middle + 2 * w, on))
    start, stop = max(lo + s, peak - int(0.10 * fs)), min(on, peak + int(0.10 * fs), hi - s)
    if size < LEAST_UV or not start < peak < stop:
        return 0.0
    every = out[leads]
    every[ON] = foot(part, peak, start, s, ON_PART, 1.0) + round(ON_SHIFT_S * fs)
    every[OFF] = max(foot(part, peak, stop, s, OFF_PART, 1.0) + round(OFF_SHIFT_S * fs), peak)
    every[PEAK] = peak
    for lead in range(leads):
        if weight[lead] > 0:
            _p_lead(c[lead], every, 1.0 if pattern[lead] >= 0 else -1.0, on, lo, fs, out[lead])
    return size


@inner
def _p_lead(c: Row, every: NDArray[np.int64], sign: float, on: int, lo: int, fs: float, out: NDArray[np.int64]) -> None:
    """Write one lead's P wave near the global one."""
    n, half, near = c.shape[0] - 1, int(0.03 * fs), int(0.02 * fs)
    s, smooth = max(1, round(SLOPE_S * fs)), max(1, int(0.006 * fs))
    a, b = max(every[PEAK] - half, every[ON] + 1), min(every[PEAK] + half, every[OFF])
    peak = crest(c, a, b, smooth, sign, every[ON], every[OFF]) if b > a else int(every[PEAK])
    start, stop = max(lo + s, every[ON] - near), min(every[OFF] + near, on, n - s - 1)
    out[PEAK], out[ON], out[OFF] = peak, every[ON], every[OFF]
    if start < peak < stop:
        first = foot(c, peak, start, s, ON_PART, sign) + round(ON_SHIFT_S * fs)
        end = foot(c, peak, stop, s, OFF_PART, sign) + round(OFF_SHIFT_S * fs)
        out[ON] = min(blend(first, every[ON], OWN), peak)
        out[OFF] = max(blend(end, every[OFF], OWN), peak)
