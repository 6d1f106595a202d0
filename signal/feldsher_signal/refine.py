"""Edges of P and T in a lead drawn to where experts put them: a linear correction learned from their marks.

What an edge found by slopes misses depends on the wave's width, size and sign, on where the leads together have the
wave, on its distance from the QRS, and on where the beats around have it. `models/edge-*.json` hold the coefficients,
benchmarks/train_delineation.py made them (ludb, qtdb); corrections are bounded, and a beat's depends on its own marks
and intervals and on the uncorrected marks of AROUND beats on each side.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import model
from feldsher_signal.contour import Row, mean
from feldsher_signal.jit import inner, kernel

TRAITS = (
    *("own_on", "own_off", "all_on", "all_peak", "all_off"),
    *("log_height", "sign", "rr_before", "rr_after", "qrs_on", "qrs_off", "usual_on", "usual_off"),
)
"""ms from the lead's own peak, but for log µV, the sign, the intervals in ms, and how much later than this beat's the
edges of the beats around are on average, from R."""
EDGES = ("p_on", "p_off", "t_on", "t_off")
"""The edges that are corrected, in the order of the coefficients."""
AROUND, APART_MS = 4, 50.0
"""Beats on each side that a beat's edges are compared with, and how much one of them may say."""
MOST_MS, SMOOTH_S = 40.0, 0.006
LEAST_RR_MS, MOST_RR_MS = 300.0, 1600.0
ABSENT_REL = np.iinfo(np.int32).min
_P, _T, _QRS_ON, _QRS_OFF = 0, 6, 3, 5


@inner
def _height(c: Row, own: NDArray[np.int64], wave: int, fs: float) -> float:
    """Return how far a wave's peak stands over the line through its edges, in µV."""
    n, h = c.shape[0] - 1, max(1, int(SMOOTH_S * fs))
    on, peak, off = own[wave], own[wave + 1], own[wave + 2]
    first = mean(c, max(on - h, 0), min(on + h + 1, n))
    last = mean(c, max(off - h, 0), min(off + h + 1, n))
    line = first + (last - first) * (peak - on) / max(off - on, 1)
    return mean(c, max(peak - h, 0), min(peak + h + 1, n)) - line


@inner
def _trait(
    c: Row, own: NDArray[np.int64], every: NDArray[np.int64], wave: int, before: int, after: int, fs: float, out: Row
) -> None:
    """Write the TRAITS of the wave (P or T, by its first mark) of one beat in one lead."""
    ms, peak = 1000.0 / fs, own[wave + 1]
    height = _height(c, own, wave, fs)
    out[0], out[1] = (own[wave] - peak) * ms, (own[wave + 2] - peak) * ms
    for j in range(3):
        out[2 + j] = (every[wave + j] - peak) * ms
    out[5], out[6] = math.log(abs(height) + 5.0), 1.0 if height >= 0 else -1.0
    out[7] = min(max(before * ms, LEAST_RR_MS), MOST_RR_MS)
    out[8] = min(max(after * ms, LEAST_RR_MS), MOST_RR_MS)
    out[9], out[10] = (own[_QRS_ON] - peak) * ms, (own[_QRS_OFF] - peak) * ms


@inner
def _usual(rel: NDArray[np.int32], k: int, lead: int, edge: int, most: int) -> float:
    """Return how many samples later than beat k's an edge is on average in it and AROUND beats on each side.

    `rel` (beats, leads, 4): edges from R, ABSENT_REL where there is none; `most`: what one beat may differ by.
    """
    own, total, count = rel[k, lead, edge], 0, 0
    for j in range(max(k - AROUND, 0), min(k + AROUND + 1, rel.shape[0])):
        if rel[j, lead, edge] != ABSENT_REL:
            total += min(max(rel[j, lead, edge] - own, -most), most)
            count += 1
    return total / max(count, 1)


@inner
def _from_r(marks: NDArray[np.int64], r: NDArray[np.int64], rel: NDArray[np.int32]) -> None:
    """Write where the edges of P and T lie from R in each beat and lead, ABSENT_REL where there are none."""
    for k in range(rel.shape[0]):
        for lead in range(rel.shape[1]):
            for e in range(4):
                at = marks[k, lead, (_P, _P + 2, _T, _T + 2)[e]]
                rel[k, lead, e] = at - r[k] if at >= 0 else ABSENT_REL


