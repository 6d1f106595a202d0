"""The traits of each beat against the patient's own: time, shape, P and T wave, and the medians of its shape's group.

After the features of de Chazal 2004 (intervals against local and whole means, QRS and T shape) and Llamedo & Martínez
2011 (scale of the QRS), each relative to the prevailing complex, which is followed as it drifts.
"""

from __future__ import annotations

import math

import numpy as np

from feldsher_signal import order
from feldsher_signal.complexes import AFTER_S, BEFORE_S, Complexes, Floats, Ints
from feldsher_signal.jit import inner, kernel

OWN = (
    *("early", "late", "ratio", "early_mean", "early_all", "early_long", "sum", "change", "restless", "restless_now"),
    *("before_early", "rr", "corr", "amp", "resid", "scale", "scale_rel", "spread", "spread_rel", "corr_prev"),
    *("corr_next", "p_corr", "p_size", "p_raw", "t_corr", "t_amp", "concord", "width", "width_rel", "p_like"),
    *("p_local", "p_rel", "like", "share", "usual", "fold"),
)
"""Traits of the beat itself, the columns of the table in order."""
OF_GROUP = (
    *("early", "late", "corr", "scale_rel", "spread_rel", "p_corr", "width", "width_rel", "early_mean", "p_like"),
    *("t_corr", "amp", "concord", "resid", "p_size", "ratio", "sum", "p_rel"),
)
"""Traits whose median over the beat's group follows."""
_SOURCE = np.array([OWN.index(name) for name in OF_GROUP])
NAMES = (*OWN, *(f"g_{name}" for name in OF_GROUP))
(_EARLY, _LATE, _RATIO, _MEAN, _ALL, _LONG, _SUM, _CHANGE, _RESTLESS, _NOW, _BEFORE, _RR) = range(12)
(_CORR, _AMP, _RESID, _SCALE, _SCALE_REL, _SPREAD, _SPREAD_REL, _PREV, _NEXT) = range(12, 21)
(_P, _P_SIZE, _P_RAW, _T, _T_AMP, _CONCORD, _WIDTH, _WIDTH_REL, _P_LIKE, _P_LOCAL, _P_REL) = range(21, 32)
(_LIKE, _SHARE, _USUAL, _FOLD) = range(32, 36)

REACH, LONG_REACH, SHORT_REACH, P_REACH, FOLD_REACH = 20, 30, 5, 8, 10
"""Beats on each side that make the neighbourhood."""
EARLY = 0.87
"""An interval under this part of the usual one is premature; de Chazal 2004 uses this ratio."""
LONG = 1.4
"""A long interval: so many of the short ones (the 30th percentile) around."""
LONG_BEFORE_S, LONG_AFTER_S = 0.32, 0.52
P_FROM_S, P_TO_S = 0.25, 0.07
"""Where a P wave lies before the middle of the QRS."""
T_FROM_S = 0.16
CLEAR_S = 0.24
"""What comes less than this before the next QRS is not counted as this beat's T wave."""
FOLLOW = 0.03
"""How fast the prevailing complex is followed: by this part each beat."""


@inner
def _insert(window: Floats, count: int, value: float) -> None:
    """Insert into a sorted row of `count` values."""
    i = count
    while i > 0 and window[i - 1] > value:
        window[i] = window[i - 1]
        i -= 1
    window[i] = value


@inner
def _remove(window: Floats, count: int, value: float) -> None:
    """Remove a value from a sorted row of `count` values."""
    i = 0
    while i < count - 1 and window[i] != value:
        i += 1
    while i < count - 1:
        window[i] = window[i + 1]
        i += 1


