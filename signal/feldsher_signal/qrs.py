"""The kernels of QRS detection on one lead or on many together: candidates, and which of them are beats.

Causal, in chunks of any size (detector.py). After Pan & Tompkins 1985 and Hamilton & Tompkins 1986 (band-pass,
derivative, moving energy, adaptive thresholds over the last eight peaks, search-back). Deviations: all of it works on
means of a few samples (envelope.py); the leads are joined before the threshold, weighed by how they do lately
(leads.py); heights are compared as amplitudes (square root of energy), so that one tall ventricular beat does not hide
the next; a smaller peak just before a QRS is taken back as its P wave; search-back looks only at the candidates since
the last beat (bounded); the R peak is located at the wave in the signal itself (fiducial.py). Figures were chosen on
half of the shared mitdb records.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import leads
from feldsher_signal.jit import inner, kernel
from feldsher_signal.leads import LEARNED, count_in, together

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
SEARCH_BACK_RR, SEARCH_BACK_PART, SEARCH_BACK_S = 1.6, 0.5, 8.0
"""Missing beat: 166 % of the median interval and half the threshold, Pan & Tompkins 1985; sought no further back."""
MEMORY = _MEDIAN = 8

# Scalar state of the candidates.
_NOW, _PEAK, _PEAK_AT, _FLOOR, PEAK_STATE = 0, 1, 2, 3, 4
# Rows of the memory of the threshold; its scalars.
SIGNAL, NOISE, RR = 0, 1, 2
LAST_AT, _LAST_HEIGHT, PENDING, FOUND, JUDGE_STATE = 0, 1, 2, 3, 4


@inner
def _move(slope: NDArray[np.float32], i: int, slot: int, ring: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
    """Move the leads' energies on by step i."""
    for lead in range(slope.shape[0]):
        e = float(slope[lead, i])
        e *= e
        sums[lead] += e - ring[lead, slot]
        ring[lead, slot] = e


@kernel(
    "i8(f4[:,::1], i8, i8, b1[:,::1], f8, i8, f8[:,::1], f8[:,::1], f8[::1], f8[:,::1], f8[::1], f8[::1], i8, i8,"
    "i8[::1], f8[::1])",
    fast=True,
)
def candidates(
    slope: NDArray[np.float32],
    a: int,
    b: int,
    on: NDArray[np.bool_],
    second: float,
    first: int,
    pieces: NDArray[np.float64],
    state: NDArray[np.float64],
    weighed: NDArray[np.float64],
    ring: NDArray[np.float64],
    sums: NDArray[np.float64],
    s: NDArray[np.float64],
    every: int,
    hold: int,
    at: NDArray[np.int64],
    height: NDArray[np.float64],
) -> int:
    """Write the local peaks (step, amplitude) of the leads' joined moving energy over slope[:, a:b]; return how many.

    A peak begins when the energy is half as much again as the valley before it, and ends when its energy has fallen to
    a quarter (half in amplitude) or `hold` steps after it. `on` (seconds, leads): which leads count, by seconds of
    `second` steps each from number `first` on; one lead alone always counts. `pieces` … `weighed`: leads.py.
    """
    peak, floor = s[_PEAK], s[_FLOOR]
    now, peak_at, count, width = int(s[_NOW]), int(s[_PEAK_AT]), 0, ring.shape[1]
    slot, many, total = now % width, slope.shape[0] > 1, sums[0]
    row, past = slope[0], ring[0]
    for i in range(a, b):
        if many:
            _move(slope, i, slot, ring, sums)
            if now >= weighed[LEARNED]:
                count_in(slope, i, width, every, leads.WEIGH_PART, pieces, state, weighed)
            total = together(sums, on[min(int(now / second) - first, on.shape[0] - 1)], state)
        else:
            e = float(row[i])
            e *= e
            total += e - past[slot]
            past[slot] = e
        slot = slot + 1 if slot + 1 < width else 0
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
    if not many:
        sums[0] = total
    s[_NOW], s[_PEAK], s[_PEAK_AT], s[_FLOOR] = float(now), peak, float(peak_at), floor
    return count


@inner
def _replace(mem: NDArray[np.float64], row: int, value: float) -> None:
    """Remember `value` in place of a memory row's newest one, and write the row's median behind it."""
    values = mem[row]
    values[MEMORY - 1] = value
    lower, upper = 0.0, 0.0
    for i in range(MEMORY):
        rank = 0
        for j in range(MEMORY):
            rank += values[j] < values[i] or (values[j] == values[i] and j < i)
        if rank == MEMORY // 2 - 1:
            lower = values[i]
        elif rank == MEMORY // 2:
            upper = values[i]
    values[_MEDIAN] = 0.5 * (lower + upper)


