"""Patterns of potassium and calcium, each beside a near miss."""

from __future__ import annotations

import msgspec
import pytest
from feldsher_ehr_core.ecg import LeadMatrix
from feldsher_signal import electrolytes
from feldsher_signal.findings import Findings
from patients import changed, findings, verdict


def tented(t: float, half: float, r: float = 800.0) -> dict[str, LeadMatrix]:
    return {x: changed(x, t=t, t_half_ms=half, r=r) for x in ("V2", "V3", "V4")}


@pytest.mark.parametrize(
    ("t", "half", "r", "stated"),
    [
        (1400.0, 76.0, 800.0, True),
        (1400.0, 120.0, 800.0, False),
        (1400.0, 76.0, 2500.0, False),
        (600.0, 76.0, 500, False),
    ],
)
def test_hyperkalaemia(t: float, half: float, r: float, stated: bool) -> None:
    found = verdict(electrolytes.judge(findings(tented(t, half, r))), "HYPERK")
    assert found.stated == stated
    assert not found.critical


def test_hyperkalaemia_is_alarmed_with_a_wide_qrs() -> None:
    f = findings(tented(1400.0, 76.0))
    wide = findings(f.matrix, msgspec.structs.replace(f.measured, qrs=150.0))
    assert verdict(electrolytes.judge(wide), "HYPERK").critical


def low(u: float, st: float) -> dict[str, LeadMatrix]:
    out = {x: changed(x, u=u, t=60.0, st80=st, t_ms=180.0) for x in ("V2", "V3", "V4")}
    return out | {x: changed(x, st80=st) for x in ("V5", "V6")}


@pytest.mark.parametrize(("u", "st", "stated"), [(180.0, -90.0, True), (180.0, 0.0, False), (50.0, -90.0, False)])
def test_hypokalaemia(u: float, st: float, stated: bool) -> None:
    assert verdict(electrolytes.judge(findings(low(u, st))), "HYPOK").stated == stated


def with_st(length: float, qt: float) -> Findings:
    leads = {x: changed(x, t_ms=qt - 90.0 - length) for x in ("II", "V4", "V5", "V6")}
    f = findings(leads)
    return findings(leads, msgspec.structs.replace(f.measured, qt=qt, qtc_fridericia=qt))


@pytest.mark.parametrize(
    ("length", "qt", "code"), [(240, 500, "HYPOCA"), (120, 500, ""), (20, 330, "HYPERCA"), (90, 330, ""), (20, 400, "")]
)
def test_calcium(length: float, qt: float, code: str) -> None:
    found = [v.code for v in electrolytes.judge(with_st(length, qt)) if v.stated]
    assert found == ([code] if code else [])
