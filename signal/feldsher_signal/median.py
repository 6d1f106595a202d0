"""The median beat: the patient's usual complex in every lead, freed of noise and drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import order
from feldsher_signal.jit import inner, kernel

BEFORE_S, AFTER_S = 0.36, 0.66
MOST = 64
"""Beats that enter the median of a long recording, spread evenly over it."""
MISSING = np.int32(0x7FFFFFFF)


@dataclass(frozen=True, slots=True)
class MedianBeat:
    """µV (leads, samples), 0 at the end of the PR segment; `r`: its R peak; `rr`: median interval in samples."""

    x: NDArray[np.float32]
    r: int
    rr: float
    beats: int


@inner
def level(x: NDArray[np.float32], at: int, half: int) -> float:
    """Return the mean of the samples within ±half of `at` that are there; 0 where none is."""
    total, count = 0.0, 0
    for i in range(max(at - half, 0), min(at + half + 1, x.shape[0])):
        if x[i] == x[i]:
            total += x[i]
            count += 1
    return total / count if count else 0.0


@inner
def _gather(
    x: NDArray[np.float32],
    start: int,
    at: int,
    until: int,
    half: int,
    ramp: NDArray[np.float32],
    row: NDArray[np.int32],
) -> None:
    """Write one beat of a lead from `start` on, less the line through its levels at `at` and `until`, as ordered keys.

    The bits of a float, the lower 31 turned when it is negative, order as the floats do: sorting integers needs no
    masked stores, which are slow. Missing samples are MISSING, above all others.
    """
    first = np.float32(level(x, at, half))
    rise = np.float32(level(x, until, half)) - first
    step, one, off = np.float32(1.0 / max(until - at, 1)), np.float32(1), np.float32(start - at)
    lo = min(max(-start, 0), row.shape[0])
    hi = max(min(x.shape[0] - start, row.shape[0]), lo)
    row[:lo] = MISSING
    row[hi:] = MISSING
    # Slices from 0 on: an index that might be negative keeps the loops from being vectorised.
    piece, along, keys = x[start + lo : start + hi], ramp[lo:hi], row[lo:hi]
    values = keys.view(np.float32)
    for i in range(hi - lo):
        values[i] = piece[i] - (first + min(max((along[i] + off) * step, -one), one) * rise)
    for i in range(hi - lo):
        keys[i] = keys[i] ^ ((keys[i] >> 31) & MISSING) if piece[i] == piece[i] else MISSING


@inner
def _exchange(low: NDArray[np.int32], high: NDArray[np.int32]) -> None:
    """Put the lesser of each pair into `low` and the greater into `high`."""
    for i in range(low.shape[0]):
        a, b = low[i], high[i]
        low[i], high[i] = min(a, b), max(a, b)


@inner
def arrange(rows: NDArray[np.int32]) -> None:
    """Sort every column of (beats, samples) upward: Batcher's merge exchange (Knuth 5.2.2 M), whole rows at a time."""
    n = rows.shape[0]
    top = 1
    while 2 * top < n:
        top *= 2
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            for i in range(n - d):
                if i & p == r:
                    _exchange(rows[i], rows[i + d])
            d, q, r = q - p, q // 2, p
        p //= 2


@inner
def _middle_of(rows: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """Write the mean of the middle two of each sorted column, missing ones left out; 0 where all are missing."""
    beats = rows.shape[0]
    pair = np.empty((2, rows.shape[1]), np.int32)
    for i in range(rows.shape[1]):
        n = beats
        while n > 0 and rows[n - 1, i] == MISSING:
            n -= 1
        for j in range(2):
            bits = rows[(n - 1 + j) // 2, i] if n > 0 else np.int32(0)
            pair[j, i] = bits ^ ((bits >> 31) & MISSING)
    values = pair.view(np.float32)
    for i in range(rows.shape[1]):
        out[i] = np.float32(0.5) * (values[0, i] + values[1, i])


@kernel("void(f4[:,::1], i8[::1], i8[:,::1], i8, i8, f4[:,::1])", fast=True)
def middle(
    x: NDArray[np.float32],
    r: NDArray[np.int64],
    level_at: NDArray[np.int64],
    half: int,
    before: int,
    out: NDArray[np.float32],
) -> None:
    """Write the median over beats of each lead and sample, each beat less the straight line through its two levels.

    `level_at` (beats, 2): where the baseline is read (±half) before each beat and before the one after it; a line
    between isoelectric points moves no ST segment against its PR segment but by the drift.
    """
    rows = np.empty((r.shape[0], out.shape[1]), np.int32)
    ramp = np.empty(out.shape[1], np.float32)
    for i in range(ramp.shape[0]):
        ramp[i] = i
    for lead in range(x.shape[0]):
        for k in range(r.shape[0]):
            _gather(x[lead], r[k] - before, level_at[k, 0], level_at[k, 1], half, ramp, rows[k])
        arrange(rows)
        _middle_of(rows, out[lead])


def median_beat(
    x: NDArray[np.float32], fs: float, r: NDArray[np.int64], on: NDArray[np.int64], chosen: NDArray[np.int64]
) -> MedianBeat:
    """Return the median of the `chosen` beats (indices) of µV (leads, n); `on`: each beat's QRS onset in samples."""
    if chosen.shape[0] > MOST:
        chosen = chosen[np.arange(MOST) * (chosen.shape[0] - 1) // (MOST - 1)]
    half = max(round(0.006 * fs), 1)
    isoelectric = np.maximum(on - half - 1, 0)
    # A wave after the beat ends before the next one comes: the interval after the chosen beats counts.
    followed = chosen[chosen < r.shape[0] - 1]
    rr = order.median(r[followed + 1] - r[followed]) if followed.size else fs
    before, after = round(BEFORE_S * fs), round(min(AFTER_S * fs, max(0.95 * rr, 0.35 * fs)))
    out = np.zeros((x.shape[0], before + after), np.float32)
    following = np.minimum(chosen + 1, r.shape[0] - 1)
    pairs = np.ascontiguousarray(np.stack([isoelectric[chosen], isoelectric[following]], axis=1))
    middle(x, r[chosen], pairs, half, before, out)
    return MedianBeat(out, before, rr, int(chosen.shape[0]))
