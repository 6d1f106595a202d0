"""Supraventricular ectopy made from normal recordings: beats are moved in time by overlap-add, P waves reshaped.

What public recordings hold of it comes from few patients; this gives its timing on many more. Four patterns: single
early beats, every second or third early, runs, and early beats that prevail among pauses (sick sinus).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PATTERNS = ("single", "gemini", "run", "sick")
Ints = NDArray[np.int64]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Beats:
    """Where the beats of a recording are: R peaks, P onsets and ends (−1 = none), samples."""

    r: Ints
    p_on: Ints
    p_off: Ints


@dataclass(slots=True)
class Plan:
    """Each beat's interval before it as a part of the usual one, and whether it is ectopic."""

    factor: NDArray[np.float64]
    early: NDArray[np.bool_]

    def put(self, k: int, factor: float, early: bool) -> int:
        """Set beat k where there is one; return the next."""
        if k < self.factor.shape[0] - 2:
            self.factor[k], self.early[k] = factor, early
        return k + 1


def plan(beats: int, pattern: str, rng: Random) -> Plan:
    """Return a plan of one pattern; coupling 0.45–0.86 of the usual interval, no more than a little pause after."""
    out, k = Plan(np.ones(beats), np.zeros(beats, np.bool_)), 3
    while k < beats - 2:
        if pattern == "single":
            k = out.put(k, rng.uniform(0.5, 0.86), True)
            k = out.put(k, rng.uniform(0.95, 1.3), False) + int(rng.integers(3, 24))
        elif pattern == "gemini":
            between = int(rng.integers(1, 3))
            for _ in range(int(rng.integers(3, 20))):
                k = out.put(k, rng.uniform(0.55, 0.8), True)
                k = out.put(k, rng.uniform(1.0, 1.35), False) + between - 1
            k += int(rng.integers(5, 30))
        elif pattern == "run":
            rate = rng.uniform(0.45, 0.8)
            for _ in range(int(rng.integers(3, 40))):
                k = out.put(k, rate * rng.uniform(0.96, 1.04), True)
            k = out.put(k, rng.uniform(0.95, 1.6), False) + int(rng.integers(5, 39))
        else:
            rate = rng.uniform(0.7, 1.0)
            for _ in range(int(rng.integers(1, 9))):
                k = out.put(k, rate * rng.uniform(0.9, 1.1), True)
            for _ in range(int(rng.integers(1, 4))):
                k = out.put(k, rng.uniform(1.35, 2.4), False)
    return out


def _borders(beats: Beats, fs: float, n: int) -> Ints:
    """Return where each beat's piece begins (before its P wave), and where the last ends."""
    out = np.empty(beats.r.shape[0] + 1, np.int64)
    out[0], out[-1] = max(beats.r[0] - int(0.3 * fs), 0), min(beats.r[-1] + int(0.5 * fs), n)
    for k in range(1, beats.r.shape[0]):
        p, r, last = int(beats.p_on[k]), int(beats.r[k]), int(beats.r[k - 1])
        p = p if p > last + 0.25 * fs else r - int(0.2 * fs)
        out[k] = min(max(p - int(0.02 * fs), last + int(0.2 * fs)), r - int(0.08 * fs))
    return out


def _reshape(piece: NDArray[np.float64], a: int, b: int, scale: NDArray[np.float64]) -> None:
    """Scale what stands over the line from a to b, lead by lead."""
    if b - a > 5:
        line = np.linspace(piece[:, a], piece[:, b - 1], b - a).T
        piece[:, a:b] += (scale - 1)[:, None] * (piece[:, a:b] - line) * np.minimum(2 * np.hanning(b - a), 1)


def _pause(out: NDArray[np.float64], end: int, start: int, quiet: int) -> None:
    """Fill end … start with the quiet stretch before, to and fro."""
    last = out[:, end - quiet : end]
    both = np.concatenate([last[:, ::-1], last], axis=1)
    out[:, end:start] = np.tile(both, (1, (start - end) // both.shape[1] + 1))[:, : start - end]


def moved(x: NDArray[np.float32], fs: float, beats: Beats, made: Plan, rng: Random) -> tuple[NDArray[np.float32], Ints]:
    """Return the recording in µV (leads, n) with its beats where the plan wants them, and their R peaks."""
    border, usual = _borders(beats, fs, x.shape[1]), float(np.median(np.diff(beats.r)))
    out = np.zeros((x.shape[0], int(x.shape[1] * 2.2)))
    out[:, : border[1]] = x[:, : border[1]]
    end, r = int(border[1]), [int(beats.r[0])]
    kept: NDArray[np.bool_] = np.asarray(rng.random(x.shape[0])) < 0.5
    scale: NDArray[np.float64] = np.where(kept, 1.0, rng.choice([-0.7, 0.0, 0.4, 1.0, 1.4]))
    for k in range(1, beats.r.shape[0]):
        lead_in = int(beats.r[k] - border[k])
        own = float(beats.r[k] - beats.r[k - 1])
        want = made.factor[k] * (own if made.factor[k] == 1 else usual * rng.uniform(0.97, 1.03))
        piece = x[:, border[k] : border[k + 1]].astype(np.float64)
        if made.early[k] and 0 <= beats.p_on[k] - border[k] < beats.p_off[k] - border[k] and rng.random() < 0.8:
            a, b = int(beats.p_on[k] - border[k]), int(beats.p_off[k] - border[k])
            _reshape(piece, a, min(b, lead_in - int(0.04 * fs)), scale)
        start = int(r[-1] + want) - lead_in
        if start > end:
            _pause(out, end, start, max(int(0.06 * fs), 2))
            end = start
        over = min(end - start, piece.shape[1] - 2)
        start = end - over
        stop = start + piece.shape[1]
        if stop >= out.shape[1]:
            break
        out[:, start:end] += piece[:, :over] - x[:, border[k]][:, None]
        step = (out[:, end - 1] - piece[:, max(over - 1, 0)])[:, None]
        out[:, end:stop] = piece[:, over:] + step * np.exp(-np.arange(stop - end) / (0.3 * fs))[None]
        r.append(start + lead_in)
        end = stop
    return out[:, :end].astype(np.float32), np.array(r)
