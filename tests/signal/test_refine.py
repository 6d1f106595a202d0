"""Corrections of edges: traits against the same written out, bounded, in order, none for what is absent."""

from __future__ import annotations

import math

import naive
import numpy as np
from feldsher_signal import contour, refine
from numpy.typing import NDArray

FS, RR = 500.0, 400


def strip() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Return two noisy leads, three R peaks and marks of P, QRS and T in every lead and globally."""
    x = np.random.default_rng(5).normal(0, 40, (2, 1500)).astype(np.float32)
    r = np.array([300, 700, 1110])
    own = np.array([-100, -80, -55, -25, 0, 30, 90, 140, 180])
    marks = np.stack([np.stack([at + own + d for d in (0, 3, 1)]) for at in r]).astype(np.int64)
    return x, r, marks


def usual(marks: NDArray[np.int64], r: NDArray[np.int64], k: int, lead: int, edge: int) -> float:
    """Return how many samples later than beat k's an edge is on average in the beats around, itself among them."""
    from_r = [int(marks[j, lead, edge] - r[j]) for j in range(len(r)) if marks[j, lead, edge] >= 0]
    own, most = int(marks[k, lead, edge] - r[k]), refine.APART_MS * FS / 1000
    return float(np.mean(np.clip(np.array(from_r) - own, -most, most)))


def test_traits() -> None:
    x, r, marks = strip()
    marks[1, 0, :3] = -1
    # One beat's edges a little off, another's far off.
    marks[0, :, 0] -= 7
    marks[2, 1, 2] += 40
    out = np.empty((3, 2, len(refine.TRAITS)))
    refine.traits(contour.prefix_sums(x), r, int(r[0]) - RR, int(r[-1]) + RR, FS, marks, 0, out)
    assert np.isnan(out[1, 0]).all()
    for k, lead in ((0, 0), (1, 1), (2, 0)):
        own, every = marks[k, lead].tolist(), marks[k, 2].tolist()
        on, peak, off = own[:3]
        level = [naive.mean(x[lead], at - 3, at + 4) for at in (on, peak, off)]
        height = level[1] - (level[0] + (level[2] - level[0]) * (peak - on) / (off - on))
        before, after = (RR, 400, 410)[k] * 2, (400, 410, RR)[k] * 2
        expected = [2 * (v - peak) for v in (on, off, *every[:3])]
        expected += [math.log(abs(height) + 5), math.copysign(1, height), before, after]
        expected += [2 * (own[3] - peak), 2 * (own[5] - peak)]
        expected += [2 * usual(marks, r, k, lead, edge) for edge in (0, 2)]
        np.testing.assert_allclose(out[k, lead], expected, atol=1e-3)


def corrected(constant: float, weight: float = 0.0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return marks before and after corrections of a constant plus a weight times the log of the height."""
    x, r, marks = strip()
    by = np.zeros((len(refine.EDGES), 1 + len(refine.TRAITS)))
    by[:, 0], by[:, 6] = constant, weight
    after = marks.copy()
    refine.correct(contour.prefix_sums(x), r, int(r[0]) - RR, int(r[-1]) + RR, FS, by, after)
    return marks, after


def test_a_constant_moves_the_edges_of_leads_alone() -> None:
    before, after = corrected(10.0)
    moved = after - before
    assert (moved[:, 2] == 0).all()
    assert (moved[:, :2, [0, 2, 6, 8]] == 5).all()
    assert (moved[:, :2, [1, 3, 4, 5, 7]] == 0).all()


def test_corrections_are_bounded_and_keep_order() -> None:
    for constant in (1e4, -1e4):
        before, after = corrected(constant)
        assert np.abs(after - before).max() <= refine.MOST_MS * FS / 1000
        assert (np.diff(after[:, :2, [0, 1, 2, 3]], axis=2) >= 0).all()
        assert (np.diff(after[:, :2, [5, 6, 7, 8]], axis=2) >= 0).all()


def test_an_edge_is_compared_with_so_many_beats_on_each_side_and_no_more() -> None:
    x, r = np.zeros((1, 9000), np.float32), 400 + 400 * np.arange(20)
    marks = np.stack([np.stack([at + np.array([-100, -80, -55, -25, 0, 30, 90, 140, 180])] * 2) for at in r])
    marks[10, 0, 8] += 9
    out = np.empty((20, 1, len(refine.TRAITS)))
    refine.traits(contour.prefix_sums(x), r, 0, 8400, FS, marks.astype(np.int64), 6, out)
    near = np.abs(np.arange(20) - 10) <= refine.AROUND
    np.testing.assert_allclose(out[near, 0, -1], np.where(np.arange(20) == 10, -8 * 2.0, 2.0)[near])
    assert not out[~near, 0, -1].any()


def test_the_shipped_coefficients_move_an_edge_by_little() -> None:
    x, r, marks = strip()
    by = refine.coefficients()
    assert by.shape == (len(refine.EDGES), 1 + len(refine.TRAITS))
    after = marks.copy()
    refine.correct(contour.prefix_sums(100 * x), r, int(r[0]) - RR, int(r[-1]) + RR, FS, by, after)
    assert 0 < np.abs(after - marks).max() <= refine.MOST_MS * FS / 1000
