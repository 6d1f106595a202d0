"""The T wave after a QRS: what stands out most from its flanks where one may be expected, its edges feet of slopes.

Experts' T peaks follow the interval (ludb, qtdb: R to peak = 0.16 s + 0.12 RR, SD 35 to 40 ms): a bump counts the less
the further it is from there, and none counts that the next P wave's place begins before. Bumps of two widths are
sought, for T waves fused with ST segments are broad.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.contour import Row, blend, bump, crest, foot, project, stands, windows
from feldsher_signal.jit import inner

T_ON, T_PEAK, T_OFF = 6, 7, 8
HALF_S, WIDE, STEP_S = 0.042, 2.0, 0.006
EXPECTED_S, EXPECTED_RR, SPREAD_S = 0.16, 0.12, 0.10
GAP_S, REACH_S, REACH_RR, NEXT_S, NEXT_RR = 0.05, 0.70, 0.66, 0.14, 0.25
"""Where its middle may be: after the QRS, after R, and before the next QRS, in seconds and parts of the interval."""
SLOPE_S, ON_PART, OFF_PART, OWN, LEAST_UV = 0.0255, 0.611, 0.291, 0.648, 8.0
ON_SHIFT_S, OFF_SHIFT_S, FINE_OFF_SHIFT_S = -0.028, -0.002, 0.008


@inner
def likeliest(
    c: NDArray[np.float64], weight: Row, a: int, b: int, w: int, lo: int, hi: int, expected: float, fs: float
) -> int:
    """Return which of a … b−1 (every STEP_S) the leads stand out at most, weighed by how near it is to `expected`."""
    step, wide, spread = max(1, int(STEP_S * fs)), int(WIDE * w), SPREAD_S * fs
    best, best_at = 0.0, -1
    for i in range(a, b, step):
        narrow, broad = 0.0, 0.0
        close, far = windows(i, w, lo, hi), windows(i, wide, lo, hi)
        for lead in range(c.shape[0]):
            if weight[lead] > 0:
                d, e = stands(c[lead], close), stands(c[lead], far)
                narrow += weight[lead] * d * d
                broad += weight[lead] * e * e
        z = (i - expected) / spread
        total = max(narrow, broad) * math.exp(-0.5 * z * z)
        if total > best:
            best, best_at = total, i
    return best_at


@inner
def t_wave(
    c: NDArray[np.float64],
    weight: Row,
    r: int,
    after: int,
    limit: int,
    off: int,
    fs: float,
    averaged: bool,
    g: Row,
    out: NDArray[np.int64],
) -> int:
    """Write the T wave after one QRS in every lead and globally; return where it ends, or the QRS where absent.

    `after`: the next R; `limit`: the next QRS onset.
    """
    leads, n = c.shape[0], c.shape[1] - 1
    w, s, smooth = max(2, int(HALF_S * fs)), max(1, round(SLOPE_S * fs)), max(1, int(0.008 * fs))
    rr, first = after - r, off + int(GAP_S * fs)
    last = min(r + int(min(REACH_RR * rr, REACH_S * fs)), limit - int(min(NEXT_S * fs, NEXT_RR * rr)), n - w - 1)
    if last - first < int(0.05 * fs):
        return off
    expected = r + EXPECTED_S * fs + EXPECTED_RR * rr
    at = likeliest(c, weight, first, last, w, off, min(limit, n), expected, fs)
    if at < 0:
        return off
    lo, hi = off, min(last + int(0.16 * fs), r + int(0.85 * rr), n - 1)
    size = project(c, weight, at, w, off, min(limit, n), lo, hi, g)
    if size < LEAST_UV or hi - at < s:
        return off
    part, half = g[: n + 1], int(0.06 * fs)
    peak = crest(
        part, max(at - half, lo + 1), min(at + half, hi), smooth, 1.0, max(at - 2 * w, lo), min(at + 2 * w, hi - 1)
    )
    start, stop = max(lo + s, peak - int(0.26 * fs)), min(hi - s, peak + int(0.15 * fs))
    if not start < peak < stop:
        return off
    every = out[leads]
    every[T_ON] = foot(part, peak, start, s, ON_PART, 1.0) + round(ON_SHIFT_S * fs)
    every[T_ON] = max(every[T_ON], off)
    every[T_OFF] = foot(part, peak, stop, s, OFF_PART, 1.0) + round(
        (FINE_OFF_SHIFT_S if averaged else OFF_SHIFT_S) * fs
    )
    every[T_PEAK] = peak
    for lead in range(leads):
        if weight[lead] > 0:
            _t_lead(c[lead], every, off, fs, out[lead])
    return int(every[T_OFF])


@inner
def _t_lead(c: Row, every: NDArray[np.int64], off: int, fs: float, out: NDArray[np.int64]) -> None:
    """Write one lead's T wave near the global one."""
    n, half = c.shape[0] - 1, int(0.05 * fs)
    w, s, smooth = max(2, int(HALF_S * fs)), max(1, round(SLOPE_S * fs)), max(1, int(0.008 * fs))
    sign = 1.0 if bump(c, every[T_PEAK], w, off, n) >= 0 else -1.0
    a, b = max(every[T_PEAK] - half, every[T_ON] + 1), min(every[T_PEAK] + half, every[T_OFF])
    peak = crest(c, a, b, smooth, sign, every[T_ON], every[T_OFF]) if b > a else int(every[T_PEAK])
    start, stop = max(off, every[T_ON] - half), min(every[T_OFF] + half, n - s - 1)
    out[T_PEAK] = peak
    out[T_ON], out[T_OFF] = every[T_ON], every[T_OFF]
    if start < peak < stop:
        on = foot(c, peak, start, s, ON_PART, sign) + round(ON_SHIFT_S * fs)
        end = foot(c, peak, stop, s, OFF_PART, sign) + round(OFF_SHIFT_S * fs)
        out[T_ON] = min(max(blend(on, every[T_ON], OWN), off), peak)
        out[T_OFF] = max(blend(end, every[T_OFF], OWN), peak)
