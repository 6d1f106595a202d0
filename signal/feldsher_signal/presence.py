"""Is there a P wave at all? The stretch before the QRS, beat against beat: a P wave repeats, fibrillation does not."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import order
from feldsher_signal.jit import inner, kernel

REACH_S, GAP_S, STEP_S = 0.26, 0.016, 0.008
NEIGHBOURS = 8
"""Beats on each side that a beat is compared with."""
CONTEXT = 2 * NEIGHBOURS
"""Beats on each side on which a beat's answer depends: a stream waits for so many (stream.py)."""


@inner
def _stretch(
    c: NDArray[np.float64],
    weight: NDArray[np.float64],
    on: int,
    back: int,
    gap: int,
    step: int,
    out: NDArray[np.float64],
) -> None:
    """Write the stretch before `on` of every lead in means over `step` samples, less its trend; 0 for a lead not on."""
    points = (back - gap) // step
    for lead in range(c.shape[0]):
        at = lead * points
        if weight[lead] <= 0:
            out[at : at + points] = 0.0
            continue
        first = on - gap - points * step
        total, moment = 0.0, 0.0
        for i in range(points):
            a = first + i * step
            v = (c[lead, a + step] - c[lead, a]) / step if a >= 0 else 0.0
            out[at + i] = v
            total += v
            moment += v * (i - 0.5 * (points - 1))
        tilt = moment * 12.0 / (points * (points * points - 1.0)) if points > 1 else 0.0
        for i in range(points):
            out[at + i] -= total / points + tilt * (i - 0.5 * (points - 1))


@kernel("void(f8[:,::1], f8[:,::1], i8[::1], b1[::1], i8, i8, i8, f8[:,::1], f8[::1])", fast=True)
def likeness(
    c: NDArray[np.float64],
    weight: NDArray[np.float64],
    on: NDArray[np.int64],
    fit: NDArray[np.bool_],
    back: int,
    gap: int,
    step: int,
    stretches: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write each beat's correlation with the mean of its fit neighbours' stretches before the QRS (0 without any).

    `weight` (beats, leads): 0 for a lead not to be judged; `on`: QRS onsets; `fit`: beats late enough after the one
    before to have their P wave clear of its T wave.
    """
    beats, length = on.shape[0], stretches.shape[1]
    for k in range(beats):
        if on[k] >= back:
            _stretch(c, weight[k], on[k], back, gap, step, stretches[k])
    mean = np.empty(length)
    for k in range(beats):
        mean[:] = 0.0
        for j in range(max(k - NEIGHBOURS, 0), min(k + NEIGHBOURS + 1, beats)):
            if j != k and fit[j] and on[j] >= back:
                for i in range(length):
                    mean[i] += stretches[j, i]
        own, other, both = 0.0, 0.0, 0.0
        for i in range(length):
            own += stretches[k, i] * stretches[k, i]
            other += mean[i] * mean[i]
            both += stretches[k, i] * mean[i]
        out[k] = both / math.sqrt(own * other) if own > 0 and other > 0 else 0.0


def p_likeness(
    c: NDArray[np.float64], fs: float, on: NDArray[np.int64], fit: NDArray[np.bool_], lead_on: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return −1 … 1 for each beat: how well the 260 ms before its QRS repeat in its neighbours.

    `lead_on`: (leads) or (beats, leads).
    """
    out = np.zeros(on.shape[0])
    step = max(round(STEP_S * fs), 1)
    back, gap = round(REACH_S * fs), round(GAP_S * fs)
    stretches = np.zeros((on.shape[0], c.shape[0] * ((back - gap) // step)))
    if on.shape[0] > 1 and stretches.shape[1] > 2:
        weight = np.ascontiguousarray(np.broadcast_to(lead_on, (on.shape[0], c.shape[0])), np.float64)
        likeness(c, weight, on, fit, back, gap, step, stretches, out)
    return out


LOCAL, OWN = 0.5, 0.1
"""Likeness from which P waves are there: of the neighbourhood (median) and of the beat itself; ludb's tuning half."""
IRREGULAR, IRREGULAR_LOCAL, MANY_LEADS = 0.2, 0.85, 6
"""Where intervals change by so much of themselves (median), many leads must be so alike: coarse fibrillation and
flutter of changing conduction repeat by half. In few leads ectopy among P waves looks the same, so not there."""


def _around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each beat's neighbourhood."""
    return order.medians(order.around(values, NEIGHBOURS))


def p_present(like: NDArray[np.float64], r: NDArray[np.int64], leads: int | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each beat whether what precedes its QRS repeats well enough to be a P wave.

    `like`: of `p_likeness`; `r`: the beats' R peaks; `leads`: how many leads were judged, by beat or
    alike.
    """
    if like.shape[0] < 3:
        return like > -math.inf
    local = _around(like)
    there = (local >= LOCAL) & (like >= OWN)
    rr = order.steps(r).astype(np.float64)
    before = np.concatenate([rr[:1], rr])
    change = np.zeros(before.shape)
    change[1:] = np.abs(order.steps(before)) / before[1:]
    clear = (_around(change) < IRREGULAR) | (local >= IRREGULAR_LOCAL)
    return there & (clear | (np.asarray(leads) < MANY_LEADS))
