"""Medians and percentiles against NumPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from feldsher_signal import order
from hypothesis import given
from hypothesis import strategies as st

rows = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40)


@given(rows, st.floats(0, 100))
def test_percentile_is_numpys(row: list[float], percent: float) -> None:
    values = np.array(row)
    assert order.percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)), abs=1e-6)


@given(rows)
def test_median_is_numpys(row: list[float]) -> None:
    assert order.median(np.array(row)) == pytest.approx(float(np.median(row)), abs=1e-9)


@given(st.lists(st.integers(-9, 9), min_size=order.FEW - 1, max_size=order.FEW + 2), st.floats(0, 100))
def test_few_and_many_have_the_same_percentile(row: list[int], percent: float) -> None:
    assert order.percentile(np.array(row), percent) == pytest.approx(float(np.percentile(row, percent)), abs=1e-9)


@given(rows)
def test_steps_are_numpys_differences(row: list[float]) -> None:
    assert order.steps(np.array(row)).tolist() == np.diff(row).tolist()


def test_nothing_and_nan_have_none() -> None:
    assert math.isnan(order.median(np.empty(0)))
    assert math.isnan(order.median(np.array([1.0, math.nan, 2.0])))


def test_integers_are_rows_too() -> None:
    assert order.median(np.array([4, 1, 3, 2])) == 2.5


@given(st.lists(st.lists(st.integers(-50, 50), min_size=5, max_size=5), min_size=1, max_size=6), st.integers(1, 5))
def test_medians_of_rows_are_numpys(rows: list[list[int]], size: int) -> None:
    values = np.array(rows)[:, :size]
    assert order.medians(values).tolist() == np.median(values, axis=-1).tolist()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(0, 30))
def test_what_surrounds_a_value_is_mirrored_at_the_ends(row: list[int], reach: int) -> None:
    padded = np.pad(row, reach, mode="symmetric")
    assert order.around(np.array(row), reach).tolist() == [
        padded[k : k + 2 * reach + 1].tolist() for k in range(len(row))
    ]
