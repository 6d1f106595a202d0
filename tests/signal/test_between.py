"""Between the beats: period and roughness of what lies there, the stretch before each QRS."""

from __future__ import annotations

import math

import numpy as np
import pytest
from feldsher_signal import between
from feldsher_signal.contour import prefix_sums
from feldsher_signal.jit import warm

FS = 500.0


def look(x: list[float]) -> between.Atria:
    warm()
    r = np.arange(400, 5000, 500)
    c = prefix_sums(np.array([x], np.float32))
    return between.look(c, FS, r, r - 20, np.array([0]))


@pytest.mark.parametrize("period", [0.18, 0.22, 0.26])
def test_period_of_flutter_waves(period: float) -> None:
    found = look([80 * math.sin(2 * math.pi * k / FS / period) for k in range(5000)])
    like = found.same[0].sum(axis=0) / found.size[0].sum(axis=0)
    assert found.lag_s[int(like.argmax())] == pytest.approx(period, abs=0.008)
    assert like.max() > 0.8
    assert found.same[0, 0].any() == False  # noqa: E712 - nothing is known before the first beat


def test_stretch_before_the_qrs_is_level() -> None:
    found = look([0.1 * k for k in range(5000)])
    assert np.nanmax(np.abs(found.before)) < 1e-2
    assert np.nanmax(found.rough) < 1e-2
    assert found.qrs[0, 3] == pytest.approx(5.0, abs=0.01)


def test_leads_chosen() -> None:
    leads = ("I", "II", "III", "V1")
    assert between.chosen(leads, np.array([True, True, True, True])).tolist() == [1, 3]
    assert between.chosen(leads, np.array([True, False, False, False])).tolist() == [0]
    assert between.chosen(("ECG",), np.array([True])).tolist() == [0]
    assert between.chosen(leads, np.zeros(4, np.bool_)).size == 0
