"""Vital signs become Observations: a blood pressure panel per reading, every other value on its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID, uuid5

from feldsher_ehr_core.vitals import (
    ABSENT_REASONS,
    BLOOD_PRESSURE_PANEL,
    CODED,
    DIASTOLIC,
    FAT,
    GLUCOSE,
    HEART_RATE,
    MEAN,
    PULSE,
    SATURATION,
    SYSTOLIC,
    TEMPERATURE,
    VITALS,
    WEIGHT,
    Coded,
    Vital,
    mmhg,
)
from feldsher_ingest import read
from feldsher_ingest.read import StoredVital

from feldsher_cloud_api import assignment, db
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.project import common, doubts
from feldsher_cloud_api.project.common import Event, ProjectionError, concept

_COMPONENTS = (SYSTOLIC, DIASTOLIC, MEAN)
MDC = "urn:iso:std:iso:11073:10101"
_VITAL_SIGN = concept(common.OBSERVATION_CATEGORY, "vital-signs", "Vital Signs")
_LAB = concept(common.OBSERVATION_CATEGORY, "laboratory", "Laboratory")
AS_SENT = "urn:feldsher:as-sent"
"""Extension of a component: the quantity as the device sent it, where the profile wants another unit."""
_LABORATORY = frozenset(one.mdc for one in GLUCOSE)
_KINDS = (
    [(SYSTOLIC.mdc, "cuff"), (SATURATION.mdc, "oximeter"), (TEMPERATURE.mdc, "thermometer"), (WEIGHT.mdc, "scale")]
    + [(FAT.mdc, "scale"), (HEART_RATE.mdc, "belt")]
    + [(mdc, "glucometer") for mdc in _LABORATORY]
)
"""What kind of device measures what."""


def project(connection: db.Connection, event: Event, now: datetime) -> None:
    """Project the readings of an event; each belongs to whom the device was assigned to when it measured.

    Unowned ones, which a device may still have held of its last user, wait for staff.
    Continuous ones stay in the time series: the gateway sends one a minute of them as a reading of its own.
    """
    if event.body.get("continuous"):
        return
    ids = [UUID(i) for i in event.body["readings"]]
    first, last = event.body.get("key_us", (None, None))  # not in events of earlier versions
    values = read.readings(connection, ids, None if first is None else (first, last))
    missing = set(ids) - {v.reading_id for v in values}
    if missing:
        raise ProjectionError(f"readings: {len(missing)} of {len(ids)} are not stored")
    model, unowned = event.body.get("model"), bool(event.body.get("unowned"))
    for _, group in groupby(values, lambda v: v.reading_id):
        observe(connection, list(group), event.at, now, model=model, unowned=unowned)


def observe(
    connection: db.Connection, values: list[StoredVital], received: datetime, now: datetime, *,
    model: str | None = None, unowned: bool = False,
) -> UUID | None:  # fmt: skip
    """Bring one reading, received at a time, into the record where it is not yet; return whose it is.

    `unowned`: it may have been measured before the device was given to its present user.
    """
    first, of_kind = values[0], kind(values)
    device = common.device_id(first.gateway, first.device)
    known = store.find(connection, "Observation", UUID(resources(values, device, None)[0]["id"]))
    if known is not None:
        return known.patient
    common.device(connection, first.gateway, first.device, now, kind=of_kind, model=model)
    patient, reason = None, assignment.EARLIER
    if not unowned:
        patient, reason = owner(connection, first, device, of_kind, received)
    made = resources(values, device, patient)
    for resource in made:
        if not store.insert(connection, resource, patient=patient, now=now):
            # by another worker in this very moment: the ids are made of the reading
            return store.read(connection, "Observation", UUID(made[0]["id"])).patient
    references = [f"Observation/{r['id']}" for r in made]
    identity = uuid5(first.reading_id, "provenance")
    made_by = common.provenance(identity, references, device, now, str(first.message_id), "feldsher cloud worker")
    store.insert(connection, made_by, patient=patient, now=now)
    if patient is None:
        common.queue_unassigned(
            connection, identity=first.reading_id, kind="vitals", resource=references[0], device=device,
            gateway=first.gateway, at=first.taken_at, reason=reason,
        )  # fmt: skip
    return patient


def kind(values: list[StoredVital]) -> str:
    """Return what kind of device measures such values."""
    codes = {v.code for v in values}
    return next((kind for code, kind in _KINDS if code in codes), "unknown")


def owner(
    connection: db.Connection, first: StoredVital, device: UUID, of_kind: str, received: datetime
) -> tuple[UUID | None, str]:
    """Return whose a reading is, by the first of its values; if nobody's, why.

    A time ahead of the reading's own arrival comes from a clock that is wrong by who knows how much. A reading without
    a time was taken at any time since the device was emptied: it is nobody's where somebody else had the device since.
    """
    ahead = first.taken_at == first.time and first.time > first.received_at + assignment.AHEAD_BY
    patient, reason = common.whose(
        connection, device, first.gateway, first.message_id, at=first.taken_at, received=received,
        user=first.user_no, ahead=ahead,
    )  # fmt: skip
    remembers = first.sent_at is None and of_kind in assignment.REMEMBERING
    if patient is not None and remembers:
        at = max(first.taken_at, received)
        if assignment.may_hold_others(connection, device, patient, at, first.user_no):
            return None, assignment.LEFT_OVER
    return patient, reason


def resources(values: list[StoredVital], device: UUID, patient: UUID | None) -> list[dict[str, Any]]:
    """Return the Observations of one reading: the same ids whenever they are made."""
    panel = _panel(values)
    made = ([] if panel is None else [panel]) + _singles(values)
    for resource in made:
        resource |= {"device": {"reference": f"Device/{device}"}}
        if patient is not None:
            resource |= {"subject": {"reference": f"Patient/{patient}"}}
    return made


def _base(values: list[StoredVital], part: str, code: dict[str, Any]) -> dict[str, Any]:
    first = values[0]
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "id": str(uuid5(first.reading_id, part)),  # of the reading alone: its key time depends on who heard it first
        "identifier": [{"system": "urn:feldsher:reading", "value": str(first.reading_id)}],
        "status": "final",
        "category": [_LAB if any(v.code in _LABORATORY for v in values) else _VITAL_SIGN],
        "code": code,
        "effectiveDateTime": effective(first),
        "issued": dates.render(first.received_at),
    }
    notes = doubts.of((v.code for v in values), first.status)
    if notes:
        resource["note"] = [{"text": "; ".join(notes)}]
    extensions: list[dict[str, Any]] = []
    if first.taken_at != first.time:
        extensions.append({"url": common.TIME_AS_SENT, "valueDateTime": _local(first, first.time)})
    if first.user_no is not None:
        extensions.append({"url": "urn:feldsher:device-user", "valueInteger": first.user_no})
    if extensions:
        resource["extension"] = extensions
    return resource


def effective(vital: StoredVital) -> str:
    """Return the best known time of a value as FHIR dateTime, in the offset of the device's local time if sent."""
    return _local(vital, vital.taken_at)


