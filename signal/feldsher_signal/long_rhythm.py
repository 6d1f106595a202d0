"""The basic rhythm of a long recording, by windows of thirty beats: the rules of rhythm.py for many beats at once."""

from __future__ import annotations

import numpy as np
from feldsher_ehr_core.ecg import RhythmSpan
from numpy.typing import NDArray

from feldsher_signal import presence, rhythm
from feldsher_signal.ambulatory import Found
from feldsher_signal.sliding import medians

WINDOW_BEATS = 30
"""Beats from which a rhythm is judged: Petrėnas 2015 and Zhou 2015 need about 60, Lake & Moorman 2011 12."""
IRREGULAR, P_LIKE = 0.06, 0.55
"""Fibrillation: median change between intervals as a part of the median interval, and median likeness of the P stretch
under which P waves are held absent; chosen together on the even rows of cinc2017."""


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
    """Return the basic rhythm, neighbouring windows of one code joined: SR, SBRAD, STACH, AFIB or RUND."""
    beats = found.r.shape[0]
    if beats < 3:
        return ()
    edges = _windows(beats)
    usual = found.kinds == ord("N")
    rr = np.diff(found.r).astype(np.float64)
    clean = np.zeros(beats, np.bool_)
    clean[1:] = usual[1:] & usual[:-1] & found.whole
    pairs = np.zeros(beats, np.bool_)
    pairs[2:] = clean[2:] & clean[1:-1]
    change = np.zeros(beats)
    change[2:] = np.abs(np.diff(rr))
    intervals = np.concatenate([[0.0], rr])
    rr_middle = _middle(intervals, clean, edges)
    irregular = _middle(change, pairs, edges) / rr_middle
    p_like = found.p_like.astype(np.float64)
    like = _middle(p_like, usual, edges)
    seen = (medians(p_like, presence.NEIGHBOURS) >= presence.LOCAL) & (p_like >= presence.OWN)
    share = np.add.reduceat((seen & usual).astype(np.float64), edges[:-1]) / np.maximum(
        np.add.reduceat(usual.astype(np.float64), edges[:-1]), 1.0
    )
    codes = _codes(irregular, like, share, 60.0 * found.fs / rr_middle)
    return _joined(codes, edges, found)


def _codes(
    irregular: NDArray[np.float64], like: NDArray[np.float64], share: NDArray[np.float64], rate: NDArray[np.float64]
) -> list[str]:
    out: list[str] = []
    for change, p, part, fast in zip(irregular.tolist(), like.tolist(), share.tolist(), rate.tolist(), strict=True):
        if change != change or p != p:
            out.append("RUND")
        elif change > IRREGULAR and p < P_LIKE:
            out.append("AFIB")
        elif part < 0.5:
            out.append("RUND")
        else:
            out.append("SBRAD" if fast < rhythm.SLOW else "STACH" if fast > rhythm.FAST else "SR")
    return out


def _joined(codes: list[str], edges: NDArray[np.int64], found: Found) -> tuple[RhythmSpan, ...]:
    out: list[RhythmSpan] = []
    for k, code in enumerate(codes):
        start = out[-1].end if out else 0
        end = found.n if k + 1 == len(codes) else int(found.r[edges[k + 1]])
        if out and out[-1].code == code:
            out[-1] = RhythmSpan(out[-1].start, end, code)
        else:
            out.append(RhythmSpan(start, end, code))
    return tuple(out)
