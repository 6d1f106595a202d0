"""Complexes grouped by shape: slowed to about 125 samples a second, leads weighted by how alike their own beats are.

Leader clustering on correlation with small shifts, then groups whose means are alike are joined: noise splits single
beats, not their means. Nothing is learned from other patients (documented self-adaptation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import order
from feldsher_signal.jit import inner, kernel

RATE = 125.0
"""Samples a second that the shape of a QRS needs: its energy lies under 40 Hz (Thakor 1984)."""
BEFORE_S, AFTER_S = 0.12, 0.16
"""The piece of a beat around the middle of its slopes' energy whose shape is compared."""
REACH_S = 0.10
LIKE, SAME = 0.90, 0.92
"""Correlation from which a beat is of a group, and two groups are one."""
SURE = 0.97
"""Likeness to the group of the beat before that ends the search."""
GROUPS = 40
PREFERRED = ("II", "MLII", "V1", "V5")
MOST_LEADS = 3
_SHIFTS = 2

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Complexes:
    """Grouped beats: `y` the slowed, weighted leads (leads, n) at `fs`; `at` each beat's middle there; `like` 0 … 1."""

    y: Floats
    fs: float
    at: Ints
    label: Ints
    like: Floats
    count: int


@kernel("void(f4[:,::1], i8[::1], i8, f8[:,::1])", fast=True)
def slowed(x: NDArray[np.float32], rows: Ints, by: int, out: Floats) -> None:
    """Write the chosen rows in means over `by` samples."""
    for a in range(rows.shape[0]):
        for i in range(out.shape[1]):
            total = 0.0
            for j in range(by):
                total += x[rows[a], i * by + j]
            out[a, i] = total / by


@kernel("void(f8[:,::1], i8[::1], i8, i8, f8[:,::1], f8[:,::1])", fast=True)
def steadiness(y: Floats, at: Ints, before: int, after: int, size: Floats, like: Floats) -> None:
    """Write by lead and beat the norm of its shape and the better correlation with the next two beats (−1 without)."""
    n, width, beats = y.shape[1], before + after, at.shape[0]
    ring = np.zeros((3, width))
    norm = np.zeros(3)
    for lead in range(y.shape[0]):
        for k in range(beats):
            mine = ring[k % 3]
            total, square = 0.0, 0.0
            for i in range(width):
                v = y[lead, min(max(at[k] - before + i, 0), n - 1)]
                mine[i] = v
                total += v
            for i in range(width):
                mine[i] -= total / width
                square += mine[i] * mine[i]
            norm[k % 3] = size[lead, k] = math.sqrt(square)
            like[lead, k] = -1.0
            for back in range(1, min(3, k + 1)):
                other, dot = ring[(k - back) % 3], 0.0
                for i in range(width):
                    dot += mine[i] * other[i]
                both = norm[k % 3] * norm[(k - back) % 3]
                if both > 0:
                    like[lead, k - back] = max(like[lead, k - back], dot / both)


@kernel("void(f8[:,::1], i8[::1], i8, i8[::1])", fast=True)
def centre(y: Floats, at: Ints, reach: int, out: Ints) -> None:
    """Write the middle of the energy of all leads' slopes within `reach` of each beat."""
    n = y.shape[1]
    for k in range(at.shape[0]):
        total, moment = 0.0, 0.0
        for i in range(max(at[k] - reach, 1), min(at[k] + reach + 1, n - 1)):
            energy = 0.0
            for lead in range(y.shape[0]):
                d = y[lead, i + 1] - y[lead, i - 1]
                energy += d * d
            total += energy
            moment += energy * i
        out[k] = math.floor(moment / total + 0.5) if total > 0 else at[k]


