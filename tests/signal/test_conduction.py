"""Conduction: limits on each side, and the blocks of synthetic patients."""

from __future__ import annotations

import pytest
from feldsher_ehr_core.ecg import Measurements
from feldsher_signal import conduction
from patients import HEALTHY, changed, codes, findings, interpreted, verdict


def measured(pr: float | None = 160.0, qrs: float = 90.0, axis: float | None = 50.0) -> Measurements:
    return Measurements(60.0, pr, 100.0, qrs, 400.0, 400.0, 400.0, 400.0, 400.0, 50.0, axis, 40.0)


def test_healthy() -> None:
    assert [v.code for v in conduction.judge(findings()) if v.stated] == []


@pytest.mark.parametrize(("pr", "stated"), [(None, False), (200.0, False), (202.0, True), (320.0, True)])
def test_first_degree_block(pr: float | None, stated: bool) -> None:
    found = verdict(conduction.judge(findings(measured=measured(pr=pr))), "1AVB")
    assert found.stated == stated
    assert (found.score > 0.5) == stated


@pytest.mark.parametrize(
    ("axis", "code"), [(-29, ""), (-31, "LAD"), (-89, "LAD"), (91, "RAD"), (179, "RAD"), (-120, "XAD"), (None, "")]
)
def test_axis(axis: float | None, code: str) -> None:
    stated = [v.code for v in conduction.judge(findings(measured=measured(axis=axis))) if v.stated]
    assert [c for c in stated if c in ("LAD", "RAD", "XAD")] == ([code] if code else [])


def test_bundle_branch_blocks_need_width() -> None:
    right = {
        "V1": changed("V1", r=150, s=-300, r2=700, peak_ms=80),
        "I": changed("I", s=-200, s_ms=60),
        "V6": changed("V6", s=-300, s_ms=60),
    }
    assert verdict(conduction.judge(findings(right, measured(qrs=140))), "CRBBB").stated
    assert verdict(conduction.judge(findings(right, measured(qrs=108))), "IRBBB").stated
    assert not verdict(conduction.judge(findings(right, measured(qrs=90))), "CRBBB").stated
    plain = conduction.judge(findings(measured=measured(qrs=140)))
    assert verdict(plain, "IVCD").stated
    assert not verdict(plain, "CRBBB").stated


def test_incomplete_blocks_are_narrower() -> None:
    right = {
        "V1": changed("V1", r=150, s=-300, r2=700, peak_ms=16, rpt_ms=80),
        "I": changed("I", s=-200, s_ms=60),
    }
    for qrs, code, certainty in ((112, "IRBBB", "definite"), (103, "IRBBB", "possible"), (121, "CRBBB", None)):
        found = [v for v in conduction.judge(findings(right, measured(qrs=qrs))) if v.stated and "RBBB" in v.code]
        assert [v.code for v in found] == [code]
        assert certainty in (None, found[0].certainty)


def test_one_bundle_branch_block_at_a_time_and_v1_says_which() -> None:
    late = {x: changed(x, q=0.0, s=-100.0, s_ms=60.0, peak_ms=75.0, qrs_area=60.0) for x in ("I", "V5", "V6")}

    def stated(area: float, rpt_ms: float) -> set[str]:
        v1 = changed("V1", r=150.0, s=-1500.0, r2=700.0, rpt_ms=rpt_ms, qrs_area=area)
        found = conduction.judge(findings({"V1": v1, **late}, measured(qrs=140)))
        return {v.code for v in found if v.stated and v.code.endswith("BBB")}

    assert stated(-20.0, 100.0) == {"CLBBB"}
    assert stated(20.0, 100.0) == {"CRBBB"}
    # An "R′" that is highest as the QRS ends is the ST segment that left bundle branch block raises in V1.
    assert stated(20.0, 138.0) == {"CLBBB"}


@pytest.mark.parametrize(("qrs", "certainty"), [(125.0, "probable"), (142.0, "definite")])
def test_strict_left_bundle_branch_block(qrs: float, certainty: str) -> None:
    left = {
        "V1": changed("V1", r=50.0, s=-1500.0),
        **{x: changed(x, q=0.0, s=0.0, peak_ms=75.0, qrs_area=60.0) for x in ("I", "V5", "V6")},
    }
    found = verdict(conduction.judge(findings(left, measured(qrs=qrs))), "CLBBB")
    assert (found.stated, found.certainty) == (True, certainty)


@pytest.mark.parametrize(
    ("pr", "qrs", "slur", "stated"),
    [(100, 124, 48, True), (100, 124, 20, False), (100, 90, 48, False), (160, 124, 48, False)],
)
def test_preexcitation_needs_all_three(pr: float, qrs: float, slur: float, stated: bool) -> None:
    slow = {x: changed(x, slur_ms=slur) for x in HEALTHY}
    assert verdict(conduction.judge(findings(slow, measured(pr=pr, qrs=qrs))), "WPW").stated == stated


def test_short_pr_and_indeterminate_axis_are_notes() -> None:
    found = conduction.judge(findings(measured=measured(pr=110.0, axis=None)))
    assert {v.code for v in found if v.stated} == {"SHPR", "AXIND"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lbbb", "CLBBB"),
        ("rbbb", "CRBBB"),
        ("first_degree_block", "1AVB"),
        ("left_axis", "LAFB"),
        ("right_axis", "LPFB"),
    ],
)
def test_synthetic_patients(name: str, expected: str) -> None:
    found = codes(interpreted(name)[2])
    assert expected in found
    assert "NORM" not in found
