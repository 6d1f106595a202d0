"""Ectopy made from recordings: beats are moved in time by overlap-add, P waves reshaped, ventricular beats repeated.

What public recordings hold of it comes from few patients; this gives its timing on many more. Supraventricular: single
early beats, every second or third early, runs, and early beats that prevail among pauses (sick sinus). Not ectopic:
dropped beats, pauses, sinus arrhythmia. Ventricular: runs of a recording's own ventricular beats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PATTERNS = ("single", "gemini", "run", "sick")
NORMAL = ("block", "pause", "swing")
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
    """Each beat's interval before it as a part of the usual one, whether it is ectopic, and whose shape it takes."""

    factor: NDArray[np.float64]
    early: NDArray[np.bool_]
    source: Ints

    def put(self, k: int, factor: float, early: bool) -> int:
        """Set beat k where there is one; return the next."""
        if k < self.factor.shape[0] - 2:
            self.factor[k], self.early[k] = factor, early
        return k + 1


def plan(beats: int, pattern: str, rng: Random) -> Plan:
    """Return a plan of one pattern; coupling 0.45–0.86 of the usual interval, no more than a little pause after."""
    out, k = Plan(np.ones((beats,)), np.zeros((beats,), np.bool_), np.arange(beats)), 3
    if pattern in NORMAL:
        return _normal(out, pattern, rng)
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


def _normal(out: Plan, pattern: str, rng: Random) -> Plan:
    """Return a plan in which nothing is ectopic: Mobitz and 2:1 block, pauses, or swinging intervals."""
    k, beats = 3, int(out.factor.shape[0])
    if pattern == "swing":
        depth, turn = rng.uniform(0.1, 0.3), rng.uniform(4.0, 12.0)
        turns: NDArray[np.float64] = np.linspace(0.0, 2 * np.pi * beats / turn, beats, endpoint=False)
        out.factor[:] = 1 + depth * np.sin(turns) + rng.normal(0, 0.02, (beats,))
    while pattern != "swing" and k < beats - 2:
        stay = int(rng.integers(1, 6)) if pattern == "block" and rng.random() < 0.7 else int(rng.integers(5, 40))
        k = out.put(k + stay - 1, rng.normal(2.0, 0.03) if pattern == "block" else rng.uniform(1.3, 3.0), False)
    return out


def ventricular_runs(ventricular: NDArray[np.bool_], rng: Random) -> Plan:
    """Return a plan of runs, couplets and single beats with the shapes of the recording's ventricular beats."""
    beats, own = int(ventricular.shape[0]), np.flatnonzero(ventricular[1:]) + 1
    plain = np.flatnonzero(~ventricular[1:]) + 1
    out, k = Plan(np.ones((beats,)), np.zeros((beats,), np.bool_), rng.choice(plain, (beats,))), 3
    while k < beats - 2:
        shape, rate = int(rng.choice(own)), rng.uniform(0.4, 0.85)
        for _ in range(int(rng.choice([1, 2, 2, 3, 5, 9, 20]))):
            if k < beats - 2:
                out.source[k] = shape if rng.random() < 0.7 else int(rng.choice(own))
            k = out.put(k, rate * rng.uniform(0.93, 1.07), True)
        k = out.put(k, rng.uniform(1.0, 1.5), False) + int(rng.integers(2, 25))
    out.source[0] = 0
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
    kept: NDArray[np.bool_] = rng.random((x.shape[0],)) < 0.5
    scale: NDArray[np.float64] = np.where(kept, 1.0, rng.choice([-0.7, 0.0, 0.4, 1.0, 1.4]))
    for k in range(1, beats.r.shape[0]):
        i = int(made.source[k])
        lead_in = int(beats.r[i] - border[i])
        own = float(beats.r[i] - beats.r[i - 1]) if i == k else usual
        want = made.factor[k] * (own if made.factor[k] == 1 else usual * rng.uniform(0.97, 1.03))
        piece = x[:, border[i] : border[i + 1]].astype(np.float64)
        a, b = int(beats.p_on[i] - border[i]), int(beats.p_off[i] - border[i])
        if made.early[k] and i == k and 0 <= a < b and rng.random() < 0.8:
            _reshape(piece, a, min(b, lead_in - int(0.04 * fs)), scale)
        start = int(r[-1] + want) - lead_in
        if start > end:
            _pause(out, end, start, max(int(0.06 * fs), 2))
            end = start
        over = min(end - start, int(piece.shape[1]) - 2)
        start = end - over
        stop = start + int(piece.shape[1])
        if stop >= out.shape[1]:
            break
        out[:, start:end] += piece[:, :over] - x[:, border[i]][:, None]
        step = (out[:, end - 1] - piece[:, max(over - 1, 0)])[:, None]
        fade: NDArray[np.float64] = np.exp(-np.linspace(0.0, (stop - end - 1) / (0.3 * fs), stop - end))
        out[:, end:stop] = piece[:, over:] + step * fade[None]
        r.append(start + lead_in)
        end = stop
    return out[:, :end].astype(np.float32), np.array(r)
