"""Quality: what is off, flat, clipped, missing or noisy is said; what is good is not accused."""

from __future__ import annotations

import math
from dataclasses import replace

import naive_qrs
import numpy as np
import pytest
from feldsher_signal import quality, synth
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

FS = 500.0


def healthy(seconds: float = 10.0) -> NDArray[np.float32]:
    return synth.ecg(synth.Patient(), seconds=seconds, seed=1)[0].microvolts()


def issues(x: NDArray[np.float32], lead: int = 1) -> tuple[bool, tuple[str, ...]]:
    leads = tuple(f"L{k}" for k in range(x.shape[0]))
    found = quality.report(quality.look(x, FS), leads, x.shape[1]).leads[f"L{lead}"]
    return found.usable, found.issues


def test_a_good_recording_has_no_issue() -> None:
    found = quality.report(quality.look(healthy(), FS), synth.ecg(synth.Patient())[0].leads, 5000)
    assert found.usable
    assert found.segments == ()
    assert all(q.usable and q.issues == () for q in found.leads.values())


@pytest.mark.parametrize(
    ("value", "issue"), [(0.0, "flat"), (float("nan"), "missing"), (32000.0, "flat"), (-5000.0, "flat")]
)
def test_a_lead_that_is_off(value: float, issue: str) -> None:
    x = healthy()
    x[1] = value
    usable, found = issues(x)
    assert not usable
    assert found == (issue,)
    assert issues(x, 2) == (True, ())


def test_rail_and_noise() -> None:
    x = healthy()
    x[1, 1200:3000] = 6000
    x[1, 1400:3000:50] = 0
    assert "clipped" in issues(x)[1]
    x[1, 1200:3000] = 6000
    x[1, 1400:3000:400] = 0
    assert "clipped" in issues(x)[1]
    y = healthy()
    y[1] += np.random.default_rng(1).normal(0, 200, 5000).astype(np.float32)
    assert issues(y) == (False, ("noise",))


def test_segments_name_lead_and_samples() -> None:
    x = healthy()
    x[3, 2000:3500] = 0
    x[:, 4000:4500] = np.nan
    seen = quality.look(x, FS)
    found = quality.report(seen, tuple("ABCDEFGHIJKL"), 5000)
    assert [(s.start, s.end, s.lead, s.issues) for s in found.segments] == [
        (2000, 3500, "D", ("flat",)),
        (4000, 4500, "all", ("missing",)),
    ]
    assert seen.blind.tolist() == [False] * 8 + [True, False]


SAMPLES = st.sampled_from([0.0, 1000.0, 5000.0, 5001.0, -4000.0, float("nan")])


@given(st.lists(SAMPLES, min_size=12, max_size=60))
@settings(max_examples=60)
def test_survey(x: list[float]) -> None:
    row, out = np.array([x], np.float32), np.zeros((1, 1, 5))
    quality.survey(row, len(x), 150.0, out)
    known = [v for v in x if not math.isnan(v)]
    assert out[0, 0, quality.MISSING] == pytest.approx(1 - len(known) / len(x))
    assert out[0, 0, quality.RAIL] == pytest.approx(naive_qrs.rail_share(x, 3, quality.CLIPPED_UV))
    assert out[0, 0, quality.LOW] == min(known, default=math.inf)
    assert out[0, 0, quality.HIGH] == max(known, default=-math.inf)
    assert out[0, 0, quality.ROUGH] == pytest.approx(naive_qrs.rough(x, 15, 1), rel=1e-6, abs=1e-3)


def test_where_beats_cannot_be_told_apart_all_leads_are_refused_and_none_is_called_bad() -> None:
    seen = quality.look(healthy(), FS)
    unclear = np.arange(10) >= 7
    found = quality.report(replace(seen, unclear=unclear), tuple("ABCDEFGHIJKL"), 5000)
    assert [(s.start, s.end, s.lead, s.usable, s.issues) for s in found.segments] == [
        (3500, 5000, "all", False, ("unclear",))
    ]
    assert all(q.usable and not q.issues for q in found.leads.values())


@given(st.integers(1, 700), st.floats(100, 2000))
@settings(max_examples=30)
def test_any_length_and_rate(n: int, fs: float) -> None:
    x = np.random.default_rng(n).normal(0, 100, (2, n)).astype(np.float32)
    seen = quality.look(x, fs)
    assert quality.report(seen, ("I", "II"), n).leads.keys() == {"I", "II"}
    assert seen.width * seen.bad.shape[1] >= n
