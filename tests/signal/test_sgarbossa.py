"""Infarction under block or pacing: each criterion at its limit, and only beside a block."""

from __future__ import annotations

import msgspec
import pytest
from feldsher_ehr_core.ecg import LeadMatrix
from feldsher_signal import sgarbossa
from feldsher_signal.conflicts import settle
from feldsher_signal.findings import Verdict
from patients import changed, findings, verdict


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


def test_two_leads_alarm() -> None:
    two = {x: changed(x, qrs_area=40.0, j=150.0) for x in ("V5", "V6")}
    assert verdict(judged(two), "SGARB").critical


def test_only_beside_a_block() -> None:
    found = judged({"V6": changed("V6", qrs_area=40.0, j=130.0)})
    assert not settle(found)[0].stated
    assert settle([*found, Verdict("CLBBB", 1.0, True)])[0].stated
    assert judged({}, qrs=100.0) == []
