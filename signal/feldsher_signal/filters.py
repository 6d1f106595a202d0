"""Closed-form second-order filters and the kernels that run them, causal and sample by sample.

Coefficients after R. Bristow-Johnson's "Audio EQ Cookbook" (bilinear transform with prewarping), normalised to a0 = 1,
as float64: at fc/fs < 0.005 a float32 biquad loses precision.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import inner, kernel

BUTTERWORTH = math.sqrt(0.5)
"""Q of a maximally flat second-order section."""


def _section(b: tuple[float, float, float], a: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.array([b[0] / a[0], b[1] / a[0], b[2] / a[0], a[1] / a[0], a[2] / a[0]], dtype=np.float64)


def _angle(fc: float, fs: float, q: float) -> tuple[float, float]:
    w = 2 * math.pi * min(fc, 0.45 * fs) / fs
    return math.cos(w), math.sin(w) / (2 * q)


def lowpass(fc: float, fs: float, q: float = BUTTERWORTH) -> NDArray[np.float64]:
    """Return the section (b0, b1, b2, a1, a2) that passes below `fc` Hz."""
    c, alpha = _angle(fc, fs, q)
    return _section(((1 - c) / 2, 1 - c, (1 - c) / 2), (1 + alpha, -2 * c, 1 - alpha))


def highpass(fc: float, fs: float, q: float = BUTTERWORTH) -> NDArray[np.float64]:
    """Return the section that passes above `fc` Hz."""
    c, alpha = _angle(fc, fs, q)
    return _section(((1 + c) / 2, -(1 + c), (1 + c) / 2), (1 + alpha, -2 * c, 1 - alpha))


def notch(fc: float, fs: float, q: float = 15.0) -> NDArray[np.float64]:
    """Return the section that removes `fc` Hz (mains: 50 or 60)."""
    c, alpha = _angle(fc, fs, q)
    return _section((1.0, -2 * c, 1.0), (1 + alpha, -2 * c, 1 - alpha))


@inner
def biquad(x: float, c: NDArray[np.float64], z: NDArray[np.float64], at: int) -> float:
    """Return one sample through section `c`, state in z[at], z[at + 1] (transposed direct form II)."""
    y = c[0] * x + z[at]
    z[at] = c[1] * x - c[3] * y + z[at + 1]
    z[at + 1] = c[2] * x - c[4] * y
    return y


@kernel("void(f4[:,::1], f8[:,::1], f8[:,::1], f4[:,::1])", fast=True)
def run_sections(
    x: NDArray[np.float32], sections: NDArray[np.float64], state: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    """Run (leads, n) through a cascade of sections (k, 5) with state (leads, 2 k): chunks of any size give the same."""
    for lead in range(x.shape[0]):
        z = state[lead]
        for i in range(x.shape[1]):
            y = float(x[lead, i])
            for k in range(sections.shape[0]):
                y = biquad(y, sections[k], z, 2 * k)
            out[lead, i] = y


def sections_of(*parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sections stacked as `run_sections` takes them."""
    return np.ascontiguousarray(np.stack(parts))


def filtered(x: NDArray[np.float32], sections: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (leads, n) through a cascade from rest (causal; no compensation of its delay)."""
    out = np.empty_like(x)
    run_sections(x, sections, np.zeros((x.shape[0], 2 * sections.shape[0])), out)
    return out
