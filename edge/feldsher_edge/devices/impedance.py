"""The impedance of electrodes, from the voltage that a known alternating current makes on them (OpenBCI's Cyton)."""

from __future__ import annotations

import numpy as np
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

CURRENT_A = 6e-9
"""The test current of the Cyton's ADS1299 (eeghacker.blogspot.com, "OpenBCI: Measuring Electrode Impedance", 2014)."""
PERIOD = 8
"""Samples in a period of it: 31.25 Hz at 250 samples per second."""
SAMPLES = 240
"""Thirty periods, and whole ones of 50 Hz: the mains cancels out."""
SERIES_OHM = 2_200.0
"""The protecting resistor in front of each input."""
OFF_OHM = 2_300_000.0
"""More than this through both electrodes of a channel, and one is off: where OpenBCI's own program turns red."""


def impedances(samples: NDArray[np.int32], uv_per_bit: float) -> NDArray[np.float64]:
    """Return the impedance in ohms through both electrodes of each channel, float64 (channels,).

    `samples`: int32 (channels, n) with the test current on; NaN where less than half of them arrived.
    """
    there = samples[0] != MISSING
    if there.sum() < samples.shape[1] / 2:
        return np.array([np.nan] * samples.shape[0], dtype=np.float64)
    n: NDArray[np.float64] = np.arange(samples.shape[1], dtype=np.float64)
    turn: NDArray[np.complex128] = np.exp(-2j * np.pi / PERIOD * n)[there]
    found = samples[:, there].astype(np.float64)
    found -= found.mean(axis=1, keepdims=True)
    amplitude: NDArray[np.float64] = 2 * np.abs(found @ turn) / int(there.sum())
    ohms: NDArray[np.float64] = amplitude * (uv_per_bit * 1e-6 / CURRENT_A) - 2 * SERIES_OHM
    return ohms.clip(min=0.0)
