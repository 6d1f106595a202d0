"""Intervals, QTc, axes and the matrix against equations and hand-made complexes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from feldsher_ehr_core.ecg import LeadMatrix
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


def test_axis_by_area() -> None:
    leads = {"I": LeadMatrix(qrs_area=10.0), "aVF": LeadMatrix(qrs_area=-10 * math.sqrt(3) / 2)}
    assert measure.area_axis(leads) == pytest.approx(-45)
    assert measure.area_axis({"I": leads["I"]}) is None
    assert measure.area_axis(dict.fromkeys(("I", "aVF"), LeadMatrix(qrs_area=1.0))) is None


def test_axis_may_be_indeterminate() -> None:
    assert measure.axis(30, -40, 100) is None
    assert measure.axis(None, 500, 100) is None
    assert measure.axis(500, None, 100) is None


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


def test_rate_of_what_could_be_judged() -> None:
    beats = np.array([100, 600, 1100, 5100, 5600])
    assert measure.mean_rate(beats, 500.0, ((1100, 4000),)) == pytest.approx(60.0)
    assert measure.heard(beats, ((1100, 4000),)).tolist() == [True, True, False, True]
    assert measure.heard(beats, ((0, 100), (5600, 6000))).all()
    assert measure.mean_rate(beats, 500.0, ((0, 6000),)) is None


def test_the_rate_of_qt_is_that_of_the_interval_before_its_beats() -> None:
    # 60 a minute, a pause of 3 s, one early beat that is not chosen.
    beats, chosen = np.array([0, 500, 1000, 1500, 3000, 3200, 3700, 4200]), np.array([1, 2, 3, 4, 7])
    assert measure.rate_before(beats, chosen, 500.0) == 60.0
    assert (measure.mean_rate(beats, 500.0) or 0.0) == pytest.approx(50.0)
    assert measure.rate_before(beats, np.array([0]), 500.0) is None
    # An interval in which nothing could be judged says nothing of the rate.
    assert measure.rate_before(beats, np.array([4]), 500.0, [(2000, 2100)]) is None


def test_a_t_wave_that_swallows_the_next_p_wave_has_no_end() -> None:
    every = np.array([100, 125, 150, 180, 200, 225, 300, 340, 440])  # at 500/s: PR 160, QT 520 ms
    slow, fast = (measure.measurements(every, {}, rate, 500.0) for rate in (80.0, 100.0))
    assert slow.qt == 520.0
    assert fast.qt is None
    assert fast.qtc_fridericia is None
    assert fast.pr == 160.0
    every[delineate.P_ON] = delineate.ABSENT
    assert measure.measurements(every, {}, 100.0, 500.0).qt == 520.0
