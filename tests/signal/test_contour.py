"""Means, bumps and feet from prefix sums against the same written out."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from feldsher_signal import contour
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray


def sums(x: list[int]) -> NDArray[np.float64]:
    return contour.prefix_sums(np.array([x], np.float32))[0]


ROWS = st.lists(st.integers(-3000, 3000), min_size=40, max_size=80)


@given(ROWS, st.integers(0, 39), st.integers(1, 9))
@settings(max_examples=60)
def test_slope(x: list[int], i: int, s: int) -> None:
    after = naive.mean(x, i, i + s)
    before = naive.mean(x, max(i - s, 0), i) if i else 0.0
    assert contour.slope(sums(x), i, s) == pytest.approx(after - before, abs=1e-6)


@given(ROWS, st.integers(9, 31), st.integers(1, 9))
def test_a_bend_is_the_slope_not_divided(x: list[int], i: int, s: int) -> None:
    assert contour.bend(sums(x), i, s) == pytest.approx(s * contour.slope(sums(x), i, s), abs=1e-6)


@given(ROWS, st.integers(0, 39), st.integers(2, 9), st.integers(0, 20), st.integers(25, 40))
@settings(max_examples=80)
def test_bump(x: list[int], i: int, w: int, lo: int, hi: int) -> None:
    assert contour.bump(sums(x), i, w, lo, hi) == pytest.approx(naive.bump(x, i, w, lo, hi), abs=1e-6)


def test_a_straight_line_has_no_bump_whatever_its_flanks() -> None:
    line = list(range(0, 4000, 50))
    for lo in range(10, 34, 3):
        assert contour.bump(sums(line), 40, 4, lo, 60) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_feet_of_a_wave(sign: float) -> None:
    # A raised cosine from 40 to 80 has its steepest slopes at 50 and 70.
    x = [round(sign * 500 * (1 - math.cos(2 * math.pi * (i - 40) / 40))) if 40 <= i <= 80 else 0 for i in range(120)]
    c = sums(x)
    assert contour.crest(c, 50, 70, 1, sign, 30, 90) == 60
    assert contour.foot(c, 60, 10, 2, 0.2, sign) == pytest.approx(41, abs=2)
    assert contour.foot(c, 60, 110, 2, 0.2, sign) == pytest.approx(79, abs=2)


def test_walk_needs_a_quiet_run() -> None:
    g = np.array([0, 0, 0, 0, 9, 9, 0, 9, 9, 0, 0, 0, 0], np.float64)
    assert contour.walk(g, 7, 1, 12, 1.0, 3) == 9
    assert contour.walk(g, 7, -1, 0, 1.0, 2) == 3
    # A single quiet sample within is no end.
    assert contour.walk(g, 5, 1, 12, 1.0, 2) == 9


def test_projection_stands_a_wave_upright() -> None:
    wave = np.exp(-0.5 * ((np.arange(200) - 100) / 12) ** 2)
    x = np.stack([80 * wave, -120 * wave, 5 * wave]).astype(np.float32)
    c, weight, out = contour.prefix_sums(x), np.array([1.0, 1.0, 0.0]), np.zeros(201)
    size = contour.project(c, weight, 100, 12, 0, 200, 0, 200, out)
    projected = np.diff(out)
    assert int(np.argmax(projected)) == 100
    assert projected[100] == pytest.approx(math.hypot(80, 120), rel=0.01)
    assert 0 < size < 120


@given(st.integers(0, 9), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_prefix_sums_of_any_number_of_leads(leads: int, n: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0, 1000, (leads, n)).astype(np.float32)
    expected = np.concatenate([np.zeros((leads, 1)), np.cumsum(x, axis=1, dtype=np.float64)], axis=1)
    np.testing.assert_array_equal(contour.prefix_sums(x), expected)
