"""Pacing spikes: found where they are, on no heart's own QRS, and what they drive."""

from __future__ import annotations

from pathlib import Path

import naive_pacing as naive
import numpy as np
import pytest
from feldsher_signal import pacing, synth
from feldsher_signal.formats import read
from feldsher_signal.interpret import interpret
from feldsher_signal.synth import PRESETS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from patients import codes

LUDB = Path(__file__).parents[2].parent / "shared" / "ecg" / "ludb" / "data"
HEIGHTS = st.floats(0, 500, width=32)


@settings(max_examples=25)
@given(arrays(np.float32, (3, 40), elements=st.floats(-900, 900, width=16)), st.integers(1, 4))
def test_sharpness(x: np.ndarray[tuple[int, ...], np.dtype[np.float32]], reach: int) -> None:
    out = np.empty(40, np.float32)
    pacing.sharpness(x, np.array([True, False, True]), reach, out)
    np.testing.assert_allclose(out, naive.sharpness(x, [True, False, True], reach), rtol=1e-4, atol=1e-2)


@settings(max_examples=40)
@given(st.lists(HEIGHTS, min_size=60, max_size=60), st.lists(st.tuples(st.integers(0, 59), HEIGHTS), max_size=4))
def test_pick(noise: list[float], peaks: list[tuple[int, float]]) -> None:
    narrow = np.array([0.5 * v for v in noise], np.float32)
    for at, height in peaks:
        narrow[at] += 40 * height
    broad = np.full(60, 60.0, np.float32)
    out = np.empty(60, np.int64)
    count = pacing.pick(narrow, broad, 3, 10, 2, out)
    assert out[:count].tolist() == naive.pick(narrow.tolist(), broad.tolist(), 3, 10, 2)


@pytest.mark.parametrize("fs", [500.0, 1000.0])
@pytest.mark.parametrize(("name", "mode"), [("paced", "ventricular"), ("paced_dual", "dual")])
def test_synthetic_pacemakers(name: str, mode: str, fs: float) -> None:
    recording, truth = synth.ecg(PRESETS[name], fs=fs)
    found = pacing.find(recording.microvolts(), fs, np.ones(len(recording.leads), np.bool_))
    reach = 2 * fs / 1000
    assert sum(bool(np.any(np.abs(found - at) <= reach)) for at in truth.spikes) >= 0.8 * len(truth.spikes)
    result = interpret(recording)
    assert "PACE" in codes(result)
    assert "PACENA" not in codes(result)
    assert {b.kind for b in result.beats} == {"Q"}
    assert len(result.beats) == len(truth.beats)
    onset = np.array([w.qrs_on for w in result.waves if w.lead == "global"], np.int64)
    assert pacing.pattern(found, onset, fs).mode == mode


@pytest.mark.parametrize("name", ["normal", "lbbb", "bigeminy", "noisy", "atrial_fibrillation"])
def test_no_pacemaker(name: str) -> None:
    recording, _ = synth.ecg(PRESETS[name])
    said = codes(interpret(recording))
    assert not {"PACE", "APACE"} & said
    assert "PACENA" in said


def test_atrial_pacing_leaves_the_ventricles_theirs() -> None:
    onset = np.arange(8) * 400 + 300
    spikes = onset - 80
    found = pacing.pattern(spikes, onset, 500.0)
    assert found.mode == "atrial"
    assert found.spikes.tolist() == spikes.tolist()
    assert not found.ventricular.any()


def test_spikes_that_keep_no_distance_drive_nothing() -> None:
    rng = np.random.default_rng(1)
    onset = np.arange(20) * 400 + 300
    assert pacing.pattern(np.sort(rng.integers(0, 8000, 15)), onset, 500.0).mode == ""
    assert pacing.pattern(np.empty(0, np.int64), onset, 500.0).mode == ""
    assert not pacing.steady(np.array([5]), onset, 500.0)


def test_bridges_are_straight_and_the_rest_is_untouched() -> None:
    x = np.zeros((1, 100), np.float32)
    x[0] = np.arange(100)
    x[0, 50] += 1000
    out = pacing.bridged(x, 500.0, np.array([50]))
    np.testing.assert_allclose(out[0], np.arange(100), atol=1e-4)
    assert pacing.bridged(x, 500.0, np.empty(0, np.int64)) is x


def test_slow_sampling_hides_them() -> None:
    assert pacing.find(np.zeros((1, 5000), np.float32), 360.0, np.array([True])).size == 0


@pytest.mark.parametrize(("name", "paced"), [("45", True), ("93", True), ("95", True), ("99", False), ("1", False)])
def test_real_recordings(name: str, paced: bool) -> None:
    header = LUDB / f"{name}.hea"
    if not header.exists():
        pytest.skip(f"ABSENT: {header}")
    said = codes(interpret(read(header)))
    assert ("PACE" in said) is paced
    assert ("PACENA" in said) is not paced
