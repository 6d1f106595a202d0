"""QRS detection on one lead or on many together: causal, sample by sample, in chunks of any size.

After Pan & Tompkins 1985 and Hamilton & Tompkins 1986 (band-pass, derivative, moving energy, adaptive thresholds over
the last eight peaks, search-back). Deviations: the energy of all leads is summed before the threshold; heights are
compared as amplitudes (square root of energy), so that one tall ventricular beat does not hide the next; a smaller peak
just before a QRS is taken back as its P wave; search-back looks only at the candidates since the last beat (bounded);
the R peak is located at the wave in the signal itself, not at the energy. Figures were chosen on half of the shared
mitdb records.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import filters
from feldsher_signal.jit import inner, kernel

LOW_HZ, HIGH_HZ = 7.0, 18.0
"""Where the QRS stands out from P, T, drift and muscle: near Elgendi 2010's 8–20 Hz."""
WINDOW_S = 0.15
"""Moving energy: Pan & Tompkins 1985."""
HOLD_S = 0.13
"""A candidate peak stands when nothing higher follows for so long."""
REFRACTORY_S = 0.25
"""Two QRS complexes do not follow each other faster (Pan & Tompkins 1985: 0.2 s; 0.25 s keeps tall P waves out)."""
T_WAVE_S, T_WAVE_PART = 0.36, 0.4
"""A peak within 360 ms of a beat and under this part of its height is its T wave: Pan & Tompkins 1985."""
P_WAVE_S, P_WAVE_PART = 0.28, 0.65
"""A beat this shortly before a higher peak and under this part of its height was its P wave."""
LEVEL = 0.32
"""Threshold between the medians of noise and signal peaks: Hamilton & Tompkins 1986, 0.3125."""
SEARCH_BACK_RR, SEARCH_BACK_PART = 1.6, 0.5
"""Missing beat: 166 % of the median interval and half the threshold, Pan & Tompkins 1985."""
LEARN_S = 8
"""Seconds of candidates that set the first signal level."""
_MEMORY = _MEDIAN = 8

# Per-lead state: two biquads (0–3), last sample, origin, the last two band-passed samples.
_LAST, _ORIGIN, _BAND1, _BAND2, _LEAD_STATE = 4, 5, 6, 7, 8
# Scalar state of the energy.
_SUM, _NOW, _PEAK, _PEAK_AT, _FLOOR, _ENERGY_STATE = 0, 1, 2, 3, 4, 5
# Rows of the memory of the threshold; its scalars.
_SIGNAL, _NOISE, _RR = 0, 1, 2
_LAST_AT, _LAST_HEIGHT, _PENDING, _FOUND, _JUDGE_STATE = 0, 1, 2, 3, 4


