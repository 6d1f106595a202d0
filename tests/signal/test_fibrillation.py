"""Fibrillation: the kernel against its slow twin, windows, episodes, and what is said of the reasons."""

from __future__ import annotations

import naive_rhythm
import numpy as np
import pytest
from feldsher_signal import fibrillation
from feldsher_signal.between import Atria
from feldsher_signal.fibrillation import Chance, Known


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_features_as_the_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    beats, fs = 60, 500.0
    r = np.cumsum(rng.integers(250, 600, beats))
    on = r - rng.integers(15, 25, beats)
    early, seen = rng.random(beats) < 0.2, rng.random(beats) < 0.5
    wide = early & (rng.random(beats) < 0.5)
    like, unclear = rng.uniform(-1, 1, beats), rng.random(beats) < 0.3
    atria = Atria(
        rng.normal(0, 50, (2, beats, 25)),
        rng.normal(0, 1, (2, beats, 19)),
        rng.uniform(1, 2, (2, beats, 19)),
        rng.uniform(1, 9, (2, beats)),
        rng.uniform(500, 900, (2, beats)),
        np.arange(19, dtype=np.float64) * 0.008,
    )
    at = np.array([[0, 30], [12, 42], [30, 60], [0, 60]])
    found = fibrillation.features(at, Known(fs, r, on, early, wide, unclear, like, seen, atria))
    rr, change = np.zeros(beats), np.zeros(beats)
    rr[1:] = np.diff(r) / fs
    change[2:] = np.minimum(np.abs(np.diff(r, 2)), np.abs(np.diff(on, 2))) / fs
    for (first, last), row in zip(at.tolist(), found, strict=True):
        expected = naive_rhythm.row(first, last, rr, change, early, wide, unclear, like, seen, atria)
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("beats", [0, 5, 6, 130, 131, 400])
def test_windows_cover_every_beat(beats: int) -> None:
    at = fibrillation.windows(beats)
    assert (at.shape[0] == 0) == (beats < fibrillation.LEAST_BEATS)
    assert {k for a, b in at.tolist() for k in range(a, b)} == (set(range(beats)) if at.shape[0] else set())
    assert all(b - a == (beats if beats <= fibrillation.WHOLE_BEATS else 30) for a, b in at.tolist())


def test_episodes() -> None:
    beat = np.zeros(100)
    beat[10:40] = 0.3
    beat[20:25] = 0.9
    beat[45:60] = 0.5
    beat[80:95] = 0.35
    none = np.empty((0, len(fibrillation.FEATURES)))
    # The gap of five beats is passed over; what never reaches STATED is no episode.
    assert Chance(beat, 0.9, none).spans() == [(10, 60)]
    assert Chance(np.where(np.arange(100) < 4, 0.9, 0.0), 0.9, none).spans() == []


def test_score_is_half_at_the_limit() -> None:
    assert fibrillation.score(fibrillation.STATED) == pytest.approx(0.5)
    assert fibrillation.score(0.1) < fibrillation.score(0.2) < 0.5 < fibrillation.score(0.8)


def test_reasons_are_numbers_of_the_likeliest_window() -> None:
    rng = np.random.default_rng(4)
    r = np.cumsum(rng.integers(250, 600, 40))
    none = np.zeros(40, np.bool_)
    found = fibrillation.chance(Known(500.0, r, np.full(40, -1), none, none, none, np.zeros(40), none, Atria.none(40)))
    said = fibrillation.because(found)
    assert said[0] == f"probability {100 * found.most:.0f} % (learned)"
    assert 2 <= len(said) <= 4
