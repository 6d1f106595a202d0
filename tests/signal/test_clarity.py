"""Clean beats and clean ectopy are clear, noise of the QRS's size is not, silence is."""

from __future__ import annotations

import naive_qrs
import numpy as np
import pytest
from feldsher_signal import clarity, synth
from feldsher_signal.stream import trace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

RNG = np.random.default_rng(7)


@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=20)
def test_likeness(beats: int, leads: int, seed: int) -> None:
    shape = np.random.default_rng(seed).normal(0, 100, (beats, leads, 15)).astype(np.float32)
    out = np.zeros((beats, leads))
    clarity.likeness(shape, out)
    np.testing.assert_allclose(out, naive_qrs.likeness(shape, clarity.NEIGHBOURS, clarity.SHIFTS), atol=1e-5)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 100), st.booleans()), max_size=40, unique_by=lambda p: p[0])
)
@settings(max_examples=40)
def test_doubts(found: list[tuple[int, int, bool]]) -> None:
    found.sort()
    beats = [(at, float(h), 1.0 - h / 500) for at, h, beat in found if beat]
    peaks = [(at, float(h)) for at, h, _ in found]
    out = np.empty(6)
    clarity.doubts(
        np.array([at for at, _, _ in beats], np.int64),
        np.array([h for _, h, _ in beats], np.float64),
        np.array([[like] for _, _, like in beats], np.float64).reshape(-1, 1),
        np.array([at for at, _ in peaks], np.int64),
        np.array([h for _, h in peaks], np.float64),
        500,
        out,
    )
    spans = [((k - clarity.BEFORE_S) * 500, (k + clarity.AFTER_S) * 500) for k in range(6)]
    np.testing.assert_allclose(out, [naive_qrs.doubt(beats, peaks, a, b) for a, b in spans], rtol=1e-9)


def refused(x: NDArray[np.float32]) -> NDArray[np.bool_]:
    return trace(x, ("II",), 500.0).seen.unclear


@pytest.mark.parametrize("name", ["normal", "ventricular_ectopy", "bigeminy", "atrial_fibrillation", "paced", "lbbb"])
def test_clean_rhythms_are_clear(name: str) -> None:
    x = synth.ecg(synth.PRESETS[name], seconds=30, seed=2)[0].microvolts()[1:2]
    assert not refused(x).any()


def test_noise_as_large_as_the_qrs_is_refused_and_silence_is_not() -> None:
    x = synth.ecg(synth.Patient(), seconds=60, seed=2)[0].microvolts()[1:2].copy()
    # Slow noise of the height of a QRS, as electrode motion makes it.
    noise = np.convolve(RNG.normal(0, 1, 9100), np.ones(20) / 20, "same")[:9000]
    x[0, 10_000:19_000] += (500 * noise / noise.std()).astype(np.float32)
    seen = refused(x)
    assert seen[24:34].all()
    assert not seen[:14].any()
    assert not seen[46:].any()
    quiet = synth.ecg(synth.Patient(), seconds=60, seed=2)[0].microvolts()[1:2].copy()
    quiet[0, 15_000:25_000] = RNG.normal(0, 5, 10_000)
    assert not refused(quiet).any()
