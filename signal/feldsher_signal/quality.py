"""What a recording allows to be judged: lead off, flat, clipped, noise, missing samples, by lead and second.

Every second is judged by itself, so that a stream is judged as the whole. Where beats cannot be told apart (clarity.py)
is the recording's own issue, `unclear`: such a stretch is refused, but no lead is called bad for it, since ventricular
fibrillation is as unclear as noise.

Cut-offs are the house's own unless a source stands beside them; they were set on the shared ludb and mitdb (all of
whose annotated leads must stay usable) and nstdb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from feldsher_ehr_core.ecg import LeadQuality, Quality, QualitySegment
from numpy.typing import NDArray

from feldsher_signal.jit import inner, kernel
from feldsher_signal.stretch import stretches

MISSING, LOW, HIGH, RAIL, ROUGH, _SURVEYED = 0, 1, 2, 3, 4, 5

FLAT_UV = 25.0
"""A whole second within this range holds no heart beat: below the 20–30 µV of IEC 60601-2-25's smallest wave."""
CLIPPED_UV = 3000.0
"""A run of equal samples at one end of a second's range, further than this from its median, is a rail, not a wave."""
CLIPPED_S = 0.02
NOISE_UV = 80.0
"""Median roughness of 100 ms pieces (RMS about a 20 ms mean) that hides a P wave."""
DRIFT_UV = 10_000.0
"""A range within one second that no heart makes."""
MISSING_PART = 0.05
USABLE_PART = 0.5
"""A lead of which less is good is not interpreted."""
ISSUES = ("missing", "flat", "clipped", "noise", "artefact")
FLAT = ISSUES.index("flat")
DARK = [k for k, name in enumerate(ISSUES) if name != "noise"]
"""Issues that leave nothing to be seen, unlike mere noise."""
UNCLEAR = "unclear"
"""The issue of a stretch in which QRS complexes cannot be told from what lies between them."""


