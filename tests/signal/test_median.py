"""The median beat: against its oracle, clean of noise, true to the ST segment."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from feldsher_signal import median, synth
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.integers(1, 19), st.integers(0, 50))
@settings(max_examples=40)
def test_middle(beats: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-500, 500, (2, 400)).astype(np.float32)
    x[:, rng.random(400) < 0.1] = np.nan
    r = np.sort(rng.integers(0, 400, beats))
    at = np.stack([r - 5, r + rng.integers(-5, 60, beats)], axis=1).clip(0, 399)
    out = np.full((2, 60), 7, np.float32)
    median.middle(x, r, np.ascontiguousarray(at), 3, 20, out)
    for lead in range(2):
        expected = naive.median_of_beats(x[lead], r.tolist(), at.tolist(), 3, 20, 60)
        np.testing.assert_allclose(out[lead], expected, atol=1e-3)


@given(st.integers(1, 70), st.integers(0, 50))
@settings(max_examples=30)
def test_columns_are_sorted(beats: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(-9, 9, (beats, 3)).astype(np.int32)
    expected = np.sort(rows, axis=0)
    median.arrange(rows)
    np.testing.assert_array_equal(rows, expected)


def test_noise_and_drift_go_and_the_beat_stays() -> None:
    # An artificial ECG of IEC 60601-2-25's kind: a 3 mV impulse of 300 ms must leave no ST shift after it.
    fs, n = 500.0, 10_000
    x = np.zeros((1, n), np.float32)
    r = np.arange(500, n - 500, 500)
    for at in r:
        x[0, at - 75 : at + 75] = 3000
    t = np.arange(n)
    drift = (300 * np.sin(2 * np.pi * t / n * 3)).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 20, (1, n)).astype(np.float32)
    beat = median.median_beat(x + drift + noise, fs, r, r - 75, np.arange(r.size))
    assert beat.x[0, beat.r] == pytest.approx(3000, abs=40)
    after = beat.x[0, beat.r + 85 : beat.r + 160]
    assert np.abs(after).max() < 60
    assert abs(float(after.mean())) < 30


def test_long_recordings_take_some_of_the_beats() -> None:
    recording, truth = synth.ecg(synth.Patient(rate=100), seconds=60, fs=100, seed=1)
    r = np.array([b.r for b in truth.beats])
    beat = median.median_beat(recording.microvolts(), 100.0, r, r - 5, np.arange(r.size))
    assert beat.beats == median.MOST < r.size
    assert beat.rr == pytest.approx(60, abs=2)
