"""Conflicts, order, scores and conclusion."""

from __future__ import annotations

import pytest
from feldsher_ehr_core.ecg import Measurements, Subject
from feldsher_signal import criteria
from feldsher_signal.findings import Verdict
from feldsher_signal.registry import REGISTRY, SUPERCLASSES
from patients import codes, findings, interpreted


def test_normal() -> None:
    found = criteria.verdicts(findings())
    said = criteria.statements(found)
    assert [s.code for s in said] == ["SR", "NORM", "PACENA"]
    assert criteria.conclusion(said, True) == "Sinus rhythm. Normal ECG. Unconfirmed."


@pytest.mark.parametrize("name", ["lbbb", "anterior_stemi", "atrial_fibrillation", "ventricular_ectopy", "low_voltage"])
def test_anything_else_is_not_normal(name: str) -> None:
    result = interpreted(name)[2]
    assert "NORM" not in codes(result)
    assert result.scores["NORM"] < interpreted("normal")[2].scores["NORM"]


def test_benign_statements_are_registered() -> None:
    assert set(criteria.BENIGN) <= set(REGISTRY)


def test_what_was_withheld_stays_in_the_conclusion() -> None:
    said = criteria.statements(criteria.verdicts(findings(subject=Subject())))
    text = criteria.conclusion(said, True)
    assert "Withheld for want of age or sex: " in text
    assert "ST elevation in V2–V3" in text
    child = criteria.conclusion(criteria.statements(criteria.verdicts(findings(subject=Subject(9, "male")))), True)
    assert "infarction by Q waves" in child


def test_alarms_come_first_but_for_what_could_not_be_judged() -> None:
    found = [Verdict(c, 1.0, True, critical=c == "STEMI") for c in ("PACENA", "SR", "STEMI", "NOISE")]
    assert [s.code for s in criteria.statements(found)] == ["NOISE", "STEMI", "SR", "PACENA"]


@pytest.mark.parametrize("name", ["normal", "lbbb", "asystole", "ventricular_fibrillation", "paced"])
def test_scores_are_of_every_judged_code_and_the_superclasses(name: str) -> None:
    result = interpreted(name)[2]
    assert set(SUPERCLASSES) <= set(result.scores)
    assert all(0 <= value <= 1 for value in result.scores.values())
    assert {s.code for s in result.statements} <= set(result.scores)


def test_statements_say_why() -> None:
    for name in ("normal", "lbbb", "inferior_stemi", "atrial_fibrillation", "bigeminy", "limbs_swapped"):
        for statement in interpreted(name)[2].statements:
            assert statement.because, statement.code


def test_slow_sinus_rhythm_is_normal_down_to_fifty() -> None:
    def normal(rate: float) -> bool:
        measured = Measurements(rate, 160.0, 100.0, 90.0, 420.0, 400.0, 400.0, 400.0, 400.0, 50.0, 40.0, 40.0)
        rr = (round(30_000 / rate),) * 12
        return any(v.code == "NORM" and v.stated for v in criteria.verdicts(findings(rr=rr, measured=measured)))

    assert normal(54)
    assert not normal(45)