@inner
def around(values: Floats, reach: int, part: float, out: Floats) -> None:
    """Write the quantile `part` of each value and up to `reach` on each side (fewer at the ends)."""
    n = values.shape[0]
    window, count = np.empty(2 * reach + 2), 0
    for i in range(min(reach, n)):
        _insert(window, count, values[i])
        count += 1
    for k in range(n):
        if k + reach < n:
            _insert(window, count, values[k + reach])
            count += 1
        if k - reach - 1 >= 0:
            _remove(window, count, values[k - reach - 1])
            count -= 1
        place = part * (count - 1)
        low = int(place)
        high = min(low + 1, count - 1)
        out[k] = window[low] + (place - low) * (window[high] - window[low])


@inner
def _fold(rr: Floats, base: float, first: int, last: int) -> float:
    """Return how far long intervals are from whole numbers of short ones (0 dropped beats, 0.5 none or any)."""
    total, count = 0.0, 0
    for j in range(first, last):
        times = rr[j] / base
        if times > LONG:
            total += abs(times - math.floor(times + 0.5))
            count += 1
    return total / count if count > 0 else 0.5


@kernel("void(f8[::1], f8[::1], f8[:,::1])")
def times(rr: Floats, p_like: Floats, out: Floats) -> None:
    """Write the traits of time from the intervals (s; beats − 1 of them, at least two) and of P likeness."""
    n = rr.shape[0] + 1
    usual, long, jump, restless = np.empty(n - 1), np.empty(n - 1), np.empty(n - 2), np.empty(n - 2)
    short = np.empty(n - 1)
    around(rr, FOLD_REACH, 0.3, short)
    part, now, local = np.empty(n - 2), np.empty(n - 2), np.empty(n)
    around(rr, REACH, 0.5, usual)
    around(rr, LONG_REACH, 0.8, long)
    for k in range(n - 2):
        jump[k] = abs(rr[k + 1] - rr[k])
        part[k] = jump[k] / usual[k + 1]
    around(jump, REACH, 0.5, restless)
    around(part, SHORT_REACH, 0.5, now)
    around(p_like, P_REACH, 0.5, local)
    whole, total = rr.mean(), 0.0
    sums = np.zeros(n)
    for k in range(n - 1):
        total += rr[k]
        sums[k + 1] = total
    for k in range(n):
        j = max(k - 1, 0)
        prev = rr[j] if k > 0 else usual[0]
        after = rr[k] if k < n - 1 else usual[n - 2]
        first, last = max(j - LONG_REACH, 0), min(j + LONG_REACH + 1, n - 1)
        out[k, _EARLY], out[k, _LATE], out[k, _RATIO] = prev / usual[j], after / usual[j], prev / after
        out[k, _MEAN] = prev * (last - first) / (sums[last] - sums[first])
        out[k, _ALL], out[k, _LONG] = prev / whole, prev / long[j]
        out[k, _SUM], out[k, _RR] = 0.5 * (prev + after) / usual[j], prev
        out[k, _CHANGE] = prev / rr[k - 2] if k > 1 else 1.0
        out[k, _RESTLESS], out[k, _NOW] = restless[max(k - 2, 0)] / usual[j], now[max(k - 2, 0)]
        out[k, _FOLD] = _fold(rr, short[j], max(j - FOLD_REACH, 0), min(j + FOLD_REACH + 1, n - 1))
        out[k, _BEFORE] = out[k - 1, _EARLY] if k > 0 else 1.0
        out[k, _P_LIKE], out[k, _P_LOCAL], out[k, _P_REL] = p_like[k], local[k], p_like[k] - local[k]


@kernel("void(f8[:,::1], i8[::1], i8[::1], i8, i8, f8[:,:,::1], f8[:,::1])", fast=True)
def means(y: Floats, at: Ints, label: Ints, before: int, clear: int, mean: Floats, number: Floats) -> None:
    """Write each group's mean beat (groups, leads, length) from `before` samples on, the next beat left out."""
    n, length = y.shape[1], mean.shape[2]
    for k in range(at.shape[0]):
        g, last = label[k], length
        if k + 1 < at.shape[0]:
            last = min(length, before + at[k + 1] - at[k] - clear)
        for i in range(max(before - at[k], 0), min(last, n - at[k] + before)):
            number[g, i] += 1
            for lead in range(y.shape[0]):
                mean[g, lead, i] += y[lead, at[k] - before + i]
    for g in range(mean.shape[0]):
        for i in range(length):
            for lead in range(mean.shape[1]):
                mean[g, lead, i] /= max(number[g, i], 1.0)


