"""What a gateway may know of a patient: age and sex, the age of a small child in days as well; never who it is."""

from __future__ import annotations

from datetime import date

import pytest
from feldsher_cloud_api.care import order

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("born", "years", "days"),
    [
        ("2026-11-20", 0, 3),
        ("2025-06-01", 1, 540),
        ("2024-11-24", 1, 729),
        ("2024-11-23", 2, None),
        ("1960-01-01", 66, None),
        ("1960", None, None),
        (None, None, None),
    ],
)
def test_age_of_a_subject(born: str | None, years: int | None, days: int | None) -> None:
    patient = {"gender": "female", "name": [{"family": "Somebody"}]} | ({"birthDate": born} if born else {})
    found = order.subject(patient, {}, TODAY)
    assert (found.age, found.age_days, found.sex) == (years, days, "female")
    assert "Somebody" not in repr(found)
