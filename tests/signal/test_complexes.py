"""Complexes grouped by shape: groups, noise, jitter, and the kernels against slow oracles."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_signal import complexes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

FS = 500.0


def _two_shapes(noise: float, seed: int, kinds: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    shape = np.exp(-0.5 * ((np.arange(120) - 50) / 6) ** 2)
    other = np.exp(-0.5 * ((np.arange(120) - 60) / 25) ** 2) - 0.7 * np.exp(-0.5 * ((np.arange(120) - 90) / 12) ** 2)
    x = rng.normal(0, noise, (1, 400 * len(kinds) + 400)).astype(np.float32)
    r = np.array([300 + 400 * k for k in range(len(kinds))])
    for at, kind in zip(r, kinds, strict=True):
        x[0, at - 50 : at + 70] += (900 * (other if kind else shape)).astype(np.float32)
    return x, r


@pytest.mark.parametrize("noise", [5.0, 120.0])
def test_groups_by_shape_in_spite_of_jitter_and_noise(noise: float) -> None:
    kinds = [0, 0, 1, 0, 1, 1, 0, 0] * 4
    x, r = _two_shapes(noise, 2, kinds)
    jittered: NDArray[np.int64] = r + np.random.default_rng(3).integers(-4, 5, (int(r.shape[0]),))
    found = complexes.groups(x, ("II",), np.array([True]), jittered, FS)
    assert found.label.tolist() == kinds
    assert found.count == 2
    assert found.y.shape == (1, x.shape[1] // 4)
    assert found.fs == 125.0


def test_the_steadier_lead_weighs_more() -> None:
    x, r = _two_shapes(5.0, 4, [0] * 12)
    noisy = _two_shapes(600.0, 5, [0] * 12)[0]
    found = complexes.groups(np.concatenate([noisy, x]), ("V1", "II"), np.array([True, True]), r, FS)
    size = found.y[:, 60:].std(axis=1) / np.array([600.0, 5.0])
    assert size[1] > 3 * size[0]
    assert found.count == 1


@settings(max_examples=25)
@given(
    arrays(np.float64, (2, 80), elements=st.floats(-5, 5, width=16)),
    st.lists(st.integers(-5, 90), min_size=1, max_size=7),
)
def test_steadiness_is_the_better_correlation_with_the_next_two(y: np.ndarray, at: list[int]) -> None:
    size, like = np.zeros((2, len(at))), np.zeros((2, len(at)))
    complexes.steadiness(y, np.array(at), 6, 9, size, like)
    for lead in range(2):
        pieces = [y[lead, np.clip(np.arange(a - 6, a + 9), 0, 79)] for a in at]
        pieces = [p - p.mean() for p in pieces]
        np.testing.assert_allclose(size[lead], [np.linalg.norm(p) for p in pieces], atol=1e-9)
        for k, piece in enumerate(pieces):
            norms = [np.linalg.norm(piece) * np.linalg.norm(q) for q in pieces[k + 1 : k + 3]]
            dots = [float(piece @ q) for q in pieces[k + 1 : k + 3]]
            expected = max((d / n for d, n in zip(dots, norms, strict=True) if n > 1e-6), default=-1.0)
            if all(n > 1e-6 for n in norms):
                assert like[lead, k] == pytest.approx(expected, abs=1e-6)


def test_slowed_is_the_mean_of_neighbours() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 12)
    out = np.empty((1, 3))
    complexes.slowed(x, np.array([1]), 4, out)
    np.testing.assert_allclose(out, [[13.5, 17.5, 21.5]])


def test_centre_is_where_the_slopes_are() -> None:
    y = np.zeros((1, 100))
    y[0, 50:53] = (1, 3, 1)
    out = np.zeros(2, np.int64)
    complexes.centre(y, np.array([47, 10]), 8, out)
    assert out.tolist() == [51, 10]


def test_leads_are_chosen_by_name_only_where_there_are_many() -> None:
    names = ("I", "II", "III", "V1", "V5")
    assert complexes.chosen(names, np.ones(5, np.bool_)).tolist() == [1, 3, 4]
    assert complexes.chosen(names, np.array([True, False, True, False, False])).tolist() == [0, 2]
    assert complexes.chosen(names, np.zeros(5, np.bool_)).tolist() == [0]


def test_more_shapes_than_places_is_no_error() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(0, 300, (1, 30000)).astype(np.float32)
    found = complexes.groups(x, ("II",), np.array([True]), np.arange(100, 29000, 150), FS)
    assert 0 < found.count <= complexes.GROUPS
    assert found.label.max() < found.count
