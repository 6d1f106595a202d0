"""What a file says of a person and its filters: only what is plausible is taken."""

from __future__ import annotations

import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal.formats import content


@pytest.mark.parametrize(
    ("age", "sex", "expected"),
    [
        (63, "M", Subject(age=63, sex="male")),
        ("7", " female ", Subject(age=7, sex="female")),
        (0, "f", Subject(age=0, sex="female")),
        (0.5, None, Subject(age=0)),
        (131, "U", Subject()),
        (-1, "", Subject()),
        ("nan", "unknown", Subject()),
        ("Ivanova", "Ivanova", Subject()),
        (None, None, Subject()),
    ],
)
def test_subject(age: object, sex: object, expected: Subject) -> None:
    assert content.subject(age, sex) == expected


def test_pacemaker() -> None:
    assert content.subject(pacemaker=True).pacemaker is True


@pytest.mark.parametrize(
    ("written", "expected"),
    [(0.05, 0.05), ("150", 150.0), (0, None), (-1, None), ("inf", None), ("off", None), (None, None)],
)
def test_hertz(written: object, expected: float | None) -> None:
    assert content.hertz(written) == expected
