"""Ventricular fibrillation: leakage against its slow twin, found in VF, never in rhythms with complexes or noise."""

from __future__ import annotations

import naive_rhythm
import numpy as np
import pytest
from feldsher_signal import chaos, synth
from feldsher_signal.contour import prefix_sums
from feldsher_signal.jit import warm
from feldsher_signal.synth_noise import Noise
from patients import codes, interpreted


def test_leakage_as_the_slow_twin() -> None:
    warm()
    x = np.random.default_rng(3).normal(0, 100, (2, 4000)).astype(np.float32)
    c = prefix_sums(x)
    out = np.empty((2, 3, 2))
    chaos.leakage(c, np.array([0, 1]), 1, 1000, 124, out)
    sums = np.concatenate([np.zeros((2, 1)), np.cumsum(x, axis=1, dtype=np.float64)], axis=1)
    for lead in range(2):
        for k in range(3):
            at = np.arange(1000) + 500 * k
            lo, hi = np.maximum(at - 62, 0), np.minimum(at + 62, 4000)
            v = x[lead, at] - (sums[lead, hi] - sums[lead, lo]) / (hi - lo)
            assert out[lead, k, 0] == pytest.approx(naive_rhythm.leak(v), rel=1e-3)
            assert out[lead, k, 1] == pytest.approx(np.abs(v).mean(), rel=1e-3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fibrillation_is_found_and_alarmed(seed: int) -> None:
    result = interpreted("ventricular_fibrillation", seed)[2]
    (said,) = (s for s in result.statements if s.code == "VFIB")
    assert said.critical
    if result.rhythm:
        assert {s.code for s in result.rhythm} == {"VFIB"}


@pytest.mark.parametrize(
    "name", ["normal", "noisy", "ventricular_tachycardia", "atrial_fibrillation", "tachycardia", "asystole", "paced"]
)
def test_neighbours_are_not(name: str) -> None:
    assert "VFIB" not in codes(interpreted(name)[2])


def test_flat_line_with_hum_is_not() -> None:
    recording, _ = synth.ecg(synth.Patient(rhythm="asystole", noise=Noise(mains=40, baseline=100)))
    x = recording.microvolts()
    assert chaos.stretches(prefix_sums(x), 500.0, np.array([0, 1, 6])) == ()


def test_too_short() -> None:
    assert chaos.stretches(prefix_sums(np.zeros((1, 900), np.float32)), 500.0, np.array([0])) == ()
