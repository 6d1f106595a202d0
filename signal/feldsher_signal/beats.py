"""Beat classes (AAMI N, S, V, F, Q): two learned models over each beat's traits against the patient's own complex.

The models were trained on other patients (benchmarks/train_beats.py) and see nothing but traits; complexes of one
recording are grouped by shape, and a group's beats vote with each other (documented self-adaptation, unsupervised).
Fusion beats (F) are answered N or V: of the 414 to learn from, 372 are one patient's (208).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ecg import BeatKind, BeatReason
from numpy.typing import NDArray

from feldsher_signal import beat_columns, beat_traits, complexes, model, order
from feldsher_signal.complexes import Complexes, Floats, Ints

WIDE_MS = 100.0
"""From here on a group's width speaks against its being the prevailing one."""
VENTRICULAR, SUPRAVENTRICULAR = 0.1, -1.1
"""Log-odds from which a class is given: chosen where the cross-validated figures on MIT-BIH balance."""
VOTE, MOST = 0.5, 5.0
"""How much the group's mean log-odds (bounded) counts for its beats."""
FEWEST = 3
MANY, EARLY_OF_FEW = 200, 0.92
"""With fewer beats one dropped beat makes all others look early: there, early is what is under the local interval."""
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the classes are read from: `table` (beats, beat_columns.NAMES), groups, and the group that prevails.

    `width`: QRS in ms, NaN where it could not be measured (the table has a stand-in there).
    """

    complexes: Complexes
    table: Floats
    prevailing: int
    width: Floats


@dataclass(frozen=True, slots=True)
class Classes:
    """Each beat's class, whether its complex is the patient's prevailing one, and of ectopic beats why (by number)."""

    kinds: tuple[BeatKind, ...]
    usual: NDArray[np.bool_]
    because: dict[int, BeatReason]


def prevailing(label: Ints, early: Floats, width: Floats) -> int:
    """Return the group of the patient's usual complexes: many, not early, and narrow."""
    best, best_score = 0, -math.inf
    for g in range(int(label.max()) + 1):
        mine = label == g
        late = min(max((order.median(early[mine]) - 0.6) / 0.35, 0.1), 1.0)
        wide = min(max(order.median(width[mine]) - WIDE_MS, 0.0), 100.0) / 60.0
        score = float(mine.sum()) * late * math.exp(-0.5 * wide)
        if score > best_score:
            best, best_score = g, score
    return best


def evidence(
    x: NDArray[np.float32],
    leads: tuple[str, ...],
    usable: NDArray[np.bool_],
    r: Ints,
    fs: float,
    width: Floats,
    p_like: Floats,
) -> Evidence:
    """Return the evidence on three beats and more at R peaks `r` in µV (leads, n).

    `width`: QRS in ms, NaN where it could not be measured; `p_like`: how well what precedes the QRS repeats.
    """
    known = width[~np.isnan(width)]
    whole = np.where(np.isnan(width), order.median(known) if known.shape[0] else 90.0, width)
    found = complexes.groups(x, leads, usable, r, fs)
    table = beat_traits.clock(found, p_like)
    usual = prevailing(found.label, beat_traits.early(table), whole)
    beat_traits.fill(table, found, usual, whole)
    return Evidence(found, table, usual, width)


@functools.cache
def _columns(name: str) -> NDArray[np.int64]:
    return np.array([beat_columns.NAMES.index(feature) for feature in model.load(name).features])


def log_odds(name: str, table: Floats) -> Floats:
    """Return a model's log-odds for each row of beat_columns.NAMES."""
    learned, columns, out = model.load(name), _columns(name), np.empty(table.shape[0])
    for k in range(0, table.shape[0], _BLOCK):
        p = np.clip(learned.probability(table[k : k + _BLOCK, columns]), 1e-9, 1 - 1e-9)
        out[k : k + _BLOCK] = np.log(p / (1 - p))
    return out


def voted(z: Floats, label: Ints) -> Floats:
    """Return log-odds drawn to their group's mean."""
    sizes = np.bincount(label)
    mean = np.bincount(label, weights=np.clip(z, -MOST, MOST)) / np.maximum(sizes, 1)
    return (1 - VOTE) * z + VOTE * mean[label]


def paced(kinds: tuple[BeatKind, ...], driven: NDArray[np.bool_]) -> tuple[BeatKind, ...]:
    """Return the classes with beats of driven ventricles made Q, as EC57 wants paced ones."""
    if not driven.any():
        return kinds
    return tuple("Q" if spike else kind for kind, spike in zip(kinds, driven.tolist(), strict=True))


def unjudged(count: int) -> Classes:
    """Return the classes of beats too few to tell one kind from another."""
    return Classes(("N",) * count, np.ones(count, np.bool_), {})


def reasons(e: Evidence, which: Ints) -> dict[int, BeatReason]:
    """Return the numbers that speak for beats `which` being ectopic."""
    mine = e.width[e.complexes.label == e.prevailing]
    mine = mine[~np.isnan(mine)]
    usual = round(float(order.median(mine)), 1) if mine.shape[0] else None
    return {
        k: BeatReason(
            round(float(e.table[k, beat_columns.EARLY]), 2),
            round(float(e.table[k, beat_columns.CORR]), 2),
            round(float(e.table[k, beat_columns.P]), 2),
            None if math.isnan(e.width[k]) else round(float(e.width[k]), 1),
            usual,
        )
        for k in which.tolist()
    }


def classify(e: Evidence) -> Classes:
    """Return each beat's class from the evidence."""
    v = voted(log_odds("ventricular", e.table), e.complexes.label) > VENTRICULAR
    s = log_odds("supraventricular", e.table) > SUPRAVENTRICULAR
    if e.table.shape[0] < MANY:
        s &= beat_traits.early(e.table) < EARLY_OF_FEW
    codes: list[int] = np.where(v, 2, np.where(s, 1, 0)).tolist()
    names: tuple[BeatKind, ...] = ("N", "S", "V")
    told = reasons(e, np.flatnonzero(v | s))
    return Classes(tuple(names[k] for k in codes), e.complexes.label == e.prevailing, told)
