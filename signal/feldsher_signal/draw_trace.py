"""The line of an ECG on paper: baseline held, then the fewest straight pieces that stay within 0.05 mm of the samples.

Everything is counted in hundredths of a millimetre: at 10 mm/mV one unit is one microvolt, at 25 mm/s and 500/s a
sample is five units wide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import inner, kernel

UNIT = 0.01
"""Millimetres of one unit of a path."""
TOLERANCE = 4.0
"""Units that a sample may lie above or below the line; with rounding to whole units under 0.05 mm from it."""
LOW_CUT_HZ = 0.58
"""Where `steady` has fallen to 70 %: 1 - sinc²(f) = 0.707 for two 1 s means."""
_FAR = 20_000.0
_WINDOW = 1.0
_MOVE, _LINE = 1, 0
_DIGITS = 14
"""Bytes that one point takes at most in either notation."""


@inner
def _moving_mean(x: NDArray[np.float64], half: int, wide: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Write the moving mean of x over ±`half` samples, its ends mirrored; `wide` holds x with them (n + 2 half + 1)."""
    n = x.shape[0]
    for i in range(wide.shape[0]):
        k = abs(i - half)
        wide[i] = x[max(min(k, 2 * n - 2 - k), 0)]
    total = 0.0
    for i in range(2 * half + 1):
        total += wide[i]
    part = 1.0 / (2 * half + 1)
    for i in range(n):
        out[i] = total * part
        total += wide[i + 2 * half + 1] - wide[i]


@kernel("void(f4[:,::1], i8, f4[:,::1])")
def hold(x: NDArray[np.float32], half: int, out: NDArray[np.float32]) -> None:
    """Write leads (leads, n) less a twofold moving mean over ±`half` samples; missing samples (NaN) stay so."""
    n = x.shape[1]
    first, level, wide = np.empty(n), np.empty(n), np.empty(n + 2 * half + 1)
    for lead in range(x.shape[0]):
        middle, there = 0.0, 0
        for i in range(n):
            if not math.isnan(x[lead, i]):
                middle += x[lead, i]
                there += 1
        middle /= max(there, 1)
        for i in range(n):
            level[i] = 0.0 if math.isnan(x[lead, i]) else x[lead, i] - middle
        _moving_mean(level, half, wide, first)
        _moving_mean(first, half, wide, level)
        for i in range(n):
            out[lead, i] = x[lead, i] - middle - level[i]


def steady(microvolts: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    """Return leads (leads, n) in µV without their slow wander: less a twofold 1 s moving mean, NaN kept.

    Symmetric in time, so without phase distortion of the ST segment: Kligfield et al., Circulation 2007;115:1306, allow
    up to 0.67 Hz for such filters. Measured on synthetic patients at 36 to 140/min, with ST elevation and bundle branch
    block: it moves the ST segment by at most 30 µV (0.3 mm).
    """
    out = np.empty(microvolts.shape, np.float32)
    hold(np.ascontiguousarray(microvolts, np.float32), max(1, round(_WINDOW * fs / 2)), out)
    return out


@kernel("i8(f4[::1], f8, f8, f8, i4[:,::1])")
def thin(x: NDArray[np.float32], across: float, up: float, tolerance: float, out: NDArray[np.int32]) -> int:
    """Write the points (x, y, 1 where a line begins) of a line through µV x, NaN = gap; return how many.

    `across`, `up`: units per sample and per µV. A piece ends at the last sample to which it can be drawn with every
    sample between within `tolerance` units above or below (a cone of slopes is narrowed sample by sample).
    """
    count, i, n = 0, 0, x.shape[0]
    while i < n:
        if math.isnan(x[i]):
            i += 1
            continue
        begins = i == 0 or math.isnan(x[i - 1])
        y = min(max(x[i] * up, -_FAR), _FAR)
        out[count, 0], out[count, 1] = math.floor(i * across + 0.5), -math.floor(y + 0.5)
        out[count, 2] = _MOVE if begins else _LINE
        count += 1
        low, high, j = -math.inf, math.inf, i + 1
        while j < n and not math.isnan(x[j]):
            rise = min(max(x[j] * up, -_FAR), _FAR) - y
            wide = (j - i) * across
            if not low * wide <= rise <= high * wide:
                break
            part = 1.0 / wide
            low, high = max(low, (rise - tolerance) * part), min(high, (rise + tolerance) * part)
            j += 1
        i = j - 1 if j - 1 > i else j
    return count


@inner
def _put(value: int, out: NDArray[np.uint8], at: int) -> int:
    """Write an integer in decimal at byte `at`; return the next byte."""
    if value < 0:
        out[at] = 45
        at += 1
        value = -value
    size = 10
    while size <= value:
        size *= 10
    while size > 1:
        size //= 10
        out[at] = 48 + value // size
        value %= size
        at += 1
    return at


@kernel("i8(i4[:,::1], b1, u1[::1])")
def words(points: NDArray[np.int32], pdf: bool, out: NDArray[np.uint8]) -> int:
    """Write points as SVG path data ("M0 5l5-2 …", relative) or PDF operators ("0 5 m 5 3 l "); return bytes."""
    at, n = 0, points.shape[0]
    for i in range(n):
        begins = points[i, 2] == _MOVE
        alone = begins and (i + 1 == n or points[i + 1, 2] == _MOVE)
        x, y = points[i, 0], points[i, 1]
        if pdf:
            at = _put(x, out, at)
            out[at] = 32
            at = _put(y, out, at + 1)
            out[at], out[at + 1], out[at + 2] = 32, 109 if begins else 108, 32
            at += 3
        elif begins:
            out[at] = 77
            at = _put(x, out, at + 1)
            out[at] = 32
            at = _put(y, out, at + 1)
            out[at] = 104 if alone else 108
            at += 1
            if alone:
                out[at] = 48
                at += 1
        else:
            x, y = x - points[i - 1, 0], y - points[i - 1, 1]
            if points[i - 1, 2] != _MOVE:
                out[at] = 32
                at += 1
            at = _put(x, out, at)
            if y >= 0:
                out[at] = 32
                at += 1
            at = _put(y, out, at)
    return at


def points(microvolts: NDArray[np.float32], fs: float, speed: float, gain: float) -> NDArray[np.int32]:
    """Return the corners (k, 3) of one lead's line (n,) from x = 0: x, y downwards in units, 1 where a line begins."""
    out = np.empty((microvolts.size, 3), np.int32)
    row = np.ascontiguousarray(microvolts, np.float32)
    return out[: thin(row, speed / fs / UNIT, gain / 1000 / UNIT, TOLERANCE, out)]


def text(corners: NDArray[np.int32], *, pdf: bool = False) -> str:
    """Return corners as SVG path data or as PDF path operators."""
    out = np.empty(corners.shape[0] * 2 * _DIGITS + 1, np.uint8)
    return out[: words(corners, pdf, out)].tobytes().decode("ascii")
