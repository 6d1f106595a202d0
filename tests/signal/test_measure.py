"""Intervals, QTc, axes and the matrix against equations and hand-made complexes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from feldsher_signal import delineate, measure
from hypothesis import given
from hypothesis import strategies as st
from patients import interpreted


def test_qtc_by_four_formulas() -> None:
    assert measure.qtc(400, 60) == {
        "qtc_bazett": 400,
        "qtc_fridericia": 400,
        "qtc_framingham": 400,
        "qtc_hodges": 400,
    }
    # RR 0.75 s: 360/√0.75, 360/∛0.75, 360 + 154·0.25, 360 + 1.75·20.
    found = measure.qtc(360, 80)
    assert found == {"qtc_bazett": 415.7, "qtc_fridericia": 396.2, "qtc_framingham": 398.5, "qtc_hodges": 395.0}


@pytest.mark.parametrize("rate", [20.0, 170.0])
def test_no_qtc_where_no_formula_holds(rate: float) -> None:
    assert measure.qtc(400, rate) == {}


@given(st.integers(-179, 179))
def test_axis_of_a_vector(degrees: int) -> None:
    # aVF of a vector is √3/2 of its vertical part in the leads' own scale.
    i, avf = 1000 * math.cos(math.radians(degrees)), 1000 * math.sin(math.radians(degrees)) * math.sqrt(3) / 2
    found = measure.axis(i, avf, 50.0)
    assert found == pytest.approx(degrees, abs=1e-6)


def test_axis_may_be_indeterminate() -> None:
    assert measure.axis(30, -40, 100) is None
    assert measure.axis(None, 500, 100) is None
    assert measure.axis(500, None, 100) is None


def complex_of(*pieces: tuple[float, int]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return a median beat at 1000/s: 100 ms of rest, half sine waves (µV, ms), 300 ms of rest."""
    parts = [np.zeros(100)]
    parts += [height * np.sin(np.pi * (np.arange(width) + 0.5) / width) for height, width in pieces]
    return np.concatenate([*parts, np.zeros(300)]).astype(np.float32)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (((-100, 20), (1000, 40), (-300, 30)), {"q": -100, "r": 1000, "s": -300, "q_ms": 20, "r_ms": 40, "s_ms": 30}),
        (((200, 20), (-700, 40), (500, 40)), {"r": 200, "s": -700, "r2": 500, "q": 0}),
        (((-900, 60),), {"q": -900, "r": 0, "q_ms": 60}),
        (((700, 40), (-20, 20)), {"r": 700, "s": 0, "peak_ms": 20}),
        (((800, 30), (-400, 30), (300, 20), (-200, 20)), {"s": -400, "r2": 300, "s2": -200}),
    ],
)
def test_waves_are_named(pieces: tuple[tuple[float, int], ...], expected: dict[str, float]) -> None:
    x = complex_of(*pieces)
    every = np.full(9, delineate.ABSENT)
    every[delineate.QRS_ON], every[delineate.QRS_OFF] = 99, 100 + sum(width for _, width in pieces)
    found = measure.lead_matrix(x, every, every, 1000.0)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=max(abs(value) * 0.03, 2)), name


def test_st_points() -> None:
    x = complex_of((1000, 80))
    x[180:] = np.linspace(150, 150 + 320, 300)
    every = np.full(9, delineate.ABSENT)
    every[delineate.QRS_ON], every[delineate.QRS_OFF] = 100, 180
    found = measure.lead_matrix(x, every, every, 1000.0)
    for name, after in (("st20", 20), ("st40", 40), ("st60", 60), ("st80", 80)):
        assert getattr(found, name) == pytest.approx(150 + 320 * after / 299, abs=12)


@pytest.mark.parametrize(
    "name", ["normal", "bradycardia", "tachycardia", "first_degree_block", "long_qt", "lbbb", "rbbb"]
)
def test_intervals_of_synthetic_patients(name: str) -> None:
    _, truth, result = interpreted(name)
    found, real = result.measurements, truth.measurements
    # Recalled limits of IEC 60601-2-25 for the mean difference on analytic signals: 10 ms (P, PR), 6 ms (QRS), 12 ms
    # (QT). A P wave of synth begins and ends in a Gaussian's tail, which no slope shows.
    for field, tolerance in (
        ("rate", 1.0),
        ("pr", 10.0),
        ("qrs", 8.0),
        ("qt", 12.0),
        ("p_dur", 20.0),
        ("axis_qrs", 8.0),
    ):
        assert getattr(found, field) == pytest.approx(getattr(real, field), abs=tolerance), field


def test_nothing_measured_is_none() -> None:
    _, _, result = interpreted("asystole")
    assert result.measurements.rate is None
    assert result.measurements.qrs is None
    assert measure.mean_rate(np.array([5]), 500.0) is None
