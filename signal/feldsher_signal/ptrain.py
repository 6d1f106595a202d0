"""The train of P waves: atria followed on their own, where the ventricles may not follow them.

The usual complex (QRS and T) is taken out of every beat; what is left stands out from its flanks where a P wave is.
From there the atria are followed at one period after another; the period at which most P waves are met is theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import order
from feldsher_signal.jit import inner, kernel

STEP_S, HALF, FLANK = 0.008, 4, 8
"""The grid of the search; half a P wave and its flanks in steps: 72 ms between two of 64 ms."""
BEFORE_S, AFTER_S = 0.06, 0.10
"""Around an R peak where nothing of the atria can be seen."""
COMPLEX_S = 0.56
"""What follows an R peak up to here is of the ventricles."""
PERIODS_S, RATIO, LOOSE = (0.42, 1.25), 1.07, 0.11
"""Atrial periods tried (48 to 143/min), from one to the next; how far a P wave may be from its place."""
LEAST_OUT = 2.2
"""A P wave stands this many times the usual out: house rule, on synthetic blocks and on ludb, PTB-XL without block."""
ALIKE, BIGGER = 0.8, 2.0
"""P waves of one origin: correlation of their heights over the leads, and ratio of their sizes: house rule."""
MET, FEWEST, STEADY = 0.8, 6, 0.09
"""Share of the places at which a P wave is met, how many at least, and the spread of their intervals: house rules."""
LONGEST_S = 60.0
FEWEST_LEADS = 3
"""In one or two leads a bump cannot be told from a P wave by its form: on single leads of cinc2017 one in twenty had a
train that was none."""
LEADS, MOST = ("II", "V1", "aVF", "III", "MLII"), 4


@dataclass(frozen=True, slots=True)
class Train:
    """P waves at samples `at`, `met` where one was seen (False: hidden in a QRS or not found); `period` in s.

    `height` (places, leads): µV by which each stands out from its flanks, 0 where none was met.
    """

    at: NDArray[np.int64]
    met: NDArray[np.bool_]
    period: float
    height: NDArray[np.float64]

    def alike(self, own: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which P waves have the form of those of `own`: pattern over the leads, and size."""
        usual = self.height[own & self.met].mean(axis=0) if (own & self.met).any() else self.height[0]
        both = self.height @ usual
        size, own_size = np.linalg.norm(self.height, axis=1), float(np.linalg.norm(usual))
        return (both >= ALIKE * size * own_size) & (size > own_size / BIGGER) & (size < own_size * BIGGER)


