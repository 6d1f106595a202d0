"""Heart rate variability in time and frequency: Task Force 1996 (Circulation 93:1043), on normal-to-normal intervals.

Deviations: the spectrum of a five-minute segment is Lomb's and Scargle's (Clifford and Tarassenko 2005, IEEE Trans
Biomed Eng 52:630: resampling an uneven series takes power from the high band), so nothing is interpolated; bands are
given as means over the segments that are complete enough; intervals far from their surroundings are left out (below).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ambulatory import Variability
from numpy.typing import NDArray

from feldsher_signal.jit import kernel
from feldsher_signal.sliding import medians

SEGMENT_S = 300.0
"""Task Force 1996: five-minute segments."""
VLF_HZ, LF_HZ, HF_HZ, TOP_HZ = 1 / 300, 0.04, 0.15, 0.40
"""Bands: VLF ≤ 0.04, LF 0.04–0.15, HF 0.15–0.4 Hz (Task Force 1996, table 3)."""
BIN_MS = 1000 / 128
"""Triangular index: histogram with bins of 1/128 s (Task Force 1996)."""
NN_MS = (300.0, 2000.0)
"""Outside this an interval is no normal one; house rule, as most tools have it."""
STRAY, STRAY_BEATS = 0.3, 10
"""An interval that differs from the median of ten on each side by more than this part is a missed or invented beat, or
an ectopic one that was not seen; house rule."""
COMPLETE, HALF = 0.8, 0.5
"""Parts of a segment that normal intervals must fill for its spectrum, and for its mean (house rule)."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Normal-to-normal intervals: `ms`, when each ended (s), and whether the one before it is one too."""

    ms: NDArray[np.float64]
    at: NDArray[np.float64]
    joined: NDArray[np.bool_]


def normal_intervals(r: NDArray[np.int64], normal: NDArray[np.bool_], whole: NDArray[np.bool_], fs: float) -> Intervals:
    """Return the intervals between neighbouring normal beats that are plausible and hold nothing unjudged."""
    rr = np.diff(r) * (1000.0 / fs)
    good = normal[:-1] & normal[1:] & whole & (rr >= NN_MS[0]) & (rr <= NN_MS[1])
    kept = np.flatnonzero(good)
    if kept.size:
        ms = rr[kept]
        good[kept] = np.abs(ms - (around := medians(ms, STRAY_BEATS))) <= STRAY * around
    kept = np.flatnonzero(good)
    joined = np.zeros(kept.size, np.bool_)
    joined[1:] = np.diff(kept) == 1
    return Intervals(rr[kept], r[kept + 1] / fs, joined)


@kernel("void(f8[::1], f8[::1], i8[::1], f8, f8[:,::1])")
def spectra(
    t: NDArray[np.float64], y: NDArray[np.float64], edges: NDArray[np.int64], seconds: float, out: NDArray[np.float64]
) -> None:
    """Write each segment's Lomb–Scargle power at k / `seconds` Hz, k = 1 …: (segments, frequencies) in units of y².

    Segment j holds y[edges[j]:edges[j + 1]] (without its straight line) at times t; a sine of amplitude a at one of the
    frequencies gives a² / 2 there. The sine and cosine of each point are turned from frequency to frequency.
    """
    count = out.shape[1]
    c, s, cc, ss = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    for j in range(out.shape[0]):
        c[:], s[:], cc[:], ss[:] = 0.0, 0.0, 0.0, 0.0
        n = edges[j + 1] - edges[j]
        for i in range(edges[j], edges[j + 1]):
            turn = 2 * math.pi * (t[i] - t[edges[j]]) / seconds
            c1, s1 = math.cos(turn), math.sin(turn)
            cos, sin = c1, s1
            for k in range(count):
                c[k] += y[i] * cos
                s[k] += y[i] * sin
                cc[k] += cos * cos - sin * sin
                ss[k] += 2 * sin * cos
                cos, sin = cos * c1 - sin * s1, sin * c1 + cos * s1
        for k in range(count):
            lean = 0.5 * math.atan2(ss[k], cc[k])
            size = math.hypot(ss[k], cc[k])
            a = c[k] * math.cos(lean) + s[k] * math.sin(lean)
            b = s[k] * math.cos(lean) - c[k] * math.sin(lean)
            power = 0.0
            if n + size > 1e-9:
                power += a * a / (n + size)
            if n - size > 1e-9:
                power += b * b / (n - size)
            out[j, k] = 2 * power / n if n > 0 else 0.0


def _segments(found: Intervals, least: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the five-minute segments begin and end that intervals fill to at least `least` of their time."""
    which = (found.at // SEGMENT_S).astype(np.int64)
    if not which.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    edges = np.concatenate([[0], np.cumsum(np.bincount(which))])
    good = np.bincount(which, weights=found.ms / 1000) >= least * SEGMENT_S
    return edges[:-1][good], edges[1:][good]


def bands(found: Intervals) -> tuple[int, NDArray[np.float64]]:
    """Return how many segments are complete enough, and their mean VLF, LF and HF power in ms²."""
    first, last = _segments(found, COMPLETE)
    if not first.size:
        return 0, np.full(3, np.nan)
    levels: list[NDArray[np.float64]] = []
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        levels.append(_without_line(found.at[a:b], found.ms[a:b]))
    edges = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
    at = np.concatenate([found.at[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)])
    power = np.empty((first.size, round(TOP_HZ * SEGMENT_S)))
    spectra(at, np.concatenate(levels), edges, SEGMENT_S, power)
    low, middle = round(LF_HZ * SEGMENT_S) - 1, round(HF_HZ * SEGMENT_S) - 1
    parts = (power[:, :low], power[:, low:middle], power[:, middle:])
    return first.size, np.array([part.sum(axis=1).mean() for part in parts])


def _without_line(t: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return y less its straight line by least squares."""
    t, y = t - t.mean(), y - y.mean()
    size = float(t @ t)
    return y - t * (float(t @ y) / size) if size > 0 else y


def _spread(ms: NDArray[np.float64]) -> float | None:
    return float(ms.std(ddof=1)) if ms.size > 1 else None


def variability(found: Intervals, beats: int) -> Variability:
    """Return everything that can be had from the intervals; `beats`: how many there were, for the part that is used."""
    ms = found.ms
    if ms.size < 2:
        return Variability(intervals=int(ms.size))
    first, last = _segments(found, HALF)
    pieces = [ms[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    means = np.array([piece.mean() for piece in pieces])
    change = np.diff(ms)[found.joined[1:]]
    count, (vlf, lf, hf) = bands(found)
    told = count > 0
    return Variability(
        intervals=int(ms.size),
        part=ms.size / max(beats - 1, 1),
        mean_nn=float(ms.mean()),
        sdnn=_spread(ms),
        sdann=_spread(means),
        sdnn_index=float(np.mean([piece.std(ddof=1) for piece in pieces])) if pieces else None,
        rmssd=float(np.sqrt((change**2).mean())) if change.size else None,
        pnn50=float(100 * (np.abs(change) > 50).mean()) if change.size else None,
        triangular=float(ms.size / np.bincount((ms / BIN_MS).astype(np.int64)).max()),
        segments=count,
        total=float(vlf + lf + hf) if told else None,
        vlf=float(vlf) if told else None,
        lf=float(lf) if told else None,
        hf=float(hf) if told else None,
        lf_hf=float(lf / hf) if told and hf > 0 else None,
        lf_nu=float(100 * lf / (lf + hf)) if told and lf + hf > 0 else None,
        hf_nu=float(100 * hf / (lf + hf)) if told and lf + hf > 0 else None,
    )
