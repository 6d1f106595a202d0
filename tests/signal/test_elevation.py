"""ST elevation: limits by lead, age and sex; withheld where they are missing; infarction and its look-alikes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from feldsher_ehr_core.ecg import LeadMatrix, Sex, Subject
from feldsher_signal import elevation
from feldsher_signal.findings import Findings, Verdict
from patients import changed, codes, findings, interpreted, verdict


def shifted(**st: float) -> dict[str, LeadMatrix]:
    return {lead: changed(lead, j=v, st20=v, st40=v, st60=v, st80=v) for lead, v in st.items()}


def judged(f: Findings, code: str) -> Verdict:
    return verdict(elevation.judge(f), code)


def test_healthy() -> None:
    assert [v.code for v in elevation.judge(findings()) if v.stated] == []


@pytest.mark.parametrize(
    ("age", "sex", "limit"), [(40, "male", 200), (39, "male", 250), (39, "female", 150), (80, "female", 150)]
)
def test_limits_of_v2_and_v3(age: int, sex: Sex, limit: float) -> None:
    for value, stated in ((limit - 5, False), (limit, True)):
        f = findings(shifted(V2=value, V3=value), subject=Subject(age, sex))
        assert judged(f, "STE_").stated == stated


def test_v2_and_v3_are_withheld_from_children_and_others_are_not() -> None:
    withheld = judged(findings(shifted(V2=400.0, V3=400.0), subject=Subject(9, "male")), "STE_")
    assert not withheld.stated
    assert any("not judged" in reason for reason in withheld.because)
    assert judged(findings(shifted(II=120.0, aVF=120.0), subject=Subject(9, "male")), "STE_").stated


@pytest.mark.parametrize(
    ("subject", "limit"),
    [
        (Subject(), 250),
        (Subject(30), 250),
        (Subject(50), 200),
        (Subject(None, "male"), 250),
        (Subject(None, "female"), 150),
    ],
)
def test_without_age_or_sex_v2_and_v3_are_raised_only_over_every_limit(subject: Subject, limit: float) -> None:
    for value, stated in ((limit - 5, False), (limit, True)):
        found = judged(findings(shifted(V2=value, V3=value), subject=subject), "STE_")
        assert found.stated == stated
        assert any("age or sex not given" in reason for reason in found.because) == stated


def test_an_anterior_infarction_is_alarmed_without_age_and_sex() -> None:
    _, _, result = interpreted("anterior_stemi", age=None, sex="unknown")
    assert {"STEMI"} <= codes(result)
    assert "NORM" not in codes(result)


def test_a_lead_that_is_off_hides_no_infarction() -> None:
    whole = findings(shifted(II=260.0, III=260.0, aVF=260.0, aVL=-90.0))
    assert judged(whole, "STEMI").critical
    without = replace(whole, matrix={lead: m for lead, m in whole.matrix.items() if lead not in ("V2", "V6")})
    assert judged(without, "STEMI").critical
    few = replace(whole, matrix={lead: m for lead, m in whole.matrix.items() if lead in ("I", "II", "III")})
    assert elevation.judge(few) == []


def test_one_lead_is_not_enough() -> None:
    assert not judged(findings(shifted(V5=400.0)), "STE_").stated


def test_infarction_is_alarmed_with_a_reciprocal_depression() -> None:
    alone = findings(shifted(II=250.0, aVF=250.0, III=260.0))
    assert judged(alone, "STE_").stated
    assert not judged(alone, "STEMI").stated
    with_mirror = findings(shifted(II=250.0, aVF=250.0, III=260.0, I=-90.0, aVL=-120.0))
    assert judged(with_mirror, "STEMI").critical


def test_a_depression_that_is_no_mirror_image_raises_no_alarm() -> None:
    elsewhere = findings(shifted(II=250.0, aVF=250.0, III=260.0, V5=-90.0, V6=-120.0))
    assert not judged(elsewhere, "STEMI").stated


def test_raised_anterior_leads_alone_need_smiths_sum() -> None:
    tall = {x: changed(x, j=260, st20=260, st40=260, st60=260, st80=260, r=2500) for x in ("V2", "V3", "V4")}
    mirror = shifted(III=-80.0, aVF=-80.0)
    assert not judged(findings(tall | mirror), "STEMI").stated
    low = {x: changed(x, j=260, st20=260, st40=260, st60=260, st80=260, r=150) for x in ("V2", "V3", "V4")}
    assert elevation.smith(findings(low)) > elevation.SMITH
    assert judged(findings(low | mirror), "STEMI").critical


def test_raised_anterior_leads_that_are_small_beside_their_qrs_raise_no_alarm() -> None:
    def front(s: float) -> Findings:
        leads = {x: changed(x, j=260, st20=260, st40=260, st60=260, st80=260, r=150, s=s) for x in ("V2", "V3", "V4")}
        return findings(leads | shifted(III=-80.0, aVF=-80.0))

    assert judged(front(-700.0), "STEMI").critical
    assert not judged(front(-2500.0), "STEMI").stated


def test_elevation_behind_the_heart() -> None:
    f = findings(shifted(V1=-80.0, V2=-80.0))
    back = {lead: LeadMatrix(r=500.0, j=60.0, st60=60.0, t=100.0) for lead in ("V7", "V8")}
    whole = findings({**shifted(V1=-80.0, V2=-80.0), **back})
    assert judged(whole, "STEMI").critical
    assert not judged(f, "STEMI").stated


def raised(j: float, t: float, **more: float) -> dict[str, LeadMatrix]:
    leads = ("I", "II", "aVF", "V2", "V3", "V4", "V5", "V6")
    return {x: changed(x, j=j, st20=j + 10, st40=j + 20, st60=j + 30, st80=j + 45, t=t, **more) for x in leads}


def test_pericarditis() -> None:
    spread = raised(110.0, 300.0) | shifted(aVR=-90.0)
    assert judged(findings(spread), "PERI").stated
    assert not judged(findings(spread | shifted(aVL=-90.0, III=-90.0, V3=-90.0)), "PERI").stated
    assert not judged(findings(raised(110.0, 900.0) | shifted(aVR=-90.0)), "PERI").stated


def test_early_repolarisation() -> None:
    notched = {lead: changed(lead, notch=150.0) for lead in ("II", "aVF")}
    assert judged(findings(notched), "EARLY").stated
    assert not judged(findings({"II": notched["II"]}), "EARLY").stated
    concave = {x: changed(x, j=120, st20=130, st40=150, st60=180, st80=230, t=700) for x in ("V4", "V5")}
    assert judged(findings(concave), "EARLY").stated


def test_what_is_too_high_is_no_early_repolarisation() -> None:
    notched = {lead: changed(lead, notch=150.0) for lead in ("II", "aVF")}
    assert not judged(findings(notched | shifted(V3=320.0)), "EARLY").stated


def coved(t: float, end: float) -> dict[str, LeadMatrix]:
    return {"V1": changed("V1", j=280.0, st20=250.0, st40=210.0, st60=160.0, st80=end, t=t)}


@pytest.mark.parametrize(("t", "end", "stated"), [(-150.0, 110.0, True), (200.0, 110.0, False), (-150.0, 275.0, False)])
def test_brugada_pattern_is_coved_into_a_negative_t(t: float, end: float, stated: bool) -> None:
    assert judged(findings(coved(t, end)), "BRUG1").stated == stated


@pytest.mark.parametrize("name", ["inferior_stemi", "anterior_stemi"])
def test_synthetic_patients(name: str) -> None:
    result = interpreted(name)[2]
    assert {"STEMI", "STE_"} <= codes(result)
    assert "NORM" not in codes(result)
    assert [s.code for s in result.statements if s.critical] == ["STEMI"]
