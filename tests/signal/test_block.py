"""Blocks: each preset is named with its type, its neighbours are not; dropped beats by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from feldsher_signal import block, synth
from feldsher_signal.interpret import interpret
from feldsher_signal.ptrain import Train
from patients import codes, findings, interpreted, verdict

BLOCKS = {"2AVB", "3AVB", "SAB"}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("second_degree_block_1", "2AVB", "Mobitz I (Wenckebach)"),
        ("second_degree_block_2", "2AVB", "Mobitz II"),
        ("third_degree_block", "3AVB", "P waves at 82/min"),
    ],
)
def test_block_is_named(name: str, code: str, kind: str, seed: int) -> None:
    result = interpreted(name, seed)[2]
    assert codes(result) & BLOCKS == {code}
    assert not codes(result) & {"AFIB", "DROP", "RUND"}
    (said,) = (s for s in result.statements if s.code == code)
    assert said.because[0].startswith(kind)
    assert said.critical == (code == "3AVB")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "name",
    [
        "normal",
        "bradycardia",
        "sinus_arrhythmia",
        "atrial_fibrillation",
        "first_degree_block",
        "ventricular_ectopy",
        "atrial_ectopy",
        "noisy",
        "paced",
    ],
)
def test_neighbours_are_not_blocked(name: str, seed: int) -> None:
    assert not codes(interpreted(name, seed)[2]) & {"2AVB", "3AVB"}


def test_one_lead_does_not_decide_blocks() -> None:
    recording, _ = synth.ecg(synth.PRESETS["third_degree_block"], seed=1)
    assert not codes(interpret(recording, channel=1)) & {"2AVB", "3AVB"}


def train(at: list[int], period: float) -> Train:
    return Train(np.array(at), np.ones(len(at), np.bool_), period, np.ones((len(at), 2)))


def test_two_to_one() -> None:
    f = findings(rr=(800,) * 7)
    p = [int(f.r[0]) - 80 + 400 * k for k in range(15)]
    found = verdict(block.judge(replace(f, train=train(p, 0.8))), "2AVB")
    assert found.stated
    assert found.because[0].startswith("2:1")


def test_early_beats_explain_p_waves_without_a_beat() -> None:
    f = findings(rr=(800,) * 7, kinds="N" + "V" * 7)
    p = [int(f.r[0]) - 80 + 400 * k for k in range(15)]
    assert not verdict(block.judge(replace(f, train=train(p, 0.8))), "2AVB").stated


def test_gap_without_a_p_wave_is_of_the_sinus_node() -> None:
    f = findings(rr=(400, 400, 400, 800, 400, 400, 400))
    followed = replace(f, train=train([int(v) - 80 for v in f.r], 0.8))
    assert verdict(block.judge(followed), "SAB").stated
    assert verdict(block.judge(f), "DROP").stated
    steady = findings()
    assert not verdict(block.judge(replace(steady, train=train([int(v) - 80 for v in steady.r], 0.8))), "SAB").stated


@pytest.mark.parametrize(("rate", "alarmed"), [(84, False), (72, True)])
def test_a_slow_block_of_second_degree_alarms(rate: int, alarmed: bool) -> None:
    patient = synth.Patient(rate=rate, rhythm="second_degree_block_2", block_ratio=2)
    result = interpret(synth.ecg(patient, seed=3)[0])
    (said,) = (s for s in result.statements if s.code == "2AVB")
    assert said.critical == alarmed
    assert "SBRAD" not in codes(result)
