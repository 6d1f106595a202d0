"""The recording: microvolts by the plain formula, missing samples, one lead alone."""

from __future__ import annotations

import numpy as np
from feldsher_signal.record import MISSING, Recording
from hypothesis import given
from hypothesis import strategies as st

RECORDING = Recording(("II", "V1"), 250.0, np.array([[10, MISSING, -10], [1, 2, 3]], np.int32), (2.0, 0.5), (4, -1))


def test_microvolts() -> None:
    microvolts = RECORDING.microvolts()
    assert microvolts.dtype == np.float32
    assert microvolts[0, 0] == (10 - 4) * 2.0
    assert np.isnan(microvolts[0, 1])
    assert microvolts[1].tolist() == [1.0, 1.5, 2.0]


@given(st.integers(-(2**24), 2**24), st.floats(1e-3, 100), st.integers(-(2**20), 2**20))
def test_microvolts_by_the_formula(sample: int, scale: float, base: int) -> None:
    recording = Recording(("I",), 500.0, np.array([[sample]], np.int32), (scale,), (base,))
    assert recording.microvolts()[0, 0] == np.float32((sample - base) * scale)


@given(st.lists(st.integers(-(2**26), 2**26), min_size=1), st.floats(0.125, 100, width=32))
def test_a_scale_of_single_precision_rounds_as_the_formula_does(samples: list[int], scale: float) -> None:
    recording = Recording(("I",), 500.0, np.array([samples], np.int32), (scale,))
    assert recording.microvolts()[0].tolist() == [float(np.float32(v * scale)) for v in samples]


def test_without_baseline_zero_is_zero() -> None:
    recording = Recording(("I",), 500.0, np.array([[7]], np.int32), (1.0,))
    assert recording.microvolts().tolist() == [[7.0]]
    assert recording.only(0).baseline == ()


def test_extreme_samples_do_not_wrap() -> None:
    recording = Recording(("I",), 500.0, np.array([[2**31 - 1, -(2**31) + 1]], np.int32), (1.0,), (-5,))
    assert recording.microvolts().tolist() == [[float(np.float32(2**31 + 4)), float(np.float32(-(2**31) + 6))]]


def test_one_lead_alone() -> None:
    only = RECORDING.only(1)
    assert (only.leads, only.uv_per_bit, only.baseline, only.n, only.fs) == (("V1",), (0.5,), (-1,), 3, 250.0)
    assert np.array_equal(only.samples, RECORDING.samples[1:2])
