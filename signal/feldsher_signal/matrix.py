"""The measurement matrix: every wave of every lead of the median beat in one kernel.

Waves by IEC 60601-2-25 (the smallest: 30 µV for 6 ms), named by order and sign: a first negative deflection is Q (QS
when nothing upright follows), then R, S, R′, S′; of several the largest. ST from the QRS end common to all leads.
"""

from __future__ import annotations

import numpy as np
from feldsher_ehr_core.ecg import LeadMatrix
from numpy.typing import NDArray

from feldsher_signal.contour import Row
from feldsher_signal.delineate import P_OFF, P_ON, P_PEAK, QRS_OFF, QRS_ON, T_OFF, T_ON, T_PEAK
from feldsher_signal.jit import inner, kernel

WAVE_UV, WAVE_MS = 30.0, 6.0
"""The smallest wave: IEC 60601-2-25, 30 µV for at least 6 ms."""
SLUR_PART = 0.4
"""A delta wave is what comes before the slope first reaches this part of the steepest (house rule)."""
NOTCH_UV = 20.0
"""A notch on R's way down rises at least so far again (house rule; the noise of a median beat is under 10 µV)."""
U_FROM_S, U_TO_S = 0.02, 0.18
"""Where after the T wave a U wave is sought."""

FIELDS = LeadMatrix.__struct_fields__
(P, P_MS, P2, P2_MS, P_AREA, P_END, Q, Q_MS, R, R_MS, S, S_MS, R2, R2_MS, S2, S2_MS) = range(16)
(PEAK_MS, RPT_MS, SLUR_MS, D20, D40, NOTCH, QRS_AREA, J, ST20, ST40, ST60, ST80, ST_SLOPE) = range(16, 29)
(T, T_MS, T2, T2_MS, T_HALF_MS, T_AREA, U) = range(29, 36)
_NONE = LeadMatrix.__struct_defaults__[0]
"""The very object that msgspec takes for "as by default" and leaves out of the payload."""
DIGITS = np.where(np.array([name.endswith(("area", "end", "slope")) for name in FIELDS]), 2, 0)
"""Amplitudes and durations are kept to 1 µV and 1 ms, areas and slopes to two digits."""


@inner
def _at(y: Row, i: int, half: int) -> float:
    """Return the mean of y over i ± half, kept within it."""
    a, b = max(i - half, 0), min(i + half + 1, y.shape[0])
    total = 0.0
    for k in range(a, b):
        total += y[k]
    return total / (b - a) if b > a else 0.0


@inner
def _name(o: Row, amplitude: float, lasts: float, at: float) -> None:
    """Enter one deflection of the QRS under its name."""
    if amplitude > 0:
        # A larger one of a name already given takes its place.
        name, long = (R, R_MS) if o[R] == 0 else (R2, R2_MS)
        if amplitude <= o[name]:
            return
        if name == R:
            o[PEAK_MS] = at
        o[RPT_MS] = at
    elif o[R] == 0:
        name, long = Q, Q_MS
    elif o[R2] == 0:
        name, long = S, S_MS
    else:
        name, long = S2, S2_MS
    if abs(amplitude) > abs(o[name]):
        o[name], o[long] = amplitude, lasts


@inner
def _qrs(y: Row, on: int, off: int, ms: float, o: Row) -> None:
    """Write Q, R, S, R′, S′, their durations and the area of the QRS from sample on to off."""
    start = on
    for end in range(on + 1, off + 2):
        if end <= off and (y[end] > 0) == (y[start] > 0):
            continue
        if (end - start) * ms >= WAVE_MS:
            top = start
            for i in range(start, end):
                if abs(y[i]) > abs(y[top]):
                    top = i
            if abs(y[top]) >= WAVE_UV:
                _name(o, y[top], (end - start) * ms, (top - on) * ms)
        start = end
    for i in range(on, off + 1):
        o[QRS_AREA] += y[i] * ms / 1000


@inner
def _onset(y: Row, on: int, off: int, ms: float, half: int, o: Row) -> None:
    """Write how the QRS begins: how long it stays slow, and its height 20 and 40 ms after its onset."""
    s = max(round(4.0 / ms), 1)
    steepest = 0.0
    for i in range(on, off + 1):
        steepest = max(steepest, abs(y[min(i + s, off)] - y[max(i - s, 0)]))
    for i in range(on, off + 1):
        if abs(y[min(i + s, off)] - y[max(i - s, 0)]) >= SLUR_PART * steepest:
            o[SLUR_MS] = (i - on) * ms
            break
    o[D20], o[D40] = _at(y, on + round(20.0 / ms), half), _at(y, on + round(40.0 / ms), half)


@inner
def _notch(y: Row, on: int, off: int, ms: float, o: Row) -> None:
    """Write the height of a notch on the lower half of R's way down, to 20 ms past the QRS end."""
    at = on + round(o[RPT_MS] / ms)
    tall = max(o[R], o[R2])
    if tall <= 0 or min(o[S], o[S2]) < 0:
        return
    lowest = tall
    for i in range(at, min(off + round(20.0 / ms), y.shape[0] - 2)):
        v = (y[i - 1] + y[i] + y[i + 1]) / 3
        lowest = min(lowest, v)
        if v <= 0.5 * tall and v - lowest >= NOTCH_UV:
            o[NOTCH] = max(o[NOTCH], v)


