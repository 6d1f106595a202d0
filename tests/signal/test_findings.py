"""Grades and contiguous leads."""

from __future__ import annotations

from dataclasses import replace

from feldsher_ehr_core.ecg import LeadQuality, Quality
from feldsher_signal.findings import grade, neighbours, noisy
from hypothesis import given
from hypothesis import strategies as st
from patients import LEADS, findings


@given(st.floats(-1e6, 1e6), st.floats(-1e3, 1e3), st.floats(0.1, 100))
def test_grade_is_a_half_at_the_limit_and_rises(value: float, limit: float, width: float) -> None:
    assert grade(limit, limit, width) == 0.5
    assert 0 <= grade(value, limit, width) <= 1
    assert (grade(value, limit, width) >= 0.5) == (value >= limit) or abs(value - limit) < 1e-9 * width
    assert grade(None, limit, width) == 0


def test_contiguous() -> None:
    limit: dict[str, float] = dict.fromkeys(("aVL", "I", "-aVR", "II", "aVF", "III", "V1", "V2", "V3"), 100.0)
    assert neighbours({"II": 150, "aVF": 120, "V1": 300}, limit) == (1.2, ("II", "aVF"))
    # II and III are not neighbours, nor are limb and chest leads.
    assert neighbours({"II": 150, "III": 150, "V1": 200}, limit) == (0.0, ())
    assert neighbours({"V2": 90, "V3": 300}, limit) == (0.9, ())


def test_share_of_p_waves_counts_normal_beats() -> None:
    f = findings(kinds="NNNNNNVNNNNNN")
    assert f.p_share == 1
    assert findings(p_like=0.1).p_share == 0
    assert f.twelve


def test_one_noisy_lead_of_twelve_silences_nothing() -> None:
    for bad, silent in ((0, False), (1, False), (5, False), (6, True), (12, True)):
        leads = {lead: LeadQuality(True, ("noise",) if k < bad else ()) for k, lead in enumerate(LEADS)}
        assert noisy(replace(findings(), quality=Quality(True, leads))) == silent
    alone = Quality(True, {"II": LeadQuality(True, ("noise",))})
    assert noisy(replace(findings(), leads=("II",), quality=alone))
