"""ST, T and QT: limits by lead, age and sex; withheld where they are missing."""

from __future__ import annotations

import pytest
from feldsher_ehr_core.ecg import LeadMatrix, Measurements, Sex, Subject
from feldsher_signal import repolarisation
from patients import changed, codes, findings, interpreted, verdict


def shifted(**st: float) -> dict[str, LeadMatrix]:
    return {lead: changed(lead, j=v, st20=v, st40=v, st60=v, st80=v) for lead, v in st.items()}


def with_qtc(qtc: float, qrs: float = 90.0) -> Measurements:
    return Measurements(60.0, 160.0, 100.0, qrs, qtc, qtc, qtc, qtc, qtc, 50.0, 40.0, 40.0)


def test_healthy() -> None:
    assert [v.code for v in repolarisation.judge(findings()) if v.stated] == []


@pytest.mark.parametrize(
    ("age", "sex", "limit"), [(40, "male", 200), (39, "male", 250), (39, "female", 150), (80, "female", 150)]
)
def test_limits_of_v2_and_v3(age: int, sex: Sex, limit: float) -> None:
    for value, stated in ((limit - 5, False), (limit, True)):
        f = findings(shifted(V2=value, V3=value), subject=Subject(age, sex))
        assert verdict(repolarisation.judge(f), "STE_").stated == stated


@pytest.mark.parametrize("subject", [Subject(50), Subject(None, "male")])
def test_v2_and_v3_are_withheld_and_others_are_not(subject: Subject) -> None:
    withheld = verdict(repolarisation.judge(findings(shifted(V2=400.0, V3=400.0), subject=subject)), "STE_")
    assert not withheld.stated
    assert any("not judged" in reason for reason in withheld.because)
    assert verdict(repolarisation.judge(findings(shifted(II=120.0, aVF=120.0), subject=subject)), "STE_").stated


def test_one_lead_is_not_enough() -> None:
    assert not verdict(repolarisation.judge(findings(shifted(V5=400.0))), "STE_").stated


def test_infarction_is_alarmed_with_a_reciprocal_depression() -> None:
    alone = repolarisation.judge(findings(shifted(II=250.0, aVF=250.0, III=260.0)))
    assert verdict(alone, "STE_").stated
    assert not verdict(alone, "STEMI").stated
    with_mirror = repolarisation.judge(findings(shifted(II=250.0, aVF=250.0, III=260.0, I=-90.0, aVL=-120.0)))
    assert verdict(with_mirror, "STEMI").critical


def test_depression_must_not_rise() -> None:
    assert verdict(repolarisation.judge(findings(shifted(V5=-80.0, V6=-80.0))), "STD_").stated
    rising = {lead: changed(lead, j=-80.0, st20=-40.0, st40=0.0, st60=40.0, st80=80.0) for lead in ("V5", "V6")}
    assert not verdict(repolarisation.judge(findings(rising)), "STD_").stated


def test_t_waves() -> None:
    inverted = {lead: changed(lead, t=-180.0) for lead in ("V4", "V5", "V6")}
    found = verdict(repolarisation.judge(findings(inverted)), "INVT")
    assert found.stated
    assert len(found.because) == 3
    flat = {lead: changed(lead, t=30.0) for lead in ("I", "V5", "V6")}
    assert verdict(repolarisation.judge(findings(flat)), "NDT").stated


@pytest.mark.parametrize(
    ("qtc", "sex", "qrs", "stated", "critical"),
    [
        (449, "male", 90, False, False),
        (450, "male", 90, True, False),
        (455, "female", 90, False, False),
        (460, "female", 90, True, False),
        (490, "unknown", 90, False, False),
        (505, "unknown", 90, True, True),
        (505, "male", 150, True, False),
        (470, "male", 150, False, False),
    ],
)
def test_long_qt(qtc: float, sex: Sex, qrs: float, stated: bool, critical: bool) -> None:
    f = findings(measured=with_qtc(qtc, qrs), subject=Subject(50, sex))
    found = verdict(repolarisation.judge(f), "LNGQT")
    assert (found.stated, found.critical) == (stated, critical)


def test_short_qt() -> None:
    assert verdict(repolarisation.judge(findings(measured=with_qtc(330))), "SHTQT").stated


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("inferior_stemi", "STEMI"),
        ("anterior_stemi", "STE_"),
        ("st_depression", "STD_"),
        ("t_inversion", "INVT"),
        ("long_qt", "LNGQT"),
    ],
)
def test_synthetic_patients(name: str, expected: str) -> None:
    assert expected in codes(interpreted(name)[2])