def wanted(
    r: NDArray[np.int64], fs: float, samples: int, p_like: NDArray[np.float64], early: NDArray[np.bool_]
) -> bool:
    """Return whether the atria may beat on their own: slow, a gap, or P waves that do not keep their place."""
    if r.shape[0] < 5 or samples > LONGEST_S * fs:
        return False
    rr = order.steps(r)
    usual = float(np.sort(rr)[rr.shape[0] // 2])
    slow = usual > 0.92 * fs
    gap = bool((rr > 1.4 * usual).any()) and float(early.mean()) < 0.3
    return slow or gap or float(np.sort(p_like)[p_like.shape[0] // 2]) < 0.5


def chosen(leads: tuple[str, ...], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows of up to MOST leads in which P waves stand out best, else the first usable."""
    there = [leads.index(name) for name in LEADS if name in leads and usable[leads.index(name)]]
    return np.array((there or np.flatnonzero(usable).tolist())[:MOST], np.int64)


@inner
def _best(out: NDArray[np.float64], a: int, b: int) -> int:
    """Return where `out` is highest in a … b."""
    at = max(a, 0)
    for i in range(max(a, 0), min(b + 1, out.shape[0])):
        if out[i] > out[at]:
            at = i
    return at


@inner
def _walk(out: NDArray[np.float64], start: int, period: float, sign: int, places: NDArray[np.int64]) -> int:
    """Write the places from `start` on by `period`, earlier ones for a `sign` of −1; −1 − place where none stood."""
    at, count, n = float(start), 0, out.shape[0]
    reach = LOOSE * period
    while count < places.shape[0]:
        there = at + sign * period
        if there < 0 or there >= n:
            break
        k = _best(out, int(there - reach), int(there + reach + 0.5))
        if out[k] >= 1.0:
            places[count], at = k, float(k)
        else:
            near = min(max(int(there + 0.5), 0), n - 1)
            places[count], at = -1 - near, there
        count += 1
    return count


@kernel("f8(f8[::1], b1[::1], i8, f8, i8[::1], i8[::1])")
def follow(
    out: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    start: int,
    period: float,
    places: NDArray[np.int64],
    count: NDArray[np.int64],
) -> float:
    """Write the places of P waves by `period` (steps) both ways from `start`; return the share met of those not hidden.

    `places`: −1 − place where none was met; `count`: how many places there are.
    """
    back = np.empty(places.shape[0], np.int64)
    before = _walk(out, start, period, -1, back)
    for k in range(before):
        places[k] = back[before - 1 - k]
    places[before] = start
    after = _walk(out, start, period, 1, places[before + 1 :])
    count[0] = before + 1 + after
    met, seen = 0, 0
    for k in range(count[0]):
        if places[k] >= 0:
            met += 1
            seen += 1
        elif not hidden[-1 - places[k]]:
            seen += 1
    return met / seen if seen else 0.0


def _without_complexes(y: NDArray[np.float64], r: NDArray[np.int64], wide: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return leads y (on the grid) less the median complex of the beats alike (`wide` or not)."""
    out = y.copy()
    before, after, n = round(BEFORE_S / STEP_S) + 2, round(COMPLEX_S / STEP_S), y.shape[1]
    fade = np.minimum(1.0, np.arange(before + after)[::-1] / 6.0)
    for kind in (False, True):
        mine = r[(wide == kind) & (r >= before) & (r < n - 8)]
        if mine.shape[0] < 3:
            continue
        index = np.minimum(mine[:, None] + np.arange(-before, after), n - 1)
        pieces = y[:, index] - y[:, index[:, :1]]
        usual = np.sort(pieces, axis=1)[:, (mine.shape[0] - 1) // 2] * fade
        for at in r[wide == kind].tolist():
            a, b = max(at - before, 0), min(at + after, n)
            later = r[r > at]
            b = min(b, int(later[0]) - before) if later.shape[0] else b
            out[:, a:b] -= usual[:, a - at + before : b - at + before]
    return out


def standing_out(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how many µV the ±HALF steps about each step of the leads stand out from their flanks."""
    sums = np.concatenate([np.zeros((y.shape[0], 1)), np.cumsum(y, axis=1)], axis=1)
    reach, n = HALF + FLANK, y.shape[1]
    at: NDArray[np.int64] = np.arange(reach, n - reach, dtype=np.int64)
    middle = (sums[:, at + HALF + 1] - sums[:, at - HALF]) / (2 * HALF + 1)
    left = (sums[:, at - HALF] - sums[:, at - reach]) / FLANK
    right = (sums[:, at + reach + 1] - sums[:, at + HALF + 1]) / FLANK
    out = np.zeros(y.shape)
    out[:, reach : n - reach] = middle - 0.5 * (left + right)
    return out


def find(
    c: NDArray[np.float64], fs: float, rows: NDArray[np.int64], r: NDArray[np.int64], wide: NDArray[np.bool_]
) -> Train | None:
    """Return the P waves in leads `rows` of prefix sums c, or None where no train of them is met; `wide`: V beats."""
    step = max(round(STEP_S * fs), 1)
    n = (c.shape[1] - 1) // step
    y = (c[rows][:, step : (n + 1) * step : step] - c[rows][:, : n * step : step]) / step
    at = np.minimum(r // step, n - 1)
    hidden = np.zeros(n, np.bool_)
    for k in at.tolist():
        hidden[max(k - round(BEFORE_S / STEP_S), 0) : k + round(AFTER_S / STEP_S) + 1] = True
    height = standing_out(_without_complexes(y, at, wide))
    out = np.sqrt((height**2).mean(axis=0))
    out[hidden] = 0.0
    clear = np.sort(out[~hidden])
    if clear.shape[0] < 100:
        return None
    out /= max(LEAST_OUT * float(clear[clear.shape[0] // 2]), 1.0)
    return _best_train(out, hidden, height, step, fs)


def _best_train(
    out: NDArray[np.float64], hidden: NDArray[np.bool_], height: NDArray[np.float64], step: int, fs: float
) -> Train | None:
    """Return the train that meets most at its places; periods and starting points are tried in turn."""
    starts = np.argsort(out)[::-1][:200:25].tolist()
    best, found = 0.0, None
    tried = math.ceil(math.log(PERIODS_S[1] / PERIODS_S[0]) / math.log(RATIO))
    for k in range(tried + 1):
        period = PERIODS_S[0] * RATIO**k * fs / step
        for start in starts:
            places, count = np.empty(int(out.shape[0] / period * 1.3) + 4, np.int64), np.zeros(1, np.int64)
            share = follow(out, hidden, start, period, places, count)
            took = places[: count[0]]
            met = took >= 0
            where = np.where(met, took, -1 - took)
            score = share * math.sqrt(float(met.sum()))
            if share >= MET and met.sum() >= FEWEST and score > best and _steady(where, met):
                best = score
                period_s = float(np.median(order.steps(where))) * step / fs
                found = Train(where * step + step // 2, met, period_s, height[:, where].T * met[:, None])
    return found


def _steady(where: NDArray[np.int64], met: NDArray[np.bool_]) -> bool:
    """Return whether the intervals between P waves met one after the other vary little."""
    both = met[1:] & met[:-1]
    pp = order.steps(where)[both]
    return pp.shape[0] >= 3 and float(pp.std()) < STEADY * float(pp.mean())
