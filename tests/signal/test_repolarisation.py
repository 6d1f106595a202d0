"""ST depression and T waves, ischaemia by territory."""

from __future__ import annotations

import pytest
from feldsher_ehr_core.ecg import LeadMatrix, Subject
from feldsher_signal import criteria, repolarisation
from feldsher_signal.findings import Findings, Verdict
from patients import changed, codes, findings, interpreted, verdict


def shifted(**st: float) -> dict[str, LeadMatrix]:
    return {lead: changed(lead, j=v, st20=v, st40=v, st60=v, st80=v) for lead, v in st.items()}


def judged(f: Findings, code: str) -> Verdict:
    return verdict(repolarisation.judge(f), code)


def test_healthy() -> None:
    assert [v.code for v in repolarisation.judge(findings()) if v.stated] == []


def test_depression_must_not_rise() -> None:
    assert judged(findings(shifted(V5=-80.0, V6=-80.0)), "STD_").stated
    assert not judged(findings(shifted(V5=-80.0)), "STD_").stated
    rising = {lead: changed(lead, j=-80.0, st20=-40.0, st40=0.0, st60=40.0, st80=80.0) for lead in ("V5", "V6")}
    assert not judged(findings(rising), "STD_").stated


def test_t_waves() -> None:
    inverted = {lead: changed(lead, t=-180.0) for lead in ("V4", "V5", "V6")}
    found = judged(findings(inverted), "INVT")
    assert found.stated
    assert len(found.because) == 3
    flat = {lead: changed(lead, t=30.0) for lead in ("I", "V5", "V6")}
    assert judged(findings(flat), "NDT").stated


def test_a_child_may_have_inverted_t_waves_in_front() -> None:
    inverted = {lead: changed(lead, t=-180.0) for lead in ("V1", "V2", "V3")}
    assert judged(findings(inverted), "INVT").stated
    assert not judged(findings(inverted, subject=Subject(7, "male")), "INVT").stated


def test_depression_in_front_with_tall_r_and_upright_t_points_behind() -> None:
    behind = {x: changed(x, j=-90, st20=-90, st40=-90, st60=-90, st80=-90, r=1200, s=-300) for x in ("V1", "V2", "V3")}
    assert judged(findings(behind), "STPOST").stated
    plain = shifted(V1=-90.0, V2=-90.0, V3=-90.0)
    assert not judged(findings(plain), "STPOST").stated


def test_widespread_depression_with_raised_avr() -> None:
    spread = shifted(I=-120.0, II=-120.0, aVF=-120.0, V4=-120.0, V5=-120.0, V6=-120.0, aVR=130.0)
    assert judged(findings(spread), "STSPREAD").stated
    assert not judged(findings(spread | shifted(aVR=0.0)), "STSPREAD").stated


def test_de_winter() -> None:
    rising = {
        x: changed(x, j=-150, st20=-120, st40=-80, st60=-20, st80=60, t=1100, t_half_ms=120) for x in ("V2", "V3", "V4")
    }
    assert judged(findings(rising | shifted(aVR=90.0)), "DEWINTER").critical
    assert not judged(findings(rising), "DEWINTER").stated


@pytest.mark.parametrize(
    ("leads", "code"),
    [
        (("II", "III", "aVF"), "ISCIN"),
        (("I", "aVL"), "ISCLA"),
        (("V3", "V4"), "ISCAN"),
        (("II", "aVF", "V5", "V6"), "ISCIL"),
    ],
)
def test_ischaemia_by_territory(leads: tuple[str, ...], code: str) -> None:
    low = {x: changed(x, j=-110, st20=-110, st40=-110, st60=-110, st80=-110, t=-250, r=900) for x in leads}
    found = repolarisation.judge(findings(low))
    assert verdict(found, code).score >= 0.5
    assert any(s.code.startswith("ISC") for s in criteria.statements(criteria.verdicts(findings(low))))


def test_depression_and_inversion_apart_are_of_no_territory() -> None:
    f = findings({**shifted(V5=-90.0, V6=-90.0), "aVL": changed("aVL", t=-180.0), "I": changed("I", t=-180.0)})
    assert {"ISC_"} == {v.code for v in criteria.verdicts(f) if v.stated and v.code.startswith("ISC")}


@pytest.mark.parametrize(("name", "expected"), [("st_depression", "STD_"), ("t_inversion", "INVT")])
def test_synthetic_patients(name: str, expected: str) -> None:
    assert expected in codes(interpreted(name)[2])