def _local(vital: StoredVital, at: datetime) -> str:
    if vital.sent_at is not None:
        local = datetime.fromisoformat(vital.sent_at)
        # The device's time was read in the gateway's offset: the difference is that offset, in whole minutes.
        minutes = round((local - vital.time.replace(tzinfo=None)).total_seconds() / 60)
        if abs(minutes) <= 14 * 60:
            at = at.astimezone(timezone(timedelta(minutes=minutes)))
    return dates.render(at)


def _value(of: Vital, vital: StoredVital | None) -> dict[str, Any]:
    if vital is None or vital.value is None:
        reason = ABSENT_REASONS[vital.absent] if vital is not None and vital.absent else "unknown"
        return {"dataAbsentReason": {"coding": [{"system": common.ABSENT, "code": reason}]}}
    if of.unit != SYSTOLIC.unit or vital.unit in ("", of.unit):
        return {"valueQuantity": _quantity(vital.value, vital.unit or of.unit)}
    # The blood pressure profile fixes mm[Hg] (http://hl7.org/fhir/R4/bp.html), and pages and trends rely on it.
    sent = {"extension": [{"url": AS_SENT, "valueQuantity": _quantity(vital.value, vital.unit)}]}
    if vital.unit == "kPa":
        return sent | {"valueQuantity": _quantity(mmhg(vital.value), of.unit)}
    return sent | {"dataAbsentReason": {"coding": [{"system": common.ABSENT, "code": "unsupported"}]}}


def _quantity(value: Decimal, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": common.UCUM, "code": unit}


def _panel(values: list[StoredVital]) -> dict[str, Any] | None:
    by_code = {v.code: v for v in values}
    if not any(c.mdc in by_code for c in _COMPONENTS):
        return None
    code = concept(common.LOINC, BLOOD_PRESSURE_PANEL, "Blood pressure panel with all children optional")
    resource = _base(values, "panel", code)
    # The vital-signs profile wants systolic and diastolic always, if only as absent; the mean is optional.
    wanted = [c for c in _COMPONENTS if c is not MEAN or c.mdc in by_code]
    resource["component"] = [{"code": _code(c, c.unit), **_value(c, by_code.get(c.mdc))} for c in wanted]
    return resource


def _singles(values: list[StoredVital]) -> list[dict[str, Any]]:
    """Return an Observation of each value beside the panel; what the catalogue does not know keeps its MDC code."""
    made: list[dict[str, Any]] = []
    for v in values:
        of = VITALS.get(v.code) or Vital(v.code, "", "", v.unit, 0, 0)
        if of in _COMPONENTS:
            continue
        part = "pulse" if of is PULSE else f"mdc-{v.code}"
        coded = CODED.get(v.code)
        if coded is None:
            made.append(_base(values, part, _code(of, v.unit)) | _value(of, v))
        else:
            code = concept(MDC, str(coded.mdc), coded.name)
            made.append(_base(values, part, code | {"text": coded.display}) | _word(coded, v))
    return made


def _code(of: Vital, unit: str) -> dict[str, Any]:
    """Return the LOINC codes of a value, the one that profiles ask for first, then its MDC code."""
    loinc = of.loinc_in(unit)
    codes = [c for c in (loinc, *of.also) if c]
    codings = [{"system": common.LOINC, "code": c, "display": of.display} for c in codes]
    mdc = {"system": MDC, "code": str(of.mdc), "display": of.name or f"MDC {of.mdc}"}
    return {"coding": [*codings, mdc], "text": of.display or f"MDC {of.mdc}"}


def _word(of: Coded, vital: StoredVital) -> dict[str, Any]:
    word = of.words.get(int(vital.value)) if vital.value is not None else None
    if word is None:
        return {"dataAbsentReason": {"coding": [{"system": common.ABSENT, "code": "unknown"}]}}
    mdc, name, display = word
    return {"valueCodeableConcept": concept(MDC, str(mdc), name) | {"text": display}}
