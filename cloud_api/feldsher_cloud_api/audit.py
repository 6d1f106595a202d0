"""Audit: every access writes an AuditEvent in its own transaction; a worker seals them into a hash chain.

A seal covers the events that were committed since the last one: SHA-256 over the previous seal's hash and, in order of
id, over each event's stored text. Changing, adding or removing a sealed event breaks its seal and `verify` says which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from feldsher_cloud_api import db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.fhir import dates, store

Action = Literal["C", "R", "U", "D", "E"]

_TYPE_SYSTEM = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = "http://hl7.org/fhir/restful-interaction"
_OPERATION = "urn:feldsher:operation"
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_queries = db.queries("audit")


def record(
    connection: db.Connection,
    principal: Principal,
    *,
    interaction: str,
    action: Action,
    now: datetime,
    resources: Iterable[str] = (),
    patient: UUID | None = None,
    emergency: str = "",
) -> None:
    """Write that a principal did something: `interaction` is a FHIR restful-interaction code or an operation's name.

    `resources`: references to what was touched. `patient`: whose compartment it concerns; they can read the event.
    `emergency`: the reason for which the glass was broken (what is done afterwards the database marks by itself).
    """
    entities = [{"what": {"reference": reference}} for reference in resources]
    if patient is not None:
        entities.append({"what": {"reference": f"Patient/{patient}"}})
    event = _event("rest", _TYPE_SYSTEM, _REST, interaction, action, "0", _agent(principal), now)
    if entities:
        event["entity"] = entities
    if emergency:
        event["purposeOfEvent"] = [{"coding": [{"system": _REASON, "code": "BTG"}], "text": emergency}]
    store.insert(connection, event, patient=patient, now=now)


def search(
    connection: db.Connection, principal: Principal, kind: str, found: Iterable[store.Stored], now: datetime
) -> None:
    """Write one event for each patient of whom a search has shown something, or one where it has shown nobody's."""
    shown(connection, principal, ((kind, item) for item in found), now)


def shown(
    connection: db.Connection, principal: Principal, found: Iterable[tuple[str, store.Stored]], now: datetime
) -> None:
    """Write the same of resources of several types: one event for each patient, whatever was shown of them."""
    by_patient: dict[UUID | None, list[str]] = {}
    for kind, item in found:
        references = by_patient.setdefault(item.patient, [])
        if kind != "Patient":
            references.append(f"{kind}/{item.id}")
    events: list[dict[str, Any]] = []
    patients: list[UUID | None] = []
    for patient, references in (by_patient or {None: []}).items():
        event = _event("rest", _TYPE_SYSTEM, _REST, "search-type", "E", "0", _agent(principal), now)
        seen = [*references, *([f"Patient/{patient}"] if patient else ())]
        if seen:
            event["entity"] = [{"what": {"reference": reference}} for reference in seen]
        events.append(event)
        patients.append(patient)
    if len(events) == 1:
        store.insert(connection, events[0], patient=patients[0], now=now)
    else:
        store.insert_many(connection, events, now=now, patients=patients)


def exported(connection: db.Connection, principal: Principal, patients: Collection[UUID], now: datetime) -> None:
    """Write one event for each patient whose data a bulk export holds."""
    events: list[dict[str, Any]] = []
    for patient in sorted(patients):
        event = _event("rest", _TYPE_SYSTEM, _OPERATION, "export", "R", "0", _agent(principal), now)
        events.append(event | {"entity": [{"what": {"reference": f"Patient/{patient}"}}]})
    store.insert_many(connection, events, now=now)


def refused(connection: db.Connection, principal: Principal, operation: str, now: datetime) -> None:
    """Write that a principal was refused an operation (method and route template: no id, no value)."""
    event = _event("rest", _TYPE_SYSTEM, _OPERATION, operation, "E", "4", _agent(principal), now)
    store.insert(connection, event, patient=None, now=now)


def sign_in(connection: db.Connection, principal: Principal | None, *, success: bool, now: datetime) -> None:
    """Write that somebody has signed in or tried to; a wrong name is not kept, it may be a password."""
    agent = _agent(principal) if principal else {"requestor": True, "name": "unknown"}
    event = _event("110114", _DICOM, _DICOM, "110122", "E", "0" if success else "4", agent, now)
    store.insert(connection, event, patient=None, now=now)


def _agent(principal: Principal) -> dict[str, Any]:
    agent: dict[str, Any] = {"requestor": True, "altId": str(principal.person), "name": principal.display}
    if principal.reference is not None:
        agent["who"] = {"reference": principal.reference, "display": principal.display}
    agent["type"] = {"text": principal.role}
    if principal.purpose:
        agent["purposeOfUse"] = [{"coding": [{"system": _REASON, "code": principal.purpose}]}]
    if principal.client != "web":
        agent["policy"] = [f"urn:feldsher:client:{principal.client}"]
    return agent


def _event(
    code: str,
    system: str,
    sub_system: str,
    subtype: str,
    action: Action,
    outcome: str,
    agent: dict[str, Any],
    now: datetime,
) -> dict[str, Any]:
    return {
        "resourceType": "AuditEvent",
        "id": str(store.new_id(now)),
        "type": {"system": system, "code": code},
        "subtype": [{"system": sub_system, "code": subtype}],
        "action": action,
        "recorded": dates.render(now),
        "outcome": outcome,
        "agent": [agent],
        "source": {"observer": {"display": "feldsher cloud"}},
    }


def seal(connection: db.Connection) -> int:
    """Seal what has been committed since the last seal and return the number of events; one sealer at a time."""
    with connection.transaction():
        list(_queries.alone(connection))
        return int(_queries.seal(connection) or 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying the chain has found: `broken` are the numbers of seals that do not fit their events."""

    seals: int
    events: int
    unsealed: int
    broken: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing has been changed."""
        return not self.broken


def verify(connection: db.Connection) -> Verdict:
    """Recompute every seal from the stored events and compare."""
    broken = tuple(int(row[0]) for row in _queries.broken(connection))
    seals, events, unsealed = _queries.counts(connection)
    return Verdict(seals, events, unsealed, broken)
