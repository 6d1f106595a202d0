"""Beat classes: groups by shape, prematurity, and the whole on synthetic patients."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_signal import beats
from hypothesis import given, settings
from hypothesis import strategies as st
from patients import interpreted

FS = 500.0


def test_groups_by_shape() -> None:
    rng = np.random.default_rng(2)
    shape = np.exp(-0.5 * ((np.arange(120) - 50) / 6) ** 2)
    other = np.exp(-0.5 * ((np.arange(120) - 60) / 25) ** 2) - 0.7 * np.exp(-0.5 * ((np.arange(120) - 90) / 12) ** 2)
    kinds = [0, 0, 1, 0, 1, 1, 0, 0]
    x = rng.normal(0, 5, (1, 8 * 400 + 400)).astype(np.float32)
    r = np.array([300 + 400 * k for k in range(8)])
    for at, kind in zip(r, kinds, strict=True):
        x[0, at - 50 : at + 70] += (900 * (other if kind else shape)).astype(np.float32)
    # Jitter of a few samples must not split a group.
    label, like = beats.groups(x, np.array([True]), r + rng.integers(-4, 5, 8), FS)
    assert label.tolist() == kinds
    np.testing.assert_allclose(np.diag(like), 1)
    assert like[0, 1] < beats.UNLIKE


@given(st.lists(st.integers(100, 1000), min_size=2, max_size=60))
@settings(max_examples=40)
def test_earliness_is_the_interval_over_the_median_around(rr: list[int]) -> None:
    r = np.cumsum([0, *rr])
    found = beats.earliness(r)
    reach = min(beats.USUAL_BEATS, len(rr) - 1)
    assert found[0] == 1
    for k, interval in enumerate(rr):
        # Beyond the ends the series is mirrored.
        around = [rr[abs(j) if j < len(rr) else 2 * (len(rr) - 1) - j] for j in range(k - reach, k + reach + 1)]
        assert found[k + 1] == pytest.approx(interval / np.median(around))


def test_early_alike_is_supraventricular_and_early_unlike_wide_is_ventricular() -> None:
    r = np.cumsum([200, *[400] * 5, 280, *[400] * 4, 250, 550, *[400] * 3])
    label, width, p = np.zeros(r.size, np.int64), np.full(r.size, 90.0), np.full(r.size, 0.9)
    label[11], width[11], p[11] = 1, 150.0, -0.2
    like = np.array([[1.0, 0.2], [0.2, 1.0]])
    kinds, usual = beats.classify(r, label, like, width, p)
    assert usual == 0
    assert "".join(kinds) == "NNNNNNSNNNNVNNNN"


def test_wide_complexes_led_by_p_waves_in_time_stay_normal() -> None:
    # Intermittent pre-excitation or bundle branch block: MIT-BIH 230.
    r = np.cumsum([400] * 20)
    label = np.arange(20) % 2
    width, p = np.where(label == 1, 150.0, 90.0), np.full(20, 0.9)
    kinds, _ = beats.classify(r, label, np.array([[1.0, 0.3], [0.3, 1.0]]), width, p)
    assert set(kinds) == {"N"}


def test_none() -> None:
    empty = np.empty(0, np.int64)
    assert beats.classify(empty, empty, np.ones((1, 1)), np.empty(0), np.empty(0)) == ([], 0)


@pytest.mark.parametrize("name", ["normal", "lbbb", "ventricular_ectopy", "bigeminy", "noisy"])
def test_synthetic_patients(name: str) -> None:
    _, truth, result = interpreted(name)
    said = {b.r: b.kind for b in result.beats}
    for beat in truth.beats:
        assert said[min(said, key=lambda r, at=beat.r: abs(r - at))] == beat.kind
