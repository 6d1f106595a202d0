"""The traits of each beat against the patient's own: time, shape, P and T wave, and the medians of its shape's group.

After the features of de Chazal 2004 (intervals against local and whole means, QRS and T shape) and Llamedo & Martínez
2011 (scale of the QRS), each relative to the prevailing complex, which is followed as it drifts.
"""

from __future__ import annotations

import numpy as np

from feldsher_signal import beat_columns as columns
from feldsher_signal import beat_shape, beat_timing, order
from feldsher_signal.beat_columns import NAMES, OWN, SOURCE, Floats, Ints
from feldsher_signal.complexes import AFTER_S, BEFORE_S, Complexes
from feldsher_signal.jit import kernel

LONG_BEFORE_S, LONG_AFTER_S = 0.32, 0.52
P_FROM_S, P_TO_S = 0.25, 0.07
"""Where a P wave lies before the middle of the QRS."""
T_FROM_S = 0.16
CLEAR_S = 0.24
"""What comes less than this before the next QRS is not counted as this beat's T wave."""


@kernel("void(f8[:,::1], i8[::1], i8[::1], i8[::1], i8)")
def group_medians(table: Floats, sorted_by: Ints, first: Ints, source: Ints, to: int) -> None:
    """Write the medians over groups of the columns `source` into the columns from `to` on.

    `sorted_by`: beats sorted by group; `first`: where each group begins in it, and one past the last.
    """
    values = np.empty(sorted_by.shape[0])
    for c in range(source.shape[0]):
        for g in range(first.shape[0] - 1):
            a, b = first[g], first[g + 1]
            for i in range(a, b):
                values[i] = table[sorted_by[i], source[c]]
            middle = np.median(values[a:b])
            for i in range(a, b):
                table[sorted_by[i], to + c] = middle


def intervals(found: Complexes) -> Floats:
    """Return the intervals between the beats in s, none under 0.1."""
    return np.maximum(order.steps(found.at) / found.fs, 0.1)


def clock(found: Complexes, p_like: Floats) -> Floats:
    """Return the table (beats, len(NAMES)) of three beats and more with only the traits of time and P filled in."""
    out = np.zeros((found.at.shape[0], len(NAMES)))
    rr = intervals(found)
    beat_timing.times(rr, np.ascontiguousarray(p_like, np.float64), out)
    return out


def early(table: Floats) -> Floats:
    """Return each beat's interval before it as a part of the usual one."""
    return table[:, columns.EARLY]


def fill(table: Floats, found: Complexes, prevailing: int, width: Floats) -> None:
    """Write the traits of shape and of groups into a table that `clock` made; `width`: QRS in ms, no NaN."""
    fs, label = found.fs, found.label
    table[:, columns.WIDTH], table[:, columns.WIDTH_REL] = width, width - order.median(width[label == prevailing])
    lead_in, length = round(LONG_BEFORE_S * fs), round(LONG_BEFORE_S * fs) + round(LONG_AFTER_S * fs)
    mean, number = np.zeros((found.count, found.y.shape[0], length)), np.zeros((found.count, length))
    beat_shape.means(found.y, found.at, label, lead_in, round(CLEAR_S * fs), mean, number)
    spans = [round(s * fs) for s in (BEFORE_S, AFTER_S, LONG_BEFORE_S, P_FROM_S, P_TO_S, T_FROM_S)]
    beat_shape.forms(found.y, found.at, label, prevailing, mean, number, np.array(spans), 1000.0 / fs, table)
    sizes = np.bincount(label, minlength=found.count)
    table[:, columns.LIKE], table[:, columns.SHARE], table[:, columns.USUAL] = (
        found.like,
        sizes[label] / label.shape[0],
        label == prevailing,
    )
    beat_timing.against_usual(intervals(found), label == prevailing, table)
    first = np.concatenate([[0], np.cumsum(sizes)])
    group_medians(table, np.argsort(label, kind="stable"), first, SOURCE, len(OWN))
