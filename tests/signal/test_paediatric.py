"""Limits of children by age and sex, and what is said not to be judged."""

from __future__ import annotations

import msgspec
import pytest
from feldsher_ehr_core.ecg import Sex, Subject
from feldsher_signal import conduction, paediatric, rhythm, voltage
from feldsher_signal.paediatric import limits
from patients import changed, findings, verdict


@pytest.mark.parametrize(
    ("subject", "group"),
    [
        (Subject(age_days=10), None),
        (Subject(age_days=11), "11–30 days"),
        (Subject(age_days=29), "11–30 days"),
        (Subject(age_days=30), "1–3 months"),
        (Subject(age_days=200), "6–12 months"),
        (Subject(1), "1–3 y"),
        (Subject(15), "12–16 y"),
        (Subject(16), None),
        (Subject(0), None),
        (Subject(), None),
    ],
)
def test_age_groups(subject: Subject, group: str | None) -> None:
    found = limits(subject.whole())
    assert (found and found.group) == group


def test_limits_of_both_sexes_hold_where_it_is_unknown() -> None:
    boy, girl, either = (limits(Subject(4, sex)) for sex in ("male", "female", "unknown"))
    assert boy is not None
    assert girl is not None
    assert either is not None
    assert boy.rate == (73, 123)
    assert girl.pr == (99, 153)
    assert either.rate == (73, 124)
    assert either.axis == (3, 112)
    assert either.r_v1 == 1780


def test_rate_falls_and_pr_grows_with_age() -> None:
    for sex in ("male", "female"):
        found = [limits(Subject(sex=sex, age_days=days)) for days in paediatric.GROUP_FROM_DAYS]
        tables = [x for x in found if x is not None]
        assert len(tables) == len(paediatric.GROUPS)
        assert tables[0].rate[0] > tables[4].rate[0] > tables[-1].rate[0]
        assert tables[0].pr[1] < tables[4].pr[1] < tables[-1].pr[1]
        assert all(low < high for t in tables for low, high in (t.rate, t.pr, t.qrs, t.qtc, t.axis))


@pytest.mark.parametrize(
    ("subject", "named", "free"),
    [
        (Subject(40), (), ("rate",)),
        (Subject(17), ("ventricular hypertrophy",), ("rate", "PR")),
        (Subject(8), ("infarction by Q waves",), ("ventricular hypertrophy", "rate")),
        (Subject(age_days=3), ("rate", "PR", "QTc"), ()),
    ],
)
def test_what_is_not_judged_is_named(subject: Subject, named: tuple[str, ...], free: tuple[str, ...]) -> None:
    found = paediatric.unjudged(subject.whole())
    assert set(named) <= set(found)
    assert not set(free) & set(found)


@pytest.mark.parametrize(("pr", "stated"), [(170.0, True), (155.0, False)])
def test_pr_of_a_child(pr: float, stated: bool) -> None:
    f = findings(subject=Subject(6, "male"))
    judged = findings(measured=msgspec.structs.replace(f.measured, pr=pr), subject=f.subject)
    assert verdict(conduction.judge(judged), "1AVB").stated == stated


@pytest.mark.parametrize(("axis", "days", "code"), [(130.0, 20, ""), (130.0, 2000, "RAD"), (20.0, 20, "LAD")])
def test_axis_of_a_child(axis: float, days: int, code: str) -> None:
    subject = Subject(sex="male", age_days=days).whole()
    f = findings(subject=subject)
    judged = findings(measured=msgspec.structs.replace(f.measured, axis_qrs=axis), subject=subject)
    stated = [v.code for v in conduction.judge(judged) if v.stated and v.code in ("LAD", "RAD", "XAD")]
    assert stated == ([code] if code else [])


@pytest.mark.parametrize(
    ("sex", "r_v1", "r_v6", "expected"),
    [("male", 1000.0, 2000.0, ""), ("male", 1900.0, 2000.0, "RVH"), ("female", 1000.0, 3000.0, "VCLVH")],
)
def test_voltage_of_a_child(sex: Sex, r_v1: float, r_v6: float, expected: str) -> None:
    f = findings({"V1": changed("V1", r=r_v1), "V6": changed("V6", r=r_v6)}, subject=Subject(4, sex))
    assert [v.code for v in voltage.judge(f) if v.stated] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("subject", "rate", "code", "critical"),
    [
        (Subject(40, "male"), 110.0, "STACH", False),
        (Subject(40, "male"), 160.0, "STACH", True),
        (Subject(sex="male", age_days=60), 160.0, "SR", False),
        (Subject(sex="male", age_days=60), 100.0, "SBRAD", False),
        (Subject(sex="male", age_days=60), 230.0, "STACH", True),
        (Subject(sex="male", age_days=4), 160.0, "SR", False),
        (Subject(7, "male"), 65.0, "SR", False),
        (Subject(14, "female"), 52.0, "SBRAD", False),
    ],
)
def test_rate_of_a_child(subject: Subject, rate: float, code: str, critical: bool) -> None:
    f = findings(subject=subject.whole(), rr=(round(30_000 / rate),) * 20)
    found = [v for v in rhythm.judge(f) if v.stated and v.code in ("SR", "SBRAD", "STACH")]
    assert [(v.code, v.critical) for v in found] == [(code, critical)]
