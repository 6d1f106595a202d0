"""What disturbs the electrodes of synthetic patients, in µV at each electrode, so that Einthoven's law still holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Noise:
    """Amplitudes in µV at one electrode: RMS for `white` and `muscle`, peak for the others; `mains_hz` 50 or 60."""

    white: float = 2.0
    baseline: float = 0.0
    mains: float = 0.0
    mains_hz: float = 50.0
    muscle: float = 0.0
    motion: float = 0.0


def electrodes(noise: Noise, count: int, n: int, fs: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the disturbance (count, n) of `count` electrodes in µV."""
    t = np.arange(n) / fs
    out = noise.white * rng.standard_normal((count, n))
    if noise.baseline:
        out += noise.baseline * _wander(t, count, rng)
    if noise.mains:
        # Coupling differs from electrode to electrode: amplitude and phase are each one's own.
        phase = rng.uniform(0, 2 * math.pi, (count, 1))
        out += noise.mains * rng.uniform(0.3, 1, (count, 1)) * np.sin(2 * math.pi * noise.mains_hz * t + phase)
    if noise.muscle:
        out += noise.muscle * _muscle(count, n, fs, rng)
    if noise.motion:
        out += noise.motion * _motion(t, count, rng)
    return out


def _wander(t: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return breathing (0.15 to 0.35 Hz) and drift (0.02 to 0.08 Hz), peak about 1."""
    frequency = np.stack([rng.uniform(0.15, 0.35, count), rng.uniform(0.02, 0.08, count)])[..., None]
    phase = rng.uniform(0, 2 * math.pi, (2, count, 1))
    weight = np.array([0.6, 0.4])[:, None, None]
    return np.asarray((weight * np.sin(2 * math.pi * frequency * t + phase)).sum(axis=0))


def _muscle(count: int, n: int, fs: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise of RMS 1 from 20 to 150 Hz (surface electromyogram), in bursts of half a second and more."""
    spectrum = np.fft.rfft(rng.standard_normal((count, n)), axis=1)
    frequency = np.fft.rfftfreq(n, 1 / fs)
    band = np.fft.irfft(spectrum * ((frequency >= 20) & (frequency <= 150)), n, axis=1)
    knots = np.arange(0, n / fs + 1, 0.5)
    envelope = np.stack([np.interp(np.arange(n) / fs, knots, rng.uniform(0.3, 1.0, knots.size)) for _ in range(count)])
    shaped = band * envelope
    rms = float(np.sqrt(np.mean(shaped**2)))
    return shaped / rms if rms > 0 else shaped


def _motion(t: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return jolts of single electrodes: a step of up to 1 that decays within a second, one in five seconds each."""
    out = np.zeros((count, t.size))
    length = float(t[-1])
    for row in range(count):
        for _ in range(int(rng.poisson(length / 5))):
            since = np.maximum(t - float(rng.uniform(0, length)), 0)
            size = float(rng.uniform(0.3, 1.0)) * (1 if rng.random() < 0.5 else -1)
            out[row] += size * (1 - np.exp(-since / 0.03)) * np.exp(-since / float(rng.uniform(0.2, 0.6)))
    return out