@kernel("void(f4[:,::1], f8[:,::1], f8[:,::1], f4[:,::1])", fast=True)
def slopes(
    x: NDArray[np.float32], c: NDArray[np.float64], state: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    """Write the squared slope of each lead's band-passed signal (leads, n); a missing sample repeats the last.

    Two biquads in transposed direct form II; the state lives in locals, because their recursion is what takes the time.
    """
    for lead in range(x.shape[0]):
        z0, z1, z2, z3, last, origin, b1, b2 = state[lead]
        for i in range(x.shape[1]):
            v = float(x[lead, i])
            if math.isnan(v):
                v = last
            elif math.isnan(origin):
                origin = v
            last = v
            if math.isnan(v):
                out[lead, i] = 0.0
                continue
            v -= origin
            u = c[0, 0] * v + z0
            z0 = c[0, 1] * v - c[0, 3] * u + z1
            z1 = c[0, 2] * v - c[0, 4] * u
            y = c[1, 0] * u + z2
            z2 = c[1, 1] * u - c[1, 3] * y + z3
            z3 = c[1, 2] * u - c[1, 4] * y
            slope = y - b2
            b2, b1 = b1, y
            out[lead, i] = slope * slope
        state[lead, 0], state[lead, 1], state[lead, 2], state[lead, 3] = z0, z1, z2, z3
        state[lead, _LAST], state[lead, _ORIGIN], state[lead, _BAND1], state[lead, _BAND2] = last, origin, b1, b2


@kernel("i8(f4[:,::1], f4[::1], f8[::1], f8[::1], i8, i8[::1], f8[::1])", fast=True)
def candidates(
    energy: NDArray[np.float32],
    weight: NDArray[np.float32],
    ring: NDArray[np.float64],
    s: NDArray[np.float64],
    hold: int,
    at: NDArray[np.int64],
    height: NDArray[np.float64],
) -> int:
    """Write the local peaks (sample, amplitude) of the leads' weighted moving energy; return how many.

    A peak begins when the energy is half as much again as the valley before it, and ends when its energy has fallen to
    a quarter (half in amplitude) or `hold` samples after it.
    """
    total, peak, floor = s[_SUM], s[_PEAK], s[_FLOOR]
    now, peak_at, count, slot = int(s[_NOW]), int(s[_PEAK_AT]), 0, int(s[_NOW]) % ring.shape[0]
    for i in range(energy.shape[1]):
        e = 0.0
        for lead in range(energy.shape[0]):
            e += weight[lead] * energy[lead, i]
        total += e - ring[slot]
        ring[slot] = e
        slot = slot + 1 if slot + 1 < ring.shape[0] else 0
        if peak == 0.0:
            floor = min(floor, total)
            if total > 1.5 * max(floor, 0.0) + 1e-9:
                peak, peak_at = total, now
        elif total > peak:
            peak, peak_at = total, now
        elif total < 0.25 * peak or now - peak_at >= hold:
            at[count], height[count] = peak_at, math.sqrt(peak)
            count += 1
            peak, floor = 0.0, total
        now += 1
    s[_SUM], s[_NOW], s[_PEAK], s[_PEAK_AT], s[_FLOOR] = total, float(now), peak, float(peak_at), floor
    return count


@inner
def _push(mem: NDArray[np.float64], row: int, value: float) -> None:
    """Forget the oldest value of a memory row, remember `value`, and write the row's median behind it."""
    values = mem[row]
    for i in range(_MEMORY - 1):
        values[i] = values[i + 1]
    values[_MEMORY - 1] = value
    lower, upper = 0.0, 0.0
    for i in range(_MEMORY):
        rank = 0
        for j in range(_MEMORY):
            rank += values[j] < values[i] or (values[j] == values[i] and j < i)
        if rank == _MEMORY // 2 - 1:
            lower = values[i]
        elif rank == _MEMORY // 2:
            upper = values[i]
    values[_MEDIAN] = 0.5 * (lower + upper)


@inner
def _accept(
    at: int,
    height: float,
    fs: float,
    limit: float,
    mem: NDArray[np.float64],
    s: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Write a beat at sample `at` and learn its height (bounded by `limit`) and interval."""
    if s[_FOUND] > 0:
        _push(mem, _RR, min(max(at - s[_LAST_AT], 0.3 * fs), 2.0 * fs))
    out[int(s[_FOUND])] = at
    s[_FOUND] += 1
    s[_LAST_AT], s[_LAST_HEIGHT] = float(at), height
    _push(mem, _SIGNAL, min(height, limit))


@inner
def _search_back(
    i: int,
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    fs: float,
    threshold: float,
    mem: NDArray[np.float64],
    s: NDArray[np.float64],
    out: NDArray[np.int64],
) -> bool:
    """Accept the highest candidate since the last beat if the pause before candidate `i` is long; True if one was."""
    best, best_height = -1, SEARCH_BACK_PART * threshold
    for j in range(int(s[_PENDING]), i):
        clear = at[j] - s[_LAST_AT] > T_WAVE_S * fs and at[i] - at[j] > REFRACTORY_S * fs
        if clear and height[j] > best_height:
            best, best_height = j, height[j]
    if best < 0:
        return False
    _accept(int(at[best]), best_height, fs, best_height, mem, s, out)
    s[_PENDING] = best + 1
    return True


@inner
def _judge(
    i: int,
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    fs: float,
    mem: NDArray[np.float64],
    s: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Decide candidate `i`: a beat, the QRS of a beat that was its P wave, or noise."""
    signal, noise = mem[_SIGNAL, _MEDIAN], mem[_NOISE, _MEDIAN]
    threshold = noise + LEVEL * (signal - noise)
    pause = SEARCH_BACK_RR * mem[_RR, _MEDIAN]
    while s[_FOUND] > 0 and at[i] - s[_LAST_AT] > pause and _search_back(i, at, height, fs, threshold, mem, s, out):
        pass
    gap, h, last = at[i] - s[_LAST_AT], height[i], s[_LAST_HEIGHT]
    known = s[_FOUND] > 0
    p_wave = gap <= P_WAVE_S * fs and last < P_WAVE_PART * h and h > threshold
    if known and (p_wave or (gap <= REFRACTORY_S * fs and h > last)):
        out[int(s[_FOUND]) - 1] = at[i]
        s[_LAST_AT], s[_LAST_HEIGHT], s[_PENDING] = float(at[i]), h, i + 1.0
        mem[_SIGNAL, _MEMORY - 1] = min(h, 2 * signal)
    elif h > threshold and not (
        known and (gap <= REFRACTORY_S * fs or (gap < T_WAVE_S * fs and h < T_WAVE_PART * last))
    ):
        _accept(int(at[i]), h, fs, 2 * signal, mem, s, out)
        s[_PENDING] = i + 1.0
    else:
        _push(mem, _NOISE, h)


@kernel("i8(i8[::1], f8[::1], i8, f8, f8[:,::1], f8[::1], i8[::1])")
def judge(
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    start: int,
    fs: float,
    mem: NDArray[np.float64],
    s: NDArray[np.float64],
    out: NDArray[np.int64],
) -> int:
    """Decide the candidates from number `start` on in order; return how many beats `out` holds now."""
    for i in range(start, at.shape[0]):
        _judge(i, at, height, fs, mem, s, out)
    return int(s[_FOUND])


@inner
def _total(x: NDArray[np.float32], a: int, b: int) -> float:
    """Return the sum of samples a … b−1 that are there."""
    total = 0.0
    for i in range(max(a, 0), min(b, x.shape[0])):
        total += x[i]
    return total


@inner
def _outstanding_inside(x: NDArray[np.float32], first: int, last: int, narrow: int, wide: int) -> int:
    """Return what `_outstanding` returns where nothing needs to be looked for outside the signal: 20 times faster."""
    near, far = _total(x, first - narrow, first + narrow + 1), _total(x, first - wide, first + wide + 1)
    close, around = 1.0 / (2 * narrow + 1), 1.0 / (2 * wide + 1)
    best, best_at = abs(near * close - far * around), first
    for i in range(first + 1, last + 1):
        near += x[i + narrow] - x[i - 1 - narrow]
        far += x[i + wide] - x[i - 1 - wide]
        by = abs(near * close - far * around)
        if by > best:
            best, best_at = by, i
    return best_at


@inner
def _outstanding(x: NDArray[np.float32], first: int, last: int, narrow: int, wide: int) -> int:
    """Return the sample of first … last whose mean over ±`narrow` differs most from that over ±`wide`."""
    n = x.shape[0]
    if first > wide and last + wide < n:
        return _outstanding_inside(x, first, last, narrow, wide)
    near, far = _total(x, first - narrow, first + narrow + 1), _total(x, first - wide, first + wide + 1)
    best, best_at = -1.0, first
    for i in range(first, last + 1):
        if i > first:
            near += _total(x, i + narrow, i + narrow + 1) - _total(x, i - 1 - narrow, i - narrow)
            far += _total(x, i + wide, i + wide + 1) - _total(x, i - 1 - wide, i - wide)
        close = min(i + narrow + 1, n) - max(i - narrow, 0)
        around = min(i + wide + 1, n) - max(i - wide, 0)
        by = abs(near / close - far / around)
        if by > best:
            best, best_at = by, i
    return best_at


@kernel("void(f4[::1], i8[::1], i8, i8, i8, i8[::1])", fast=True)
def locate(
    x: NDArray[np.float32], at: NDArray[np.int64], reach: int, narrow: int, wide: int, out: NDArray[np.int64]
) -> None:
    """Write where the wave is: the sample within `reach` of `at` that stands out most from its surroundings.

    Standing out: the mean over ±`narrow` samples less the mean over ±`wide`, in either direction.
    """
    n = x.shape[0]
    for k in range(at.shape[0]):
        middle = min(max(at[k], 0), n - 1)
        out[k] = _outstanding(x, max(middle - reach, 0), min(middle + reach, n - 1), narrow, wide)


def sections(fs: float) -> NDArray[np.float64]:
    """Return the band-pass of the detector at `fs`."""
    return filters.sections_of(filters.highpass(LOW_HZ, fs), filters.lowpass(HIGH_HZ, fs))


def delay(fs: float) -> int:
    """Return by how many samples the energy's peak follows the middle of the QRS: half the window and the band-pass."""
    return round((0.5 * WINDOW_S + 0.022) * fs)


def _energies(x: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    """Return each lead's squared slope, with room at the end for the last beat's energy to pass."""
    state = np.zeros((x.shape[0], _LEAD_STATE))
    state[:, _LAST] = state[:, _ORIGIN] = np.nan
    tail = delay(fs) + round(HOLD_S * fs) + 2
    out, band = np.empty((x.shape[0], x.shape[1] + tail), np.float32), sections(fs)
    padded = np.concatenate([x, np.repeat(x[:, -1:], tail, axis=1)], axis=1)
    slopes(padded, band, state, out)
    return out


def _shares(energy: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    """Return each lead's weight: its QRS energy made equal, times how far that stands out of the rest (4th power).

    By pieces of the window's length: the 92nd percentile (in a QRS) over the median (between two).
    """
    width = max(round(WINDOW_S * fs), 1)
    pieces = max(energy.shape[1] // width, 1)
    out = np.zeros(energy.shape[0], np.float32)
    for lead in range(energy.shape[0]):
        means = energy[lead, : pieces * width].reshape(pieces, -1).mean(axis=1, dtype=np.float64)
        low, high = np.percentile(means, (50, 92))
        if high > 0:
            out[lead] = min(high / max(low, 1e-6 * high), 1e3) ** 2 / high
    return out


def _candidates(
    energy: NDArray[np.float32], fs: float, weight: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the candidate peaks of the leads' energies from rest."""
    at, height = np.empty(energy.shape[1], np.int64), np.empty(energy.shape[1])
    ring, s = np.zeros(max(round(WINDOW_S * fs), 1)), np.zeros(_ENERGY_STATE)
    count = candidates(energy, weight, ring, s, round(HOLD_S * fs), at, height)
    return at[:count].copy(), height[:count].copy()


def _first_levels(at: NDArray[np.int64], height: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """Return the memory that the first LEARN_S seconds suggest: the median of each second's highest candidate."""
    second = (at // fs).astype(np.int64)
    highest = [height[second == k].max() for k in range(LEARN_S) if np.any(second == k)]
    level = float(np.median(highest)) if highest else 0.0
    mem = np.empty((3, _MEMORY + 1))
    mem[_SIGNAL], mem[_NOISE], mem[_RR] = level, 0.1 * level, 0.8 * fs
    return mem


def detect(x: NDArray[np.float32], fs: float, lead_on: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return about where the QRS complexes are (±50 ms) in µV (leads, n), from the leads that are on."""
    if x.shape[1] < 2 or not np.any(lead_on):
        return np.empty(0, np.int64)
    energy = _energies(x[lead_on], fs)
    at, height = _candidates(energy, fs, _shares(energy, fs))
    out, s = np.empty(at.shape[0] + 1, np.int64), np.zeros(_JUDGE_STATE)
    count = judge(at, height, 0, fs, _first_levels(at, height, fs), s, out)
    return np.clip(out[:count] - delay(fs), 0, x.shape[1] - 1)


def peaks(x: NDArray[np.float32], fs: float, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the R peaks (largest deflection, either way) of one lead in µV, one for each detection of `detect`."""
    out = np.empty_like(at)
    filled = np.where(np.isnan(x), np.float32(0), x)
    locate(filled, at, round(0.09 * fs), round(0.008 * fs), round(0.15 * fs), out)
    return out
