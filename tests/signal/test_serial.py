"""A recording beside an earlier one: new, resolved, kept, changed; noise about a limit is no change."""

from __future__ import annotations

import msgspec
import pytest
from feldsher_ehr_core.ecg import Comparison, Interpretation
from feldsher_signal import serial
from patients import interpreted


def patient(name: str, seed: int = 3) -> Interpretation:
    return interpreted(name, seed=seed)[2]


def changed(result: Interpretation, **measured: float | None) -> Interpretation:
    return msgspec.structs.replace(result, measurements=msgspec.structs.replace(result.measurements, **measured))


@pytest.mark.parametrize("name", ["normal", "lbbb", "atrial_fibrillation", "inferior_stemi"])
def test_the_same_recording_has_not_changed(name: str) -> None:
    found = serial.compare(patient(name), patient(name))
    assert (found.new, found.resolved, found.changed, found.critical) == ((), (), (), False)
    assert found.conclusion.startswith("No significant change")


def test_another_recording_of_the_same_heart_has_not_changed() -> None:
    found = serial.compare(patient("normal"), patient("normal", seed=8))
    assert not [c for c in found.changed if c.what != "rate"]
    assert not found.critical


def test_a_new_infarction_alarms() -> None:
    found = serial.compare(patient("normal"), patient("inferior_stemi"))
    assert "STEMI" in found.new
    assert found.critical
    assert {"j II", "j III", "j aVF"} <= {c.what for c in found.changed}
    assert "New or worsened ischaemia or infarction" in found.conclusion
    back = serial.compare(patient("inferior_stemi"), patient("normal"))
    assert "STEMI" in back.resolved
    assert not back.critical


def test_a_new_block() -> None:
    found = serial.compare(patient("normal"), patient("rbbb"))
    assert "CRBBB" in found.new
    assert "NORM" in found.resolved
    assert "qrs" in {c.what for c in found.changed}
    assert "New conduction abnormality" in found.conclusion


def test_a_statement_near_its_limit_is_no_news() -> None:
    before = patient("first_degree_block")
    gone = tuple(s for s in before.statements if s.code != "1AVB")
    after = msgspec.structs.replace(
        before, statements=gone, scores={**before.scores, "1AVB": before.scores["1AVB"] - 0.1}
    )
    found = serial.compare(before, after)
    assert "1AVB" in found.kept
    assert found.resolved == ()
    far = msgspec.structs.replace(after, scores={**before.scores, "1AVB": before.scores["1AVB"] - 0.6})
    assert serial.compare(before, far).resolved == ("1AVB",)


@pytest.mark.parametrize(
    ("what", "before", "after", "listed"),
    [
        ("rate", 70.0, 89.0, False),
        ("rate", 70.0, 91.0, True),
        ("pr", 160.0, 185.0, True),
        ("qrs", 90.0, 105.0, False),
        ("qtc_fridericia", 400.0, 440.0, False),
        ("qtc_fridericia", 420.0, 455.0, True),
        ("axis_qrs", 170.0, -170.0, False),
        ("axis_qrs", 40.0, -20.0, True),
        ("pr", 160.0, None, True),
    ],
)
def test_measurements(what: str, before: float, after: float | None, listed: bool) -> None:
    one = changed(patient("normal"), **{what: before})
    found = serial.compare(one, changed(one, **{what: after}))
    assert ([c.what for c in found.changed] == [what]) == listed
    assert all(c.source and c.limit > 0 for c in found.changed)


def test_a_wave_that_changed_in_one_lead_alone_is_not_listed() -> None:
    before = patient("normal")
    t = {lead: msgspec.structs.replace(m, t=-m.t) if lead == "V4" else m for lead, m in before.matrix.items()}
    assert serial.compare(before, msgspec.structs.replace(before, matrix=t)).changed == ()
    both = {x: msgspec.structs.replace(m, t=-m.t) if x in ("V4", "V5") else m for x, m in before.matrix.items()}
    found = serial.compare(before, msgspec.structs.replace(before, matrix=both))
    assert [c.what for c in found.changed] == ["t V4", "t V5"]
    assert "Significant repolarisation change" in found.conclusion


def test_what_limits_the_comparison_is_said() -> None:
    found = serial.compare(patient("normal"), patient("lead_off"))
    assert any(note.startswith("current recording: Lead off") for note in found.notes)
    assert any(note.startswith("in one of them only") for note in found.notes)


def test_it_travels_as_json() -> None:
    found = serial.compare(patient("normal"), patient("lbbb"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found
