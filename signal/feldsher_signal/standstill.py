"""Where the heart stands still: pauses between beats and at the ends of a recording, and a line without any beat.

A flat line in every lead is no lead off by itself: between beats it is what a pause looks like.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import fiducial
from feldsher_signal.findings import Findings, Verdict, grade
from feldsher_signal.stretch import stretches

PAUSE_S, LONG_PAUSE_S = 2.0, 3.0
"""Pause: over 2 s; 3 s and more is alarmed: ACC/AHA/HRS 2018 bradycardia guideline."""
FLAT_PART = 0.5
"""A line without beats is a flat one when so many leads are; the others may be off."""

SHORT_S = 60.0
"""Up to a minute every pause counts; in a longer recording a complex may have been missed somewhere."""
STEP_S, AROUND_S, AFTER_S, BEFORE_S = 0.02, 0.06, 0.4, 0.1
STEEP = 0.35
"""No pause is sure in which a lead rises, within STEP_S, by so much of what a QRS does (house rule): T is slower."""
Span = tuple[int, int]
LOOK_S, KNOWN_S = 0.1, (0.2, 0.55)
"""How densely an unclear stretch is looked through, and how long before and after its R peak a beat explains it."""


def moving(x: NDArray[np.float32], fs: float, r: NDArray[np.int64], unclear: list[tuple[int, int]]) -> tuple[Span, ...]:
    """Return where unclear stretches of µV (leads, n) move enough to hide a beat: away from the waves of known ones.

    Where the line stands still but for a little noise, nothing is hidden: a heart may have stopped there.
    """
    step = max(round(LOOK_S * fs), 1)
    out: list[Span] = []
    for start, end in unclear:
        at = np.arange(start, end, step)
        before = np.searchsorted(r, at - round(KNOWN_S[1] * fs))
        known = before < np.searchsorted(r, at + round(KNOWN_S[0] * fs))
        hides = fiducial.standing(x, fs, at) & ~known
        out += [(int(at[a]), min(int(at[b - 1]) + step, end)) for a, b in stretches(hides)]
    return tuple(out)


def doubtful(
    x: NDArray[np.float32], fs: float, r: NDArray[np.int64], usable: NDArray[np.bool_]
) -> tuple[tuple[int, int], ...]:
    """Return the long intervals of a long recording, in samples of µV x (leads, n), in which a complex may be missed.

    Half of the usable leads must be as steep as STEEP says, away from the T wave before and the QRS after.
    """
    n, step = x.shape[1], max(round(STEP_S * fs), 1)
    if n <= SHORT_S * fs or r.shape[0] < 3 or not usable.any():
        return ()
    around = round(AROUND_S * fs)
    some = r[:: max(r.shape[0] // 200, 1)].tolist()
    usual = np.median([_steepest(x[usable, max(k - around, 0) : k + around], step) for k in some], axis=0)
    out: list[tuple[int, int]] = []
    for a, b in itertools.pairwise((0, *r.tolist(), n)):
        inner = slice(a + round(AFTER_S * fs), b - round(BEFORE_S * fs))
        if b - a > PAUSE_S * fs and (_steepest(x[usable, inner], step) >= STEEP * usual).mean() >= 0.5:
            out.append((a, b))
    return tuple(out)


def _steepest(x: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return the largest change of each lead within `step` samples; 0 where the piece is shorter."""
    return np.abs(x[:, step:] - x[:, :-step]).max(axis=1, initial=0.0)


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on pauses and on a flat line."""
    return [_pause(f), *_flat(f)]


def _pause(f: Findings) -> Verdict:
    """Return the longest stretch without a beat in which the signal could be judged, at the ends too."""
    if not f.quality.usable:
        return Verdict("PAUSE", 0.0)
    edges = (0, *f.r.tolist(), f.samples)
    long = [(a, b) for a, b in itertools.pairwise(edges) if b - a > 0.5 * PAUSE_S * f.fs]
    seen = [(b - a, a) for a, b in long if not any(start < b and end > a for start, end in f.silent)]
    samples, where = max(seen, default=(0, 0))
    longest = samples / f.fs
    because = (f"{longest:.1f} s without a beat from sample {where}",)
    return Verdict(
        "PAUSE", grade(longest, PAUSE_S, 0.15), longest > PAUSE_S, because, "probable", longest >= LONG_PAUSE_S
    )


def _flat(f: Findings) -> list[Verdict]:
    """State a flat line: no lead usable, no beat, and nothing but flat where it is not off; long enough to alarm."""
    leads = f.quality.leads
    flat = [name for name, q in leads.items() if q.issues == ("flat",)]
    alone = not f.quality.usable and not f.r.shape[0] and f.samples >= LONG_PAUSE_S * f.fs
    if not alone or len(flat) < max(FLAT_PART * len(leads), 1):
        return []
    because = (f"{len(flat)} of {len(leads)} leads do not move by 25 µV in a second, no other shows a beat",)
    return [Verdict("ASYST", 0.5, True, because, "possible", True)]