@inner
def _slopes(x: Floats, first: int, width: int) -> tuple[float, float, float]:
    """Return the energy of a piece without its leads' means, its scale (over its slopes') and its slopes' spread."""
    energy, slopes, moment, square = 0.0, 0.0, 0.0, 0.0
    for lead in range(x.shape[0]):
        total = 0.0
        for i in range(width):
            total += x[lead, first + i]
        for i in range(width):
            v = x[lead, first + i] - total / width
            energy += v * v
        for i in range(1, width):
            d = x[lead, first + i] - x[lead, first + i - 1]
            slopes += d * d
            moment += d * d * i
            square += d * d * i * i
    slopes = max(slopes, 1e-12)
    middle = moment / slopes
    return energy, math.sqrt(energy / slopes), math.sqrt(max(square / slopes - middle * middle, 0.0))


@inner
def _against(own: Floats, mean: Floats, first: int, reach: int) -> tuple[float, float]:
    """Return the best correlation over shifts with the usual complex, and what is left after it, over its size.

    `own` (leads, width) is without its leads' means; `mean` holds the usual beat, whose piece begins at `first`.
    """
    leads, width = own.shape
    best, rest, mine = -2.0, 0.0, 0.0
    for lead in range(leads):
        for i in range(width):
            mine += own[lead, i] * own[lead, i]
    for s in range(-reach, reach + 1):
        dot, theirs = 0.0, 0.0
        for lead in range(leads):
            total, square = 0.0, 0.0
            for i in range(width):
                v = mean[lead, first + s + i]
                dot += v * own[lead, i]
                total += v
                square += v * v
            theirs += square - total * total / width
        theirs = max(theirs, 1e-12)
        like = dot / math.sqrt(max(mine * theirs, 1e-18))
        if like > best:
            best, rest = like, math.sqrt(max(mine + theirs - 2.0 * dot, 0.0) / theirs)
    return best, rest


@inner
def _straight(v: Floats) -> None:
    """Take the line of least squares away."""
    m, total, moment = v.shape[0], 0.0, 0.0
    for i in range(m):
        total += v[i]
        moment += v[i] * (i - 0.5 * (m - 1))
    tilt = moment * 12.0 / (m * (m * m - 1.0))
    for i in range(m):
        v[i] -= total / m + tilt * (i - 0.5 * (m - 1))


@inner
def _p_wave(
    y: Floats, at: int, back: int, usual: Floats, before: int, tail: Floats, known: Floats, since: int, w: Floats,
    row: Floats,
) -> None:  # fmt: skip
    """Write how the stretch before a QRS repeats the usual P wave, with and without the T wave before taken away.

    `tail`, `known`: mean beat of the group before (its QRS `since` samples ago) and how many made it; `w`: workspace.
    """
    n, m, last = y.shape[1], w.shape[1], tail.shape[1] - 1
    both, raw, own, plain, theirs = 0.0, 0.0, 0.0, 0.0, 0.0
    for lead in range(y.shape[0]):
        for i in range(m):
            v = y[lead, min(max(at - back + i, 0), n - 1)]
            w[0, i], w[1, i], w[2, i] = usual[lead, before - back + i], v, v
            o = since - back + i + before
            if since > 0 and 0 <= o <= last and known[o] > 0:
                w[1, i] = v - tail[lead, o] + tail[lead, last]
        _straight(w[0])
        _straight(w[1])
        _straight(w[2])
        for i in range(m):
            both += w[0, i] * w[1, i]
            raw += w[0, i] * w[2, i]
            theirs += w[0, i] * w[0, i]
            own += w[1, i] * w[1, i]
            plain += w[2, i] * w[2, i]
    row[_P] = both / math.sqrt(max(own * theirs, 1e-18))
    row[_P_RAW] = raw / math.sqrt(max(plain * theirs, 1e-18))
    row[_P_SIZE] = 0.5 * math.log(max(own, 1e-9) / max(theirs, 1e-9))