@inner
def _phases(y: Row, a: int, b: int, base: float, peak: float, ms: float) -> tuple[float, ...]:
    """Return of samples a … b: the other phase, how long each lasts, the area, and the last negative phase's force."""
    opposite, own_ms, other_ms, area = 0.0, 0.0, 0.0, 0.0
    deep, low_ms = 0.0, 0.0
    for i in range(a, b + 1):
        v = y[i] - base
        area += v * ms / 1000
        if v * peak > 0:
            own_ms += ms
        elif v * peak < 0:
            other_ms += ms
            if abs(v) > abs(opposite):
                opposite = v
        if v < 0:
            low_ms += ms
            deep = min(deep, v)
        elif v > 0:
            deep, low_ms = 0.0, 0.0
    return opposite, own_ms, other_ms, area, deep * low_ms / 1000


@inner
def _p(y: Row, own: NDArray[np.int64], ms: float, half: int, o: Row) -> None:
    """Write the P wave, its height against its own onset."""
    a, b = own[P_ON], own[P_OFF]
    base = _at(y, a, half)
    o[P] = _at(y, own[P_PEAK], half) - base
    other, own_ms, other_ms, area, force = _phases(y, a, b, base, o[P], ms)
    if abs(other) >= 0.5 * WAVE_UV and other_ms >= WAVE_MS:
        o[P2], o[P2_MS], o[P_MS] = other, other_ms, own_ms
        o[P_END] = force
    else:
        o[P_MS] = (b - a) * ms
        o[P_END] = o[P] * o[P_MS] / 1000 if o[P] < 0 else 0.0
    o[P_AREA] = area


@inner
def _t(y: Row, own: NDArray[np.int64], ms: float, half: int, o: Row) -> None:
    """Write the T wave, its other phase, its width at half height, and a U wave after it."""
    a, b, peak = own[T_ON], min(own[T_OFF], y.shape[0] - 1), own[T_PEAK]
    o[T] = _at(y, peak, half)
    other, own_ms, other_ms, area, _ = _phases(y, a, b, 0.0, o[T], ms)
    if abs(other) >= WAVE_UV and other_ms >= WAVE_MS:
        o[T2], o[T2_MS], o[T_MS] = other, other_ms, own_ms
    else:
        o[T_MS] = (b - a) * ms
    o[T_AREA] = area
    left, right = peak, peak
    while left > a and y[left] * o[T] > 0.5 * o[T] * o[T]:
        left -= 1
    while right < b and y[right] * o[T] > 0.5 * o[T] * o[T]:
        right += 1
    o[T_HALF_MS] = (right - left) * ms
    first, last = b + round(1000 * U_FROM_S / ms), min(b + round(1000 * U_TO_S / ms), y.shape[0] - 1 - half)
    if last - first > 4 * half:
        low, high = _at(y, first, half), _at(y, last, half)
        for i in range(first, last):
            stands = _at(y, i, half) - low - (high - low) * (i - first) / (last - first)
            o[U] = max(o[U], stands)


@kernel("void(f4[:,::1], i8[:,::1], b1[::1], f8, f8[:,::1])")
def fill(
    x: NDArray[np.float32], marks: NDArray[np.int64], judged: NDArray[np.bool_], fs: float, out: NDArray[np.float64]
) -> None:
    """Write the matrix (leads, fields) of a median beat of µV (leads, n) from its marks (leads + 1, 9)."""
    leads, n = x.shape
    on, off = marks[leads, QRS_ON], min(marks[leads, QRS_OFF], n - 1)
    out[:] = 0.0
    if on < 0 or off <= on:
        return
    ms, half = 1000.0 / fs, max(round(0.004 * fs), 1)
    y = np.empty(n)
    for lead in range(leads):
        if not judged[lead]:
            continue
        o, own = out[lead], marks[lead]
        base, rest = 0.0, max(on - round(0.012 * fs), 0)
        for i in range(rest, on + 1):
            base += x[lead, i] / (on + 1 - rest)
        for i in range(n):
            y[i] = x[lead, i] - base
        _qrs(y, on, off, ms, o)
        _onset(y, on, off, ms, half, o)
        _notch(y, on, off, ms, o)
        for k in range(5):
            o[J + k] = _at(y, off + round(20.0 * k / ms), half)
        # From J + 20 ms: the end of the QRS blurs J itself.
        o[ST_SLOPE] = (o[ST80] - o[ST20]) / 60.0
        if own[T_PEAK] >= 0:
            _t(y, own, ms, half, o)
        if own[P_PEAK] >= 0:
            _p(y, own, ms, half, o)


def lead_matrices(
    x: NDArray[np.float32], marks: NDArray[np.int64], usable: NDArray[np.bool_], leads: tuple[str, ...], fs: float
) -> dict[str, LeadMatrix]:
    """Return the matrix of every usable lead of a median beat; `marks` (leads + 1, 9) of `delineate`, global last."""
    out = np.zeros((len(leads), len(FIELDS)))
    if marks[-1, QRS_ON] >= 0:
        fill(x, marks, usable, fs, out)
    rows = np.where(DIGITS == 0, np.round(out), np.round(out, 2)) + 0.0
    return {
        lead: LeadMatrix(*[v or _NONE for v in row])
        for lead, row, on in zip(leads, rows.tolist(), usable, strict=True)
        if on
    }
