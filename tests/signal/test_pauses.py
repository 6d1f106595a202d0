"""A pause is believed where nothing in it looks like a beat: small beats, P waves and noise by hand."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_ehr_core.ambulatory import Event
from feldsher_signal import pauses
from feldsher_signal.ambulatory import Found, Stored
from numpy.typing import NDArray

FS = 250
R = np.array([*range(200, 2400, 200), *range(3000, 5200, 200)], np.int64)
GAP = 10
"""The beat before the pause (samples 2200 to 3000)."""


def _wave(x: NDArray[np.float32], at: int, height: float, width: float) -> None:
    x += height * np.exp(-0.5 * ((np.arange(x.size) - at) / width) ** 2)


def _signal(*more: tuple[int, float, float]) -> NDArray[np.float32]:
    """Return beats of 1 mV with P (120 µV) and T (300 µV) waves, and more waves (sample, µV, width in samples)."""
    x = np.zeros(5400, np.float32)
    for r in R:
        _wave(x, int(r), 1000, 3)
        _wave(x, int(r) - 40, 120, 6)
        _wave(x, int(r) + 70, 300, 15)
    for at, height, width in more:
        _wave(x, at, height, width)
    return x


def _source(*rows: NDArray[np.float32]) -> Stored:
    return Stored(np.stack(rows).round().astype(np.int16), ("II", "V5")[: len(rows)], float(FS), (1.0,) * len(rows))


@pytest.mark.parametrize(
    ("more", "hides"),
    [
        ((), False),
        (((2600, 500, 3),), True),
        (((2600, -500, 3),), True),
        (((2500, 150, 6), (2700, 150, 6)), False),  # P waves that are not conducted
        (((2600, 2000, 150),), False),  # slow wander
        (((2600, 400, 6),), False),
    ],
)
def test_what_hides_a_beat(more: tuple[tuple[int, float, float], ...], hides: bool) -> None:
    assert pauses.hides(_source(_signal(*more)), R, GAP) == hides


def test_any_lead_may_show_the_beat() -> None:
    assert pauses.hides(_source(_signal(), _signal((2600, 600, 3))), R, GAP)
    assert not pauses.hides(_source(_signal(), _signal()), R, GAP)


def test_the_doubtful_ones_are_left_out_in_order_of_time() -> None:
    dark, kinds = np.zeros(22, np.bool_), np.full(R.size, ord("N"), np.uint8)
    found = Found(float(FS), 5400, ("II",), R, kinds, np.ones(R.size, np.float32), dark, FS, 90.0)
    both = [Event("pause", 200, 400), Event("pause", 2200, 3000)]
    assert pauses.sure(found, _source(_signal((2600, 500, 3))), both) == both[:1]
    assert pauses.sure(found, _source(_signal()), both) == both


def test_missing_samples_are_no_beat_and_the_recordings_ends_are_borne() -> None:
    held = np.stack([_signal()]).round().astype(np.int16)
    held[0, 2500:2550] = -32768
    source = Stored(held, ("II",), float(FS), (1.0,), missing=-32768)
    assert not pauses.hides(source, R, GAP)
    assert not pauses.hides(_source(_signal()[:3001]), R[:12], GAP)
