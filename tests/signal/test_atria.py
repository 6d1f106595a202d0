"""The P wave: enlargement of each atrium at its limits."""

from __future__ import annotations

import msgspec
import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal import atria
from feldsher_signal.findings import Findings
from patients import changed, findings, verdict


def with_p(lasts: float, depth: float, force: float, subject: Subject | None = None) -> Findings:
    f = findings({"V1": changed("V1", p=60.0, p2=-depth, p_end=-force)}, subject=subject)
    measured = msgspec.structs.replace(f.measured, p_dur=lasts)
    return findings(f.matrix, measured, subject)


@pytest.mark.parametrize(
    ("lasts", "depth", "force", "stated"),
    [(126, 90, 6, True), (110, 90, 6, False), (126, 90, 2, False), (110, 140, 12, True), (126, 40, 6, False)],
)
def test_left(lasts: float, depth: float, force: float, stated: bool) -> None:
    assert verdict(atria.judge(with_p(lasts, depth, force)), "LAO/LAE").stated == stated


@pytest.mark.parametrize(("p", "stated"), [(260.0, True), (240.0, False)])
def test_right(p: float, stated: bool) -> None:
    assert verdict(atria.judge(findings({"II": changed("II", p=p)})), "RAO/RAE").stated == stated


def test_neither_without_p_waves_nor_in_a_child() -> None:
    assert atria.judge(findings(p_like=0.1)) == []
    assert atria.judge(with_p(140, 200, 20, Subject(9, "male"))) == []
