"""Where P, QRS and T begin, peak and end: beat by beat, over all leads (`global`) and in each; absent is an answer.

QRS edges: from the steepest slope outward until the slope stays under a part of its maximum, after the slope-threshold
family of Laguna 1994 (ecgpuwave) and Martínez 2004. P and T: the point that stands out most from its flanks, summed
over leads; the leads are then projected on that point's own spatial pattern, which makes the wave upright and lowers
noise, and its edges are where the slope has fallen to a part of its maximum. A lead's own edges are searched near the
global ones and drawn to them (the parts below). Slopes are differences of means over neighbouring windows (Haar
wavelet) from prefix sums, so that drift and offset do not matter. The QRS figures
were chosen on ludb ids ≡ 1 (mod 4). Those of P and T (twave, pwave, presence) were settled with all of ludb and qtdb
in sight, and refine is fitted on all of both: only recordings elsewhere judge those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import refine
from feldsher_signal.contour import Row, add_bends, blend, highest, mean, quiet, steepness, walk
from feldsher_signal.jit import inner, kernel
from feldsher_signal.pwave import AROUND, STEPS, bumps, p_wave, place, t_over, together
from feldsher_signal.twave import t_wave

P_ON, P_PEAK, P_OFF, QRS_ON, R, QRS_OFF, T_ON, T_PEAK, T_OFF = range(9)
POINTS = ("p_on", "p_peak", "p_off", "qrs_on", "r", "qrs_off", "t_on", "t_peak", "t_off")
ABSENT = -1

# Seconds and parts, chosen on the tuning half; the shifts bring each edge's mean error to nought there.
SLOPE_S, RUN_S, NOISE_TIMES = 0.016, 0.0144, 1.545
ON_PART, OFF_PART, LEAD_ON_PART, LEAD_OFF_PART = 0.036, 0.037, 0.167, 0.272
QRS_ON_SHIFT_S, QRS_OFF_SHIFT_S, QRS_OWN = -0.007, 0.002, 0.473
FINE_S, FINE_PART = 0.008, 0.04
"""The same for a median beat, whose noise is low: a shorter slope blurs its edges less. Single beats are marked as wide
as ludb's experts mark them (a QRS of 97 ms in one lead); over PTB-XL's normal median beats these give 89 ± 10 ms."""
POSITIVE = 6.4
"""The R mark is the upright wave unless the other is so many times larger."""
P_HALF_S, P_SLOPE_S, P_ON_PART, P_OFF_PART, P_OWN = 0.036, 0.028, 0.403, 0.486, 0.649
P_ON_SHIFT_S, P_OFF_SHIFT_S, P_GAP_S, P_LEAST_UV = 0.0, -0.009, 0.010, 12.0
P_REACH_S, P_REACH_RR = 0.36, 0.62
"""A P wave is sought no further before R: PR intervals beyond 300 ms are rare, and the T wave before is near."""
NEAR_S = 2.0
"""A beat's neighbours further away than this count as being there: its marks depend on no sample beyond."""


@inner
def _qrs_lead(c: Row, on: int, off: int, fs: float, g: Row, out: NDArray[np.int64]) -> None:
    """Write one lead's QRS onset, R and offset near the global ones."""
    n, s = c.shape[0] - 1, max(1, round(SLOPE_S * fs))
    reach, run = int(0.06 * fs), max(2, int(RUN_S * fs))
    lo, hi = max(s, on - reach), min(n - s - 1, off + reach)
    if hi <= lo or on < lo or off >= hi:
        out[QRS_ON], out[QRS_OFF] = on, off
    else:
        steepness(c, lo, hi, s, g)
        w = max(int(0.02 * fs), 1)
        noise = NOISE_TIMES * min(quiet(g, lo, on, w), quiet(g, off, hi, w))
        top, near = highest(g, on, off + 1), int(0.03 * fs)
        first = walk(g, top, -1, max(on - near, lo), noise + LEAD_ON_PART * g[top], run)
        last = walk(g, top, 1, min(off + near, hi), noise + LEAD_OFF_PART * g[top], run)
        out[QRS_ON] = blend(first + round(QRS_ON_SHIFT_S * fs), on, QRS_OWN)
        out[QRS_OFF] = blend(last + round(QRS_OFF_SHIFT_S * fs), off, QRS_OWN)
    _r_lead(c, fs, out)


