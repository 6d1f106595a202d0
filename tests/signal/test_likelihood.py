"""Learned scores: what they are given for, that they agree with what is stated and say why."""

from __future__ import annotations

import dataclasses

import numpy as np
import patients
import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal import criteria, jit, likelihood
from feldsher_signal.evidence import evidence
from feldsher_signal.findings import Findings, Verdict
from feldsher_signal.registry import SUPERCLASSES


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    jit.warm()


def _scores(f: Findings) -> dict[str, float]:
    return criteria.scores(criteria.verdicts(f))


def test_a_healthy_heart_is_normal_and_says_how_surely() -> None:
    found = criteria.verdicts(patients.findings())
    normal = patients.verdict(found, "NORM")
    assert normal.stated
    assert normal.score > 0.8
    assert normal.certainty == likelihood.certainty(normal.score)
    assert f"learned probability {normal.score:.2f}: " in normal.because[-1]
    scores = criteria.scores(found)
    assert max(scores[name] for name in SUPERCLASSES[1:]) < 0.3


@pytest.mark.parametrize(
    ("name", "lead", "change"),
    [
        ("MI", ("II", "III", "aVF"), {"q": -500.0, "q_ms": 50.0, "r": 300.0}),
        ("STTC", ("I", "V4", "V5", "V6"), {"t": -300.0, "st80": -120.0, "st60": -100.0}),
    ],
)
def test_what_is_wrong_raises_its_class_and_takes_from_normal(
    name: str, lead: tuple[str, ...], change: dict[str, float]
) -> None:
    healthy = _scores(patients.findings())
    ill = _scores(patients.findings({x: patients.changed(x, **change) for x in lead}))
    assert ill[name] > healthy[name] + 0.3
    assert ill["NORM"] < healthy["NORM"] - 0.3


def test_without_age_and_sex_there_is_a_score() -> None:
    assert 0.5 < _scores(patients.findings(subject=Subject()))["NORM"] < 1


def test_fewer_leads_and_disorder_leave_the_rules_scores() -> None:
    f = patients.findings()
    few = dataclasses.replace(f, matrix={"I": f.matrix["I"], "II": f.matrix["II"]})
    found = [Verdict("NORM", 0.37, True)]
    assert likelihood.weigh(few, found) is found
    assert likelihood.weigh(f, [*found, Verdict("WCT", 1.0, True)])[0].score == 0.37
    assert set(SUPERCLASSES) <= set(_scores(few))


def test_normal_is_stated_only_where_its_score_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    f = patients.findings()
    monkeypatch.setattr(likelihood, "NORMAL", 0.9999)
    (normal, *_) = likelihood.weigh(f, [Verdict("NORM", 1.0, True)])
    assert not normal.stated


def test_reasons_name_the_traits_that_moved_most() -> None:
    f = patients.findings({x: patients.changed(x, t=-300.0) for x in ("I", "V5", "V6")})
    row = evidence(f, [])
    said = likelihood.reasons("STTC", row, 2)
    assert len(said) == 2
    assert any("T lateral -0.30 mV (+" in reason or "T lowest lateral -0.30 mV (+" in reason for reason in said)
    assert np.isfinite(row).any()


@pytest.mark.parametrize(("p", "word"), [(0.95, "definite"), (0.7, "probable"), (0.4, "possible")])
def test_certainty(p: float, word: str) -> None:
    assert likelihood.certainty(p) == word
