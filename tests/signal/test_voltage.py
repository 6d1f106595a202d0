"""Voltage: each index at its limit, and what is withheld without age or sex."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from feldsher_ehr_core.ecg import LeadMatrix, Sex, Subject
from feldsher_signal import voltage
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


def test_a_child_is_not_judged() -> None:
    assert voltage.judge(findings(tall(V5=4000.0), subject=Subject(9, "male"))) == []


def test_low_voltage() -> None:
    small = {
        lead: changed(lead, r=min(m.r, 220.0), s=max(m.s, -200.0), q=max(m.q, -200.0)) for lead, m in HEALTHY.items()
    }
    assert verdict(voltage.judge(findings(small)), "LVOLT").stated
    assert not verdict(voltage.judge(findings()), "LVOLT").stated


def test_right_ventricle_and_atria() -> None:
    f = findings({"V1": changed("V1", r=1200, s=-200, p=200.0)})
    axis = msgspec.structs.replace(f.measured, axis_qrs=120.0)
    right = replace(f, measured=axis)
    assert verdict(voltage.judge(right), "RVH").stated
    assert verdict(voltage.judge(right), "RAO/RAE").stated
    assert not verdict(voltage.judge(f), "RVH").stated


@pytest.mark.parametrize(("name", "expected"), [("low_voltage", "LVOLT"), ("high_voltage", "VCLVH")])
def test_synthetic_patients(name: str, expected: str) -> None:
    assert expected in codes(interpreted(name)[2])
