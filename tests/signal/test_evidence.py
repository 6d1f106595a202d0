"""What learned scores weigh: against the oracle, missing where leads or the person are missing, in words."""

from __future__ import annotations

import math
import random

import msgspec
import naive_evidence
import numpy as np
import patients
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS, LeadMatrix, Measurements, Subject
from feldsher_signal import criteria, jit
from feldsher_signal.evidence import FEATURES, FORM, RULES, WHOLE, evidence, words
from feldsher_signal.findings import Findings, Verdict
from hypothesis import given, settings
from hypothesis import strategies as st

MEASURED = Measurements(rate=70, pr=160, p_dur=100, qrs=110, qt=400, qtc_fridericia=410, axis_qrs=-40, axis_t=170)


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    jit.warm()


def _wild(seed: int) -> dict[str, LeadMatrix]:
    rng = random.Random(seed)  # noqa: S311
    low = {"q", "s", "s2"}
    sign = {"r": 1, "r2": 1}

    def one() -> LeadMatrix:
        values = {name: rng.gauss(0, 400) for name in LeadMatrix.__struct_fields__}
        values |= {name: -abs(values[name]) for name in low} | {name: abs(values[name]) for name in sign}
        return msgspec.structs.replace(LeadMatrix(**values), r=0.0 if rng.random() < 0.2 else values["r"])

    return {lead: one() for lead in STANDARD_LEADS}


def _of(f: Findings, found: list[Verdict] | None = None) -> dict[str, float]:
    return dict(zip(FEATURES, evidence(f, found or []).tolist(), strict=True))


@given(st.integers(0, 500), st.sampled_from(["male", "female"]), st.floats(-179, 179), st.floats(-179, 179))
@settings(max_examples=40)
def test_form_is_the_oracle(seed: int, sex: str, axis: float, axis_t: float) -> None:
    matrix = _wild(seed)
    measured = msgspec.structs.replace(MEASURED, axis_qrs=axis, axis_t=axis_t)
    subject = Subject(50, "male" if sex == "male" else "female")
    got = _of(patients.findings(matrix, measured, subject))
    for name, value in naive_evidence.form(matrix, float(sex == "male"), 110, axis, axis_t).items():
        assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("gone", STANDARD_LEADS)
def test_a_missing_lead_leaves_its_traits_missing_and_no_others(gone: str) -> None:
    whole = patients.findings()
    matrix = {lead: m for lead, m in whole.matrix.items() if lead != gone}
    got = _of(_with(whole, matrix))
    there = _of(whole)
    for name in got:
        if name.endswith(f" in {gone}"):
            assert math.isnan(got[name])
        elif " in " in name and name not in FORM:
            assert got[name] == there[name]
    touched = {name for name in FORM if math.isnan(got[name])}
    assert ("QRS-T angle" in touched) == (gone in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))
    assert ("Cornell" in touched) == (gone in ("aVL", "V3"))
    assert ("T lowest lateral" in touched) == (gone in ("I", "V5", "V6"))
    assert ("Sokolow" in touched) == (gone in ("V1", "V5", "V6"))
    assert ("strain" in touched) == (gone in ("V5", "V6"))
    assert "Peguero" in touched


def _with(f: Findings, matrix: dict[str, LeadMatrix]) -> Findings:
    return Findings(
        f.fs, f.samples, f.leads, f.quality, f.subject, f.r, f.kinds, f.p_like, f.p_seen, f.measured, matrix
    )


def test_unknown_person_and_unjudged_rules_are_missing() -> None:
    got = _of(patients.findings(measured=Measurements(), subject=Subject()))
    missing = {name for name in WHOLE if math.isnan(got[name])}
    assert missing == {"age", "male", "QRS lasts", "QRS axis", "rate", "PR", "P lasts", "QTc"}
    assert math.isnan(got["Cornell product"])
    assert math.isnan(got["left axis"])
    assert math.isnan(got["T axis off"])
    assert all(math.isnan(got[f"rule {code}"]) for code in RULES)


def test_rules_are_log_odds_held_within_bounds() -> None:
    got = _of(patients.findings(), [Verdict("LVH", 0.5), Verdict("IMI", 1.0), Verdict("AMI", 0.0)])
    assert got["rule LVH"] == 0
    assert got["rule IMI"] == pytest.approx(math.log(0.997 / 0.003))
    assert got["rule AMI"] == pytest.approx(-math.log(0.997 / 0.003))


def test_rhythm_is_told() -> None:
    got = _of(patients.findings(rr=(400, 300, 500, 400, 300, 500, 400), kinds="NNSNVNNN"))
    assert got["ectopy share"] == 0.25
    assert got["RR change"] == pytest.approx(np.median(np.abs(np.diff([400, 300, 500, 400, 300, 500, 400]))) / 400)
    assert got["P share"] == 1.0


def test_every_rule_weighed_is_a_rule() -> None:
    judged = {v.code for v in criteria.verdicts(patients.findings())}
    assert set(RULES) <= judged


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("T in V5", 0.05, "T in V5 0.05 mV"),
        ("Q lasts in III", 42.0, "Q lasts in III 42 ms"),
        ("QRS-T angle", 131.2, "QRS-T angle 131°"),
        ("T/R lateral", 0.084, "T/R lateral 0.08"),
        ("rule LVH", 0.0, "rule LVH 0.50"),
        ("rule NORM", 0.0, "all other rules leave 0.50"),
        ("male", 0.0, "female"),
        ("age", math.nan, "age not known"),
    ],
)
def test_words(name: str, value: float, says: str) -> None:
    assert words(name, value) == says