@inner
def _t_wave(y: Floats, at: int, stop: int, usual: Floats, before: int, first: int, row: Floats) -> None:
    """Write how the T wave (from `first` samples after the middle, before `stop`) resembles the usual one."""
    count = min(usual.shape[1] - before - 1, stop - at, y.shape[1] - at) - first
    row[_T], row[_T_AMP] = 1.0, 0.0
    if count < 4:
        return
    both, own, theirs = 0.0, 0.0, 0.0
    for lead in range(y.shape[0]):
        a, b = 0.0, 0.0
        for i in range(first, first + count):
            a += y[lead, at + i]
            b += usual[lead, before + i]
        for i in range(first, first + count):
            u, v = y[lead, at + i] - a / count, usual[lead, before + i] - b / count
            both += u * v
            own += u * u
            theirs += v * v
    row[_T] = both / math.sqrt(max(own * theirs, 1e-18))
    row[_T_AMP] = 0.5 * math.log(max(own, 1e-9) / max(theirs, 1e-9))


@inner
def _concord(y: Floats, at: int, before: int, after: int, first: int) -> float:
    """Return −1 … 1: whether the area after the QRS has the direction of the QRS's own, over the level before it."""
    n, both, a, b = y.shape[1], 0.0, 0.0, 0.0
    for lead in range(y.shape[0]):
        level, qrs, late = 0.0, 0.0, 0.0
        for i in range(3):
            level += y[lead, min(max(at - before + i, 0), n - 1)] / 3.0
        for i in range(-before, after):
            qrs += y[lead, min(max(at + i, 0), n - 1)] - level
        for i in range(first, first + before):
            late += y[lead, min(max(at + i, 0), n - 1)] - level
        both += qrs * late
        a += qrs * qrs
        b += late * late
    return both / math.sqrt(max(a * b, 1e-18))


@inner
def _piece(y: Floats, first: int, out: Floats) -> None:
    """Write the samples from `first` on, beyond the ends the last ones."""
    n = y.shape[1]
    for lead in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[lead, i] = y[lead, min(max(first + i, 0), n - 1)]


@inner
def _level(piece: Floats) -> None:
    """Take each lead's mean away."""
    for lead in range(piece.shape[0]):
        total = 0.0
        for i in range(piece.shape[1]):
            total += piece[lead, i]
        for i in range(piece.shape[1]):
            piece[lead, i] -= total / piece.shape[1]


@inner
def _follow(usual: Floats, beat: Floats, first: int, last: int) -> None:
    """Draw the usual beat to another one."""
    for lead in range(usual.shape[0]):
        for i in range(first, last):
            usual[lead, i] += FOLLOW * (beat[lead, i] - usual[lead, i])


