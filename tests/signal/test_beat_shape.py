"""The traits of shape: mean beats, correlations lead by lead and noise before the QRS against oracles."""

from __future__ import annotations

import naive_beat_traits as naive
import numpy as np
from feldsher_signal import beat_columns, beat_shape
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=20)
@given(st.lists(st.integers(5, 60), min_size=3, max_size=8), st.integers(0, 10_000))
def test_means_leave_the_next_beat_out(gaps: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = np.cumsum(gaps).tolist()
    y, label = rng.normal(0, 1, (2, at[-1] + 4)), rng.integers(0, 2, len(at)).tolist()
    out, number = np.zeros((2, 2, 30)), np.zeros((2, 30))
    beat_shape.means(y, np.array(at), np.array(label), 10, 4, out, number)
    expected = naive.means(y, at, label, 10, 4, 30)
    np.testing.assert_allclose(out[: expected.shape[0]], expected, atol=1e-12)


def test_the_correlation_with_the_usual_complex_is_the_best_over_shifts() -> None:
    rng = np.random.default_rng(4)
    y = rng.normal(0, 1, (1, 400)).cumsum(axis=1)
    at, label, out = np.array([120, 220, 320]), np.zeros(3, np.int64), np.ones((3, len(beat_columns.NAMES)))
    mean, number = rng.normal(0, 1, (1, 1, 105)).cumsum(axis=2), np.zeros((1, 105))
    # No beat is followed: none is in time.
    out[:, beat_columns.EARLY] = 0.5
    beat_shape.forms(y, at, label, 0, mean, number, np.array([15, 20, 40, 31, 9, 20]), 8.0, out)
    expected = [naive.best_correlation(y[0, a - 15 : a + 20], mean[0, 0], 25, 3) for a in at.tolist()]
    np.testing.assert_allclose(out[:, beat_columns.CORR], expected, atol=1e-9)
