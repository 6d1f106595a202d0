"""The envelope against its difference equation, cut anywhere, at any rate."""

from __future__ import annotations

import naive_qrs
import numpy as np
import pytest
from feldsher_signal import envelope, filters, synth
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

QUARTERS = st.integers(-12_000, 12_000).map(lambda v: v / 4)


def cut(x: NDArray[np.float32], fs: float, cuts: list[int]) -> NDArray[np.float32]:
    found = envelope.Envelope(x.shape[0], fs)
    return np.concatenate([found.feed(piece) for piece in np.split(x, cuts, axis=1)], axis=1)


@given(st.lists(st.one_of(QUARTERS, st.just(float("nan"))), max_size=120), st.sampled_from([100.0, 360.0, 500.0]))
@settings(max_examples=40)
def test_slopes(x: list[float], fs: float) -> None:
    rate = fs / envelope.step_of(fs)
    sections = filters.sections_of(filters.highpass(envelope.LOW_HZ, rate), filters.lowpass(envelope.HIGH_HZ, rate))
    expected = naive_qrs.slopes(x, envelope.step_of(fs), sections)
    found = cut(np.array([x], np.float32), fs, [])
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-2)


@given(st.lists(st.integers(0, 3000), max_size=6).map(sorted))
@settings(max_examples=20)
def test_cut_anywhere_gives_the_same_bits(cuts: list[int]) -> None:
    x = np.rint(synth.ecg(synth.Patient(), seconds=6, seed=4)[0].microvolts())
    np.testing.assert_array_equal(cut(x, 500.0, cuts), cut(x, 500.0, []))


@pytest.mark.parametrize(("fs", "step"), [(100.0, 1), (250.0, 2), (360.0, 3), (500.0, 4), (2000.0, 17)])
def test_steps(fs: float, step: int) -> None:
    assert envelope.step_of(fs) == step
