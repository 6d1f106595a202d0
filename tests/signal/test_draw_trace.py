"""The line on the paper: it is the samples, its gaps stay, its wander goes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from feldsher_signal import draw, draw_trace, synth
from feldsher_signal.record import MISSING
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

RECORDING = synth.ecg(synth.PRESETS["normal"])[0]


def _points(data: str) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Oracle: the unbroken stretches of a path as absolute points."""
    out: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for run in data.split("M")[1:]:
        start, _, steps = run.replace("h0", "l").partition("l")
        numbers = [int(each) for each in re.findall(r"-?\d+", steps)]
        first = [int(each) for each in start.split()]
        x = np.cumsum(np.array([first[0], *numbers[0::2]]))
        y = np.cumsum(np.array([first[1], *numbers[1::2]]))
        out.append((x, y))
    return out


@settings(max_examples=40)
@given(
    st.lists(st.integers(-3000, 3000), min_size=1, max_size=200),
    st.sampled_from([250.0, 360.0, 500.0, 1000.0]),
    st.sampled_from(draw.SPEEDS),
    st.sampled_from(draw.GAINS),
)
def test_the_line_is_the_samples(values: list[int], fs: float, speed: int, gain: int) -> None:
    microvolts = np.array(values, np.float32)
    ((x, y),) = _points(draw_trace.path(microvolts, fs, speed, gain))
    at = np.rint(np.arange(len(values)) * (speed / fs / draw_trace.UNIT))
    # Each of three passes may miss by 0.03 mm, and rounding by half a unit.
    assert np.abs(np.interp(at, x, y) - microvolts * -gain / 10).max() <= 9.51


def test_a_smooth_line_is_thinned_and_stays_within_a_tenth_of_a_millimetre() -> None:
    microvolts = synth.ecg(synth.Patient(noise=synth.Noise(white=0.0)))[0].microvolts()[1]
    ((x, y),) = _points(draw_trace.path(microvolts, 500.0, 25, 10))
    assert x.size < microvolts.size / 3
    assert np.abs(np.interp(np.arange(5000) * 5, x, y) + microvolts).max() <= 10


def test_gaps_stay_gaps() -> None:
    samples = RECORDING.samples.copy()
    samples[:, 1000:1500] = MISSING
    samples[:, 4999] = MISSING
    gappy = replace(RECORDING, samples=samples)
    runs = _points(draw_trace.path(draw_trace.steady(gappy.microvolts(), 500.0)[1], 500.0, 25, 10))
    assert [(int(x[0]), int(x[-1])) for x, _ in runs] == [(0, 999 * 5), (1500 * 5, 4998 * 5)]
    assert draw_trace.path(np.array([np.nan, 1.0, np.nan], np.float32), 500, 25, 10) == "M5-1h0".replace("5-1", "5 -1")
    nothing = replace(RECORDING, samples=np.full((12, 5000), MISSING, np.int32))
    assert "NaN" not in draw.svg(nothing)
    assert "nan" not in draw.svg(nothing)


def test_wander_goes_and_waves_stay() -> None:
    t = np.arange(5000) / 500
    clean = RECORDING.microvolts()[1]
    wander = (400 * np.sin(2 * np.pi * 0.1 * t) + 5000).astype(np.float32)
    held = draw_trace.steady(np.stack([clean + wander, clean]), 500.0)
    inner = slice(1000, 4000)
    assert np.abs(held[0] - held[1])[inner].max() < 25


@pytest.mark.parametrize("rate", [36, 45, 60, 75, 100, 140])
@pytest.mark.parametrize("conduction", ["normal", "LBBB"])
def test_holding_the_baseline_moves_no_st_segment(rate: float, conduction: synth.Form) -> None:
    """Level 60 ms after the QRS against the level before it: 0.3 mm at most."""
    patient = synth.Patient(
        rate=rate, conduction=conduction, noise=synth.Noise(white=0.0), rr_sd=0.0, pr=130, st={"inferior": 0.2}
    )
    recording, truth = synth.ecg(patient)
    before = recording.microvolts()
    moved = draw_trace.steady(before, recording.fs) - before
    for wave in truth.waves:
        if wave.qrs_on is not None and wave.qrs_off is not None and wave.qrs_on > 10 and wave.qrs_off < 4960:
            assert np.abs(moved[:, wave.qrs_off + 30] - moved[:, wave.qrs_on - 6]).max() <= 30
