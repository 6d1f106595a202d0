"""Q waves: width, depth, contiguity and territory."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from feldsher_ehr_core.ecg import LeadMatrix, Subject
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


def test_a_child_is_not_judged() -> None:
    assert infarct.judge(findings(q(450, 45, "II", "aVF"), subject=Subject(12, "male"))) == []


def test_two_walls_together() -> None:
    found = infarct.judge(findings(q(450, 45, "II", "III", "aVF", "I", "aVL")))
    assert verdict(found, "ILMI").stated
    assert not verdict(infarct.judge(findings(q(450, 45, "II", "III", "aVF"))), "ILMI").stated


def test_posterior_wall() -> None:
    tall = {"V1": changed("V1", r=900.0, r_ms=48.0, s=-300.0, t=300.0)}
    assert verdict(infarct.judge(findings(tall)), "PMI").stated
    for values in ({"r_ms": 30.0}, {"t": -100.0}, {"s": -1200.0}, {"r2": 300.0}):
        near = {"V1": changed("V1", **{"r": 900.0, "r_ms": 48.0, "s": -300.0, "t": 300.0} | values)}
        assert not verdict(infarct.judge(findings(near)), "PMI").stated


@pytest.mark.parametrize(
    ("st", "t", "phase"), [(0.0, 200.0, "MIOLD"), (150.0, 200.0, "MIACUTE"), (0.0, -200.0, "MIRECENT")]
)
def test_phase(st: float, t: float, phase: str) -> None:
    waves = q(450, 45, "II", "III", "aVF")
    leads = {x: msgspec.structs.replace(m, j=st, st60=st, t=t) for x, m in waves.items()}
    found = infarct.judge(findings(leads))
    assert [v.code for v in found if v.stated] == ["IMI", phase]


def test_notes() -> None:
    poor = {"V2": changed("V2", r=100.0), "V3": changed("V3", r=120.0, s=-900.0)}
    assert verdict(infarct.judge(findings(poor)), "PRWP").stated
    assert not verdict(infarct.judge(findings()), "PRWP").stated
    lung = {"I": changed("I", s=-300.0), "III": changed("III", q=-300.0, t=-150.0)}
    assert verdict(infarct.judge(findings(lung)), "S1Q3T3").stated
    assert not verdict(infarct.judge(findings({"I": lung["I"]})), "S1Q3T3").stated


def test_few_leads_are_not_judged() -> None:
    f = findings()
    one = replace(f, matrix={"II": f.matrix["II"]})
    assert infarct.judge(one) == []
