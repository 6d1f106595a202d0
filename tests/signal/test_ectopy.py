"""Early beats: patterns, pairs, runs and their rates."""

from __future__ import annotations

import pytest
from feldsher_signal import ectopy
from patients import findings, verdict


@pytest.mark.parametrize(
    ("kinds", "cycle", "expected"),
    [
        ("NNVNVNVNN", 2, [(1, 7)]),
        ("NVNVNN", 2, []),
        ("NVNSNVNS", 2, []),
        ("NSNSNSNS", 2, [(0, 8)]),
        ("NNVNNVNNVN", 3, [(0, 9)]),
        ("NNNN", 2, []),
    ],
)
def test_patterns(kinds: str, cycle: int, expected: list[tuple[int, int]]) -> None:
    assert ectopy.patterns(kinds, cycle) == expected


def test_pairs() -> None:
    assert verdict(ectopy.judge(findings(kinds="NNVVNNNVVNNNN")), "VPAIR").because == ("2 pairs of ventricular beats",)
    assert not verdict(ectopy.judge(findings(kinds="NNVVVNNVNNNNN")), "VPAIR").stated


@pytest.mark.parametrize(
    ("kind", "rr", "code"),
    [("V", 220, "VTAC"), ("V", 400, "IVR"), ("V", 900, "IVR"), ("S", 220, "PSVT"), ("S", 400, "")],
)
def test_runs(kind: str, rr: int, code: str) -> None:
    f = findings(rr=(400, 400, rr, rr, rr, rr, 400, 400), kinds=f"NNN{kind * 4}NN")
    found = {v.code for v in ectopy.judge(f) if v.stated} - {"PVC", "PAC"}
    assert found == ({code} if code else set())
    (run,) = ectopy.runs(f, kind)
    assert (run.first, run.last, run.beats) == (3, 7, 4)
    assert run.rate == pytest.approx(30000 / rr)


def test_short_run_is_not_alarmed() -> None:
    short = findings(rr=(400, 400, 220, 220, 220, 400, 400), kinds="NNNVVVNN")
    assert not verdict(ectopy.judge(short), "VTAC").critical
    long = findings(rr=(400, 400, 220, 220, 220, 220, 220, 400), kinds="NNNVVVVVN")
    assert verdict(ectopy.judge(long), "VTAC").critical
    assert "not sustained" in verdict(ectopy.judge(long), "VTAC").because[0]
