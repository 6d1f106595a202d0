"""Pacing spikes: deflections of a few milliseconds in a quiet stretch, at one distance before the beats.

From 1000 samples a second spikes can be seen (IEC 60601-2-25); at 500 what a cardiograph's filter leaves of them often
still can, so there a pattern is believed and its absence is not. Figures were chosen on ludb and PTB-XL: every beat's
spike where it stands clear, no pattern in 338 recordings without a pacemaker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import kernel

LEAST_FS = 450.0
"""Below this a filtered spike looks like a notch of the QRS."""
NARROW_S, BROAD_S = 0.002, 0.006
"""A spike is as high over neighbours 2 ms away as over those 6 ms away; a QRS is not."""
LEAST_UV, SHARP = 30.0, 0.55
NEAR_S, FAR_S = 0.010, 0.050
BEFORE_TIMES, AFTER_TIMES = 4.0, 2.0
"""By how much a spike is sharper than anything 10–50 ms before and after it."""
SPREAD_MS, SHARE, FEWEST = 12.0, 0.35, 3
"""A pattern: spikes at one distance (± so much) before this share of the beats, and so many."""
VENTRICULAR_MS, ATRIAL_MS = (-110.0, 40.0), (-380.0, -110.0)
"""Where the spike lies from the QRS onset as marked; paced AV delays are mostly 120 ms and more."""
ANY_MS = (-420.0, -15.0)
"""Where any driving spike lies from the R peak."""
BRIDGE_S = 0.006

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pacing:
    """Spikes (samples) that keep their distance to beats, and which beats' ventricles or atria they drive."""

    spikes: Ints
    ventricular: NDArray[np.bool_]
    atrial: NDArray[np.bool_]

    @property
    def mode(self) -> str:
        """`ventricular`, `atrial`, `dual`, or nothing where no pattern was found."""
        v, a = bool(self.ventricular.any()), bool(self.atrial.any())
        return "dual" if v and a else "ventricular" if v else "atrial" if a else ""


@kernel("void(f4[:,::1], b1[::1], i8, f4[::1])", fast=True)
def sharpness(x: Floats, lead_on: NDArray[np.bool_], reach: int, out: Floats) -> None:
    """Write the mean over leads of the squared height over the line between neighbours `reach` samples away."""
    n, leads = x.shape[1], 0
    out[:] = 0.0
    for lead in range(x.shape[0]):
        if lead_on[lead]:
            leads += 1
            # Slices from 0 on: an index that might be negative keeps the loop from being vectorised.
            before, here, after = x[lead, : n - 2 * reach], x[lead, reach : n - reach], x[lead, 2 * reach :]
            into = out[reach : n - reach]
            for i in range(into.shape[0]):
                c = here[i] - np.float32(0.5) * (before[i] + after[i])
                into[i] += c * c
    for i in range(n):
        out[i] /= max(leads, 1)


@kernel("i8(f4[::1], f4[::1], i8, i8, i8, i8[::1])")
def pick(narrow: Floats, broad: Floats, near: int, far: int, about: int, out: Ints) -> int:
    """Write the samples that stand out as spikes do in squared sharpness of both reaches; return how many."""
    count, least = 0, LEAST_UV**2
    for i in range(far, narrow.shape[0] - far):
        if narrow[i] <= least or narrow[i] < narrow[i - 1] or narrow[i] < narrow[i + 1]:
            continue
        top, before, after, wide = 0.0, 1.0, 1.0, 1.0
        for j in range(i - near, i + near + 1):
            top = max(top, narrow[j])
        for j in range(i - far, i - near):
            before = max(before, narrow[j])
        for j in range(i + near, i + far):
            after = max(after, narrow[j])
        for j in range(i - about, i + about + 1):
            wide = max(wide, broad[j])
        clear = narrow[i] > BEFORE_TIMES**2 * before and narrow[i] > AFTER_TIMES**2 * after
        if narrow[i] >= top and clear and narrow[i] > SHARP**2 * wide and (count == 0 or i > out[count - 1] + near):
            out[count] = i
            count += 1
    return count


