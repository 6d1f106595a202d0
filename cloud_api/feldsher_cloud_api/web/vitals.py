"""Readings for pages: blood pressure panels with the pulse of the same reading."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from feldsher_ehr_core.vitals import BLOOD_PRESSURE_PANEL, DIASTOLIC, PULSE, SYSTOLIC

from feldsher_cloud_api import access
from feldsher_cloud_api.care import vitals as care_vitals
from feldsher_cloud_api.fhir import dates
from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.project.common import TIME_AS_SENT
from feldsher_cloud_api.project.vitals import AS_SENT
from feldsher_cloud_api.web.catalogue import Catalogue
from feldsher_cloud_api.web.desk import Desk
from feldsher_cloud_api.web.people import people
from feldsher_cloud_api.web.shapes import Person, Reading

MOST = 500
"""Readings on one page: the newest; older ones are in the record."""
_LOINC, _READING = "http://loinc.org", "urn:feldsher:reading"


def of_patient(desk: Desk, patient: Person) -> tuple[Reading, ...]:
    """Return a patient's newest readings, oldest first; the patient has been read through this desk."""
    access.permit(desk.who, "Observation", "search")
    columns = care_vitals.trend(desk.connection, patient.id, None, None, MOST)
    desk.note("Observation", patient.id, columns["id"])
    names = ("id", "time", "systolic", "diastolic", "pulse", "note", "time_as_sent", "as_sent")
    return tuple(
        Reading(UUID(i), patient, dates.parse(at)[0], high, low, pulse, note or "", _time(sent_at), as_sent or "")
        for i, at, high, low, pulse, note, sent_at, as_sent in zip(*(columns[n] for n in names), strict=True)
    )


def _time(text: str | None) -> datetime | None:
    return dates.parse(text)[0] if text else None


def recent(desk: Desk, words: Catalogue, count: int) -> tuple[Reading, ...]:
    """Return the readings of all patients within reach that arrived last, the newest first."""
    # By arrival: a cuff whose clock is years behind must not hide what it has just measured.
    panels = desk.search(
        "Observation", code=f"{_LOINC}|{BLOOD_PRESSURE_PANEL}", _sort="-_lastUpdated", _count=str(count)
    )
    pulses = _pulses(desk, [r for s in panels if (r := _reading_id(s.content()))])
    known = people(desk, (s.patient for s in panels))
    found = [_reading(s, known[s.patient], pulses, words) for s in panels if s.patient and s.patient in known]
    return tuple(sorted(found, key=lambda r: r.at, reverse=True))


def _pulses(desk: Desk, readings: list[str]) -> dict[str, dict[str, Any]]:
    if not readings:
        return {}
    wanted = ",".join(f"{_READING}|{r}" for r in readings)
    found = desk.search("Observation", identifier=wanted, code=f"{_LOINC}|{PULSE.loinc}", _count=str(len(readings)))
    return {r: c for s in found if (r := _reading_id(c := s.content()))}


def _reading_id(content: dict[str, Any]) -> str | None:
    identifiers = cast("list[dict[str, Any]]", content.get("identifier", []))
    return next((i["value"] for i in identifiers if i.get("system") == _READING), None)


def _reading(stored: Stored, patient: Person, pulses: dict[str, dict[str, Any]], words: Catalogue) -> Reading:
    content = stored.content()
    values, notes, sent = dict[str, Decimal](), list[str](), list[dict[str, Any]]()
    for code, component in _components(content):
        sent += _extensions(component, AS_SENT)
        if "valueQuantity" in component:
            values[code] = Decimal(component["valueQuantity"]["value"])
        elif "dataAbsentReason" in component:
            reason = str(component["dataAbsentReason"]["coding"][0]["code"])
            notes.append(words.say("patient.absent", reason=words.code("absent", reason)))
    pulse = pulses.get(_reading_id(content) or "", {}).get("valueQuantity")
    at, told = _times(content)
    return Reading(
        stored.id,
        patient,
        dates.parse(at)[0],
        values.get(SYSTOLIC.loinc),
        values.get(DIASTOLIC.loinc),
        Decimal(pulse["value"]) if pulse else None,
        "; ".join(dict.fromkeys(notes)),
        _time(told),
        f"{'/'.join(str(q['value']) for q in sent)} {sent[0]['unit']}" if sent else "",
    )


def _times(content: dict[str, Any]) -> tuple[str, str | None]:
    """Return the best known time of an Observation and, where that was corrected, the time as sent."""
    effective = content["effectiveDateTime"]
    # Until the effective time itself was corrected, the corrected one stood beside it; stored versions do not change.
    before = next(iter(_extensions(content, "urn:feldsher:corrected-time")), None)
    if before is not None:
        return before, effective
    return effective, next(iter(_extensions(content, TIME_AS_SENT)), None)


def _extensions(element: dict[str, Any], url: str) -> list[Any]:
    found = cast("list[dict[str, Any]]", element.get("extension", []))
    return [v for e in found if e.get("url") == url for k, v in e.items() if k.startswith("value")]


def _components(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for component in cast("list[dict[str, Any]]", content["component"]):
        for coding in component["code"].get("coding", []):
            if coding.get("system") == _LOINC:
                yield coding["code"], component