@inner
def _push(mem: NDArray[np.float64], row: int, value: float) -> None:
    """Forget the oldest value of a memory row and remember `value`."""
    values = mem[row]
    for i in range(MEMORY - 1):
        values[i] = values[i + 1]
    _replace(mem, row, value)


@inner
def _accept(
    i: int,
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    rate: float,
    limit: float,
    mem: NDArray[np.float64],
    s: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Write candidate `i` as a beat and learn its height (bounded by `limit`) and interval."""
    if s[FOUND] > 0:
        _push(mem, RR, min(max(at[i] - s[LAST_AT], 0.3 * rate), 2.0 * rate))
    out[int(s[FOUND])] = i
    s[FOUND] += 1
    s[LAST_AT], s[_LAST_HEIGHT], s[PENDING] = float(at[i]), height[i], i + 1.0
    _push(mem, SIGNAL, min(height[i], limit))


@inner
def _search_back(
    i: int,
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    rate: float,
    threshold: float,
    mem: NDArray[np.float64],
    s: NDArray[np.float64],
    out: NDArray[np.int64],
) -> bool:
    """Accept the highest candidate since the last beat if the pause before candidate `i` is long; True if one was."""
    best, best_height = -1, SEARCH_BACK_PART * threshold
    for j in range(i - 1, int(s[PENDING]) - 1, -1):
        if at[i] - at[j] > SEARCH_BACK_S * rate:
            break
        clear = at[j] - s[LAST_AT] > T_WAVE_S * rate and at[i] - at[j] > REFRACTORY_S * rate
        if clear and height[j] >= best_height:
            best, best_height = j, height[j]
    if best < 0:
        return False
    _accept(best, at, height, rate, best_height, mem, s, out)
    return True


@inner
def _judge(
    i: int,
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    rate: float,
    mem: NDArray[np.float64],
    s: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Decide candidate `i`: a beat, the QRS of a beat that was its P wave, or noise."""
    signal, noise = mem[SIGNAL, _MEDIAN], mem[NOISE, _MEDIAN]
    threshold = noise + LEVEL * (signal - noise)
    pause = SEARCH_BACK_RR * mem[RR, _MEDIAN]
    while s[FOUND] > 0 and at[i] - s[LAST_AT] > pause and _search_back(i, at, height, rate, threshold, mem, s, out):
        pass
    gap, h, last = at[i] - s[LAST_AT], height[i], s[_LAST_HEIGHT]
    known = s[FOUND] > 0
    p_wave = gap <= P_WAVE_S * rate and last < P_WAVE_PART * h and h > threshold
    if known and (p_wave or (gap <= REFRACTORY_S * rate and h > last)):
        out[int(s[FOUND]) - 1] = i
        s[LAST_AT], s[_LAST_HEIGHT], s[PENDING] = float(at[i]), h, i + 1.0
        _replace(mem, SIGNAL, min(h, 2 * signal))
    elif h > threshold and not (
        known and (gap <= REFRACTORY_S * rate or (gap < T_WAVE_S * rate and h < T_WAVE_PART * last))
    ):
        _accept(i, at, height, rate, 2 * signal, mem, s, out)
    else:
        _push(mem, NOISE, h)


@kernel("i8(i8[::1], f8[::1], i8, f8, f8[:,::1], f8[::1], i8[::1])")
def judge(
    at: NDArray[np.int64],
    height: NDArray[np.float64],
    start: int,
    rate: float,
    mem: NDArray[np.float64],
    s: NDArray[np.float64],
    out: NDArray[np.int64],
) -> int:
    """Decide the candidates from number `start` on in order; return how many beats `out` holds now (their numbers)."""
    for i in range(start, at.shape[0]):
        _judge(i, at, height, rate, mem, s, out)
    return int(s[FOUND])


@kernel("void(f4[:,::1], i8[::1], f4[:,:,::1])")
def shapes(slope: NDArray[np.float32], start: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    """Write the leads' slopes from each `start` on (beats, leads, steps); what lies outside stays as it is."""
    for k in range(start.shape[0]):
        for lead in range(slope.shape[0]):
            for i in range(out.shape[2]):
                if 0 <= start[k] + i < slope.shape[1]:
                    out[k, lead, i] = slope[lead, start[k] + i]
