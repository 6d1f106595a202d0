"""How strongly each lead moves as a QRS does, sample by sample: the signal that beats are sought in.

Means over a few samples (about STEPS_HZ of them a second), a band-pass and its slope: the QRS lies under 20 Hz, so
nothing is lost by working on a third or a fourth of the samples, and most of the time is saved. One pass, causal, in
chunks of any size.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import filters
from feldsher_signal.jit import kernel

STEPS_HZ = 120.0
LOW_HZ, HIGH_HZ = 7.0, 18.0
"""Where the QRS stands out from P, T, drift and muscle: near Elgendi 2010's 8–20 Hz."""
DELAY_S = 0.022
"""By how much the slope follows the signal."""

# State of a lead: two biquads (0–3), last mean, origin, the last two band-passed values, sum and count of the mean.
_LAST, _ORIGIN, _BAND1, _BAND2, _TOTAL, _COUNT, _STATE = 4, 5, 6, 7, 8, 9, 10


@kernel("i8(f4[:,::1], i8, f8[:,::1], f8[:,::1], f4[:,::1])", fast=True)
def slopes(
    x: NDArray[np.float32],
    step: int,
    c: NDArray[np.float64],
    state: NDArray[np.float64],
    out: NDArray[np.float32],
) -> int:
    """Write the slope of each lead's band-passed means over `step` samples; return how many.

    A mean with a missing sample repeats the last. Two biquads in transposed direct form II; the state lives in locals,
    because their recursion is what takes the time.
    """
    count = 0
    for lead in range(x.shape[0]):
        row, into = x[lead], out[lead]
        z0, z1, z2, z3, last, origin, b1, b2, total, known = state[lead]
        left, count = step - int(known), 0
        a, n = 0, row.shape[0]
        while a < n:
            b = min(a + left, n)
            for i in range(a, b):
                total += row[i]
            left -= b - a
            a = b
            if left:
                break
            v = total / step
            left, total = step, 0.0
            if math.isnan(v):
                v = last
            elif math.isnan(origin):
                origin = v
            last = v
            slope = 0.0
            if not math.isnan(v):
                v -= origin
                u = c[0, 0] * v + z0
                z0 = c[0, 1] * v - c[0, 3] * u + z1
                z1 = c[0, 2] * v - c[0, 4] * u
                y = c[1, 0] * u + z2
                z2 = c[1, 1] * u - c[1, 3] * y + z3
                z3 = c[1, 2] * u - c[1, 4] * y
                slope = y - b2
                b2, b1 = b1, y
            into[count] = slope
            count += 1
        state[lead, 0], state[lead, 1], state[lead, 2], state[lead, 3] = z0, z1, z2, z3
        state[lead, _LAST], state[lead, _ORIGIN], state[lead, _BAND1], state[lead, _BAND2] = last, origin, b1, b2
        state[lead, _TOTAL], state[lead, _COUNT] = total, float(step - left)
    return count


def step_of(fs: float) -> int:
    """Return how many samples one mean takes at `fs`."""
    return max(round(fs / STEPS_HZ), 1)


class Envelope:
    """The slopes of leads fed in chunks of any size: `step` samples each, `rate` a second."""

    def __init__(self, leads: int, fs: float) -> None:
        self.step = step_of(fs)
        self.rate = fs / self.step
        self._sections = filters.sections_of(filters.highpass(LOW_HZ, self.rate), filters.lowpass(HIGH_HZ, self.rate))
        self._state = np.zeros((leads, _STATE))
        self._state[:, _LAST] = self._state[:, _ORIGIN] = math.nan

    def feed(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take µV (leads, n), NaN where missing; return the slopes that they complete (leads, steps)."""
        out = np.empty((x.shape[0], x.shape[1] // self.step + 1), np.float32)
        count = slopes(np.ascontiguousarray(x), self.step, self._sections, self._state, out)
        return out[:, :count]
