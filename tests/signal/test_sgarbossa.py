"""Infarction under block or pacing: each criterion at its limit, and only beside a block."""

from __future__ import annotations

import msgspec
import pytest
from feldsher_ehr_core.ecg import LeadMatrix
from feldsher_signal import sgarbossa
from feldsher_signal.conflicts import settle
from feldsher_signal.findings import Verdict
from patients import changed, codes, findings, interpreted, verdict


def judged(leads: dict[str, LeadMatrix], qrs: float = 150.0) -> list[Verdict]:
    f = findings(leads)
    return sgarbossa.judge(findings(leads, msgspec.structs.replace(f.measured, qrs=qrs)))


@pytest.mark.parametrize(
    ("lead", "values", "stated"),
    [
        ("V6", {"qrs_area": 40.0, "j": 130.0}, True),
        ("V6", {"qrs_area": 40.0, "j": 60.0}, False),
        ("V2", {"qrs_area": -40.0, "s": -1500.0, "j": -130.0}, True),
        ("V3", {"qrs_area": -40.0, "s": -1500.0, "j": 450.0}, True),
        ("V3", {"qrs_area": -40.0, "s": -1500.0, "j": 250.0}, False),
        ("V5", {"qrs_area": -40.0, "s": -1500.0, "j": -130.0}, False),
    ],
)
def test_criteria(lead: str, values: dict[str, float], stated: bool) -> None:
    assert verdict(judged({lead: changed(lead, **values)}), "SGARB").stated == stated


def test_where_the_qrs_was_not_followed_to_its_end_nothing_is_its_j_point() -> None:
    # The last wave is highest where the QRS "ends": it goes on.
    cut = {x: changed(x, qrs_area=40.0, j=800.0, rpt_ms=150.0) for x in ("V1", "V2")}
    assert not verdict(judged(cut), "SGARB").stated
    # In a synthetic heart with both chambers driven the end is missed in most leads.
    assert "SGARB" not in codes(interpreted("paced_dual")[2])


def test_two_leads_alarm() -> None:
    two = {x: changed(x, qrs_area=40.0, j=150.0) for x in ("V5", "V6")}
    assert verdict(judged(two), "SGARB").critical


def test_only_beside_a_block() -> None:
    found = judged({"V6": changed("V6", qrs_area=40.0, j=130.0)})
    assert not settle(found)[0].stated
    assert settle([*found, Verdict("CLBBB", 1.0, True)])[0].stated
    assert judged({}, qrs=100.0) == []
