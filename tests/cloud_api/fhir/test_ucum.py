"""UCUM: units of one dimension meet, whatever they are written in; what is not known says so."""

from __future__ import annotations

from decimal import Decimal

import pytest
from feldsher_cloud_api.fhir.ucum import canonical, unit

SAME: list[tuple[str, str, str, str]] = [
    ("1", "g", "1000", "mg"),
    ("1", "kg", "1000", "g"),
    ("120", "mm[Hg]", "15.99864", "kPa"),
    ("5", "mmol/L", "5000", "umol/L"),
    ("1", "g/dL", "10", "g/L"),
    ("1", "10*9/L", "1000", "10*6/L"),
    ("60", "/min", "1", "/s"),
    ("60", "{beats}/min", "1", "Hz"),
    ("37", "Cel", "98.6", "[degF]"),
    ("37", "Cel", "310.15", "K"),
    ("1", "m2", "10000", "cm2"),
    ("1", "kg/m2", "0.1", "g/cm2"),
    ("1", "[lb_av]", "453.59237", "g"),
    ("1", "L", "1", "dm3"),
    ("1", "ug/(24.h)", "0.001", "mg/(24.h)"),
    ("1", "wk", "7", "d"),
    ("50", "%", "0.5", "1"),
    ("1", "mV", "1000", "uV"),
    ("1", "U/L", "1000", "mU/L"),
    ("1", "kcal", "4184", "J"),
]


@pytest.mark.parametrize(("a", "a_unit", "b", "b_unit"), SAME)
def test_what_is_the_same_is_the_same(a: str, a_unit: str, b: str, b_unit: str) -> None:
    left, right = canonical(Decimal(a), a_unit), canonical(Decimal(b), b_unit)
    assert left is not None
    assert right is not None
    assert left[1] == right[1]
    assert abs(left[0] - right[0]) <= abs(left[0]) * Decimal("1e-30")


@pytest.mark.parametrize(("a", "b"), [("g", "m"), ("mmol/L", "mg/L"), ("mm[Hg]", "mm"), ("[iU]/L", "U/L"), ("K", "J")])
def test_what_is_not_comparable_has_another_dimension(a: str, b: str) -> None:
    left, right = unit(a), unit(b)
    assert left is not None
    assert right is not None
    assert left.dimension != right.dimension


@pytest.mark.parametrize("code", ["", "mmHg", "furlong", "g/", "g..m", "(g", "{x", "kkg", "g99"])
def test_what_is_no_unit_is_none(code: str) -> None:
    assert unit(code) is None
