"""QRS detection: kernels against their oracles, detections against equations."""

from __future__ import annotations

from itertools import pairwise

import naive
import naive_qrs
import numpy as np
import pytest
from feldsher_signal import detector, fiducial, qrs, synth
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scoring import match


def peaks(slope: NDArray[np.float32], width: int, hold: int, cuts: tuple[int, ...] = ()) -> list[tuple[int, float]]:
    """Run the candidates' kernel on one lead in chunks that end at `cuts`."""
    ring, sums, s = np.zeros((1, width)), np.zeros(1), np.zeros(4)
    pieces, state, weighed, on = np.zeros((1, 64)), np.ones((2, 1)), np.zeros(2), np.ones((1, 1), np.bool_)
    found: list[tuple[int, float]] = []
    for a, b in pairwise([0, *cuts, slope.shape[1]]):
        at, height = np.empty(b - a, np.int64), np.empty(b - a)
        moving = (pieces, state, weighed, ring, sums, s)
        count = qrs.candidates(slope, a, b, on, 120.0, 0, *moving, 120, hold, at, height)
        found += [(int(i), float(h)) for i, h in zip(at[:count], height[:count], strict=True)]
    return found


@given(
    st.lists(st.integers(-30, 30), min_size=1, max_size=120),
    st.integers(1, 12),
    st.integers(1, 20),
    st.lists(st.integers(0, 120), max_size=3),
)
@settings(max_examples=60)
def test_candidates(slope: list[int], width: int, hold: int, cuts: list[int]) -> None:
    row = np.array([slope], np.float32)
    found, expected = peaks(row, width, hold), naive.energy_peaks(row[0] ** 2, width, hold)
    assert [at for at, _ in found] == [at for at, _ in expected]
    np.testing.assert_allclose([h for _, h in found], [h for _, h in expected], rtol=1e-9)
    assert peaks(row, width, hold, tuple(sorted(min(c, len(slope)) for c in cuts))) == found


@given(st.lists(st.tuples(st.integers(1, 150), st.sampled_from([3, 8, 20, 40, 60, 100, 105, 300])), max_size=60))
@example([(1, 105), (31, 105), (31, 105), (31, 105), (31, 60), (1, 105), (150, 40)])  # a P wave leaves no level behind
@settings(max_examples=100)
def test_judge(found: list[tuple[int, int]]) -> None:
    at, height = np.cumsum([gap for gap, _ in found], dtype=np.int64), np.array([float(h) for _, h in found])
    mem, s, out = np.empty((3, 9)), np.zeros(4), np.empty(at.shape[0] + 1, np.int64)
    mem[0], mem[1], mem[2] = 100.0, 10.0, 96.0
    half = at.shape[0] // 2
    qrs.judge(at[:half], height[:half], 0, 120.0, mem, s, out)
    count = qrs.judge(at, height, half, 120.0, mem, s, out)
    oracle = naive_qrs.Judge(100.0, 120.0)
    for i in range(at.shape[0]):
        oracle.take(i, at.tolist(), height.tolist())
    assert out[:count].tolist() == oracle.beats


def test_shapes_reach_no_further_than_the_signal() -> None:
    slope, out = np.arange(20, dtype=np.float32).reshape(2, 10), np.zeros((3, 2, 4), np.float32)
    qrs.shapes(slope, np.array([-2, 3, 8]), out)
    assert out[:, 0].tolist() == [[0, 0, 0, 1], [3, 4, 5, 6], [8, 9, 0, 0]]
    assert out[1, 1].tolist() == [13, 14, 15, 16]


@pytest.mark.parametrize("fs", [100.0, 250.0, 500.0, 1000.0, 2000.0])
@pytest.mark.parametrize("name", ["normal", "bradycardia", "tachycardia", "lbbb", "ventricular_ectopy", "noisy"])
def test_finds_what_the_equations_say(name: str, fs: float) -> None:
    recording, truth = synth.ecg(synth.PRESETS[name], fs=fs, seed=5)
    x = recording.microvolts()
    for lead_on in (np.full(12, True), np.arange(12) == 1):
        found = detector.detect(x, fs, lead_on)
        at = fiducial.peaks(x, fs, found, np.ones_like(found))
        inside = [b.r for b in truth.beats if 0.3 * fs < b.r < recording.n - 0.3 * fs]
        tally = match(at.tolist(), inside, fs, 60)
        assert tally.missed == 0
        assert tally.hits + tally.false <= len(truth.beats) + 1


def test_nothing_is_found_in_nothing() -> None:
    for x in (np.zeros((1, 1)), np.zeros((2, 5000)), np.full((1, 3000), np.nan)):
        assert detector.detect(x.astype(np.float32), 500.0, np.full(x.shape[0], True)).size == 0
    recording, _ = synth.ecg(synth.Patient())
    assert detector.detect(recording.microvolts(), 500.0, np.full(12, False)).size == 0
