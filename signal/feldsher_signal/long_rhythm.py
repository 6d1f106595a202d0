"""The basic rhythm of a long recording, by windows of thirty beats: rules of rhythm.py for many beats; fibrillation."""

from __future__ import annotations

import numpy as np
from feldsher_ehr_core.ecg import RhythmSpan
from numpy.typing import NDArray

from feldsher_signal import fibrillation, presence
from feldsher_signal.ambulatory import Found
from feldsher_signal.between import Atria
from feldsher_signal.paediatric import GROWN_RATES
from feldsher_signal.sliding import medians

_CODES = ("SR", "SBRAD", "STACH", "RUND", "AFIB")
_AFIB = _CODES.index("AFIB")
WINDOW_BEATS = 30
"""Beats from which the basic rhythm is judged."""


def _windows(beats: int) -> NDArray[np.int64]:
    """Return where windows of about WINDOW_BEATS begin, and the end of the last."""
    count = max(beats // WINDOW_BEATS, 1)
    return np.arange(count + 1) * beats // count


def _middle(values: NDArray[np.float64], keep: NDArray[np.bool_], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the median of the kept values of every window; NaN where fewer than three are."""
    out = np.full(edges.shape[0] - 1, np.nan)
    width = int(np.diff(edges).max())
    at = edges[:-1, None] + np.arange(width)
    inside = at < edges[1:, None]
    at = np.minimum(at, values.shape[0] - 1)
    use = inside & keep[at]
    ordered = np.sort(np.where(use, values[at], np.inf), axis=1)
    count = use.sum(axis=1)
    known = np.flatnonzero(count >= 3)
    low, high = (count[known] - 1) // 2, count[known] // 2
    out[known] = 0.5 * (ordered[known, low] + ordered[known, high])
    return out


def spans(found: Found) -> tuple[RhythmSpan, ...]:
    """Return the basic rhythm, neighbouring stretches of one code joined: SR, SBRAD, STACH, AFIB or RUND."""
    beats = found.r.shape[0]
    if beats < 3:
        return ()
    edges = _windows(beats)
    usual = found.kinds == ord("N")
    clean = np.zeros(beats, np.bool_)
    clean[1:] = usual[1:] & usual[:-1] & found.whole
    rr = _middle(np.diff(found.r, prepend=found.r[0]).astype(np.float64), clean, edges)
    p_like = found.p_like.astype(np.float64)
    seen = (medians(p_like, presence.NEIGHBOURS) >= presence.LOCAL) & (p_like >= presence.OWN)
    share = np.add.reduceat((seen & usual).astype(np.float64), edges[:-1]) / np.maximum(
        np.add.reduceat(usual.astype(np.float64), edges[:-1]), 1.0
    )
    codes = np.repeat(_codes(share, 60.0 * found.fs / rr), np.diff(edges))
    for first, last in _fibrillation(found, ~usual, p_like, seen):
        codes[first:last] = _AFIB
    return _joined(codes, found)


def _fibrillation(
    found: Found, ectopic: NDArray[np.bool_], p_like: NDArray[np.float64], seen: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Return the stretches of beats held to be fibrillation, from intervals and P evidence alone.

    What the atria do between beats (between.py) is left out: on the shared mitdb it found nothing more in one lead, and
    it would cost as much as the detection of all beats.
    """
    ventricular = found.kinds == ord("V")
    nothing = Atria.none(found.r.shape[0])
    onsets = np.full(found.r.shape[0], -1, np.int64)
    clear = np.zeros(found.r.shape[0], np.bool_)
    known = fibrillation.Known(found.fs, found.r, onsets, ectopic, ventricular, clear, p_like, seen, nothing)
    return fibrillation.chance(known).spans()


def _codes(share: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the place in _CODES of every window's rhythm: by its share of beats with P waves, then by its rate."""
    by_rate = np.where(
        rate < GROWN_RATES.slow, _CODES.index("SBRAD"), np.where(rate > GROWN_RATES.fast, _CODES.index("STACH"), 0)
    )
    return np.where((share < 0.5) | np.isnan(rate), _CODES.index("RUND"), by_rate).astype(np.int8)


def _joined(codes: NDArray[np.int8], found: Found) -> tuple[RhythmSpan, ...]:
    """Return the stretches of beats of one code as spans that fill the whole recording."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
    edges: list[int] = [0, *found.r[starts[1:]].tolist(), found.n]
    told: list[int] = codes[starts].tolist()
    return tuple(RhythmSpan(a, b, _CODES[code]) for a, b, code in zip(edges[:-1], edges[1:], told, strict=True))
