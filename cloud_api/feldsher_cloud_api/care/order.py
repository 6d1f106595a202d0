"""Orders: a doctor asks for an ECG; the ServiceRequest and the gateway's command are stored in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Sex, Subject
from feldsher_ehr_core.ids import order_number

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.fhir import dates, store, validate
from feldsher_cloud_api.fhir.outcome import FaultError

LOINC = "http://loinc.org"
ECG_STUDY = "11524-6"
"""EKG study, LOINC 11524-6 (research/ehr.md §4.7)."""
SECONDS = 10.0
"""A standard 12-lead recording lasts 10 s (AHA/ACCF/HRS 2007 recommendations, part I)."""
SILENCE_S = SECONDS + 120
"""So long after its end a gateway may still report of an armed order: the recording, and two minutes to send it."""
STATE = "urn:feldsher:order-state"
NUMBER = "urn:feldsher:order-number"
"""The number under which cardiographs that take no orders by themselves know an order (feldsher_ehr_core.ids)."""
_FLAGS = {
    "urn:feldsher:pacemaker": "pacemaker",
    "urn:feldsher:pregnant": "pregnant",
    "urn:feldsher:qt-drugs": "qt_drugs",
}
_queries = db.queries("order")


@dataclass(frozen=True, slots=True)
class Route:
    """Where an order for a device goes: its gateway and the device's name there."""

    gateway: str
    local_name: str


