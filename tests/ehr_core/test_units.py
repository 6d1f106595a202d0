"""Units: values that are equal compare as equal in whatever unit they came, without a digit lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from feldsher_ehr_core import units
from feldsher_ehr_core.vitals import GLUCOSE_CAPILLARY, SYSTOLIC, TEMPERATURE, VITALS, WEIGHT, Vital


@pytest.mark.parametrize(
    ("of", "value", "unit", "same", "in_unit"),
    [
        (TEMPERATURE, "98.6", "[degF]", "37", "Cel"),
        (TEMPERATURE, "310.15", "K", "37", "Cel"),
        (TEMPERATURE, "-40", "[degF]", "-40", "Cel"),
        (WEIGHT, "100", "[lb_av]", "45.359237", "kg"),
        (WEIGHT, "70500", "g", "70.5", "kg"),
        (GLUCOSE_CAPILLARY, "5", "mmol/L", "90.078", "mg/dL"),
        (SYSTOLIC, "133.322387415", "kPa", "1000", "mm[Hg]"),
    ],
)
def test_equal_values_are_equal_in_the_base(of: Vital, value: str, unit: str, same: str, in_unit: str) -> None:
    assert units.base(Decimal(value), unit, of.mdc) == units.base(Decimal(same), in_unit, of.mdc)
    assert units.converted(Decimal(value), unit, in_unit, of.mdc) == Decimal(same)


def test_no_digit_is_lost_however_long_a_number_is() -> None:
    long = Decimal("123456789012345678901234567890.123456789012345678901234567891")
    more = units.EXACT.add(long, Decimal("1e-30"))
    assert units.base(long, "kPa", SYSTOLIC.mdc) < units.base(more, "kPa", SYSTOLIC.mdc)


def test_every_vital_sign_has_a_unit_that_compares_with_itself() -> None:
    assert all(units.comparable(v.unit, v.unit, v.mdc) for v in VITALS.values())


@pytest.mark.parametrize(
    ("unit", "other", "code", "good"),
    [
        ("kPa", "mm[Hg]", SYSTOLIC.mdc, True),
        ("mmol/L", "mg/dL", GLUCOSE_CAPILLARY.mdc, True),
        ("mmol/L", "mg/dL", SYSTOLIC.mdc, False),  # millimoles of what?
        ("furlong", "furlong", WEIGHT.mdc, True),
        ("furlong", "kg", WEIGHT.mdc, False),
        ("%", "/min", SYSTOLIC.mdc, False),
    ],
)
def test_what_can_be_compared(unit: str, other: str, code: int, good: bool) -> None:
    assert units.comparable(unit, other, code) is good
    assert units.comparable(other, unit, code) is good
