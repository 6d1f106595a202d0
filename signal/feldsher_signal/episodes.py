"""What happens in a row of beats: runs, pairs, bigeminy, pauses, the fastest and the slowest eight beats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ambulatory import Event, EventKind
from numpy.typing import NDArray

from feldsher_signal.stretch import stretches

PAUSE_S = 2.0
"""A pause is longer: ACC/AHA/HRS 2018 bradycardia guideline."""
RUN_BEATS, TACHYCARDIA = 3, 100.0
"""Three beats in a row over 100/min: AHA/ACC/HRS 2017 (ventricular arrhythmias)."""
GEMINY_TIMES = 3
RATE_BEATS = 8
"""Least and greatest rate are means over eight intervals; house rule, as Holter programs have it."""
_RATE_RANGE = (15.0, 350.0)


@dataclass(frozen=True, slots=True)
class Row:
    """Beats in a row: R peaks (samples), classes (bytes of "NSVFQ"), and which intervals were seen whole.

    `whole[k]`: the stretch from beat k to k + 1 could be judged.
    """

    r: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    whole: NDArray[np.bool_]
    fs: float

    def of(self, kind: str) -> NDArray[np.bool_]:
        """Return which beats are of a class."""
        return self.kinds == ord(kind)


def runs(row: Row, kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first beat and the length of every unbroken row of one class."""
    linked = row.of(kind)
    if linked.shape[0] == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # A gap that could not be judged parts a run: what beats it held is not known.
    new = linked.copy()
    new[1:] &= ~(linked[:-1] & row.whole)
    first = np.flatnonzero(new)
    which = np.cumsum(new)[linked] - 1
    return first, np.bincount(which, minlength=first.shape[0])


def run_rate(row: Row, first: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rate within runs of two beats and more; NaN for shorter ones."""
    last = first + length - 1
    span = (row.r[last] - row.r[first]).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(length > 1, 60.0 * row.fs * (length - 1) / span, np.nan)


def geminy(row: Row, kind: str, every: int) -> list[Event]:
    """Return stretches in which every `every`-th beat is of a class, three times and more, the others normal."""
    mine, normal = row.of(kind), row.of("N")
    n = mine.shape[0] - every
    if n < 1:
        return []
    step = mine[:-every] & mine[every:]
    for k in range(1, every):
        step &= normal[k : k + n]
    for k in range(every):
        step &= row.whole[k : k + n]
    out: list[Event] = []
    for phase in range(every):
        for a, b in stretches(step[phase::every]):
            if b - a >= GEMINY_TIMES - 1:
                first, last = phase + a * every, phase + b * every
                name: EventKind = "bigeminy" if every == 2 else "trigeminy"
                out.append(Event(name, int(row.r[first]), int(row.r[last]), last - first + 1))
    return out


def pauses(row: Row) -> list[Event]:
    """Return the intervals of over PAUSE_S in which nothing hid a beat."""
    rr = np.diff(row.r)
    return [
        Event("pause", int(row.r[k]), int(row.r[k + 1]), 0, 60.0 * row.fs / float(rr[k]))
        for k in np.flatnonzero(row.whole & (rr > PAUSE_S * row.fs)).tolist()
    ]


def eights(row: Row) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the first beat and the mean rate of every eight whole intervals in a row."""
    n = row.whole.shape[0] - RATE_BEATS + 1
    if n < 1:
        return np.zeros(0, np.int64), np.zeros(0)
    broken = np.concatenate([[0], np.cumsum(~row.whole)])
    first = np.flatnonzero(broken[RATE_BEATS:] == broken[:-RATE_BEATS])
    rate = 60.0 * row.fs * RATE_BEATS / (row.r[first + RATE_BEATS] - row.r[first])
    likely = (rate >= _RATE_RANGE[0]) & (rate <= _RATE_RANGE[1])
    return first[likely], rate[likely]
