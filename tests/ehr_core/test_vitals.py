"""Vital signs: the one conversion there is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from feldsher_ehr_core.vitals import mmhg


# 101.325 kPa are 760.00 mmHg (the standard atmosphere); the others computed by hand with 7.500 615 76 mmHg per kPa.
@pytest.mark.parametrize(
    ("kilopascals", "expected"),
    [("101.325", "760.0"), ("16.0", "120.0"), ("10.7", "80.3"), ("17.6", "132.0"), ("0", "0.0"), ("40", "300.0")],
)
def test_kilopascals_become_millimetres_of_mercury(kilopascals: str, expected: str) -> None:
    assert str(mmhg(Decimal(kilopascals))) == expected
