"""QRS detection: kernels against their oracles, detections against equations, records and streams."""

from __future__ import annotations

from pathlib import Path

import naive
import numpy as np
import pytest
from feldsher_signal import qrs, synth
from feldsher_signal.formats import marks, read
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scoring import match

REAL = Path(__file__).parents[2].parent / "shared" / "ecg"


def slopes(x: NDArray[np.float32], fs: float, cuts: tuple[int, ...] = ()) -> NDArray[np.float32]:
    """Run the slope kernel over chunks that end at `cuts`."""
    state = np.zeros((x.shape[0], 8))
    state[:, 4:6] = np.nan
    parts: list[NDArray[np.float32]] = []
    for piece in np.split(x, list(cuts), axis=1):
        out = np.empty(piece.shape, np.float32)
        qrs.slopes(np.ascontiguousarray(piece), qrs.sections(fs), state, out)
        parts.append(out)
    return np.concatenate(parts, axis=1)


def peaks(energy: NDArray[np.float32], width: int, hold: int, cuts: tuple[int, ...] = ()) -> list[tuple[int, float]]:
    ring, s = np.zeros(width), np.zeros(5)
    found: list[tuple[int, float]] = []
    for piece in np.split(energy, list(cuts), axis=1):
        at, height = np.empty(piece.shape[1], np.int64), np.empty(piece.shape[1])
        weight = np.ones(energy.shape[0], np.float32)
        count = qrs.candidates(np.ascontiguousarray(piece), weight, ring, s, hold, at, height)
        found += [(int(a), float(h)) for a, h in zip(at[:count], height[:count], strict=True)]
    return found


@given(st.lists(st.one_of(st.floats(-3000, 3000, width=32), st.just(float("nan"))), min_size=1, max_size=60))
@settings(max_examples=40)
def test_slopes(x: list[float]) -> None:
    row = np.array([x], np.float32)
    expected = naive.squared_slopes(row[0], qrs.sections(360.0))
    np.testing.assert_allclose(slopes(row, 360.0)[0], expected, rtol=1e-3, atol=1e-2)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=120), st.integers(1, 12), st.integers(1, 20))
@settings(max_examples=60)
def test_candidates(energy: list[int], width: int, hold: int) -> None:
    row = np.array([energy], np.float32)
    found, expected = peaks(row, width, hold), naive.energy_peaks(row[0], width, hold)
    assert [at for at, _ in found] == [at for at, _ in expected]
    np.testing.assert_allclose([h for _, h in found], [h for _, h in expected], rtol=1e-9)


@given(st.lists(st.integers(1, 2999), max_size=4, unique=True).map(sorted))
@settings(max_examples=15)
def test_chunks_give_the_same_bits(cuts: list[int]) -> None:
    x = synth.ecg(synth.Patient(), seconds=6, seed=4)[0].microvolts()
    whole = slopes(x, 500.0)
    np.testing.assert_array_equal(slopes(x, 500.0, tuple(cuts)), whole)
    assert peaks(whole, 75, 65, tuple(cuts)) == peaks(whole, 75, 65)


@given(st.lists(st.integers(-2000, 2000), min_size=30, max_size=120), st.integers(0, 29))
@settings(max_examples=40)
def test_locate(x: list[int], at: int) -> None:
    row, out = np.array(x, np.float32), np.empty(1, np.int64)
    qrs.locate(row, np.array([at]), 10, 2, 15, out)
    first, last = max(at - 10, 0), min(at + 10, len(x) - 1)
    best = naive.outstanding(row, first, last, 2, 15)

    def by(i: int) -> float:
        return abs(naive.mean(row, max(i - 2, 0), i + 3) - naive.mean(row, max(i - 15, 0), i + 16))

    assert first <= out[0] <= last
    assert by(int(out[0])) == pytest.approx(by(best), rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("fs", [100.0, 250.0, 500.0, 1000.0, 2000.0])
@pytest.mark.parametrize("name", ["normal", "bradycardia", "tachycardia", "lbbb", "ventricular_ectopy", "noisy"])
def test_finds_what_the_equations_say(name: str, fs: float) -> None:
    recording, truth = synth.ecg(synth.PRESETS[name], fs=fs, seed=5)
    x = recording.microvolts()
    for lead_on in (np.full(12, True), np.arange(12) == 1):
        at = qrs.peaks(x[1], fs, qrs.detect(x, fs, lead_on))
        inside = [b.r for b in truth.beats if 0.3 * fs < b.r < recording.n - 0.3 * fs]
        tally = match(at.tolist(), inside, fs, 60)
        assert tally.missed == 0
        assert tally.hits + tally.false <= len(truth.beats) + 1


def test_nothing_is_found_in_nothing() -> None:
    for x in (np.zeros((1, 1)), np.zeros((2, 5000)), np.full((1, 3000), np.nan)):
        assert qrs.detect(x.astype(np.float32), 500.0, np.full(x.shape[0], True)).size == 0
    recording, _ = synth.ecg(synth.Patient())
    assert qrs.detect(recording.microvolts(), 500.0, np.full(12, False)).size == 0


# Traps of MIT-BIH by name: how many errors are allowed in ten minutes (tall P, amplitude jumps, tall T, paced).
TRAPS = {"108": 20, "203": 25, "208": 12, "207": 12, "201": 14, "107": 2, "116": 16}


@pytest.mark.parametrize("name", TRAPS)
def test_named_traps(name: str) -> None:
    header = REAL / "mitdb" / f"{name}.hea"
    if not header.exists():
        pytest.skip(f"real recordings absent: {header}")
    recording = read(header)
    end = round(600 * recording.fs)
    x = recording.microvolts()[:1, :end]
    found = qrs.peaks(x[0], recording.fs, qrs.detect(x, recording.fs, np.full(1, True)))
    marked = [m for m in marks.read(header.with_suffix(".atr")) if m.at < end]
    # Ventricular flutter (207) holds no beats to score: EC57.
    flutter = [m.at for m in marked if m.symbol in "[]"]

    def scored(at: int) -> bool:
        return sum(edge <= at for edge in flutter) % 2 == 0

    reference = [m.at for m in marks.beats(marked) if scored(m.at)]
    tally = match([at for at in found.tolist() if scored(at)], reference, recording.fs)
    assert tally.missed + tally.false <= TRAPS[name]
