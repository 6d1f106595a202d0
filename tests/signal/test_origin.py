"""Atrial, junctional and ventricular escape rhythm: what states each, what keeps each from being stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from feldsher_ehr_core.ecg import LeadMatrix, Measurements, Subject
from feldsher_signal import origin, rhythm, synth
from feldsher_signal.findings import Findings
from feldsher_signal.formats import read
from feldsher_signal.interpret import interpret
from patients import changed, codes, findings, interpreted, verdict

REAL = Path(__file__).parents[2].parent / "shared" / "ecg"
USUAL = Measurements(60.0, 160.0, 100.0, 90.0, 400.0, 400.0, 400.0, 400.0, 400.0, 50.0, 40.0, 40.0)
# µV of P in II, III, aVF and aVR when the atria are woken from below.
UPWARD = {"II": -120.0, "III": -110.0, "aVF": -115.0, "aVR": 70.0}


def upward(p: Mapping[str, float]) -> Mapping[str, LeadMatrix]:
    return {lead: changed(lead, p=value) for lead, value in {**UPWARD, **p}.items()}


def measured(pr: float | None = 140.0, qrs: float = 90.0) -> Measurements:
    return msgspec.structs.replace(USUAL, pr=pr, qrs=qrs)


def atria(pr: float = 140.0, rr: int = 430, p: Mapping[str, float] = UPWARD) -> Findings:
    return findings(upward(p), measured(pr), rr=(rr,) * 14)


def without_p(rr: int, qrs: float = 90.0, behind: float = 0.0) -> Findings:
    return replace(findings({}, measured(None, qrs), rr=(rr,) * 10, p_like=0.0), retrograde=behind)


def stated(f: Findings) -> set[str]:
    return {v.code for v in rhythm.judge(f) if v.stated} & set(origin.CODES)


def test_inverted_p_is_atrial_or_junctional_by_pr() -> None:
    assert stated(atria()) == {"ATR"}
    assert stated(atria(pr=102)) == {"JUNC"}
    assert stated(atria(pr=240)) == set()
    assert stated(findings()) == set()


@pytest.mark.parametrize("lead", list(UPWARD))
def test_every_lead_must_agree(lead: str) -> None:
    assert stated(atria(p={lead: -UPWARD[lead]})) == set()
    assert stated(atria(p={lead: UPWARD[lead] / 4})) == set()


def test_a_p_wave_of_two_phases_is_a_slow_left_atrium() -> None:
    f = atria()
    both = {**f.matrix, "II": changed("II", p=-120.0, p2=80.0)}
    assert stated(replace(f, matrix=both)) == set()


def test_fast_from_below_is_an_atrial_tachycardia() -> None:
    found = verdict(rhythm.judge(atria(rr=250)), "ATR")
    assert "atrial tachycardia" in found.because[1]
    assert not found.critical
    assert verdict(rhythm.judge(atria(rr=180)), "ATR").critical


def test_no_p_wave_is_junctional_only_as_slow_as_an_escape() -> None:
    assert stated(without_p(620)) == {"JUNC"}
    assert verdict(rhythm.judge(without_p(620)), "JUNC").certainty == "possible"
    assert stated(without_p(400)) == set()
    assert stated(without_p(400, behind=90.0)) == {"JUNC"}
    assert verdict(rhythm.judge(without_p(400, behind=90.0)), "JUNC").certainty == "probable"
    assert stated(without_p(260, behind=90.0)) == set()


def test_very_slow_ones_alarm() -> None:
    assert verdict(rhythm.judge(without_p(800)), "JUNC").critical
    assert not verdict(rhythm.judge(without_p(620)), "JUNC").critical
    assert verdict(rhythm.judge(without_p(900, 150.0)), "VESC").critical


def test_wide_and_slow_is_a_ventricular_escape_unless_paced() -> None:
    assert stated(without_p(900, 150.0)) == {"VESC"}
    assert stated(without_p(500, 150.0)) == set()
    assert stated(replace(without_p(900, 150.0), subject=Subject(70, "male", pacemaker=True))) == set()


def test_uneven_intervals_early_beats_and_noise_withhold_it() -> None:
    uneven = findings({}, measured(None), rr=(600, 700, 560, 660, 610, 580, 690), p_like=0.0)
    early = findings({}, measured(None), rr=(620,) * 10, kinds="NNNNVNNNNNN", p_like=0.0)
    for f in (uneven, early):
        assert stated(f) == set()


def test_too_few_leads_and_children_are_not_judged() -> None:
    f = without_p(620)
    few = {lead: f.matrix[lead] for lead in ("I", "II", "III")}
    assert origin.judge(replace(f, matrix=few), 48.0, 0.0, 0.0, 1.0) == []
    assert origin.judge(replace(f, subject=Subject(9, "male")), 48.0, 0.0, 0.0, 1.0) == []
    assert origin.judge(replace(f, subject=Subject(17, "male")), 48.0, 0.0, 0.0, 1.0) != []


@pytest.mark.parametrize("seed", [3, 8, 11])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ectopic_atrial", "ATR"),
        ("junctional", "JUNC"),
        ("accelerated_junctional", "JUNC"),
        ("ventricular_escape", "VESC"),
    ],
)
def test_synthetic_patients(name: str, code: str, seed: int) -> None:
    result = interpreted(name, seed)[2]
    assert codes(result) & {code, "SR", "SBRAD", "RUND", "NORM", "SHPR"} == {code}
    assert {s.code for s in result.rhythm} == {code}


def test_exchanged_electrodes_hide_it() -> None:
    swapped = synth.Patient(swapped=("RA", "LL"))
    assert not codes(interpret(synth.ecg(swapped, seed=3)[0])) & set(origin.CODES)


# Steady rhythms without P waves or with inverted ones; what the paper shows, whatever the label says.
SHOWN = {
    "ptbxl/251": set[str](),  # sinus rhythm, P waves that wander
    "ptbxl/475": set[str](),  # sinus rhythm, P waves hidden by movement
    "ptbxl/377": {"JUNC"},  # "no P wave recognised": inverted P 90 ms behind the QRS
    "ptbxl/443": {"JUNC"},  # inverted P 102 ms before the QRS
    "ptbxl/161": set[str](),  # P of two phases in II
    "ptbxl/191": set[str](),  # long PR
    "ptbxl/307": set[str](),  # slow steady fibrillation
    "ptbxl/477": {"VESC"},  # fibrillation, 31/min, wide and steady
    "ludb/51": set[str](),  # steady fibrillation with bundle branch block
    "ludb/83": set[str](),
    "ludb/111": set[str](),  # paced
    "ludb/19": set[str](),  # P upright in II
}


def _header(name: str) -> Path:
    folder, number = name.split("/")
    if folder == "ludb":
        return REAL / "ludb" / "data" / f"{number}.hea"
    return REAL / "ptbxl" / "records500" / "00000" / f"{int(number):05d}_hr.hea"


@pytest.mark.parametrize("name", SHOWN)
def test_on_real_recordings(name: str) -> None:
    header = _header(name)
    if not header.exists():
        pytest.skip(f"real recordings absent: {header}")
    assert codes(interpret(read(header))) & set(origin.CODES) == SHOWN[name]


@pytest.mark.slow
def test_never_elsewhere_on_ptbxl_and_ludb() -> None:
    every = sorted((REAL / "ptbxl").rglob("*_hr.hea")) + sorted((REAL / "ludb").rglob("*.hea"))
    if not every:
        pytest.skip(f"real recordings absent: {REAL}")
    found = {h.stem for h in every if codes(interpret(read(h))) & set(origin.CODES)}
    assert found <= {"00377_hr", "00443_hr", "00477_hr"}
