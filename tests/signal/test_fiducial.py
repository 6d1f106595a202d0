"""The R peak is where the wave stands out; a biphasic complex keeps its half."""

from __future__ import annotations

import naive_qrs
import numpy as np
import pytest
from feldsher_signal import fiducial
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.lists(st.integers(-2000, 2000), min_size=30, max_size=120), st.integers(-5, 130))
@settings(max_examples=60)
def test_locate(x: list[int], at: int) -> None:
    rows, out = np.array([[0] * len(x), x], np.float32), np.empty(1, np.int64)
    fiducial.locate(rows, np.array([at]), np.array([1]), 10, 2, 15, out)
    middle = min(max(at, 0), len(x) - 1)
    first, last = max(middle - 10, 0), min(middle + 10, len(x) - 1)

    def by(i: int) -> float:
        d = float(np.mean(x[max(i - 2, 0) : i + 3]) - np.mean(x[max(i - 15, 0) : i + 16]))
        return fiducial.UPRIGHT * d if d > 0 else -d

    assert first <= out[0] <= last
    best = naive_qrs.wave(x, first, last, 2, 15, fiducial.UPRIGHT)
    assert by(int(out[0])) == pytest.approx(by(best), rel=1e-6, abs=1e-6)


def test_a_biphasic_complex_keeps_its_upright_half() -> None:
    x = np.zeros((1, 1000), np.float32)
    for at, up, down in ((200, 1000, 1100), (500, 1100, 1000), (800, 1000, 1000)):
        x[0, at - 8 : at + 9] = up
        x[0, at + 17 : at + 34] = -down
    at = np.array([210, 510, 810])
    found = fiducial.peaks(x, 500.0, at, np.zeros(3, np.int64))
    assert np.all(np.abs(found - np.array([200, 500, 800])) <= 8)


def test_noise_is_not_tall_enough_for_a_beat_and_a_small_one_is() -> None:
    random = np.random.default_rng(3)
    x = random.normal(0, 20, (2, 5000)).astype(np.float32)
    at = np.arange(500, 5000, 500)
    assert not fiducial.standing(x, 500.0, at).any()
    wave = 300 * np.exp(-0.5 * ((np.arange(-40, 41)) / 8.0) ** 2)
    for middle in at[::2]:
        x[1, middle - 40 : middle + 41] += wave.astype(np.float32)
    assert fiducial.standing(x, 500.0, at).tolist() == [k % 2 == 0 for k in range(at.shape[0])]


def test_standing_against_plain_numpy() -> None:
    random = np.random.default_rng(4)
    x = np.cumsum(random.normal(0, 6, (2, 900)), axis=1).astype(np.float32)
    at = np.array([0, 30, 450, 899])
    kernel = np.array([(x[:, max(i - 4, 0) : i + 5].mean(axis=1)) for i in range(900)]).T
    expected = [bool((np.ptp(kernel[:, max(a - 40, 0) : a + 41], axis=1) >= fiducial.LEAST_UV).any()) for a in at]
    assert fiducial.standing(x, 500.0, at).tolist() == expected
