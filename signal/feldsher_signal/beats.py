"""Beat classes (AAMI N, S, V, Q) from prematurity, width and likeness to the patient's own prevailing complex.

Nothing is learned from other patients and nothing from the annotations of the scored one: complexes of one recording
are grouped by shape (leader clustering on correlation); the most frequent group that is not early prevails.
"""

from __future__ import annotations

import math

import numpy as np
from feldsher_ehr_core.ecg import BeatKind
from numpy.typing import NDArray

from feldsher_signal.jit import inner, kernel

BEFORE_S, AFTER_S = 0.10, 0.16
"""The piece of a beat whose shape is compared."""
LIKE = 0.90
"""Correlation from which two complexes are of one group."""
GROUPS = 24
EARLY = 0.87
"""An interval under this part of the usual one is premature; de Chazal 2004 uses this ratio."""
UNLIKE = 0.80
WIDER_MS = 25.0
ALONE = 0.4
"""Likeness of the stretch before the QRS under which no P wave of the patient's own leads the beat."""
RESTLESS, EARLY_RESTLESS = 0.09, 0.6
USUAL_BEATS = 20
WIDE_MS = 120.0
"""Ventricular complexes are 120 ms and wider: AHA/ACCF/HRS 2009 part III (Surawicz)."""
_SHIFTS = 3


@inner
def _take(x: NDArray[np.float32], lead_on: NDArray[np.bool_], r: int, a: int, b: int, out: NDArray[np.float64]) -> None:
    """Write the shape around r: every lead on, r−a … r+b, each lead without its mean, all together of length one."""
    at, n = 0, x.shape[1]
    width = a + b
    for lead in range(x.shape[0]):
        if not lead_on[lead]:
            continue
        mean = 0.0
        for i in range(width):
            v = x[lead, min(max(r - a + i, 0), n - 1)]
            out[at + i] = v
            mean += v
        mean /= width
        for i in range(width):
            out[at + i] -= mean
        at += width
    size = 0.0
    for i in range(at):
        size += out[i] * out[i]
    size = math.sqrt(size)
    for i in range(at):
        out[i] = out[i] / size if size > 0 else 0.0


@inner
def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@kernel("i8(f4[:,::1], b1[::1], i8[::1], i8, i8, i8, f8[:,::1], i8[::1], i8[::1])", fast=True)
def group(
    x: NDArray[np.float32],
    lead_on: NDArray[np.bool_],
    r: NDArray[np.int64],
    before: int,
    after: int,
    step: int,
    leaders: NDArray[np.float64],
    size: NDArray[np.int64],
    label: NDArray[np.int64],
) -> int:
    """Write each beat's group; leaders (groups, length) hold the mean shapes; return how many groups there are.

    A beat is compared at shifts of up to three `step`s each way, so that a jittering R peak does not split a group.
    """
    count = 0
    shape, best_shape = np.empty(leaders.shape[1]), np.empty(leaders.shape[1])
    for k in range(r.shape[0]):
        best, best_at = -1.0, -1
        for shift in range(-_SHIFTS, _SHIFTS + 1):
            _take(x, lead_on, r[k] + shift * step, before, after, shape)
            for g in range(count):
                like = _dot(shape, leaders[g]) / math.sqrt(max(_dot(leaders[g], leaders[g]), 1e-12))
                if like > best:
                    best, best_at = like, g
                    best_shape[:] = shape
        if best < LIKE and count < leaders.shape[0]:
            _take(x, lead_on, r[k], before, after, leaders[count])
            best_at, size[count] = count, 0
            count += 1
        else:
            part = 1.0 / min(size[best_at] + 1, 32)
            for i in range(leaders.shape[1]):
                leaders[best_at, i] += part * (best_shape[i] - leaders[best_at, i])
        size[best_at] += 1
        label[k] = best_at
    return count


