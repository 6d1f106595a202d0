"""Alarms: a Task for staff, with a Flag on the patient's record while it is open; ingest's alerts are gathered on them.

A Flag, not a DetectedIssue: R4's DetectedIssue is an issue "with or between one or more active or proposed clinical
actions" (an interaction, a duplicate therapy), and nobody has acted here. A Flag is a warning "of sufficient
significance to warrant a special display", and its standard extension flag-detail points to the Observation behind it:
the reading, or the report of the cardiogram.

While the Task of a patient's limit is open, further alerts of it are gathered there: it says how many they are, since
when, and what the newest found; each of them stays readable (care/alarm.py). A cardiogram has a Task of its own, which
signing answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
from feldsher_ehr_core.monitoring import SEVERITIES, Number, Severity
from feldsher_ehr_core.vitals import VITALS
from feldsher_ingest import read

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.project import common, vitals
from feldsher_cloud_api.project.common import concept

ALARM, INPUT, NUMBER, LIMIT = (
    "urn:feldsher:alarm", "urn:feldsher:alarm-input", "urn:feldsher:alarm-number", "urn:feldsher:limit",
)  # fmt: skip
FLAG_DETAIL = "http://hl7.org/fhir/StructureDefinition/flag-detail"
_FLAG_CATEGORY = "http://terminology.hl7.org/CodeSystem/flag-category"
PRIORITY: dict[Severity, str] = {"urgent": "stat", "warning": "urgent", "note": "routine"}
"""request-priority of R4: `stat` is to be acted on at once, `urgent` promptly."""
KINDS = {
    "range": "Measurement beyond its limit",
    "both": "Measurements beyond their limits together",
    "rise": "Measurements rise or fall",
    "missed": "Measurements are missing",
    "ecg": "Critical cardiogram",
    "review": "Limit due for review",
    "absent": "Monitored without limits",
    "unreadable": "Limit cannot be watched",
}
"""What an alarm is about: watch_alert's kinds, in words."""
WARNING = ("range", "both", "rise", "ecg")
"""Kinds that say something of the patient: these have a Flag."""
_queries = db.queries("alarm")
_numbers = msgspec.json.Decoder(tuple[Number, ...])


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as ingest's watch_alert has it; `reading`: the reading or cardiogram that completed it."""

    id: UUID
    limit: UUID
    version: int
    kind: str
    subject: UUID | None
    severity: Severity
    reading: UUID | None
    gateway: str | None
    measured_at: datetime
    arrived_at: datetime | None
    late: bool
    doubt: tuple[str, ...]
    numbers: tuple[Number, ...]


def alert_of(row: tuple[Any, ...]) -> Alert:
    """Return the alert of a row of the queries `alert` and `alerts`."""
    *plain, doubt, numbers = row
    return Alert(*plain, tuple(doubt), _numbers.decode(numbers))  # pyright: ignore[reportCallIssue]


def _evidence(connection: db.Connection, alert: Alert) -> str | None:
    """Return the reference of what an alert was found in."""
    if alert.reading is None:
        return None
    if alert.kind == "ecg":
        return f"DiagnosticReport/{alert.reading}"
    values = read.readings(connection, [alert.reading])
    device = common.device_id(values[0].gateway, values[0].device)
    return reference(alert, vitals.resources(values, device, None))


def reference(alert: Alert, made: list[dict[str, Any]]) -> str:
    """Return the reference of the Observation, of those of one reading, that an alert's numbers are of."""
    codes = {str(number.code) for number in alert.numbers}
    for resource in made:
        parts = [resource, *resource.get("component", [])]
        if codes & {
            coding["code"] for part in parts for coding in part["code"]["coding"] if coding["system"] == vitals.MDC
        }:
            return f"Observation/{resource['id']}"
    return f"Observation/{made[0]['id']}"


def flag_id(task: UUID) -> UUID:
    """Return the id of the Flag of a Task."""
    return uuid5(task, "flag")


