"""The median beat: the patient's usual complex in every lead, freed of noise and drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import kernel

BEFORE_S, AFTER_S = 0.36, 0.66
MOST = 64
"""Beats that enter the median of a long recording, spread evenly over it."""


@dataclass(frozen=True, slots=True)
class MedianBeat:
    """µV (leads, samples), 0 at the end of the PR segment; `r`: its R peak; `rr`: median interval in samples."""

    x: NDArray[np.float32]
    r: int
    rr: float
    beats: int


@kernel("void(f4[:,::1], i8[::1], i8[:,::1], f4[:,:,::1], i8, f4[:,::1])")
def middle(
    x: NDArray[np.float32],
    r: NDArray[np.int64],
    level_at: NDArray[np.int64],
    level: NDArray[np.float32],
    before: int,
    out: NDArray[np.float32],
) -> None:
    """Write the median over beats of each lead and sample, each beat less the straight line through its two levels.

    `level_at` (beats, 2) and `level` (leads, beats, 2): where and how high the baseline is before each beat and before
    the one after it; a line between isoelectric points moves no ST segment against its PR segment but by the drift.
    """
    n, beats = x.shape[1], r.shape[0]
    values = np.empty(beats, np.float32)
    for lead in range(x.shape[0]):
        for i in range(out.shape[1]):
            count = 0
            for k in range(beats):
                at = r[k] - before + i
                if 0 <= at < n and x[lead, at] == x[lead, at]:
                    span = max(level_at[k, 1] - level_at[k, 0], 1)
                    part = min(max((at - level_at[k, 0]) / span, -1.0), 1.0)
                    v = x[lead, at] - (level[lead, k, 0] + part * (level[lead, k, 1] - level[lead, k, 0]))
                    place = count
                    while place > 0 and values[place - 1] > v:
                        values[place] = values[place - 1]
                        place -= 1
                    values[place] = v
                    count += 1
            out[lead, i] = 0.5 * (values[(count - 1) // 2] + values[count // 2]) if count else 0.0


def _levels(x: NDArray[np.float32], at: NDArray[np.int64], half: int) -> NDArray[np.float32]:
    """Return the mean of each lead over ±half samples about each point."""
    index = np.clip(at[:, None] + np.arange(-half, half + 1)[None, :], 0, x.shape[1] - 1)
    return np.ascontiguousarray(np.nan_to_num(x[:, index]).mean(axis=2, dtype=np.float64), dtype=np.float32)


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
    rr = float(np.median(r[followed + 1] - r[followed])) if followed.size else fs
    levels = _levels(x, isoelectric, half)
    before, after = round(BEFORE_S * fs), round(min(AFTER_S * fs, max(0.95 * rr, 0.35 * fs)))
    out = np.zeros((x.shape[0], before + after), np.float32)
    following = np.minimum(chosen + 1, r.shape[0] - 1)
    pairs_at = np.ascontiguousarray(np.stack([isoelectric[chosen], isoelectric[following]], axis=1))
    pairs = np.ascontiguousarray(np.stack([levels[:, chosen], levels[:, following]], axis=2))
    middle(x, r[chosen], pairs_at, pairs, before, out)
    return MedianBeat(out, before, rr, int(chosen.shape[0]))
