"""The traits of time: quantiles of neighbourhoods and usual intervals against oracles, restlessness."""

from __future__ import annotations

import naive_beat_traits as naive
import numpy as np
from feldsher_signal import beat_columns, beat_timing, beat_traits, complexes
from hypothesis import given, settings
from hypothesis import strategies as st

FS = 250.0
AT = {name: k for k, name in enumerate(beat_columns.NAMES)}


@settings(max_examples=40)
@given(st.lists(st.floats(0.25, 3.0, width=16), min_size=1, max_size=50), st.sampled_from([0.5, 0.8]))
def test_around_is_the_quantile_of_the_neighbourhood(values: list[float], part: float) -> None:
    out = np.empty(len(values))
    beat_timing.around(np.array(values), 5, part, out)
    np.testing.assert_allclose(out, naive.around(values, 5, part), rtol=1e-12)


@settings(max_examples=30)
@given(st.lists(st.floats(0.25, 3.0, width=16), min_size=2, max_size=60), st.integers(0, 10_000))
def test_intervals_against_those_between_usual_beats(intervals: list[float], seed: int) -> None:
    rr, rng = np.array(intervals), np.random.default_rng(seed)
    usual: np.ndarray[tuple[int], np.dtype[np.bool_]] = rng.random((rr.shape[0] + 1,)) < 0.7
    out = np.zeros((rr.shape[0] + 1, len(beat_columns.NAMES)))
    beat_timing.times(rr, np.zeros((rr.shape[0] + 1,)), out)
    expected = naive.early_usual(intervals, usual.tolist(), out[:, AT["early"]].tolist())
    beat_timing.against_usual(rr, usual, out)
    np.testing.assert_allclose(out[:, AT["early_usual"]], expected, rtol=1e-12)
    assert np.isfinite(out).all()


def test_restless_only_where_intervals_change() -> None:
    rng = np.random.default_rng(3)
    steady, restless = np.cumsum(rng.integers(198, 203, 60)), np.cumsum(rng.integers(120, 280, 60))
    for r, low, high in ((steady, 0.0, 0.02), (restless, 0.15, 0.6)):
        found = complexes.Complexes(np.zeros((1, 1)), FS, r, np.zeros(60, np.int64), np.ones(60), 1)
        now = beat_traits.clock(found, np.ones(60))
        assert low <= np.median(now[:, AT["restless"]]) < high
        assert low <= np.median(now[:, AT["restless_now"]]) < high