def show(connection: db.Connection, task: UUID, patient: UUID | None, opened_at: datetime, now: datetime) -> None:
    """Store a Task with what has been gathered on it, and at first the Flag of its patient."""
    count, first, last, late, doubted, weight, newest = _queries.gathered(connection, task=task)
    alert = alert_of(_queries.alert(connection, id=newest))
    evidence = _evidence(connection, alert)
    resource: dict[str, Any] = {
        "resourceType": "Task",
        "id": str(task),
        "identifier": [{"system": LIMIT, "value": str(alert.limit)}],
        "status": "requested",
        "intent": "order",
        "priority": PRIORITY[SEVERITIES[weight - 1]],
        "code": concept(ALARM, alert.kind, KINDS[alert.kind]),
        "description": words(alert),
        "authoredOn": dates.render(opened_at),
        "lastModified": dates.render(now),
        "requester": {"display": "feldsher watch"},
        "input": _inputs(alert, count, (first, last), late=late, doubted=doubted),
    }
    if patient is not None:
        resource["for"] = {"reference": f"Patient/{patient}"}
    if patient is not None and alert.kind in WARNING:
        resource["focus"] = {"reference": f"Flag/{flag_id(task)}"}
        flag = _flag(task, alert, patient, evidence, opened_at)
        store.insert(connection, flag, patient=patient, now=now)
    if evidence is not None:
        resource["reasonReference"] = {"reference": evidence}
    store.put(connection, resource, patient=patient, now=now)


def _flag(task: UUID, alert: Alert, patient: UUID, evidence: str | None, opened_at: datetime) -> dict[str, Any]:
    return {
        "resourceType": "Flag",
        "id": str(flag_id(task)),
        "extension": [{"url": FLAG_DETAIL, "valueReference": {"reference": evidence}}],
        "identifier": [{"system": LIMIT, "value": str(alert.limit)}],
        "status": "active",
        "category": [concept(_FLAG_CATEGORY, "clinical", "Clinical")],
        "code": concept(ALARM, alert.kind, KINDS[alert.kind]) | {"text": words(alert)},
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": dates.render(opened_at)},
    }


def _inputs(
    alert: Alert, count: int, span: tuple[datetime, datetime], *, late: bool, doubted: bool
) -> list[dict[str, Any]]:
    """Return what a Task says of its alerts: how many, when, the limit's version, and the newest one's numbers."""

    def of(code: str, **value: Any) -> dict[str, Any]:
        return {"type": {"coding": [{"system": INPUT, "code": code}]}} | value

    made = [
        of("alerts", valuePositiveInt=count),
        of("first", valueDateTime=dates.render(span[0])),
        of("latest", valueDateTime=dates.render(span[1])),
        of("limit-version", valuePositiveInt=alert.version),
        of("late", valueBoolean=late),
        of("doubted", valueBoolean=doubted),
    ]
    made += [of("doubt", valueCode=why) for why in alert.doubt]
    return made + [of("number", **_number(number)) for number in alert.numbers]


def _number(number: Number) -> dict[str, Any]:
    said: list[tuple[str, str, Any]] = [
        ("code", "valueInteger", number.code),
        ("side", "valueCode", number.side),
        ("bound", "valueDecimal", number.bound),
        ("measured", "valueString", number.measured),
        ("of", "valueInteger", number.of),
        ("against", "valueDecimal", number.against),
        ("stated", "valueCode", number.stated),
    ]
    parts = [{"url": name, kind: value} for name, kind, value in said if value is not None]
    made: dict[str, Any] = {"extension": [{"url": NUMBER, "extension": parts}]}
    if number.value is None:
        return made | {"valueString": number.stated or number.measured or number.side}
    quantity = {"value": number.value, "unit": number.unit, "system": common.UCUM, "code": number.unit}
    return made | {"valueQuantity": quantity}


def words(alert: Alert) -> str:
    """Return an alert in English, for programs that show text; pages have their own words."""
    return "; ".join([KINDS[alert.kind], *(_said(number) for number in alert.numbers)])


def _said(number: Number) -> str:
    if number.stated is not None:
        return number.stated
    of = VITALS.get(number.code)
    name = of.display if of is not None and of.display else f"MDC {number.code}"
    value = number.measured or "–" if number.value is None else f"{number.value} {number.unit}"
    bound = f" {number.bound}" if number.bound is not None else ""
    against = f" against {number.against}" if number.against is not None else ""
    return f"{name} {value}{against}, {number.side}{bound}"
