"""Fast and regular without P waves: narrow or wide."""

from __future__ import annotations

from feldsher_ehr_core.ecg import Measurements
from feldsher_signal import rhythm
from patients import findings, verdict


def test_narrow_and_wide() -> None:
    narrow = rhythm.judge(findings(rr=(170,) * 30, p_like=0.1))
    assert verdict(narrow, "SVTAC").stated
    assert not verdict(narrow, "WCT").stated
    wide = findings(rr=(170,) * 30, p_like=0.1, measured=Measurements(176.0, None, None, 160.0))
    assert verdict(rhythm.judge(wide), "WCT").critical


def test_p_waves_or_a_slower_rate_are_not() -> None:
    for f in (findings(rr=(170,) * 30), findings(rr=(260,) * 30, p_like=0.1)):
        assert not verdict(rhythm.judge(f), "SVTAC").stated


def test_alarmed_where_a_sinus_tachycardia_is() -> None:
    for rr, alarmed in ((195, True), (205, False)):
        assert verdict(rhythm.judge(findings(rr=(rr,) * 30, p_like=0.1)), "SVTAC").critical == alarmed
