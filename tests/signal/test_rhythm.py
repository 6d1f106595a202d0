"""Rhythm: fibrillation needs irregularity and no P waves; ectopy and bigeminy alone are not it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from feldsher_signal import rhythm, synth
from feldsher_signal.fibrillation import FEATURES, Chance
from feldsher_signal.interpret import interpret
from patients import codes, findings, interpreted, verdict


def irregular(seed: int = 1, beats: int = 40) -> tuple[int, ...]:
    return tuple(int(v) for v in np.random.default_rng(seed).uniform(250, 550, beats))


def test_fibrillation_is_irregular_and_without_p_waves() -> None:
    af = verdict(rhythm.judge(findings(rr=irregular(), p_like=0.0)), "AFIB")
    assert af.stated
    assert len(af.because) == 5
    assert not verdict(rhythm.judge(findings(p_like=0.0)), "AFIB").stated


@pytest.mark.parametrize("seed", [1, 2])
def test_irregular_with_p_waves_is_not_fibrillation(seed: int) -> None:
    for patient in (synth.Patient(rr_sd=0.15), synth.Patient(pac=0.3), synth.Patient(pvc=0.3)):
        recording, _ = synth.ecg(patient, seconds=30, seed=seed)
        assert "AFIB" not in codes(interpret(recording))
    fibrillating, _ = synth.ecg(synth.PRESETS["atrial_fibrillation"], seconds=30, seed=seed)
    assert "AFIB" in codes(interpret(fibrillating))


def test_bigeminy_is_not_fibrillation() -> None:
    found = rhythm.judge(findings(rr=(260, 540) * 12, kinds="N" + "VN" * 12, p_like=0.1))
    assert not verdict(found, "AFIB").stated
    assert verdict(found, "BIGU").stated
    assert verdict(found, "PVC").stated


def test_trigeminy() -> None:
    found = rhythm.judge(findings(rr=(400, 250, 550) * 6, kinds="N" + "NVN" * 6))
    assert verdict(found, "TRIGU").stated


@pytest.mark.parametrize(("rr", "code"), [(620, "SBRAD"), (590, "SR"), (400, "SR"), (250, "STACH")])
def test_sinus_rates(rr: int, code: str) -> None:
    found = rhythm.judge(findings(rr=(rr,) * 20))
    assert {v.code for v in found if v.stated} == {code}


def test_a_disorderly_fast_rhythm_is_no_sinus_tachycardia() -> None:
    def stated(rr: tuple[int, ...], most: float) -> set[str]:
        f = findings(rr=rr)
        af = Chance(np.full(f.r.size, most), most, np.zeros((1, len(FEATURES))))
        return {v.code for v in rhythm.judge(replace(f, chance=af)) if v.stated}

    uneven = (190, 205, 196, 182, 201, 188, 207, 185) * 3
    assert "STACH" not in stated(uneven, 0.3)
    assert "RUND" in stated(uneven, 0.3)
    assert "STACH" in stated(uneven, 0.05)
    assert "STACH" in stated((195,) * 24, 0.3)


def test_run_of_ventricular_beats() -> None:
    run = findings(rr=(400, 400, 220, 220, 220, 220, 600, 400, 400), kinds="NNNVVVVNNN")
    tachycardia = verdict(rhythm.judge(run), "VTAC")
    assert tachycardia.stated
    assert tachycardia.critical
    slow = findings(rr=(400, 400, 400, 400, 400, 400, 400, 400, 400), kinds="NNNVVVVNNN")
    assert not verdict(rhythm.judge(slow), "VTAC").stated


def test_spans_cover_the_recording_and_change_with_the_rhythm() -> None:
    f = findings(rr=(400,) * 100 + irregular(beats=100))
    like = np.where(np.arange(f.r.size) > 100, 0.0, 0.95)
    changed = replace(f, p_like=like, p_seen=like > 0.5)
    found = rhythm.spans(changed)
    assert (found[0].code, found[-1].code) == ("SR", "AFIB")
    assert found[0].start == 0
    assert found[-1].end == f.samples
    assert found[0].end == found[1].start


def test_too_few_beats() -> None:
    assert rhythm.spans(findings(rr=(400,))) == ()
    assert rhythm.judge(findings(rr=(400,))) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("normal", "SR"),
        ("bradycardia", "SBRAD"),
        ("tachycardia", "STACH"),
        ("sinus_arrhythmia", "SARRH"),
        ("atrial_fibrillation", "AFIB"),
        ("atrial_flutter", "AFLT"),
        ("supraventricular_tachycardia", "SVTAC"),
        ("ectopic_atrial", "ATR"),
        ("junctional", "JUNC"),
        ("accelerated_junctional", "JUNC"),
        ("ventricular_escape", "VESC"),
        ("idioventricular_run", "IVR"),
        ("ventricular_tachycardia", "WCT"),
        ("ventricular_runs", "VTAC"),
        ("ventricular_couplets", "VPAIR"),
        ("ventricular_ectopy", "PVC"),
        ("ventricular_fibrillation", "VFIB"),
        ("bigeminy", "BIGU"),
        ("trigeminy", "TRIGU"),
        ("sinus_pause", "SAB"),
        ("sinus_pause", "PAUSE"),
        ("first_degree_block", "1AVB"),
        ("second_degree_block_1", "2AVB"),
        ("second_degree_block_2", "2AVB"),
        ("second_degree_block_2_1", "2AVB"),
        ("third_degree_block", "3AVB"),
        ("paced", "PACE"),
        ("paced_dual", "PACE"),
        ("asystole", "ASYST"),
    ],
)
def test_synthetic_patients(name: str, expected: str) -> None:
    assert expected in codes(interpreted(name)[2])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("second_degree_block_1", "Mobitz I (Wenckebach)"),
        ("second_degree_block_2", "Mobitz II"),
        ("second_degree_block_2_1", "2:1"),
    ],
)
def test_kinds_of_block(name: str, kind: str) -> None:
    (said,) = (s for s in interpreted(name)[2].statements if s.code == "2AVB")
    assert said.because[0].startswith(f"{kind}:")


@pytest.mark.parametrize("name", ["ventricular_runs", "ventricular_couplets", "idioventricular_run", "trigeminy"])
def test_ectopy_is_no_flutter_and_no_fibrillation(name: str) -> None:
    assert not codes(interpreted(name)[2]) & {"AFLT", "AFIB", "JUNC", "VESC"}
