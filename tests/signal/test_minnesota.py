"""Minnesota codes: each group at its limits, from matrices and statements."""

from __future__ import annotations

import msgspec
import pytest
from feldsher_ehr_core.ecg import LeadMatrix
from feldsher_signal import criteria, minnesota
from feldsher_signal.findings import Findings, Verdict
from feldsher_signal.registry import REGISTRY
from patients import changed, findings, interpreted


def coded(leads: dict[str, LeadMatrix] | None = None, *stated: str, **measured: float | None) -> tuple[str, ...]:
    f = findings(leads)
    f = findings(leads, msgspec.structs.replace(f.measured, **measured))
    return minnesota.codes(f, [Verdict(code, 1.0, True) for code in stated])


def test_a_healthy_heart_has_none() -> None:
    f = findings()
    assert minnesota.codes(f, criteria.verdicts(f)) == ()


@pytest.mark.parametrize(
    ("lead", "values", "code"),
    [
        ("I", {"q": -300.0, "q_ms": 32.0, "r": 800.0}, "1-1-1"),
        ("I", {"q": -150.0, "q_ms": 42.0, "r": 800.0}, "1-1-2"),
        ("II", {"q": -400.0, "q_ms": 25.0, "r": 900.0}, "1-2-1"),
        ("II", {"q": -200.0, "q_ms": 25.0, "r": 900.0}, "1-3-1"),
        ("V3", {"q": -150.0, "q_ms": 33.0, "r": 900.0}, "1-2-2"),
        ("aVL", {"q": -150.0, "q_ms": 43.0, "r": 350.0}, "1-1-3"),
        ("aVF", {"q": -150.0, "q_ms": 52.0, "r": 600.0}, "1-1-5"),
        ("aVF", {"q": -150.0, "q_ms": 33.0, "r": 600.0}, "1-3-5"),
        ("V3", {"q": -900.0, "q_ms": 60.0, "r": 0.0, "s": 0.0}, "1-1-6"),
    ],
)
def test_q(lead: str, values: dict[str, float], code: str) -> None:
    assert code in coded({lead: changed(lead, **values)})


@pytest.mark.parametrize(("depth", "ms"), [(90.0, 45.0), (150.0, 18.0)])
def test_small_q_waves_are_not_coded(depth: float, ms: float) -> None:
    assert coded({"I": changed("I", q=-depth, q_ms=ms, r=1000.0)}) == ()


@pytest.mark.parametrize(
    ("axis", "code"),
    [(-30, "2-1"), (-90, "2-1"), (-29, ""), (89, ""), (100, "2-3"), (120, "2-2"), (-120, "2-4"), (None, "2-5")],
)
def test_axis(axis: float | None, code: str) -> None:
    assert coded(axis_qrs=axis) == ((code,) if code else ())


@pytest.mark.parametrize(
    ("leads", "code"),
    [
        ({"V5": changed("V5", r=2700.0)}, "3-1"),
        ({"V1": changed("V1", r=600.0, s=-300.0)}, "3-2"),
        ({"I": changed("I", r=1700.0)}, "3-3"),
        ({"V1": changed("V1", r=600.0, s=-300.0), "aVL": changed("aVL", r=1300.0)}, "3-4"),
        ({"V5": changed("V5", j=-210.0, st_slope=0.0)}, "4-1-1"),
        ({"II": changed("II", j=-120.0, st_slope=-0.5)}, "4-1-2"),
        ({"V6": changed("V6", j=-60.0, st_slope=0.0)}, "4-2"),
        ({"V4": changed("V4", t=-520.0)}, "5-1"),
        ({"I": changed("I", t=-150.0)}, "5-2"),
        ({"V6": changed("V6", t=-40.0)}, "5-3"),
        ({"V5": changed("V5", t=40.0)}, "5-4"),
        ({"V2": changed("V2", j=220.0, st60=220.0), "V3": changed("V3", j=210.0, st60=210.0)}, "9-2"),
        ({"V3": changed("V3", t=1300.0)}, "9-5"),
    ],
)
def test_voltage_st_and_t(leads: dict[str, LeadMatrix], code: str) -> None:
    assert code in coded(leads)
    # Complete block hides them all.
    assert code not in coded(leads, "CLBBB")


def test_upsloping_depression_is_not_coded_as_such() -> None:
    assert coded({"V5": changed("V5", j=-110.0, st_slope=1.5)}) == ()


@pytest.mark.parametrize(("pr", "code"), [(219.0, ""), (220.0, "6-3"), (119.0, "6-5")])
def test_pr(pr: float, code: str) -> None:
    assert coded(None, "SR", pr=pr) == ((code,) if code else ())


def test_statements_that_are_codes_themselves() -> None:
    assert coded(None, "CRBBB") == ("7-2-1",)
    assert coded(None, "CRBBB", "LAFB") == ("7-8",)
    assert coded(None, "PVC", "PAC") == ("8-1-3",)
    assert coded(None, "AFIB") == ("8-3-1",)
    assert coded(None, "STACH", rate=110.0) == ("8-7",)


def test_codes_are_of_known_statements() -> None:
    assert set(minnesota.STATED) <= set(REGISTRY)


def test_low_voltage_has_no_axis() -> None:
    f = findings()
    small = {x: msgspec.structs.replace(m, r=min(m.r, 220.0), q=0.0, s=max(m.s, -200.0)) for x, m in f.matrix.items()}
    found = coded(small, axis_qrs=-45.0)
    assert "9-1" in found
    assert "2-1" not in found


def test_nothing_read_nothing_coded() -> None:
    empty: Findings = findings(rr=(400,))
    assert minnesota.codes(empty, [Verdict("AFIB", 1.0, True)]) == ()
    assert interpreted("asystole")[2].minnesota == ()


def test_codes_are_in_the_output_in_order() -> None:
    assert interpreted("rbbb")[2].minnesota[:1] == ("7-2-1",)
