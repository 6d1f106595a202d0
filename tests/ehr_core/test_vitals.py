"""Vital signs: the one conversion there is, and what a code means."""

from __future__ import annotations

from decimal import Decimal

import pytest
from feldsher_ehr_core.vitals import GLUCOSE_CAPILLARY, MEAL, VITALS, mmhg


# 101.325 kPa are 760.00 mmHg (the standard atmosphere); the others computed by hand with 7.500 615 76 mmHg per kPa.
@pytest.mark.parametrize(
    ("kilopascals", "expected"),
    [("101.325", "760.0"), ("16.0", "120.0"), ("10.7", "80.3"), ("17.6", "132.0"), ("0", "0.0"), ("40", "300.0")],
)
def test_kilopascals_become_millimetres_of_mercury(kilopascals: str, expected: str) -> None:
    assert str(mmhg(Decimal(kilopascals))) == expected


def test_every_code_is_one_thing() -> None:
    assert len(VITALS) == 37
    assert all(v.mdc == code and v.name.startswith("MDC_") and v.low < v.high for code, v in VITALS.items())
    assert len({v.name for v in VITALS.values()}) == len(VITALS)


def test_amounts_of_substance_have_a_code_of_their_own() -> None:
    assert GLUCOSE_CAPILLARY.loinc_in("mg/dL") == "41653-7"
    assert GLUCOSE_CAPILLARY.loinc_in("mmol/L") == "14743-9"


def test_a_meal_is_a_word() -> None:
    assert MEAL.words[3] == (8417876, "MDC_CTXT_GLU_MEAL_FASTING", "Fasting")
