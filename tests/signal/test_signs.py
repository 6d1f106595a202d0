"""What is said first: leads off, electrodes in each other's place, what was not judged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal import signs
from feldsher_signal.interpret import interpret
from patients import codes, findings, interpreted, verdict


@pytest.mark.parametrize(
    ("subject", "first", "named"),
    [
        (Subject(), "age and sex not given", "limit of QTc"),
        (Subject(50), "sex not given", "Cornell, Peguero-Lo Presti"),
        (Subject(None, "male"), "age not given", "Sokolow-Lyon"),
        (Subject(9), "sex not given", "limits of one sex (the wider of both are taken)"),
    ],
)
def test_what_is_withheld_is_named(subject: Subject, first: str, named: str) -> None:
    found = verdict(signs.judge(findings(subject=subject)), "AGESEX")
    assert found.because[0] == first
    assert named in found.because


def test_one_lead_withholds_too() -> None:
    f = findings(subject=Subject(50))
    one = replace(f, matrix={"II": f.matrix["II"]}, leads=("II",))
    assert verdict(signs.judge(one), "AGESEX").because == ("sex not given", "limit of QTc")
    assert "AGESEX" not in [v.code for v in signs.judge(findings())]


def test_pacing_is_not_assessed_where_sampling_hides_spikes() -> None:
    assert verdict(signs.judge(findings()), "PACENA").stated
    f = findings()
    fine = replace(f, fs=2000.0)
    assert "PACENA" not in [v.code for v in signs.judge(fine)]


def test_known_pacemaker_and_child() -> None:
    f = findings(subject=Subject(9, "male", pacemaker=True))
    assert {"PEDNA"} <= {v.code for v in signs.judge(f)}
    assert "PACE" not in {v.code for v in signs.judge(f)}


@pytest.mark.parametrize(
    ("name", "first"), [("lead_off", "LEADOFF"), ("limb_off", "LEADOFF"), ("limbs_swapped", "REVARM")]
)
def test_said_before_anything_else(name: str, first: str) -> None:
    result = interpreted(name)[2]
    assert result.statements[0].code == first
    assert "NORM" not in codes(result)
    assert "LAD" not in codes(result)


def test_a_flat_line_alarms() -> None:
    result = interpreted("asystole")[2]
    assert [s.code for s in result.statements if s.critical] == ["ASYST"]
    assert not result.quality.usable


def test_what_a_single_lead_cannot_show_is_named() -> None:
    assert "LEADNA" not in {v.code for v in signs.judge(findings())}
    whole = findings()
    one = replace(whole, leads=("II",), matrix={"II": whole.matrix["II"]})
    said = verdict(signs.judge(one), "LEADNA")
    assert said.because[:2] == ("leads judged: 1", "ST elevation")
    assert "infarction by Q waves" in said.because
    off = replace(whole, matrix={lead: m for lead, m in whole.matrix.items() if lead != "V3"})
    assert "ST elevation" not in verdict(signs.judge(off), "LEADNA").because
    recording, _, _ = interpreted("inferior_stemi")
    strip = interpret(recording, Subject(50, "male"), channel=1)
    assert "Not judged for want of leads: ST elevation, " in strip.conclusion
    assert "NORM" not in codes(strip)
