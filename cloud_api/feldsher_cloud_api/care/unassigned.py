"""Measurements that belong to nobody: the queue that staff works off, and giving one of them to its patient."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.care import alarm
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.fhir.outcome import FhirError, not_found

_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_NAMES = ("id", "kind", "resource", "device", "gateway", "measured_at", "reason", "order")
_queries = db.queries("unassigned")


def waiting(connection: db.Connection) -> list[dict[str, Any]]:
    """Return what waits for staff, oldest first: what it is, where it came from, why it waits, which order it names."""
    return [dict(zip(_NAMES, row, strict=True)) for row in _queries.waiting(connection)]


def staff(connection: db.Connection, username: str) -> Principal:
    """Return the doctor of a name as a principal at the command line; FhirError 404 where there is none."""
    row = _queries.staff(connection, username=username)
    if row is None:
        raise not_found("person")
    person, role, display, practitioner = row
    principal = Principal(person, role, display, practitioner, (), client="cli")
    access.permit_role(principal, "doctor")
    return principal


def assign(connection: db.Connection, who: Principal, identity: UUID, patient: UUID, now: datetime) -> list[str]:
    """Give a waiting measurement with all that was made of it to a patient, and return the references of what moved.

    FhirError 404 (no such entry or patient), 409 (it was assigned before). Writes a Provenance and an audit event.
    """
    row = _queries.entry(connection, id=identity)
    if row is None:
        raise not_found("unassigned measurement")
    kind, resource, resolved = row
    if resolved:
        raise FhirError(409, "conflict", "the measurement has been assigned already")
    store.read(connection, "Patient", patient)
    moved = _parts(connection, resource) if kind == "ecg" else _observations(connection, identity)
    give(connection, moved, patient, now)
    moved += alarm.found(connection, who, identity, patient, now)
    store.insert(connection, _provenance(who, moved, patient, now), patient=patient, now=now)
    audit.record(connection, who, interaction="assign", action="U", now=now, resources=moved, patient=patient)
    _queries.resolve(connection, id=identity, person=who.person, now=now)
    return moved


def give(connection: db.Connection, references: list[str], patient: UUID, now: datetime) -> None:
    """Make resources, and the Provenance of them, a patient's."""
    trail = [f"Provenance/{row[0]}" for row in _queries.provenances(connection, references=references)]
    for reference in references + trail:
        kind, _, identity = reference.partition("/")
        content = store.read(connection, kind, UUID(identity)).content()
        if kind in ("Observation", "DiagnosticReport"):
            content["subject"] = {"reference": f"Patient/{patient}"}
        store.update(connection, content, patient=patient, now=now)


def _parts(connection: db.Connection, report: str) -> list[str]:
    content = store.read(connection, "DiagnosticReport", UUID(report.partition("/")[2])).content()
    results = [r["reference"] for r in content.get("result", [])]
    return [report, *results, *(form["url"] for form in content.get("presentedForm", []))]


def _observations(connection: db.Connection, reading: UUID) -> list[str]:
    return [f"Observation/{row[0]}" for row in _queries.observations(connection, reading=reading)]


def _provenance(who: Principal, moved: list[str], patient: UUID, now: datetime) -> dict[str, Any]:
    person = {"reference": who.reference, "display": who.display} if who.reference else {"display": who.display}
    return {
        "resourceType": "Provenance",
        "id": str(store.new_id(now)),
        "target": [{"reference": r} for r in [*moved, f"Patient/{patient}"]],
        "recorded": dates.render(now),
        "activity": {"text": "assigned to the patient by staff"},
        # Enterer: who brings data into the system; whose they are was not known before.
        "agent": [{"type": {"coding": [{"system": _PARTICIPANT, "code": "enterer"}]}, "who": person}],
    }
