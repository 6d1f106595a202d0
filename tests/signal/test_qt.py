"""QT: limits by sex and age, what is alarmed."""

from __future__ import annotations

import pytest
from feldsher_ehr_core.ecg import Measurements, Sex, Subject
from feldsher_signal import qt
from patients import HEALTHY, changed, codes, findings, interpreted, verdict


def with_qtc(qtc: float, qrs: float = 90.0) -> Measurements:
    return Measurements(60.0, 160.0, 100.0, qrs, qtc, qtc, qtc, qtc, qtc, 50.0, 40.0, 40.0)


@pytest.mark.parametrize(
    ("qtc", "sex", "qrs", "stated", "critical"),
    [
        (449, "male", 90, False, False),
        (450, "male", 90, True, False),
        (455, "female", 90, False, False),
        (460, "female", 90, True, False),
        (490, "unknown", 90, False, False),
        (505, "unknown", 90, True, True),
        (505, "male", 150, True, False),
        (470, "male", 150, False, False),
    ],
)
def test_long_qt(qtc: float, sex: Sex, qrs: float, stated: bool, critical: bool) -> None:
    f = findings(measured=with_qtc(qtc, qrs), subject=Subject(50, sex))
    found = verdict(qt.judge(f), "LNGQT")
    assert (found.stated, found.critical) == (stated, critical)


def test_nothing_is_alarmed_where_t_waves_are_hardly_there() -> None:
    flat = {lead: changed(lead, t=40.0, t2=0.0) for lead in HEALTHY}
    found = verdict(qt.judge(findings(flat, with_qtc(520))), "LNGQT")
    assert found.stated
    assert not found.critical


@pytest.mark.parametrize(("qtc", "stated"), [(459, False), (463, True)])
def test_a_child_is_judged_by_table(qtc: float, stated: bool) -> None:
    f = findings(measured=with_qtc(qtc), subject=Subject(6, "male"))
    assert verdict(qt.judge(f), "LNGQT").stated == stated


@pytest.mark.parametrize(("qtc", "stated"), [(330, True), (345, False)])
def test_short_qt(qtc: float, stated: bool) -> None:
    assert verdict(qt.judge(findings(measured=with_qtc(qtc))), "SHTQT").stated == stated


def test_a_synthetic_patient() -> None:
    assert "LNGQT" in codes(interpreted("long_qt")[2])
