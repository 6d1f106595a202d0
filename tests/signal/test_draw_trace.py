"""The line on the paper: within 0.05 mm of the samples, its gaps stay, its wander goes."""

from __future__ import annotations

from dataclasses import replace

import naive_draw_trace as naive
import numpy as np
import pytest
from feldsher_signal import draw, draw_trace, synth
from feldsher_signal.record import MISSING
from hypothesis import given, settings
from hypothesis import strategies as st

RECORDING = synth.ecg(synth.PRESETS["normal"])[0]


@settings(max_examples=60)
@given(
    st.lists(st.integers(-3000, 3000), min_size=1, max_size=60),
    st.sampled_from([100.0, 250.0, 360.0, 500.0, 1000.0, 2000.0]),
    st.sampled_from(draw.SPEEDS),
    st.sampled_from(draw.GAINS),
)
def test_the_line_stays_within_a_twentieth_of_a_millimetre(values: list[int], fs: float, speed: int, gain: int) -> None:
    corners = draw_trace.points(np.array(values, np.float32), fs, speed, gain)
    (run,) = naive.svg_runs(draw_trace.text(corners))
    across, up = speed / fs / draw_trace.UNIT, gain / 1000 / draw_trace.UNIT
    for k, value in enumerate(values):
        assert naive.distance(k * across, -value * up, run) * draw_trace.UNIT < 0.05


@settings(max_examples=40)
@given(st.lists(st.integers(-9000, 9000) | st.none(), min_size=1, max_size=40))
def test_both_notations_say_the_corners(values: list[int | None]) -> None:
    row = np.array([np.nan if value is None else value for value in values], np.float32)
    corners = draw_trace.points(row, 500.0, 25, 10)
    said = naive.svg_runs(draw_trace.text(corners))
    assert said == naive.pdf_runs(draw_trace.text(corners, pdf=True))
    assert [corner for run in said for corner in run] == [(int(x), int(y)) for x, y, _ in corners]
    present = [value is not None for value in values]
    assert len(said) == sum(b and not a for a, b in zip([False, *present[:-1]], present, strict=True))


def test_a_smooth_line_is_thinned_and_its_peaks_stay() -> None:
    microvolts = synth.ecg(synth.Patient(noise=synth.Noise(white=0.0)))[0].microvolts()[1]
    corners = draw_trace.points(microvolts, 500.0, 25, 10)
    assert corners.shape[0] < microvolts.size / 4
    assert np.abs(np.interp(np.arange(5000) * 5, corners[:, 0], corners[:, 1]) + microvolts).max() <= 5
    assert -corners[:, 1].min() >= microvolts.max() - 5


def test_gaps_stay_gaps() -> None:
    samples = RECORDING.samples.copy()
    samples[:, 1000:1500] = MISSING
    samples[:, 4999] = MISSING
    gappy = replace(RECORDING, samples=samples)
    row = draw_trace.steady(gappy.microvolts(), 500.0)[1]
    runs = naive.svg_runs(draw_trace.text(draw_trace.points(row, 500.0, 25, 10)))
    assert [(run[0][0], run[-1][0]) for run in runs] == [(0, 999 * 5), (1500 * 5, 4998 * 5)]
    lone = np.array([np.nan, 1.0, np.nan], np.float32)
    assert draw_trace.text(draw_trace.points(lone, 500, 25, 10)) == "M5 -1h0"
    nothing = draw.svg(replace(RECORDING, samples=np.full((12, 5000), MISSING, np.int32)))
    assert "nan" not in nothing.lower()


@pytest.mark.parametrize("n", [1, 2, 30, 400])
@pytest.mark.parametrize("fs", [100.0, 360.0])
def test_holding_the_baseline_is_the_plain_way(n: int, fs: float) -> None:
    rng = np.random.default_rng(n)
    x = (rng.normal(0, 300, (3, n)) + 2000).astype(np.float32)
    x[1, rng.random(n) < 0.2] = np.nan
    x[2] = np.nan
    held = draw_trace.steady(x, fs)
    for row, out in zip(x, held, strict=True):
        np.testing.assert_allclose(out, naive.held(row, max(1, round(fs / 2))), atol=0.01)


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