@inner
def _rail(x: NDArray[np.float32], a: int, b: int, low: float, high: float, run: int) -> int:
    """Return how many samples of x[a:b] lie in runs of equal values at one end of their range, far from the middle."""
    if not high - low > CLIPPED_UV:
        return 0
    some = np.sort(x[a : b : max((b - a) // 50, 1)])
    # NaN sorts last.
    known = some.shape[0]
    while known > 1 and math.isnan(some[known - 1]):
        known -= 1
    middle = some[known // 2]
    total, length = 0, 1
    for i in range(a + 1, b + 1):
        if i < b and x[i] == x[i - 1]:
            length += 1
            continue
        v = x[i - 1]
        # Where the median itself is at an end, the lead lies on that rail for more than half of the time.
        if length >= run and v in (low, high) and (v == middle or abs(v - middle) > CLIPPED_UV):
            total += length
        length = 1
    return total


@inner
def _rough_gaps(x: NDArray[np.float32], lo: int, hi: int, half: int) -> tuple[float, int]:
    """Return the sum of squares about the moving mean of x[lo:hi] where all of it is there, and of how many samples."""
    total, count = 0.0, 0
    for i in range(lo, hi):
        mean = 0.0
        for j in range(i - half, i + half + 1):
            mean += x[j]
        d = x[i] - mean / (2 * half + 1)
        if not math.isnan(d):
            total += d * d
            count += 1
    return total, count


@inner
def _rough(x: NDArray[np.float32], a: int, b: int, piece: int, half: int) -> float:
    """Return the median over pieces of the RMS of x about its moving mean."""
    pieces = max((b - a) // piece, 1)
    found, part = np.empty(pieces), 1.0 / (2 * half + 1)
    for k in range(pieces):
        lo, hi = max(a + k * piece, a + half), min(a + (k + 1) * piece, b, b - half)
        if hi <= lo:
            found[k] = 0.0
            continue
        total, count, mean = 0.0, hi - lo, 0.0
        for j in range(lo - half, lo + half + 1):
            mean += x[j]
        for i in range(lo, hi - 1):
            d = x[i] - mean * part
            total += d * d
            mean += float(x[i + half + 1]) - x[i - half]
        d = x[hi - 1] - mean * part
        total += d * d
        if math.isnan(total):
            total, count = _rough_gaps(x, lo, hi, half)
        found[k] = math.sqrt(total / count) if count else 0.0
    ordered = np.sort(found)
    return ordered[pieces // 2]


@kernel("void(f4[:,::1], i8, f8, f8[:,:,::1])")
def survey(x: NDArray[np.float32], width: int, fs: float, out: NDArray[np.float64]) -> None:
    """Write (leads, windows, 5): share missing, lowest, highest, share at a rail, roughness; by `width` samples."""
    n = x.shape[1]
    run, piece, half = max(int(CLIPPED_S * fs), 3), max(int(0.1 * fs), 4), max(int(0.01 * fs), 1)
    for lead in range(x.shape[0]):
        row = x[lead]
        for k in range(out.shape[1]):
            a, b = k * width, min((k + 1) * width, n)
            low, high, lost = math.inf, -math.inf, 0
            for i in range(a, b):
                v = row[i]
                # NaN is neither lower nor higher, and is not itself.
                if v < low:
                    low = v
                if v > high:
                    high = v
                lost += v != v
            size = max(b - a, 1)
            out[lead, k, MISSING], out[lead, k, LOW], out[lead, k, HIGH] = lost / size, low, high
            out[lead, k, RAIL] = _rail(row, a, b, low, high, run) / size
            out[lead, k, ROUGH] = _rough(row, a, b, piece, half)


@dataclass(frozen=True)
class Survey:
    """Issues by lead and second: `bad` bool (leads, windows, issues as in ISSUES); `width` samples per window.

    `rough`: RMS of what is faster than 20 ms, in µV; `unclear`: windows in which beats cannot be told apart.
    """

    bad: NDArray[np.bool_]
    rough: NDArray[np.float64]
    width: int
    unclear: NDArray[np.bool_]

    @cached_property
    def unusable(self) -> NDArray[np.bool_]:
        """Windows (leads, windows) in which a lead cannot be judged."""
        return np.logical_or.reduce(self.bad, axis=2)

    @cached_property
    def blind(self) -> NDArray[np.bool_]:
        """Windows in which no lead shows anything: missing, flat, clipped or artefact, but not merely noise."""
        dark = np.logical_or.reduce(self.bad[:, :, DARK], axis=2)
        return np.logical_and.reduce(dark, axis=0)

    @cached_property
    def refused(self) -> NDArray[np.bool_]:
        """Windows in which nothing may be concluded: no lead can be judged, or beats cannot be told apart."""
        everywhere = np.logical_and.reduce(self.unusable, axis=0)
        return everywhere | self.unclear

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Leads of which enough is good, of the windows in which not all of them are flat: those are the heart's."""
        flat: NDArray[np.bool_] = np.logical_and.reduce(self.bad[:, :, FLAT], axis=0)
        dull = int(np.count_nonzero(flat))
        judged = self.unusable[:, ~flat] if dull else self.unusable
        good = 1 - np.add.reduce(judged, axis=1) / max(flat.shape[0] - dull, 1)
        return (good >= USABLE_PART) & (dull < flat.shape[0])


def look(x: NDArray[np.float32], fs: float) -> Survey:
    """Return the survey of µV (leads, n), NaN where missing, second by second."""
    width = min(max(round(fs), 2), x.shape[1])
    bad, rough = judge(x, fs, width)
    return Survey(bad, rough, width, np.zeros(int(bad.shape[1]), np.bool_))


def judge(x: NDArray[np.float32], fs: float, width: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the issues (leads, windows, ISSUES) and the roughness (leads, windows) of µV by `width` samples."""
    found = np.zeros((x.shape[0], math.ceil(x.shape[1] / width), _SURVEYED))
    survey(np.ascontiguousarray(x), width, fs, found)
    span, missing = found[:, :, HIGH] - found[:, :, LOW], found[:, :, MISSING]
    bad = np.empty((*span.shape, len(ISSUES)), np.bool_)
    bad[:, :, 0] = missing > MISSING_PART
    bad[:, :, 1] = (missing < 1) & (span < FLAT_UV)
    bad[:, :, 2] = found[:, :, RAIL] > 0.1
    bad[:, :, 3] = found[:, :, ROUGH] > NOISE_UV
    bad[:, :, 4] = np.isfinite(span) & (span > DRIFT_UV)
    return bad, found[:, :, ROUGH]


def bridged(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the leads with missing samples bridged by straight lines (0 where all are missing)."""
    if not np.isnan(x).any():
        return np.ascontiguousarray(x)
    out = x.copy()
    for row in out:
        gone = np.isnan(row)
        if gone.all():
            row[:] = 0
        elif gone.any():
            where = np.arange(row.shape[0], dtype=np.float64)
            row[gone] = np.interp(where[gone], where[~gone], row[~gone])
    return out


def _issues(bad: list[bool]) -> tuple[str, ...]:
    return tuple(name for name, seen in zip(ISSUES, bad, strict=True) if seen)


def _segments(row: NDArray[np.bool_], lead: str, seen: Survey, n: int, at: int | None) -> list[QualitySegment]:
    out: list[QualitySegment] = []
    for a, b in stretches(row):
        issues = np.logical_or.reduce(seen.bad[:, a:b].reshape(-1, len(ISSUES)) if at is None else seen.bad[at, a:b])
        names = _issues(issues.tolist())
        if at is None and seen.unclear[a:b].any():
            names = (*names, UNCLEAR)
        out.append(QualitySegment(a * seen.width, min(b * seen.width, n), lead, False, names))
    return out


def report(seen: Survey, leads: tuple[str, ...], n: int) -> Quality:
    """Return the survey in words: every lead, and the stretches of one lead or of all that cannot be judged."""
    unusable, usable = seen.unusable, seen.usable
    refused = seen.refused
    touched, shares = np.logical_or.reduce(unusable, axis=1).tolist(), seen.bad.mean(axis=1)
    segments = _segments(refused, "all", seen, n, None)
    often: list[list[bool]] = (shares > np.where(usable, 0.1, 0.0)[:, None]).tolist()
    found: dict[str, LeadQuality] = {}
    for at, lead in enumerate(leads):
        found[lead] = LeadQuality(bool(usable[at]), _issues(often[at]))
        if len(leads) > 1 and touched[at]:
            segments += _segments(unusable[at] & ~refused, lead, seen, n, at)
    segments.sort(key=lambda s: (s.start, s.end))
    return Quality(bool(usable.any()), found, tuple(segments))
