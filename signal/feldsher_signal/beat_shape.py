"""The traits of shape: each beat's QRS, P and T wave against the patient's usual complex, followed as it drifts.

After de Chazal 2004 (QRS and T shape) and Llamedo & Martínez 2011 (scale of the QRS).
"""

from __future__ import annotations

import math

import numpy as np

from feldsher_signal import beat_columns as columns
from feldsher_signal.beat_columns import Floats, Ints
from feldsher_signal.beat_timing import PREMATURE
from feldsher_signal.jit import inner, kernel

FOLLOW = 0.03
"""How fast the prevailing complex is followed: by this part each beat."""


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
    row[columns.P] = both / math.sqrt(max(own * theirs, 1e-18))
    row[columns.P_RAW] = raw / math.sqrt(max(plain * theirs, 1e-18))
    row[columns.P_SIZE] = 0.5 * math.log(max(own, 1e-9) / max(theirs, 1e-9))


@inner
def _t_wave(y: Floats, at: int, stop: int, usual: Floats, before: int, first: int, row: Floats) -> None:
    """Write how the T wave (from `first` samples after the middle, before `stop`) resembles the usual one."""
    count = min(usual.shape[1] - before - 1, stop - at, y.shape[1] - at) - first
    row[columns.T], row[columns.T_AMP] = 1.0, 0.0
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
    row[columns.T] = both / math.sqrt(max(own * theirs, 1e-18))
    row[columns.T_AMP] = 0.5 * math.log(max(own, 1e-9) / max(theirs, 1e-9))


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
        row[columns.CORR], row[columns.RESID] = _against(own, usual, lead_in - before, 3)
        row[columns.AMP] = 0.5 * math.log(max(size, 1e-12) / max(usual_size, 1e-12))
        row[columns.SCALE], row[columns.SCALE_REL] = scale * ms, scale / max(usual_scale, 1e-9)
        row[columns.SPREAD], row[columns.SPREAD_REL] = spread * ms, spread / max(usual_spread, 1e-9)
        if k > 0:
            g, since = label[k - 1], at[k] - at[k - 1]
            _p_wave(y, at[k], p_back, usual, lead_in, mean[g], number[g], since, work, row)
        else:
            _p_wave(y, at[k], p_back, usual, lead_in, usual, none, 0, work, row)
        stop = at[k + 1] - 2 * p_end if k + 1 < at.shape[0] else n
        _t_wave(y, at[k], stop, usual, lead_in, t_from, row)
        row[columns.CONCORD] = _concord(y, at[k], before, after, t_from)
        # The last beat's piece of `own`, kept in `past`, gives the likeness of neighbours.
        row[columns.NEXT], row[columns.PREV] = 1.0, 1.0
        if k > 0:
            row[columns.PREV] = _against(own, past, lead_in - before, 2)[0]
            out[k - 1, columns.NEXT] = row[columns.PREV]
        _piece(y, at[k] - lead_in, past)
        if label[k] == prevailing and row[columns.EARLY] > PREMATURE:
            ahead = at[k + 1] - p_back if k + 1 < at.shape[0] else n
            _follow(usual, past, max(lead_in - at[k], 0), min(usual.shape[1], min(ahead, n) - at[k] + lead_in))
