"""Edges of P and T in a lead drawn to where experts put them: a linear correction learned from their marks.

What an edge found by slopes misses depends on the wave's width, size and sign, on where the leads together have the
wave, and on its distance from the QRS. `models/edge-*.json` hold the coefficients, benchmarks/train_delineation.py
made them (ludb, qtdb); corrections are bounded, and a beat's depends on its own marks and intervals alone.
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
    *("log_height", "sign", "rr_before", "rr_after", "qrs_on", "qrs_off"),
)
"""ms from the lead's own peak, but for log µV, the sign, and the intervals in ms."""
EDGES = ("p_on", "p_off", "t_on")
"""The edges that a correction was found for; the end of T gains nothing from one."""
MOST_MS, SMOOTH_S = 40.0, 0.006
LEAST_RR_MS, MOST_RR_MS = 300.0, 1600.0
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
    beats, leads = marks.shape[0], c.shape[0]
    for k in range(beats):
        before = r[k] - (r[k - 1] if k > 0 else earlier)
        after = (r[k + 1] if k + 1 < beats else later) - r[k]
        for lead in range(leads):
            out[k, lead] = np.nan
            if marks[k, lead, wave + 1] >= 0:
                _trait(c[lead], marks[k, lead], marks[k, leads], wave, before, after, fs, out[k, lead])


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
    beats, leads = marks.shape[0], c.shape[0]
    trait = np.empty(by.shape[1] - 1)
    for k in range(beats):
        before = r[k] - (r[k - 1] if k > 0 else earlier)
        after = (r[k + 1] if k + 1 < beats else later) - r[k]
        every = marks[k, leads]
        for lead in range(leads):
            own = marks[k, lead]
            if own[_P + 1] >= 0:
                _trait(c[lead], own, every, _P, before, after, fs, trait)
                on, off = _correction(by[0], trait, fs), _correction(by[1], trait, fs)
                own[_P] = min(max(own[_P] + on, 0), own[_P + 1])
                own[_P + 2] = max(min(own[_P + 2] + off, own[_QRS_ON]), own[_P + 1])
            if own[_T + 1] >= 0:
                _trait(c[lead], own, every, _T, before, after, fs, trait)
                own[_T] = min(max(own[_T] + _correction(by[2], trait, fs), own[_QRS_OFF]), own[_T + 1])


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
