"""Leads are weighed by how they do, and joined so that one alone does not make a beat."""

from __future__ import annotations

import naive_qrs
import numpy as np
import pytest
from feldsher_signal import leads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

WIDTH = 4


def learned(slope: NDArray[np.float32]) -> NDArray[np.float64]:
    state, s = np.zeros((2, slope.shape[0])), np.zeros(2)
    leads.learn(slope, slope.shape[1], WIDTH, np.zeros((slope.shape[0], leads.PIECES)), state, s)
    assert s[leads.LEARNED] == slope.shape[1]
    return state


@given(st.lists(st.lists(st.integers(0, 100), min_size=3 * WIDTH, max_size=3 * WIDTH), min_size=1, max_size=3))
@settings(max_examples=40)
def test_weights(rows: list[list[int]]) -> None:
    slope = np.array(rows, np.float32)
    state = learned(slope)
    weight, gain = naive_qrs.weights(slope.astype(float) ** 2, WIDTH, leads.MOST, leads.HIGH_PART)
    np.testing.assert_allclose(state[leads.WEIGHT], weight, rtol=1e-9)
    np.testing.assert_allclose(state[leads.GAIN], gain, rtol=1e-9)
    energy, on = np.arange(1.0, 1.0 + len(rows)), np.array([k != 1 for k in range(len(rows))])
    expected = naive_qrs.together(energy.tolist(), on.tolist(), weight, gain)
    assert joined(energy, on, state) == pytest.approx(expected, rel=1e-9)


def joined(energy: NDArray[np.float64], on: NDArray[np.bool_], state: NDArray[np.float64]) -> float:
    return leads.together(energy, on, state)


def test_an_artefact_of_one_lead_is_less_than_a_beat_of_both() -> None:
    state = np.array([[0.5, 0.5], [1.0, 1.0]])
    on = np.array([True, True])
    beat, artefact = joined(np.array([1.0, 1.0]), on, state), joined(np.array([4.0, 0.001]), on, state)
    assert beat == pytest.approx(1.0)
    assert artefact < 0.25
    assert joined(np.array([4.0, 0.001]), np.array([False, True]), state) == pytest.approx(0.001)
    assert joined(np.array([4.0, 0.001]), np.array([False, False]), state) == 0.0
