"""The table of accuracy by code: intervals, and what is counted (on hand-made cases); what ludb's words mean."""

from __future__ import annotations

import math

import pytest
from count_positives import ludb_codes
from patients import interpreted
from statements import Judged, by_code, wilson


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"), [(0, 151, 0.0, 2.5), (10, 10, 72.2, 100.0), (5, 10, 23.7, 76.3)]
)
def test_wilson(part: int, whole: int, low: float, high: float) -> None:
    assert wilson(part, whole) == (pytest.approx(low, abs=0.1), pytest.approx(high, abs=0.1))
    assert all(math.isnan(v) for v in wilson(0, 0))


def test_figures_by_code() -> None:
    cases = [
        Judged("1", frozenset({"CRBBB"}), interpreted("rbbb")[2]),
        Judged("2", frozenset({"CRBBB"}), interpreted("normal")[2]),
        Judged("3", frozenset({"NORM"}), interpreted("normal")[2]),
    ]
    found = by_code(cases)
    assert (found["CRBBB"]["positives"], found["CRBBB"]["se"], found["CRBBB"]["sp"]) == (2, 50.0, 100.0)
    assert found["NORM"]["ppv"] == 50.0
    assert found["stated, never given"]["SR"] == "3"


def test_words_of_ludb() -> None:
    row = {
        "Rhythms": "Sinus rhythm",
        "Conduction abnormalities": "I degree av block\nLeft anterior hemiblock",
        "Ischemia": "Stemi: lateral wall\nIschemia: inferior wall",
        "Cardiac pacing": "",
    }
    assert ludb_codes(row) == {"SR", "1AVB", "LAFB", "STEMI", "ISC_"}