@inner
def _take(y: Floats, first: int, width: int, raw: Floats, mean: Floats, norm: Floats) -> None:
    """Write the samples from `first` on, and for each shift every lead's mean and the norm of all without it."""
    n = y.shape[1]
    for lead in range(y.shape[0]):
        for i in range(raw.shape[1]):
            raw[lead, i] = y[lead, min(max(first + i, 0), n - 1)]
    for s in range(norm.shape[0]):
        energy = 0.0
        for lead in range(y.shape[0]):
            total, square = 0.0, 0.0
            for i in range(width):
                v = raw[lead, s + i]
                total += v
                square += v * v
            mean[lead, s] = total / width
            energy += square - total * total / width
        norm[s] = math.sqrt(max(energy, 1e-12))


@inner
def _learn(leader: Floats, raw: Floats, mean: Floats, norm: Floats, shift: int, part: float) -> None:
    """Draw a leader by `part` to the shape at `shift`, keeping its norm one."""
    energy = 0.0
    for lead in range(leader.shape[0]):
        for i in range(leader.shape[1]):
            v = leader[lead, i] + part * ((raw[lead, shift + i] - mean[lead, shift]) / norm[shift] - leader[lead, i])
            leader[lead, i] = v
            energy += v * v
    size = math.sqrt(max(energy, 1e-12))
    for lead in range(leader.shape[0]):
        for i in range(leader.shape[1]):
            leader[lead, i] /= size


@kernel("i8(f8[:,::1], i8[::1], i8, i8, f8[:,:,::1], i8[::1], i8[::1], f8[::1])", fast=True)
def lead_groups(
    y: Floats, at: Ints, before: int, after: int, leaders: Floats, size: Ints, label: Ints, like: Floats
) -> int:
    """Write each beat's group and likeness to it, move `at` by the best shift; return how many groups there are."""
    width, leads, count, last = before + after, y.shape[0], 0, 0
    shifts = 2 * _SHIFTS + 1
    raw, mean, norm = np.empty((leads, width + shifts - 1)), np.empty((leads, shifts)), np.empty(shifts)
    for k in range(at.shape[0]):
        _take(y, at[k] - before - _SHIFTS, width, raw, mean, norm)
        best, group, shift = -1.0, -1, _SHIFTS
        for step in range(count):
            g = (last + step) % count
            for s in range(shifts):
                dot = 0.0
                for lead in range(leads):
                    for i in range(width):
                        dot += leaders[g, lead, i] * raw[lead, s + i]
                if dot > best * norm[s]:
                    best, group, shift = dot / norm[s], g, s
            if best > SURE:
                break
        if best < LIKE and count < leaders.shape[0]:
            group, shift, best = count, _SHIFTS, LIKE
            count += 1
        size[group] += 1
        if best >= LIKE:
            _learn(leaders[group], raw, mean, norm, shift, 1.0 / min(size[group], 32))
        label[k], like[k], last = group, best, group
        at[k] += shift - _SHIFTS
    return count


@inner
def alike(p: Floats, q: Floats) -> tuple[float, int]:
    """Return the best correlation of two mean shapes (leads, width) and the shift of q for it."""
    leads, width = p.shape
    best, at = -1.0, 0
    for s in range(-_SHIFTS, _SHIFTS + 1):
        dot, a, b = 0.0, 0.0, 0.0
        for lead in range(leads):
            for i in range(max(0, -s), min(width, width - s)):
                u, v = p[lead, i], q[lead, i + s]
                dot += u * v
                a += u * u
                b += v * v
        like = dot / math.sqrt(max(a * b, 1e-18))
        if like > best:
            best, at = like, s
    return best, at


@inner
def _join(leaders: Floats, size: Ints, into: int, away: int, shift: int) -> None:
    """Make one mean shape of two."""
    width = leaders.shape[2]
    part, energy = size[away] / max(size[into] + size[away], 1), 0.0
    for lead in range(leaders.shape[1]):
        for i in range(width):
            other = leaders[away, lead, min(max(i + shift, 0), width - 1)]
            leaders[into, lead, i] += part * (other - leaders[into, lead, i])
            energy += leaders[into, lead, i] ** 2
    for lead in range(leaders.shape[1]):
        for i in range(width):
            leaders[into, lead, i] /= math.sqrt(max(energy, 1e-12))
    size[into] += size[away]
    size[away] = 0


