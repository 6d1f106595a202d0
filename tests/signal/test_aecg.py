"""HL7 aECG as written: the elements that PORT_MT020001 demands in its order, samples read back by ecgdatakit."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal.formats import Content, Filters, aecg, load
from feldsher_signal.record import MISSING, Recording
from hypothesis import HealthCheck, given, settings
from recordings import SCALES, contents

needs_ecgdatakit = pytest.mark.skipif(
    importlib.util.find_spec("ecgdatakit") is None, reason="NO feldsher[formats] INSTALLED"
)
NS = "{urn:hl7-org:v3}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"
HELD = Content(
    Recording(("I", "aVR", "MLII"), 250.0, np.array([[1, 2], [3, 4], [5, 6]], np.int32), (4.88, 4.88, 5.0), (0, 0, 1)),
    Subject(age=44, sex="female"),
    Filters(0.05, 150.0, 50.0),
)


def _children(element: ElementTree.Element) -> list[str]:
    return [child.tag.removeprefix(NS) for child in element]


def test_the_order_of_the_schema() -> None:
    root = ElementTree.fromstring(aecg.dumps(HELD))  # noqa: S314 - our own text
    assert root.tag == f"{NS}AnnotatedECG"
    assert _children(root) == ["id", "code", "effectiveTime", "componentOf", "controlVariable", "component"]
    series = root.find(f"{NS}component/{NS}series")
    assert series is not None
    assert _children(series) == ["id", "code", "effectiveTime", *["controlVariable"] * 3, "component"]
    sequences = list(series.iter(f"{NS}sequence"))
    codes = [sequence.find(f"{NS}code") for sequence in sequences]
    assert [code.get("code") for code in codes if code is not None] == [
        "TIME_RELATIVE",
        "MDC_ECG_LEAD_I",
        "MDC_ECG_LEAD_AVR",
        "MDC_ECG_LEAD_CONFIG",
    ]
    values = [sequence.find(f"{NS}value") for sequence in sequences]
    assert [value.get(XSI) for value in values if value is not None] == ["GLIST_PQ", *["SLIST_PQ"] * 3]
    assert [each.text for each in series.iter(f"{NS}digits")] == ["1 2", "3 4", "4 5"]
    for needed in ("trialSubject", "clinicalTrial"):
        found = root.find(f".//{NS}{needed}/{NS}id")
        assert found is not None
        assert len(found.get("root", "")) == 36


def test_nothing_but_sex_and_age_of_a_person() -> None:
    text = aecg.dumps(HELD).decode()
    assert 'administrativeGenderCode code="F"' in text
    assert 'value="44" unit="a"' in text
    for gone in ("<name", "birthTime", "raceCode", "extension="):
        assert gone not in text
    bare = aecg.dumps(Content(HELD.recording)).decode()
    assert "administrativeGenderCode" not in bare
    assert "relatedObservation" not in bare


def test_a_known_time() -> None:
    text = aecg.dumps(HELD, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)).decode()
    assert '<low value="20240506070809.000"/><high value="20240506070809.008"/>' in text
    assert '<head value="20240506070809.000"/>' in text


def test_the_same_recording_has_the_same_identifiers() -> None:
    assert aecg.dumps(HELD) == aecg.dumps(HELD)
    other = Content(Recording(("I",), 250.0, np.array([[1, 3]], np.int32), (5.0,)))
    assert aecg.dumps(other).split(b'<id root="')[1] != aecg.dumps(HELD).split(b'<id root="')[1]


@needs_ecgdatakit
@given(contents(gaps=False, scales=(*SCALES, 1000 / 1716, 5 / 3)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_what_is_written_is_read_exactly(tmp_path: Path, held: Content) -> None:
    path = tmp_path / "x"
    path.write_bytes(aecg.dumps(held))
    found = load(path)
    assert (found.recording.leads, found.recording.fs) == (held.recording.leads, held.recording.fs)
    assert found.recording.uv_per_bit == held.recording.uv_per_bit
    base = np.array(held.recording.baseline)[:, None]
    assert np.array_equal(found.recording.samples, held.recording.samples - base)
    assert (found.subject, found.filters) == (held.subject, held.filters)


def test_a_gap_is_refused() -> None:
    gap = np.array([[1, int(MISSING), 2]], np.int32)
    with pytest.raises(ValueError, match="is missing, which HL7 aECG cannot say"):
        aecg.dumps(Content(Recording(("I",), 500.0, gap, (1.0,))))
