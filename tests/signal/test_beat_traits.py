"""The traits of beats: medians of groups against an oracle, and what traits mean on made-up beats."""

from __future__ import annotations

import naive_beat_traits as naive
import numpy as np
import pytest
from feldsher_signal import beat_columns, beat_traits, complexes

FS = 250.0
AT = {name: k for k, name in enumerate(beat_columns.NAMES)}


def test_group_medians() -> None:
    rng = np.random.default_rng(1)
    table, label = rng.normal(0, 1, (30, 7)), rng.integers(0, 4, 30)
    expected = naive.group_medians(table, label.tolist(), [0, 3])
    first = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=4))])
    beat_traits.group_medians(table, np.argsort(label, kind="stable"), first, np.array([0, 3]), 5)
    np.testing.assert_allclose(table[:, 5:], expected)


def _signal(r: np.ndarray, wide: set[int], no_p: set[int], n: int) -> np.ndarray:
    """Return µV of beats with P, QRS and T; wide ones are another shape."""
    t = np.arange(n)
    x = np.zeros((1, n))
    for k, at in enumerate(r):
        if k not in no_p:
            x[0] += 120 * np.exp(-0.5 * ((t - at + 0.16 * FS) / (0.02 * FS)) ** 2)
        width = 0.045 if k in wide else 0.012
        x[0] += (1400 if k in wide else 1000) * np.exp(-0.5 * ((t - at) / (width * FS)) ** 2)
        x[0] += (-400 if k in wide else 250) * np.exp(-0.5 * ((t - at - 0.28 * FS) / (0.04 * FS)) ** 2)
    return (x + np.random.default_rng(0).normal(0, 4, x.shape)).astype(np.float32)


def _table(r: np.ndarray, wide: set[int], no_p: set[int]) -> np.ndarray:
    x = _signal(r, wide, no_p, int(r[-1] + 300))
    found = complexes.groups(x, ("II",), np.array([True]), r, FS)
    width = np.array([150.0 if k in wide else 90.0 for k in range(r.shape[0])])
    table = beat_traits.clock(found, np.ones((len(r),)))
    beat_traits.fill(table, found, int(found.label[1]), width)
    return table


def test_a_premature_wide_beat_without_p_wave_stands_out() -> None:
    r = np.cumsum([200, *[200] * 9, 130, 270, *[200] * 9])
    table = _table(r, {10}, {10})
    odd, plain = table[10], table[5]
    assert odd[AT["early"]] == pytest.approx(0.65, abs=0.02)
    assert odd[AT["late"]] == pytest.approx(1.35, abs=0.02)
    assert odd[AT["sum"]] == pytest.approx(1.0, abs=0.02)
    assert table[11, AT["before_early"]] == odd[AT["early"]]
    assert odd[AT["corr"]] < 0.8 < 0.98 < plain[AT["corr"]]
    assert odd[AT["scale_rel"]] > 1.5
    assert plain[AT["scale_rel"]] == pytest.approx(1, abs=0.1)
    assert odd[AT["p_raw"]] < 0.6 < 0.9 < plain[AT["p_raw"]]
    assert odd[AT["concord"]] < -0.5 < 0.5 < plain[AT["concord"]]
    assert odd[AT["width_rel"]] == 60
    assert odd[AT["usual"]] == 0
    assert plain[AT["usual"]] == 1
    assert odd[AT["corr_prev"]] == table[9, AT["corr_next"]] < 0.9
    assert np.isfinite(table).all()


def test_the_p_wave_of_an_early_beat_is_found_under_the_t_wave_before() -> None:
    r = np.cumsum([200, *[200] * 14, 110, 210, *[200] * 8])
    early = _table(r, set(), set())[15]
    assert early[AT["p_corr"]] > early[AT["p_raw"]]
    assert early[AT["p_corr"]] > 0.8


def test_a_run_makes_its_own_rate_usual_around_it_but_not_the_patients() -> None:
    # 60 beats of a run at 0.8 of the patient's own interval.
    r = np.cumsum([200, *[200] * 30, *[160] * 60, *[200] * 30])
    table = _table(r, set(range(31, 91)), set(range(31, 91)))
    assert table[60, AT["early"]] == pytest.approx(1.0, abs=0.02)
    assert table[60, AT["early_usual"]] == pytest.approx(0.8, abs=0.02)
    assert table[60, AT["near_usual"]] == 0
    assert table[15, AT["near_usual"]] == 1
    assert table[30, AT["after_corr"]] == table[31, AT["corr"]] < 0.9
    assert table[32, AT["before_corr"]] == table[31, AT["corr"]]