@kernel("void(f8[:,::1], i8[::1], i8[::1], i8, f8[:,:,::1], f8[:,::1], i8[::1], f8, f8[:,::1])", fast=True)
def forms(
    y: Floats, at: Ints, label: Ints, prevailing: int, mean: Floats, number: Floats, spans: Ints, ms: float, out: Floats
) -> None:
    """Write the traits of shape against the prevailing group's mean beat, followed as it drifts.

    `spans` in samples: before and after of the QRS, before of the mean beat, back and end of P, begin of T; `ms`: one
    sample. The traits of time must be in `out` already.
    """
    before, after, lead_in, p_back, p_end, t_from = spans
    n, width = y.shape[1], before + after
    usual = mean[prevailing].copy()
    own, past = np.empty((y.shape[0], width)), np.zeros((y.shape[0], usual.shape[1]))
    work, none = np.empty((3, p_back - p_end)), np.zeros(usual.shape[1])
    for k in range(at.shape[0]):
        row = out[k]
        _piece(y, at[k] - before, own)
        _level(own)
        size, scale, spread = _slopes(own, 0, width)
        usual_size, usual_scale, usual_spread = _slopes(usual, lead_in - before, width)
        row[_CORR], row[_RESID] = _against(own, usual, lead_in - before, 3)
        row[_AMP] = 0.5 * math.log(max(size, 1e-12) / max(usual_size, 1e-12))
        row[_SCALE], row[_SCALE_REL] = scale * ms, scale / max(usual_scale, 1e-9)
        row[_SPREAD], row[_SPREAD_REL] = spread * ms, spread / max(usual_spread, 1e-9)
        if k > 0:
            g, since = label[k - 1], at[k] - at[k - 1]
            _p_wave(y, at[k], p_back, usual, lead_in, mean[g], number[g], since, work, row)
        else:
            _p_wave(y, at[k], p_back, usual, lead_in, usual, none, 0, work, row)
        stop = at[k + 1] - 2 * p_end if k + 1 < at.shape[0] else n
        _t_wave(y, at[k], stop, usual, lead_in, t_from, row)
        row[_CONCORD] = _concord(y, at[k], before, after, t_from)
        # The last beat's piece of `own`, kept in `past`, gives the likeness of neighbours.
        row[_NEXT], row[_PREV] = 1.0, 1.0
        if k > 0:
            row[_PREV] = _against(own, past, lead_in - before, 2)[0]
            out[k - 1, _NEXT] = row[_PREV]
        _piece(y, at[k] - lead_in, past)
        if label[k] == prevailing and row[_EARLY] > EARLY:
            ahead = at[k + 1] - p_back if k + 1 < at.shape[0] else n
            _follow(usual, past, max(lead_in - at[k], 0), min(usual.shape[1], min(ahead, n) - at[k] + lead_in))


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


def clock(found: Complexes, p_like: Floats) -> Floats:
    """Return the table (beats, len(NAMES)) of three beats and more with only the traits of time and P filled in."""
    out = np.zeros((found.at.shape[0], len(NAMES)))
    rr = np.maximum(np.diff(found.at) / found.fs, 0.1)
    times(rr, np.ascontiguousarray(p_like, np.float64), out)
    return out


def early(table: Floats) -> Floats:
    """Return each beat's interval before it as a part of the usual one."""
    return table[:, _EARLY]


def fill(table: Floats, found: Complexes, prevailing: int, width: Floats) -> None:
    """Write the traits of shape and of groups into a table that `clock` made; `width`: QRS in ms, no NaN."""
    fs, label = found.fs, found.label
    table[:, _WIDTH], table[:, _WIDTH_REL] = width, width - order.median(width[label == prevailing])
    lead_in, length = round(LONG_BEFORE_S * fs), round(LONG_BEFORE_S * fs) + round(LONG_AFTER_S * fs)
    mean, number = np.zeros((found.count, found.y.shape[0], length)), np.zeros((found.count, length))
    means(found.y, found.at, label, lead_in, round(CLEAR_S * fs), mean, number)
    spans = [round(s * fs) for s in (BEFORE_S, AFTER_S, LONG_BEFORE_S, P_FROM_S, P_TO_S, T_FROM_S)]
    forms(found.y, found.at, label, prevailing, mean, number, np.array(spans), 1000.0 / fs, table)
    sizes = np.bincount(label, minlength=found.count)
    table[:, _LIKE], table[:, _SHARE], table[:, _USUAL] = (
        found.like,
        sizes[label] / label.shape[0],
        label == prevailing,
    )
    first = np.concatenate([[0], np.cumsum(sizes)])
    group_medians(table, np.argsort(label, kind="stable"), first, _SOURCE, len(OWN))
