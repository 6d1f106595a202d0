"""The diagnoses of PTB-XL and LUDB: what counts, and for whom."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import diagnoses
import pytest

DATA = Path(__file__).parents[3] / "shared" / "ecg"


@pytest.mark.skipif(not (DATA / "ptbxl").is_dir(), reason=f"PTB-XL is not in {DATA}")
def test_ptbxl_counts_likely_diagnoses_and_all_of_form_and_rhythm() -> None:
    cases = {case.name: case for case in islice(diagnoses.ptbxl(DATA), 32)}
    first = cases["1"]
    assert set(first.codes) == {"NORM", "LVOLT", "SR"}
    assert first.classes == {"NORM": 1.0}
    assert (first.subject.age, first.subject.sex) == (56, "female")
    assert first.recording.fs == 500
    assert len(first.recording.leads) == 12
    assert cases["63"].classes == {"MI": 0.15}


@pytest.mark.skipif(not (DATA / "ludb").is_dir(), reason=f"LUDB is not in {DATA}")
def test_ludb_is_put_into_superclasses() -> None:
    cases = {case.name.strip(): case for case in islice(diagnoses.ludb(DATA), 8)}
    assert set(cases["1"].classes) == {"HYP", "STTC"}
    assert set(cases["7"].classes) == {"HYP", "MI"}
    assert set(cases["13"].classes) >= {"CD", "MI"}
    assert (cases["7"].subject.age, cases["7"].subject.sex) == (50, "male")
