"""P waves: the grid of bumps and the place against their oracles; small waves are found where the neighbours' are."""

from __future__ import annotations

import math
from pathlib import Path

import naive
import numpy as np
import pytest
from feldsher_signal import contour, delineate, pwave
from feldsher_signal.formats import marks, read
from feldsher_signal.interpret import interpret
from hypothesis import given, settings
from hypothesis import strategies as st

FS = 250.0
REAL = Path(__file__).parents[2].parent / "shared" / "ecg"


@given(st.integers(0, 30), st.integers(0, 120))
@settings(max_examples=15, deadline=None)
def test_bumps(seed: int, t_end: int) -> None:
    x = np.random.default_rng(seed).integers(-500, 500, (2, 300)).astype(np.float32)
    out = np.full((2, pwave.STEPS), 7, np.float32)
    pwave.bumps(contour.prefix_sums(x), np.array([1.0, 0.0]), 220, 40, t_end, 200, FS, out)
    w, step, last = int(pwave.HALF_S * FS), 2, 200 - int(pwave.GAP_S * FS)
    first = max(t_end + int(pwave.AFTER_S * FS), 220 - int(min(pwave.REACH_S * FS, pwave.REACH_RR * 180)) + w // 2, w)
    for j in range(pwave.STEPS):
        i = last - w - j * step
        expected = naive.bump(x[0], i, w, max(first - w // 2 - int(pwave.OVER_S * FS), 0), last) if i >= first else 0.0
        assert out[0, j] == pytest.approx(expected, abs=1e-3)
    assert not out[1].any()


@given(st.integers(0, 30), st.integers(0, 6))
@settings(max_examples=25, deadline=None)
def test_together_and_place(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    ring = rng.normal(0, 20, (9, 3, pwave.STEPS)).astype(np.float32)
    ring[:, :, :5] = 0
    low, high, both = max(k - 3, 0), min(k + 4, 9), np.empty(ring.shape[1:], np.float32)
    pwave.together(ring, k, low, high, both)
    others = [m for m in range(low, high) if m != k]
    expected = np.where(ring[k] != 0, ring[k] + pwave.SHARED * np.mean(ring[others], axis=0), 0)
    np.testing.assert_allclose(both, expected, atol=1e-3)
    weight = np.array([1.0, 0.5, 0.0])

    def score(j: int) -> float:
        from_qrs = j * round(pwave.STEP_S * FS) / FS + pwave.HALF_S + pwave.GAP_S
        near = math.exp(-0.5 * ((from_qrs - pwave.USUAL_S) / pwave.SPREAD_S) ** 2)
        return near * float(np.sum(weight * both[:, j].astype(float) ** 2))

    assert pwave.place(both, weight, FS) == max(range(pwave.STEPS), key=score)
    assert pwave.place(np.zeros_like(both), weight, FS) == -1


def test_a_small_p_wave_stands_where_its_neighbours_do() -> None:
    rng, fs, r = np.random.default_rng(4), 500.0, 300 + 400 * np.arange(9)
    t = np.arange(4200)
    x = rng.normal(0, 12, (1, 4200))
    for k, at in enumerate(r):
        x += 1000 * np.maximum(1 - np.abs(t - at) / 20, 0)
        x += (30 if k == 4 else 90) * np.exp(-0.5 * ((t - at + 80) / 12) ** 2)
    # Another bump, as large as the small P wave, before it in that beat alone.
    x += 45 * np.exp(-0.5 * ((t - r[4] + 170) / 12) ** 2)
    found, size = delineate.delineate(
        contour.prefix_sums(x.astype(np.float32)), fs, delineate.Sought(r, np.array([True]), 400.0)
    )
    assert np.abs(found[:, 0, delineate.P_PEAK] - r + 80).max() <= 10
    assert size[4] < size[3]


@pytest.mark.parametrize(
    ("qrs", "t_peak", "t_end", "rr", "first"),
    [
        (0, 120, 160, 250, 160),  # 1 s: room for a P wave
        (105, 175, 230, 145, 200),  # 580 ms: the T wave ends 20 ms before the next QRS
        (105, 215, 230, 145, 200),  # what peaks 440 ms after the QRS is no T wave
        (100, 190, 230, 145, 210),  # bundle branch block: past its peak
        (130, 190, 230, 120, 230),  # 480 ms: there may be no P wave
        (105, -1, 230, 145, 230),  # no T wave
    ],
)
def test_where_a_t_wave_is_over(qrs: int, t_peak: int, t_end: int, rr: int, first: int) -> None:
    assert pwave.t_over(qrs, t_peak, t_end, rr, 250, FS) == first


def test_on_the_descent_of_a_real_t_wave() -> None:
    header = REAL / "qtdb" / "sel38.hea"
    if not header.exists():
        pytest.skip(f"real recordings absent: {header}")
    recording = read(header).only(0)
    waves = interpret(recording).waves
    found = np.array([wave.p_peak for wave in waves if wave.p_peak is not None and wave.lead == "global"])
    expert = np.array([m.at for m in marks.read(header.with_suffix(".q1c")) if m.symbol == "p"])
    assert expert.size == 30
    assert (np.abs(found[:, None] - expert).min(axis=0) <= 0.1 * recording.fs).sum() >= 27
