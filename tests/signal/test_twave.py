"""T waves: the search against its oracle, and waves of known place, inverted, fused with P, or beside a notch."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from feldsher_signal import contour, delineate, twave
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

FS = 500.0


@given(st.integers(0, 30), st.integers(60, 140))
@settings(max_examples=25, deadline=None)
def test_likeliest(seed: int, expected: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-500, 500, (2, 200)).astype(np.float32)
    weight, w, fs = np.array([1.0, 0.5]), 5, 250.0
    found = twave.likeliest(contour.prefix_sums(x), weight, 40, 160, w, 20, 190, float(expected), fs)

    def score(i: int) -> float:
        sizes = [
            sum(u * naive.bump(row, i, v, 20, 190) ** 2 for u, row in zip(weight, x, strict=True)) for v in (5, 10)
        ]
        return max(sizes) * math.exp(-0.5 * ((i - expected) / (twave.SPREAD_S * fs)) ** 2)

    assert found == max(range(40, 160, max(1, int(twave.STEP_S * fs))), key=score)


def beats(
    t_uv: float, p_after_t_s: float = 0.0, notch_uv: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return one lead of eight beats, 700 ms apart: a T of ±100 ms at 260 ms after R, a P wave or a notch besides."""
    x = np.zeros(8 * 350 + 500, np.float32)
    at, r = np.arange(x.shape[0]), 300 + 350 * np.arange(8)
    for k in r:
        x += 1000 * np.maximum(1 - np.abs(at - k) / 20, 0).astype(np.float32)
        x += np.where(np.abs(at - k - 130) < 50, t_uv * 0.5 * (1 + np.cos(np.pi * (at - k - 130) / 50)), 0)
        if p_after_t_s:
            p = k + 180 + round(p_after_t_s * FS)
            x += np.where(np.abs(at - p) < 22, 80 * 0.5 * (1 + np.cos(np.pi * (at - p) / 22)), 0)
        x += notch_uv * np.exp(-0.5 * ((at - k - 60) / 4) ** 2)
    return x[None].astype(np.float32), r.astype(np.int64)


@pytest.mark.parametrize("t_uv", [250.0, -250.0, 90.0])
@pytest.mark.parametrize(("p_after_t_s", "notch_uv"), [(0.0, 0.0), (0.05, 0.0), (0.0, 60.0)])
def test_a_t_wave_is_found_beside_others(t_uv: float, p_after_t_s: float, notch_uv: float) -> None:
    x, r = beats(t_uv, p_after_t_s, notch_uv)
    marks, _ = delineate.delineate(contour.prefix_sums(x), FS, delineate.Sought(r, np.array([True]), 350.0))
    for lead in range(2):
        assert np.abs(marks[1:-1, lead, delineate.T_PEAK] - r[1:-1] - 130).max() <= 8
        assert np.abs(marks[1:-1, lead, delineate.T_OFF] - r[1:-1] - 172).max() <= 14
