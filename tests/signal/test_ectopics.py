"""Made ectopy: plans, and beats that end up where the plan wants them."""

from __future__ import annotations

import ectopics
import numpy as np
import pytest
from numpy.typing import NDArray

FS = 250.0


def _recording(beats: int) -> tuple[NDArray[np.float32], ectopics.Beats]:
    r = 200 + 200 * np.arange(beats)
    t = np.arange(int(r[-1]) + 300)
    x = sum(1000 * np.exp(-0.5 * ((t - at) / 3) ** 2) + 150 * np.exp(-0.5 * ((t - at + 40) / 5) ** 2) for at in r)
    return np.array([x], np.float32), ectopics.Beats(r, r - 55, r - 25)


@pytest.mark.parametrize("pattern", [*ectopics.PATTERNS, *ectopics.NORMAL])
def test_beats_are_moved_to_where_the_plan_wants_them(pattern: str) -> None:
    x, beats = _recording(60)
    rng = np.random.default_rng(3)
    made = ectopics.plan(60, pattern, rng)
    y, r = ectopics.moved(x, FS, beats, made, rng)
    assert made.early.any() == (pattern in ectopics.PATTERNS)
    assert np.isfinite(y).all()
    for at in r:
        near = y[0, at - 20 : at + 21]
        assert abs(int(near.argmax()) - 20) <= 2
    found = np.diff(r) / 200
    np.testing.assert_allclose(found, made.factor[1 : r.shape[0]], rtol=0.035, atol=0.01)


def test_runs_take_the_shapes_of_ventricular_beats() -> None:
    x, beats = _recording(60)
    ventricular = np.zeros(60, np.bool_)
    ventricular[[10, 20, 30]] = True
    x[0, beats.r[10] : beats.r[10] + 40] -= 500
    rng = np.random.default_rng(4)
    made = ectopics.ventricular_runs(ventricular, rng)
    assert set(made.source[made.early].tolist()) <= {10, 20, 30}
    assert not ventricular[made.source[~made.early]].any()
    y, r = ectopics.moved(x, FS, beats, made, rng)
    tenth = next(k for k in range(1, r.shape[0]) if made.source[k] == 10)
    assert y[0, r[tenth] + 20] < -200
