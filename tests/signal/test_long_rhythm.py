"""Rhythm of a long recording: stretches are where they are, ectopy is no fibrillation."""

from __future__ import annotations

import itertools

import pytest
from days import joined
from feldsher_signal import long_rhythm
from feldsher_signal.ambulatory import Whole, find


def _spans(*parts: tuple[str, int]) -> list[tuple[float, float, str]]:
    recording, _ = joined(*parts)
    found = find(Whole(recording))
    return [(span.start / 250, span.end / 250, span.code) for span in long_rhythm.spans(found)]


def test_fibrillation_is_found_where_it_is() -> None:
    spans = _spans(("normal", 300), ("atrial_fibrillation", 240), ("normal", 300))
    seconds = sum(b - a for a, b, code in spans if code == "AFIB")
    inside = sum(max(min(b, 540) - max(a, 300), 0) for a, b, code in spans if code == "AFIB")
    assert inside > 200
    assert seconds - inside < 45
    assert spans[0][0] == 0
    assert spans[-1][1] == pytest.approx(840)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))


@pytest.mark.parametrize("name", ["ventricular_ectopy", "bigeminy", "sinus_arrhythmia", "atrial_ectopy"])
def test_ectopy_is_no_fibrillation(name: str) -> None:
    spans = _spans((name, 600))
    assert sum(b - a for a, b, code in spans if code == "AFIB") < 30


@pytest.mark.parametrize(("name", "code"), [("bradycardia", "SBRAD"), ("tachycardia", "STACH"), ("normal", "SR")])
def test_basic_rhythm_by_rate(name: str, code: str) -> None:
    spans = _spans((name, 300))
    assert max(spans, key=lambda span: span[1] - span[0])[2] == code