@inner
def _r_lead(c: Row, fs: float, out: NDArray[np.int64]) -> None:
    """Write one lead's R: the tallest wave between its QRS edges, upright ones preferred."""
    n, half = c.shape[0] - 1, max(1, int(0.003 * fs))
    first = max(out[QRS_ON], 0)
    base = mean(c, max(first - int(0.012 * fs), 0), min(first + 1, n))
    best, best_at = -1.0, first
    last, width = min(out[QRS_OFF] + 1, n), 2 * half + 1
    whole = first >= half and last + half <= n
    for i in range(first, last):
        here = (c[i + half + 1] - c[i - half]) / width if whole else mean(c, max(i - half, 0), min(i + half + 1, n))
        d = here - base
        size = max(POSITIVE * d, -d)
        if size > best:
            best, best_at = size, i
    out[R] = best_at


@inner
def _qrs(
    c: NDArray[np.float64],
    weight: Row,
    r: int,
    before: int,
    after: int,
    fs: float,
    averaged: bool,
    g: Row,
    out: NDArray[np.int64],
) -> bool:
    """Write the QRS of one beat in every lead and globally (last row); False where there is no room for one."""
    leads, n, s = c.shape[0], c.shape[1] - 1, max(1, round((FINE_S if averaged else SLOPE_S) * fs))
    lo, hi = max(r - int(0.16 * fs), (before + r) // 2, s), min(r + int(0.20 * fs), (r + after) // 2, n - s - 1)
    start = max(s, r - int(0.35 * fs), (before + r) // 2)
    if hi - lo < int(0.06 * fs) or r <= lo or r >= hi:
        return False
    g[start : hi + 1] = 0.0
    for lead in range(leads):
        if weight[lead] > 0:
            add_bends(c[lead], start, hi + 1, s, weight[lead] / (s * s), g)
    for i in range(start, hi + 1):
        g[i] = math.sqrt(g[i])
    noise = NOISE_TIMES * quiet(g, start, max(r - int(0.04 * fs), start), max(int(0.03 * fs), 1))
    top = highest(g, max(lo, r - int(0.08 * fs)), min(hi, r + int(0.08 * fs)))
    run, every = max(2, int(RUN_S * fs)), out[leads]
    every[QRS_ON] = walk(g, top, -1, lo, noise + (FINE_PART if averaged else ON_PART) * g[top], run)
    every[QRS_OFF] = walk(g, top, 1, hi, noise + (FINE_PART if averaged else OFF_PART) * g[top], run)
    if not averaged:
        every[QRS_ON] += round(QRS_ON_SHIFT_S * fs)
        every[QRS_OFF] += round(QRS_OFF_SHIFT_S * fs)
    every[QRS_ON], every[QRS_OFF] = max(every[QRS_ON], 0), min(every[QRS_OFF], n - 1)
    every[R] = min(max(r, every[QRS_ON]), every[QRS_OFF])
    for lead in range(leads):
        if weight[lead] > 0:
            _qrs_lead(c[lead], every[QRS_ON], every[QRS_OFF], fs, g, out[lead])
    return True


@inner
def _p_waves(
    c: NDArray[np.float64],
    weight: NDArray[np.float64],
    r: NDArray[np.int64],
    earlier: int,
    there: NDArray[np.bool_],
    fs: float,
    t_end: int,
    g: Row,
    out: NDArray[np.int64],
    p_size: NDArray[np.float64],
) -> None:
    """Write the P waves of all beats, whose QRS and T waves are marked, from theirs and their neighbours' bumps."""
    beats, every, near = r.shape[0], c.shape[0], int(NEAR_S * fs)
    ring = np.zeros((2 * AROUND + 1, every, STEPS), np.float32)
    both, pattern = np.zeros((every, STEPS), np.float32), np.zeros(every)
    for m in range(beats + AROUND):
        if m < beats:
            ring[m % ring.shape[0]] = 0.0
            if there[m]:
                before = max(r[m - 1] if m > 0 else earlier, r[m] - near)
                ended = int(max(out[m - 1, every, T_OFF], out[m - 1, every, QRS_OFF])) if m > 0 else t_end
                on = int(out[m, every, QRS_ON])
                if m > 0:
                    last = out[m - 1, every]
                    ended = t_over(last[QRS_ON], last[T_PEAK], ended, r[m] - before, on, fs)
                bumps(c, weight[m], r[m], before, ended, on, fs, ring[m % ring.shape[0]])
        k = m - AROUND
        if k >= 0 and there[k]:
            together(ring, k, max(k - AROUND, 0), min(k + AROUND + 1, beats), both)
            at = place(both, weight[k], fs)
            if at >= 0:
                pattern[:] = weight[k] * both[:, at]
                own = ring[k % ring.shape[0]]
                p_size[k] = p_wave(c, weight[k], at, pattern, own, int(out[k, every, QRS_ON]), fs, g, out[k])


@kernel("void(f8[:,::1], f8[:,::1], i8[::1], i8, i8, f8, b1, i8, i8[:,:,::1], f8[::1])", fast=True)
def mark(
    c: NDArray[np.float64],
    weight: NDArray[np.float64],
    r: NDArray[np.int64],
    earlier: int,
    later: int,
    fs: float,
    averaged: bool,
    t_end: int,
    out: NDArray[np.int64],
    p_size: NDArray[np.float64],
) -> None:
    """Write (beats, leads + 1, 9) marks in samples, ABSENT where a wave is not there; the last row of leads is global.

    `c`: prefix sums (leads, n + 1) of µV without gaps; `weight` (beats, leads): 0 for a lead not to be judged; `r`:
    where the beats are; `earlier`, `later`: where those before the first and after the last are; `averaged`: a median
    beat, marked more finely; `t_end`: where the T wave before the first beat ends; `p_size`: each P wave's size in µV.

    A beat's marks depend on the next beat's QRS, on nothing further than NEAR_S from its R or the next, on where the T
    wave before it ends, and on c by its differences only: a stream marks a piece as the whole would be (stream.py).
    """
    beats, n, near = r.shape[0], c.shape[1] - 1, int(NEAR_S * fs)
    g = np.zeros(n + 1)
    every, there = c.shape[0], np.zeros(beats, np.bool_)
    for k in range(beats):
        before = max(r[k - 1] if k > 0 else earlier, r[k] - near)
        after = min(r[k + 1] if k + 1 < beats else later, r[k] + near)
        out[k] = ABSENT
        p_size[k] = 0.0
        there[k] = _qrs(c, weight[k], r[k], before, after, fs, averaged, g, out[k])
        if not there[k]:
            out[k] = ABSENT
    for k in range(beats):
        if not there[k]:
            continue
        before = max(r[k - 1] if k > 0 else earlier, r[k] - near)
        after = min(r[k + 1] if k + 1 < beats else later, r[k] + near)
        off, limit = int(out[k, every, QRS_OFF]), after - int(0.05 * fs)
        if k + 1 < beats and there[k + 1]:
            limit = min(limit, int(out[k + 1, every, QRS_ON]))
        t_wave(c, weight[k], r[k], after, limit, off, fs, averaged, g, out[k])
    _p_waves(c, weight, r, earlier, there, fs, t_end, g, out, p_size)


@dataclass(frozen=True, slots=True)
class Sought:
    """Beats to be marked.

    `r`: their R peaks (samples); `lead_on`: leads that may be judged, (leads) or (beats, leads); `rr`: the interval
    before the first beat and after the last, in samples; `averaged`: a median beat, marked more finely; `t_end`: where
    the T wave before the first beat ends.
    """

    r: NDArray[np.int64]
    lead_on: NDArray[np.bool_]
    rr: float
    averaged: bool = False
    t_end: int = 0

    @property
    def around(self) -> tuple[int, int]:
        """Where the beats before the first and after the last are."""
        return int(self.r[0]) - int(self.rr), int(self.r[-1]) + int(self.rr)


def uncorrected(c: NDArray[np.float64], fs: float, beats: Sought) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return what `delineate` does, with the edges of P and T as slopes alone give them."""
    r, leads = beats.r, c.shape[0]
    out = np.full((r.shape[0], leads + 1, len(POINTS)), ABSENT, np.int64)
    size = np.zeros(r.shape[0])
    weight = np.ascontiguousarray(np.broadcast_to(beats.lead_on, (r.shape[0], leads)), np.float64)
    if r.shape[0]:
        mark(c, weight, r, *beats.around, fs, beats.averaged, beats.t_end, out, size)
    return out, size


def delineate(c: NDArray[np.float64], fs: float, beats: Sought) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return marks (beats, leads + 1, 9) and the size of each P wave in µV; `c`: prefix sums of µV without gaps.

    A median beat keeps its edges as slopes give them: corrections are learned from single beats.
    """
    out, size = uncorrected(c, fs, beats)
    if beats.r.shape[0] and not beats.averaged:
        refine.correct(c, beats.r, *beats.around, fs, refine.coefficients(), out)
    return out, size