def find(x: Floats, fs: float, lead_on: NDArray[np.bool_]) -> Ints:
    """Return the samples of what looks like spikes in µV (leads, n) without gaps; none below LEAST_FS."""
    far = round(FAR_S * fs)
    if fs < LEAST_FS or x.shape[1] <= 2 * far or not lead_on.any():
        return np.empty(0, np.int64)
    narrow, broad = np.empty(x.shape[1], np.float32), np.empty(x.shape[1], np.float32)
    sharpness(x, lead_on, max(round(NARROW_S * fs), 1), narrow)
    sharpness(x, lead_on, round(BROAD_S * fs), broad)
    out = np.empty(x.shape[1] // max(round(NEAR_S * fs), 1) + 2, np.int64)
    count = pick(narrow, broad, round(NEAR_S * fs), far, round(BROAD_S * fs), out)
    return out[:count].copy()


def bridged(x: Floats, fs: float, spikes: Ints) -> Floats:
    """Return µV (leads, n) with straight lines from 6 ms before to 6 ms after each spike."""
    if not spikes.shape[0]:
        return x
    out, reach = x.copy(), max(math.ceil(BRIDGE_S * fs), 2)
    for at in spikes.tolist():
        a, b = max(at - reach, 0), min(at + reach, x.shape[1] - 1)
        part = (np.arange(a, b + 1, dtype=np.float32) - a) / max(b - a, 1)
        out[:, a : b + 1] = x[:, a : a + 1] + (x[:, b : b + 1] - x[:, a : a + 1]) * part
    return out


def _driven(offset: NDArray[np.float64], beat: Ints, beats: int, within: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which beats have a spike at the commonest distance in `within` (ms); none where that is not common."""
    inside = (offset > within[0]) & (offset <= within[1])
    offset, beat = offset[inside], beat[inside]
    best = np.zeros(beats, np.bool_)
    for middle in offset.tolist():
        found = np.zeros(beats, np.bool_)
        found[beat[np.abs(offset - middle) <= SPREAD_MS]] = True
        if found.sum() > best.sum():
            best = found
    common = best.sum() >= max(FEWEST, SHARE * beats)
    return best if common else np.zeros(beats, np.bool_)


def _offsets(spikes: Ints, at: Ints, fs: float, within: tuple[float, float]) -> tuple[NDArray[np.float64], Ints, Ints]:
    """Return the distances (ms) of spikes from beats in `within`, with the numbers of spike and beat."""
    offset: NDArray[np.float64] = (spikes[:, None] - at[None, :]) * np.float64(1000.0 / fs)
    spike, beat = np.nonzero((offset > within[0]) & (offset <= within[1]))
    return offset[spike, beat], spike, beat


def steady(spikes: Ints, r: Ints, fs: float) -> bool:
    """Return whether the spikes keep any distance before R peaks."""
    if r.shape[0] < FEWEST or spikes.shape[0] < FEWEST:
        return False
    offset, _, beat = _offsets(spikes, r, fs, ANY_MS)
    return bool(_driven(offset, beat, r.shape[0], ANY_MS).any())


def pattern(spikes: Ints, onset: Ints, fs: float) -> Pacing:
    """Return what the spikes drive: those that keep their distance to the QRS onsets of enough beats."""
    beats = onset.shape[0]
    none = np.zeros(beats, np.bool_)
    if beats < FEWEST or spikes.shape[0] < FEWEST:
        return Pacing(np.empty(0, np.int64), none, none)
    offset, at, beat = _offsets(spikes, onset, fs, (ATRIAL_MS[0], VENTRICULAR_MS[1]))
    ventricular = _driven(offset, beat, beats, VENTRICULAR_MS)
    atrial = _driven(offset, beat, beats, ATRIAL_MS)
    driving = ventricular | atrial
    kept = np.unique(at[driving[beat]])
    return Pacing(spikes[kept], ventricular, atrial)
