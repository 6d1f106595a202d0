"""Filters against their difference equations and their frequency responses."""

from __future__ import annotations

import cmath
import math

import naive
import numpy as np
import pytest
from feldsher_signal import filters
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray


def gain(section: NDArray[np.float64], f: float, fs: float) -> float:
    z = cmath.exp(-2j * math.pi * f / fs)
    b0, b1, b2, a1, a2 = section.tolist()
    return abs((b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z))


@pytest.mark.parametrize("fs", [100.0, 360.0, 500.0, 2000.0])
def test_responses(fs: float) -> None:
    low, high, mains = filters.lowpass(20, fs), filters.highpass(5, fs), filters.notch(40, fs)
    half = math.sqrt(0.5)
    assert gain(low, 20, fs) == pytest.approx(half)
    assert gain(low, 0.01, fs) == pytest.approx(1, abs=1e-4)
    assert gain(high, 5, fs) == pytest.approx(half)
    assert gain(high, 0, fs) == pytest.approx(0, abs=1e-9)
    assert gain(mains, 40, fs) == pytest.approx(0, abs=1e-9)
    assert gain(mains, 10, fs) == pytest.approx(1, abs=0.02)


def test_a_corner_beyond_half_the_rate_is_kept_inside() -> None:
    assert np.all(np.isfinite(filters.lowpass(300, 200.0)))


@given(st.lists(st.floats(-5000, 5000, width=32), min_size=1, max_size=80))
@settings(max_examples=40)
def test_cascade_is_its_difference_equation(x: list[float]) -> None:
    sections = filters.sections_of(filters.highpass(7, 360.0), filters.lowpass(18, 360.0))
    found = filters.filtered(np.array([x, x], np.float32), sections)
    expected = naive.cascade(np.array(x, np.float32), sections)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(found[0], found[1])


@given(st.integers(1, 99))
@settings(max_examples=20)
def test_chunks_of_any_size_give_the_same_bits(cut: int) -> None:
    x = np.random.default_rng(1).normal(0, 300, (2, 100)).astype(np.float32)
    sections = filters.sections_of(filters.highpass(0.5, 500.0), filters.notch(50, 500.0))
    state, parts = np.zeros((2, 4)), list[NDArray[np.float32]]()
    for piece in (x[:, :cut], x[:, cut:]):
        out = np.empty(piece.shape, np.float32)
        filters.run_sections(np.ascontiguousarray(piece), sections, state, out)
        parts.append(out)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), filters.filtered(x, sections))