@inner
def _compare(rel: NDArray[np.int32], k: int, lead: int, first: int, fs: float, out: Row) -> None:
    """Write the last two TRAITS: how the two edges from number `first` on lie in the beats around."""
    most = int(APART_MS * fs / 1000.0)
    for j in range(2):
        out[11 + j] = _usual(rel, k, lead, first + j, most) * 1000.0 / fs


@kernel("void(f8[:,::1], i8[::1], i8, i8, f8, i8[:,:,::1], i8, f8[:,:,::1])", fast=True)
def traits(
    c: NDArray[np.float64],
    r: NDArray[np.int64],
    earlier: int,
    later: int,
    fs: float,
    marks: NDArray[np.int64],
    wave: int,
    out: NDArray[np.float64],
) -> None:
    """Write (beats, leads, TRAITS) of P (wave 0) or T (wave 6), NaN where there is none, for training.

    `c`, `r`, `earlier`, `later`, `marks` as in delineate.mark.
    """
    beats, leads, first = marks.shape[0], c.shape[0], 2 if wave == _T else 0
    rel = np.empty((beats, leads, 4), np.int32)
    _from_r(marks, r, rel)
    for k in range(beats):
        before = r[k] - (r[k - 1] if k > 0 else earlier)
        after = (r[k + 1] if k + 1 < beats else later) - r[k]
        for lead in range(leads):
            out[k, lead] = np.nan
            if marks[k, lead, wave + 1] >= 0:
                _trait(c[lead], marks[k, lead], marks[k, leads], wave, before, after, fs, out[k, lead])
                _compare(rel, k, lead, first, fs, out[k, lead])


@inner
def _correction(by: Row, trait: Row, fs: float) -> int:
    """Return a correction in samples: the first coefficient plus the others times the traits, bounded."""
    total = by[0]
    for j in range(trait.shape[0]):
        total += by[1 + j] * trait[j]
    return math.floor(min(max(total, -MOST_MS), MOST_MS) * fs / 1000.0 + 0.5)


@kernel("void(f8[:,::1], i8[::1], i8, i8, f8, f8[:,::1], i8[:,:,::1])", fast=True)
def correct(
    c: NDArray[np.float64],
    r: NDArray[np.int64],
    earlier: int,
    later: int,
    fs: float,
    by: NDArray[np.float64],
    marks: NDArray[np.int64],
) -> None:
    """Move the EDGES of P and T in every lead by what their traits say; `by` (EDGES, 1 + TRAITS): coefficients in ms.

    Edges stay on their side of the peak, P before the QRS, T after it; the global marks stay as they are.
    """
    beats, leads, n = marks.shape[0], c.shape[0], c.shape[1] - 1
    trait, rel = np.empty(by.shape[1] - 1), np.empty((beats, leads, 4), np.int32)
    _from_r(marks, r, rel)
    for k in range(beats):
        before = r[k] - (r[k - 1] if k > 0 else earlier)
        after = (r[k + 1] if k + 1 < beats else later) - r[k]
        every = marks[k, leads]
        for lead in range(leads):
            own = marks[k, lead]
            if own[_P + 1] >= 0:
                _trait(c[lead], own, every, _P, before, after, fs, trait)
                _compare(rel, k, lead, 0, fs, trait)
                on, off = _correction(by[0], trait, fs), _correction(by[1], trait, fs)
                own[_P] = min(max(own[_P] + on, 0), own[_P + 1])
                own[_P + 2] = max(min(own[_P + 2] + off, own[_QRS_ON]), own[_P + 1])
            if own[_T + 1] >= 0:
                _trait(c[lead], own, every, _T, before, after, fs, trait)
                _compare(rel, k, lead, 2, fs, trait)
                on, off = _correction(by[2], trait, fs), _correction(by[3], trait, fs)
                own[_T] = min(max(own[_T] + on, own[_QRS_OFF]), own[_T + 1])
                own[_T + 2] = min(max(own[_T + 2] + off, own[_T + 1]), n - 1)


@functools.cache
def coefficients() -> NDArray[np.float64]:
    """Return (EDGES, 1 + TRAITS): for each edge a constant and what a unit of each trait moves it by, in ms."""
    rows: list[NDArray[np.float64]] = []
    for edge in EDGES:
        fitted = model.load(f"edge-{edge}", TRAITS)
        weight, middle, scale = (np.asarray(v, np.float64) for v in fitted.arrays[:3])
        slope = weight / scale
        rows.append(np.concatenate([[fitted.base - float(slope @ middle)], slope]))
    return np.ascontiguousarray(np.stack(rows))