def request(
    patient: UUID,
    device: UUID,
    *,
    priority: str = "routine",
    note: str | None = None,
    flags: dict[str, bool] | None = None,
) -> dict[str, Any]:
    """Return the ServiceRequest that asks for an ECG of a patient by a cardiograph: for pages and programs."""
    resource: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "priority": priority,
        "code": {"coding": [{"system": LOINC, "code": ECG_STUDY, "display": "EKG study"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "performer": [{"reference": f"Device/{device}"}],
    }
    if note:
        resource["note"] = [{"text": note}]
    named = {word: url for url, word in _FLAGS.items()}
    if flags:
        resource["extension"] = [{"url": named[word], "valueBoolean": value} for word, value in flags.items()]
    return resource


def is_order(resource: dict[str, Any]) -> bool:
    """Return whether a ServiceRequest asks this system to act: it names a Device, or it is an active order for an ECG.

    Other requests (for a laboratory, of another system, of the past) are records and nothing more.
    """
    performers: Any = resource.get("performer")
    for performer in cast("list[Any]", performers) if isinstance(performers, list) else []:
        text: Any = cast("dict[str, Any]", performer).get("reference") if isinstance(performer, dict) else None
        if isinstance(text, str) and text.split("/")[-2:-1] == ["Device"]:
            return True
    asked = resource.get("status") == "active" and resource.get("intent") == "order"
    return asked and validate.has_coding(resource.get("code"), LOINC, ECG_STUDY)


@dataclass(frozen=True, slots=True)
class _Checked:
    person: store.Stored
    route: Route


def place(
    connection: db.Connection,
    principal: Principal,
    resource: dict[str, Any],
    *,
    now: datetime,
    life: timedelta,
    identity: UUID | None = None,
) -> dict[str, Any]:
    """Store an order and the command for its gateway, and return the resource with its id (`identity`, or a new one).

    Faults are all named by their elements (InvalidResourceError, 422). The order lapses after `life`.
    """
    checked = _checked(connection, principal, resource, now)
    patient = checked.person.id
    identity = identity or store.new_id(now)
    number = {"system": NUMBER, "value": order_number(identity)}
    others = cast("list[Any]", resource.get("identifier", []))
    stored: dict[str, Any] = {
        **resource,
        "id": str(identity),
        "identifier": [*others, number],
        "authoredOn": dates.render(now),
    }
    store.insert(connection, stored, patient=patient, now=now)
    known = subject(checked.person.content(), resource, now.date())
    _command(connection, identity, checked.route, known, now, life)
    touched = [f"ServiceRequest/{identity}"]
    audit.record(connection, principal, interaction="create", action="C", now=now, resources=touched, patient=patient)
    return stored


def _checked(connection: db.Connection, principal: Principal, resource: dict[str, Any], now: datetime) -> _Checked:
    faults = validate.errors(resource, now)
    named = {fault.expression for fault in faults}
    faults.extend(fault for fault in _fixed(resource) if fault.expression not in named)
    validate.check(faults)
    reach = access.reach(connection, principal)
    patient = validate.reference(resource, resource.get("subject"), "subject", "Patient", faults)
    performers = cast("list[Any]", resource.get("performer", [{}]))
    if len(performers) != 1:
        faults.append(FaultError("ServiceRequest.performer", "performer: exactly one Device is needed"))
    device = validate.reference(resource, performers[0], "performer[0]", "Device", faults)
    person = store.find(connection, "Patient", patient, reach) if patient else None
    if patient and person is None:
        faults.append(
            FaultError("ServiceRequest.subject", "subject: there is no such Patient in your care", "not-found")
        )
    route = _route(connection, device) if device else None
    if device and route is None:
        words = "performer[0]: the device is no cardiograph that a claimed gateway reaches"
        faults.append(FaultError("ServiceRequest.performer[0]", words, "not-found"))
    _requester(resource, principal, faults)
    validate.check(faults)
    if person is None or route is None:
        raise AssertionError("validate.check has raised where any of these is missing")
    return _Checked(person, route)


def _fixed(resource: dict[str, Any]) -> list[FaultError]:
    """Return what an order asks for that is not served here."""
    kind, faults = "ServiceRequest", list[FaultError]()
    if resource.get("status") != "active":
        faults.append(
            FaultError(f"{kind}.status", "status: an order is acted on at once, so it must be active", "value")
        )
    if resource.get("intent") != "order":
        faults.append(FaultError(f"{kind}.intent", "intent: only `order` can be placed here", "value"))
    if resource.get("doNotPerform"):
        faults.append(
            FaultError(f"{kind}.doNotPerform", "doNotPerform: an order not to do is not served", "not-supported")
        )
    if not validate.has_coding(resource.get("code"), LOINC, ECG_STUDY):
        faults.append(
            FaultError(f"{kind}.code", f"code: only {LOINC}|{ECG_STUDY} (EKG study) can be ordered", "code-invalid")
        )
    if "performer" not in resource:
        faults.append(FaultError(f"{kind}.performer", "performer: a reference to a Device is needed", "required"))
    return faults


def _requester(resource: dict[str, Any], principal: Principal, faults: list[FaultError]) -> None:
    own = principal.reference
    given = resource.get("requester")
    if given is None:
        if own is not None:
            resource["requester"] = {"reference": own, "display": principal.display}
        return
    if principal.role != "service" and given.get("reference") != own:
        faults.append(FaultError("ServiceRequest.requester", "requester: nobody orders in another's name", "security"))


def _route(connection: db.Connection, device: UUID) -> Route | None:
    row = _queries.route(connection, device=device)
    return Route(row[0], row[1]) if row else None


_SMALL = (0, 1)
"""Ages in years at which limits change within the year: then the age travels in days as well."""


def subject(patient: dict[str, Any], resource: dict[str, Any], today: date) -> Subject:
    """Return what a gateway may know of a patient: age in years, sex, and what the order says; never who it is."""
    sex: Sex = patient["gender"] if patient.get("gender") in ("male", "female") else "unknown"
    flags = {
        _FLAGS[e["url"]]: e["valueBoolean"]
        for e in cast("list[dict[str, Any]]", resource.get("extension", []))
        if e.get("url") in _FLAGS and isinstance(e.get("valueBoolean"), bool)
    }
    years = age(patient.get("birthDate"), today)
    return Subject(age=years, sex=sex, age_days=_days(patient, today) if years in _SMALL else None, **flags)


def _days(patient: dict[str, Any], today: date) -> int:
    """Return the age in days of a child whose birth date is known to the day."""
    return (today - date.fromisoformat(patient["birthDate"])).days


def age(birth_date: str | None, today: date) -> int | None:
    """Return full years since a FHIR date; None where it is missing or names only a year or month."""
    if birth_date is None or len(birth_date) != 10:
        return None
    born = date.fromisoformat(birth_date)
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _command(connection: db.Connection, order: UUID, route: Route, of: Subject, now: datetime, life: timedelta) -> None:
    lapses = now + life
    payload = wire.encode(
        wire.OrderCommand(
            id=store.new_id(now),
            sent_us=_micros(now),
            order=order,
            device=route.local_name,
            seconds=SECONDS,
            lapses_us=_micros(lapses),
            subject=of,
        )
    )
    _queries.add_command(connection, order=order, gateway=route.gateway, payload=payload, created=now, expires=lapses)


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