def groups(
    x: NDArray[np.float32], lead_on: NDArray[np.bool_], r: NDArray[np.int64], fs: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each beat's group and the (groups, groups) likeness of the groups' mean shapes."""
    before, after = max(round(BEFORE_S * fs), 1), max(round(AFTER_S * fs), 1)
    leaders = np.zeros((GROUPS, int(lead_on.sum()) * (before + after)))
    size, label = np.zeros(GROUPS, np.int64), np.zeros(r.shape[0], np.int64)
    count = group(x, lead_on, r, before, after, max(round(0.004 * fs), 1), leaders, size, label)
    found = leaders[:count]
    found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return label, found @ found.T


def _around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each value and up to USUAL_BEATS on each side."""
    reach = min(USUAL_BEATS, values.shape[0] - 1)
    padded = np.pad(values, reach, mode="reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)


def earliness(r: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each beat's interval before it as a part of the usual one; 1 for the first."""
    out = np.ones(r.shape[0])
    if r.shape[0] >= 3:
        rr = np.diff(r).astype(np.float64)
        out[1:] = rr / np.maximum(_around(rr), 1.0)
    return out


def irregularity(r: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return by beat the median change from interval to interval as a part of the usual one: 0.02 in sinus rhythm."""
    out = np.zeros(r.shape[0])
    if r.shape[0] >= 5:
        rr = np.diff(r).astype(np.float64)
        out[2:] = _around(np.abs(np.diff(rr))) / np.maximum(_around(rr)[1:], 1.0)
        out[:2] = out[2]
    return out


def prevailing(label: NDArray[np.int64], early: NDArray[np.float64], width: NDArray[np.float64]) -> int:
    """Return the group of the patient's usual complexes: many, not early, and narrow where two are about as many."""
    best, best_score = 0, -math.inf
    for g in np.unique(label):
        mine = label == g
        score = float(mine.sum()) * (1.0 if np.median(early[mine]) > EARLY else 0.3)
        if np.median(width[mine]) > WIDE_MS:
            score *= 0.6
        if score > best_score:
            best, best_score = int(g), score
    return best


def _ventricular(
    mine: NDArray[np.bool_],
    like: float,
    early: NDArray[np.float64],
    wider: float,
    p_like: NDArray[np.float64],
) -> bool:
    """Return whether a group of complexes is ventricular: unlike the usual ones, and early or wide without P waves."""
    if like >= UNLIKE:
        return False
    alone = float(np.median(p_like[mine])) < ALONE
    premature = float(np.median(early[mine])) < 0.92
    if premature:
        return wider > -10.0 and (alone or wider > WIDER_MS)
    return alone and wider > WIDER_MS


def classify(
    r: NDArray[np.int64],
    label: NDArray[np.int64],
    like: NDArray[np.float64],
    width: NDArray[np.float64],
    p_like: NDArray[np.float64],
) -> tuple[list[BeatKind], int]:
    """Return each beat's class and the prevailing group.

    `width`: QRS in ms, NaN where it could not be measured; `p_like`: how well what precedes the QRS repeats.
    """
    if r.shape[0] == 0:
        return [], 0
    width = np.where(np.isnan(width), np.nanmedian(width) if not np.isnan(width).all() else 90.0, width)
    early = earliness(r)
    usual = prevailing(label, early, width)
    usual_width = float(np.median(width[label == usual]))
    # In atrial fibrillation every interval is "early" or late: prematurity then says nothing of its own.
    limit = np.where(irregularity(r) > RESTLESS, EARLY_RESTLESS, EARLY)
    kinds: list[BeatKind] = ["N"] * r.shape[0]
    for g in np.unique(label):
        mine = label == g
        wider = float(np.median(width[mine])) - usual_width
        v = _ventricular(mine, float(like[usual, g]), early, wider, p_like)
        for k in np.flatnonzero(mine):
            if v:
                kinds[k] = "V"
            elif early[k] < limit[k]:
                kinds[k] = "S"
    return kinds, usual
