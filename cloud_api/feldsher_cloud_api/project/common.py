"""What all projections share: deterministic ids, devices, whose a measurement is, and where it came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from feldsher_ehr_core.ids import device_key, uuid7
from feldsher_ingest import read

from feldsher_cloud_api import assignment, db
from feldsher_cloud_api.fhir import dates, store

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
TIME_AS_SENT = "urn:feldsher:time-as-sent"
"""Extension: the time by the clock that measured, where it is known to have been wrong; the resource's is corrected."""
_DEVICES = UUID("6f3f0a3e-3df6-4e55-9a5c-5a6a2f2b8f10")
_queries = db.queries("project")


class ProjectionError(Exception):
    """An event that cannot be projected (yet); the text is kept with the event."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of ingest's, as claimed."""

    id: int
    at: datetime
    kind: str
    gateway: str
    message_id: UUID
    body: dict[str, Any]


def derived_id(at: datetime, *parts: str) -> UUID:
    """Return the id of a projected resource: a UUIDv7 of its measurement time whose random part is a hash of `parts`.

    The same source gives the same id, so projecting it again changes nothing; and ids stay in order of time.
    """
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return uuid7(max(0, int(at.timestamp() * 1000)), digest[:10])


def device_id(gateway: str, address: str) -> UUID:
    """Return the id of the Device resource of a device."""
    return uuid5(_DEVICES, device_key(gateway, address))


def device(
    connection: db.Connection, gateway: str, address: str, now: datetime, *, kind: str, model: str | None = None
) -> UUID:
    """Return the Device of what a gateway calls `address`, registered at first sight."""
    identity, key = device_id(gateway, address), device_key(gateway, address)
    _queries.know_gateway(connection, gateway=gateway)
    if _queries.know_device(connection, id=identity, address=key, kind=kind, model=model) == 1:
        store.put(connection, device_resource(identity, key, kind, model), patient=None, now=now)
    _queries.saw_device(connection, gateway=gateway, device=identity, local_name=address, now=now)
    return identity


_KINDS = {
    # http://hl7.org/fhir/R4/valueset-device-type.html leads into SNOMED CT; words are free, codes there are not.
    "cuff": "Blood pressure monitor",
    "oximeter": "Pulse oximeter",
    "thermometer": "Thermometer",
    "scale": "Body weight scale",
    "glucometer": "Glucose meter",
    "belt": "Heart rate monitor",
    "cardiograph": "Electrocardiograph",
    "unknown": "Medical device",
}


def device_resource(
    identity: UUID, key: str, kind: str, model: str | None = None, *, status: str = "active"
) -> dict[str, Any]:
    """Return the Device resource of a device; `status` active or inactive."""
    resource: dict[str, Any] = {
        "resourceType": "Device",
        "id": str(identity),
        "identifier": [{"system": "urn:feldsher:device", "value": key}],
        "status": status,
        "type": {"coding": [{"system": "urn:feldsher:device-kind", "code": kind}], "text": _KINDS[kind]},
    }
    if model:
        resource["modelNumber"] = model
    return resource


def whose(
    connection: db.Connection, device: UUID, gateway: str, message: UUID, *, at: datetime, received: datetime,
    user: int | None = None, ahead: bool = False,
) -> tuple[UUID | None, str]:  # fmt: skip
    """Return the patient of a measurement taken `at` and received by the cloud at `received`; if nobody, why.

    `user`: the number that the device gave. Where the gateway's clock cannot be trusted, or the device's is `ahead`,
    `at` decides nothing between patients: then only a device that has had one patient only, in a period that covers
    both times, tells whose the measurement is.
    """
    if read.clock_trusted(connection, gateway, message) and not ahead:
        return assignment.holder(connection, device, at, user)
    patient = assignment.sole_holder(connection, device, user, at=at, received=received)
    return patient, "" if patient is not None else assignment.AHEAD if ahead else assignment.CLOCK


def queue_unassigned(
    connection: db.Connection, *, identity: UUID, kind: str, resource: str, device: UUID, gateway: str, at: datetime,
    reason: str,
) -> None:  # fmt: skip
    """Put a measurement that belongs to nobody into the staff's queue; repeating it is harmless."""
    _queries.queue_unassigned(
        connection, id=identity, kind=kind, resource=resource, device=device, gateway=gateway, at=at, reason=reason
    )


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    """Return a CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def provenance(
    identity: UUID, targets: list[str], device: UUID, recorded: datetime, source: str, assembler: str
) -> dict[str, Any]:
    """Return the Provenance of projected resources: which device measured, which program assembled, of what source."""
    return {
        "resourceType": "Provenance",
        "id": str(identity),
        "target": [{"reference": t} for t in targets],
        "recorded": dates.render(recorded),
        "agent": [
            {"type": concept(_PARTICIPANT, "author", "Author"), "who": {"reference": f"Device/{device}"}},
            {"type": concept(_PARTICIPANT, "assembler", "Assembler"), "who": {"display": assembler}},
        ],
        "entity": [
            {"role": "source", "what": {"identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{source}"}}}
        ],
    }
