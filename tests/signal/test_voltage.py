"""Voltage: each index at its limit, and what is withheld without age or sex."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from feldsher_ehr_core.ecg import LeadMatrix, Sex, Subject
from feldsher_signal import voltage
from feldsher_signal.findings import Findings
from patients import HEALTHY, changed, codes, findings, interpreted, verdict


def tall(**amplitudes: float) -> dict[str, LeadMatrix]:
    return {lead: changed(lead, **{"s" if value < 0 else "r": value}) for lead, value in amplitudes.items()}


@pytest.mark.parametrize(
    ("age", "v5", "stated"), [(50, 2300.0, False), (50, 2800.0, True), (25, 2800.0, False), (None, 3500.0, False)]
)
def test_sokolow_lyon(age: int | None, v5: float, stated: bool) -> None:
    found = voltage.judge(findings(tall(V1=-800.0, V5=v5), subject=Subject(age, "male")))
    assert verdict(found, "VCLVH").stated == stated


@pytest.mark.parametrize(("sex", "stated"), [("male", False), ("female", True), ("unknown", False)])
def test_cornell(sex: Sex, stated: bool) -> None:
    found = voltage.judge(findings(tall(aVL=900.0, V3=-1500.0), subject=Subject(30, sex)))
    assert verdict(found, "VCLVH").stated == stated


def test_strain_makes_it_hypertrophy() -> None:
    strained = {
        **tall(V1=-1500.0, V5=3000.0),
        "V6": changed("V6", r=2500, t=-200, st60=-120, j=-100),
    }
    found = voltage.judge(findings(strained))
    assert verdict(found, "LVH").stated
    assert not verdict(found, "VCLVH").stated


def test_indices_support_but_do_not_state_alone() -> None:
    deep = tall(V3=-1500.0, V4=-1700.0)
    found = voltage.judge(findings(deep, subject=Subject(50, "male")))
    assert not verdict(found, "VCLVH").stated
    both = voltage.judge(findings({**deep, **tall(V5=2900.0)}, subject=Subject(50, "male")))
    assert verdict(both, "VCLVH").certainty == "probable"
    assert any("Peguero" in reason for reason in verdict(both, "VCLVH").because)


def test_romhilt_estes() -> None:
    f = findings(
        {
            "V5": changed("V5", r=3200.0, peak_ms=54.0, st60=-90.0, t=-200.0),
            "V6": changed("V6", t=-150.0, st60=-80.0),
            "V1": changed("V1", p2=-130.0, p_end=-8.0),
        }
    )
    assert voltage.romhilt(f) == (11, ("voltage", "ST–T", "left atrium", "QRS ≥ 90 ms", "R peak time ≥ 50 ms"))
    assert voltage.romhilt(findings())[0] == 1


def test_an_adolescents_voltage_is_not_judged() -> None:
    assert voltage.judge(findings(tall(V5=4000.0), subject=Subject(17, "male"))) == []


def test_low_voltage() -> None:
    small = {
        lead: changed(lead, r=min(m.r, 220.0), s=max(m.s, -200.0), q=max(m.q, -200.0)) for lead, m in HEALTHY.items()
    }
    found = voltage.judge(findings(small))
    assert verdict(found, "LVOLT").certainty == "definite"
    assert not verdict(found, "LOWCH").stated
    limb = {lead: m for lead, m in small.items() if not lead.startswith("V")}
    assert verdict(voltage.judge(findings(limb)), "LVOLT").stated
    chest = {lead: m for lead, m in small.items() if lead.startswith("V")}
    assert verdict(voltage.judge(findings(chest)), "LOWCH").stated
    assert not verdict(voltage.judge(findings()), "LVOLT").stated


def right(**values: float) -> Findings:
    f = findings({"V1": changed("V1", **values)})
    return replace(f, measured=msgspec.structs.replace(f.measured, axis_qrs=120.0))


def test_right_ventricle() -> None:
    f = right(r=1200.0, s=-200.0)
    assert verdict(voltage.judge(f), "RVH").stated
    strained = right(r=1200.0, s=-200.0, t=-250.0, st60=-60.0)
    assert verdict(voltage.judge(strained), "RVH").certainty == "probable"
    upright = replace(f, measured=msgspec.structs.replace(f.measured, axis_qrs=60.0))
    assert not verdict(voltage.judge(upright), "RVH").stated


def test_both_ventricles() -> None:
    f = right(r=1200.0, s=-200.0)
    tall_left = replace(f, matrix={**f.matrix, "aVL": changed("aVL", r=1500.0)})
    assert verdict(voltage.judge(tall_left), "BVH").stated
    assert not verdict(voltage.judge(f), "BVH").stated


@pytest.mark.parametrize(("name", "expected"), [("low_voltage", "LVOLT"), ("high_voltage", "LVH")])
def test_synthetic_patients(name: str, expected: str) -> None:
    assert expected in codes(interpreted(name)[2])
