"""The words and numbers of an ECG page."""

from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from feldsher_cloud_api.web import ecg
from feldsher_cloud_api.web.catalogue import catalogue
from feldsher_ehr_core.ecg import STANDARD_LEADS, Statement
from feldsher_signal.draw_sheet import Sheet, Text
from feldsher_signal.record import MISSING
from msgspec.structs import replace
from numpy.typing import NDArray


def _neighbour(name: str) -> ModuleType:
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


samples = _neighbour("ecg_samples")
EN, RU = catalogue("en"), catalogue("ru")


def _decoded(data: bytes, leads: int, n: int) -> NDArray[np.int64]:
    """What static/ecg_record.js does, sample by sample."""
    total, rows = leads * n, np.zeros((leads, n), dtype=np.int64)
    for lead in range(leads):
        value = 0
        for i in range(n):
            at = lead * n + i
            zigzag = sum(data[plane * total + at] << (8 * plane) for plane in range(4))
            value = (value + ((zigzag >> 1) ^ -(zigzag & 1))) & 0xFFFFFFFF
            rows[lead, i] = value - (1 << 32) if value >= 1 << 31 else value
    return rows


def test_planes_carry_every_sample_missing_ones_too() -> None:
    wild = np.array([[0, 1, -1, 2**31 - 1, MISSING], [MISSING, 5, -7, MISSING, 0]], dtype=np.int32)
    assert np.array_equal(_decoded(ecg.planes(wild), 2, 5), wild)


def test_what_could_not_be_judged_comes_first_and_whole() -> None:
    lines = ecg.unjudged(samples.source(), EN)
    assert lines == (
        "V3: flat line, lead off",
        "aVL, 1.0–2.5 s: noise",
        "100 samples were lost on the line",
        "Pacemaker: unknown. Paced rhythm may be misread.",
    )


def test_a_recording_without_interpretation_says_so() -> None:
    page = ecg.ecg_page(
        samples.source(
            interpretation=None, not_interpreted="too short", lead_off=("V2",), lost=0, pacemaker_known=True
        ),
        EN,
    )
    assert page.unjudged == ("The gateway did not interpret this recording: too short", "V2: lead off")
    assert page.statements == ()
    assert page.measurements == ()
    assert page.beats == ()


def test_statements_are_in_the_readers_language_and_unknown_codes_keep_the_engines_text() -> None:
    said = ecg.ecg_page(samples.source(), RU).statements
    assert [s.text for s in said] == ["Синусовый ритм", "Полная АВ-блокада", "A finding of our own registry"]
    assert [s.critical for s in said] == [False, True, False]


def test_measurements_keep_units_and_never_invent() -> None:
    shown = {m.label: m.value for m in ecg.ecg_page(samples.source(), EN).measurements}
    assert shown["Heart rate"] == "75 1/min"
    assert shown["PR interval"] == "140 ms"
    assert shown["QRS axis"] == "-30°"
    assert shown["QTc Hodges"] == ""


def test_beats_table_says_what_the_trace_shows() -> None:
    rows = ecg.ecg_page(samples.source(), EN).beats
    assert len(rows) == 12
    assert (rows[0].rr, rows[1].rr) == (None, 800)
    assert (rows[2].at, rows[2].kind) == (2.0, "V")
    assert (rows[0].pr, rows[0].qrs, rows[0].qt) == (140, 90, 400)


@pytest.mark.parametrize(("status", "signed"), [("preliminary", False), ("final", True), ("amended", True)])
def test_only_a_physician_makes_it_signed(status: str, signed: bool) -> None:
    page = ecg.ecg_page(samples.source(status=status), EN)
    assert page.signed is signed
    assert page.critical_texts == ("Third-degree AV block",)


def test_the_doctors_draft_is_the_machines_text_in_its_own_language_only() -> None:
    assert ecg.ecg_page(samples.source(), EN).draft == "Sinus rhythm; third-degree AV block"
    assert ecg.ecg_page(samples.source(), RU).draft.startswith("Синусовый ритм; Полная АВ-блокада")


def test_viewer_meta_has_no_person_in_it() -> None:
    meta = ecg.viewer_meta(samples.source(), demo=True)
    assert meta["leads"] == list(STANDARD_LEADS)
    assert meta["waves"][0]["lead"] == "global"
    assert meta["quality"]["segments"] == (
        {"from": 500, "to": 1250, "lead": "aVL", "usable": False, "issues": ("noise",)},
    )
    assert "Walker" not in str(meta)


def test_findings_in_lists() -> None:
    assert ecg.finding([("AFIB", "Atrial fibrillation"), ("ZZZ", "own words")], EN) == "Atrial fibrillation; own words"


def test_limits_stand_before_findings_and_the_word_unconfirmed_is_not_signed() -> None:
    said = samples.interpretation()
    paced = Statement("PACENA", "Pacing not assessed", "definite", ("500 samples per second",))
    changed = replace(said, statements=(*said.statements, paced))
    source = samples.source(interpretation=changed, stated="Sinus rhythm. Unconfirmed.")
    page = ecg.ecg_page(source, EN)
    assert "Pacing not assessed: 500 samples per second" in page.unjudged
    assert "PACENA" not in [s.code for s in page.findings]
    assert page.draft == "Sinus rhythm."
    assert page.statements[0].source.startswith("AHA/ACC/HRS 2007")
    assert ecg.finding([("PACENA", "x"), ("SR", "x")], RU) == "Синусовый ритм"
    assert ecg.finding([("PACENA", "x")], RU) == "Стимуляция не оценивалась"


def test_what_a_physician_replaced_alarms_no_more() -> None:
    assert ecg.ecg_page(samples.source(status="final", agreed=False), EN).critical is False
    assert ecg.ecg_page(samples.source(status="final", agreed=True), EN).critical is True
    assert ecg.ecg_page(samples.source(status="preliminary", agreed=False), EN).critical is True


def test_the_sheet_is_stamped_until_signed_and_then_says_the_doctors_words() -> None:
    def words(sheet: Sheet) -> list[str]:
        return [item.words for item in sheet.all() if isinstance(item, Text)]

    waiting = words(ecg.sheet(samples.source(status="preliminary", signed_by=None, signed_at=None), demo=True))
    assert {"UNCONFIRMED", "DEMO"} <= set(waiting)
    at = datetime(2026, 11, 23, 9, tzinfo=UTC)
    source = samples.source(
        status="final", signed_by="Dr. Иванова", signed_at=at, agreed=False, conclusion="My own words."
    )
    signed = words(ecg.sheet(source, demo=False))
    assert "UNCONFIRMED" not in signed
    assert {"Confirmed", "Dr. Иванова, 2026-11-23 09:00 UTC", "My own words."} <= set(signed)
    assert source.patient is not None
    assert any(line.startswith(source.patient.name) for line in signed)
