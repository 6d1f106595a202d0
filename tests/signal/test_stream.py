"""A stream cut anywhere gives the bits of the whole, in bounded memory, after a bounded time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import naive_qrs
import numpy as np
import pytest
from feldsher_signal import stream, synth
from feldsher_signal.formats import read
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

REAL = Path(__file__).parents[2].parent / "shared" / "ecg"
TWO = ("II", "V5")


def rhythm(name: str, seconds: float = 35.0) -> NDArray[np.float32]:
    recording, _ = synth.ecg(synth.PRESETS[name], seconds=seconds, fs=250.0, seed=3)
    return np.ascontiguousarray(recording.microvolts()[[1, 10]])


def spoilt() -> NDArray[np.float32]:
    """Return a rhythm with lost samples, a pause, a lead off and a lead that comes back."""
    x = rhythm("ventricular_ectopy", 60.0)
    x[:, 3000:3010] = math.nan
    x[0, 5000:9000] = 12.0
    x[1, 100:3000] = math.nan
    x[:, 11_000:14_500] = x[:, 11_000:11_001]
    return x


def pieces(x: NDArray[np.float32], sizes: Iterator[int], leads: tuple[str, ...], fs: float) -> stream.Traced:
    fed, at, out = stream.Stream(leads, fs), 0, list[stream.Piece]()
    while at < x.shape[1]:
        size = next(sizes)
        out.append(fed.feed(x[:, at : at + size]))
        at += size
    return stream.joined([*out, fed.finish()], fs)


def same(a: stream.Traced, b: stream.Traced) -> None:
    np.testing.assert_array_equal(a.beats.r, b.beats.r)
    np.testing.assert_array_equal(a.beats.marks, b.beats.marks)
    np.testing.assert_array_equal(a.beats.p_like, b.beats.p_like)
    np.testing.assert_array_equal(a.seen.bad, b.seen.bad)
    np.testing.assert_array_equal(a.seen.rough, b.seen.rough)
    np.testing.assert_array_equal(a.seen.unclear, b.seen.unclear)


CASES = {name: rhythm(name) for name in ("normal", "atrial_fibrillation", "noisy")} | {"spoilt": spoilt()}
WHOLE: dict[str, stream.Traced] = {}


@given(st.sampled_from(sorted(CASES)), st.sampled_from([60, 700, 9000]), st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_any_chunks_give_the_same_bits(name: str, most: int, seed: int) -> None:
    x, rng = CASES[name], np.random.default_rng(seed)
    if name not in WHOLE:
        WHOLE[name] = stream.trace(x, TWO, 250.0)
    sizes = iter(lambda: int(rng.integers(1, most + 1)), 0)
    same(pieces(x, sizes, TWO, 250.0), WHOLE[name])


@pytest.mark.parametrize("name", ["mitdb/203", "mitdb/207", "nstdb/118e06"])
def test_a_real_record_in_seconds_is_the_whole(name: str) -> None:
    header = REAL / f"{name}.hea"
    if not header.exists():
        pytest.skip(f"real recordings absent: {header}")
    recording = read(header)
    x = recording.microvolts()[:, 250 * 360 : 480 * 360]
    rng = np.random.default_rng(5)
    whole = stream.trace(x, recording.leads, recording.fs)
    assert whole.beats.r.shape[0] > 200
    same(pieces(x, iter(lambda: int(rng.integers(1, 800)), 0), recording.leads, recording.fs), whole)


@pytest.mark.parametrize("n", [1, 30, 249, 251, 999, 2500])
def test_short_recordings(n: int) -> None:
    x = CASES["normal"][:, :n]
    whole = stream.trace(x, TWO, 250.0)
    assert whole.seen.bad.shape == (2, math.ceil(n / 250), 5)
    same(pieces(x, iter([7] * n), TWO, 250.0), whole)


def test_memory_and_delay_are_bounded() -> None:
    fs, most, late = 250.0, 0, 0.0
    fed = stream.Stream(TWO, fs)
    x = np.concatenate([rhythm("normal", 120.0), np.zeros((2, 250 * 200), np.float32), rhythm("bradycardia", 120.0)], 1)
    given_out = 0
    for a in range(0, x.shape[1], 125):
        piece = fed.feed(x[:, a : a + 125])
        most = max(most, fed.held)
        given_out += piece.beats.r.shape[0]
        if piece.beats.r.shape[0] and a > 30 * fs:
            late = max(late, (a + 125 - piece.beats.r[0]) / fs)
    assert given_out > 195
    # The slowest beat waits for _LOOK + CONTEXT others of the bradycardia.
    assert late < 45
    assert most < 100 * fs


@given(st.lists(st.one_of(st.integers(-50, 50), st.just(math.nan)), max_size=40), st.integers(-5, 5))
def test_hold(x: list[float], last: int) -> None:
    row, state = np.array([x], np.float32), np.array([last], np.float32)
    stream.hold(row, state)
    expected = naive_qrs.held(x, last)
    assert row[0].tolist() == expected
    assert state[0] == (expected[-1] if expected else last)


def test_a_lead_that_fails_is_not_marked_and_another_one_is_shown() -> None:
    traced = stream.trace(spoilt(), TWO, 250.0)
    r, marks = traced.beats.r, traced.beats.marks
    off = (r > 7600) & (r < 8900)
    assert off.any()
    assert (marks[off, 0] < 0).all()
    assert (marks[off, 1, 3] >= 0).mean() > 0.9
