"""Q waves: width, depth, contiguity and territory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from feldsher_ehr_core.ecg import LeadMatrix
from feldsher_signal import infarct
from patients import HEALTHY, changed, findings, verdict


def q(depth: float, ms: float, *leads: str, r: float | None = None) -> dict[str, LeadMatrix]:
    return {lead: changed(lead, q=-depth, q_ms=ms, r=HEALTHY[lead].r if r is None else r, s=0.0) for lead in leads}


def test_healthy() -> None:
    assert [v.code for v in infarct.judge(findings()) if v.stated] == []


@pytest.mark.parametrize(
    ("leads", "code"),
    [
        (("II", "III", "aVF"), "IMI"),
        (("I", "aVL"), "LMI"),
        (("V4", "V5"), "ALMI"),
        (("V2", "V3"), "ASMI"),
    ],
)
def test_territories(leads: tuple[str, ...], code: str) -> None:
    found = verdict(infarct.judge(findings(q(450, 45, *leads))), code)
    assert found.stated
    assert found.because


@pytest.mark.parametrize(("depth", "ms"), [(40, 45), (450, 18)])
def test_small_or_short_q_waves_are_normal(depth: float, ms: float) -> None:
    found = infarct.judge(findings(q(depth, ms, "II", "aVF", "III")))
    assert not any(v.stated for v in found)


def test_iii_alone_is_normal() -> None:
    assert not any(v.stated for v in infarct.judge(findings(q(500, 45, "III"))))


def test_qs_counts() -> None:
    assert verdict(infarct.judge(findings(q(800, 70, "V2", "V3", r=0.0))), "ASMI").stated


def test_a_single_q_wave_is_named_as_such() -> None:
    found = infarct.judge(findings(q(500, 45, "V5")))
    assert [v.code for v in found if v.stated] == ["QWAVE"]


def test_few_leads_are_not_judged() -> None:
    f = findings()
    one = replace(f, matrix={"II": f.matrix["II"]})
    assert infarct.judge(one) == []