@inner
def _closest(like: Floats, size: Ints) -> tuple[int, int]:
    """Return the two groups that are most alike and over SAME; −1 where none are."""
    best, into, away = SAME, -1, -1
    for a in range(like.shape[0]):
        for b in range(a + 1, like.shape[0]):
            if size[a] > 0 and size[b] > 0 and like[a, b] > best:
                best, into, away = like[a, b], a, b
    return into, away


@kernel("i8(f8[:,:,::1], i8[::1], i8, i8[::1])")
def joined(leaders: Floats, size: Ints, count: int, number: Ints) -> int:
    """Join the most alike groups until none are SAME; write each old group's new number, return how many are left."""
    of = np.arange(count)
    like, shift = np.full((count, count), -1.0), np.zeros((count, count), np.int64)
    for a in range(count):
        for b in range(a + 1, count):
            like[a, b], shift[a, b] = alike(leaders[a], leaders[b])
    into, away = _closest(like, size)
    while into >= 0:
        by = shift[into, away]
        if size[away] > size[into]:
            into, away, by = away, into, -by
        _join(leaders, size, into, away, by)
        for g in range(count):
            of[g] = into if of[g] == away else of[g]
            if size[g] > 0 and g != into:
                a, b = min(g, into), max(g, into)
                like[a, b], shift[a, b] = alike(leaders[a], leaders[b])
        into, away = _closest(like, size)
    left = 0
    for g in range(count):
        if of[g] == g:
            number[g] = left
            left += 1
    for g in range(count):
        number[g] = number[of[g]]
    return left


def chosen(leads: tuple[str, ...], usable: NDArray[np.bool_]) -> Ints:
    """Return up to MOST_LEADS usable rows, the preferred leads where there are more (every row where none is)."""
    rows = np.flatnonzero(usable)
    if rows.shape[0] > MOST_LEADS:
        named = [k for k in rows.tolist() if leads[k] in PREFERRED]
        rows = np.array((named + [k for k in rows.tolist() if k not in named])[:MOST_LEADS])
    return (rows if rows.shape[0] else np.arange(1)).astype(np.int64)


def _weigh(y: Floats, at: Ints, before: int, after: int) -> None:
    """Scale each lead by its beats' likeness over its noise, so that the usual complex is about one in all leads."""
    size, like = np.zeros((y.shape[0], at.shape[0])), np.zeros((y.shape[0], at.shape[0]))
    steadiness(y, at, before, after, size, like)
    usual = np.array([max(order.median(row), 1e-6) for row in size])
    steady = np.clip([order.median(row) for row in like], 0.05, 1.0)
    weight = steady / (usual * np.sqrt(1.01 - steady))
    weight /= math.sqrt(float(((weight * usual) ** 2).sum()))
    y *= weight[:, None]


def groups(x: NDArray[np.float32], leads: tuple[str, ...], usable: NDArray[np.bool_], r: Ints, fs: float) -> Complexes:
    """Return the beats at R peaks `r` of µV (leads, n) grouped by shape, numbered from 0."""
    by = max(round(fs / RATE), 1)
    y = np.empty((chosen(leads, usable).shape[0], max(x.shape[1] // by, 1)))
    slowed(x, chosen(leads, usable), by, y)
    slow = fs / by
    before, after = round(BEFORE_S * slow), round(AFTER_S * slow)
    first = np.minimum(r // by, y.shape[1] - 1)
    _weigh(y, first, before, after)
    at = np.empty_like(first)
    centre(y, first, round(REACH_S * slow), at)
    leaders, size = np.zeros((GROUPS, y.shape[0], before + after)), np.zeros(GROUPS, np.int64)
    label, like, number = np.zeros(r.shape[0], np.int64), np.zeros(r.shape[0]), np.zeros(GROUPS, np.int64)
    count = lead_groups(y, at, before, after, leaders, size, label, like)
    count = joined(leaders, size, count, number)
    return Complexes(y, slow, at, number[label], like, count)
