"""A continuous ECG becomes a DiagnosticReport where it begins, and is evaluated when it has ended.

Its samples are copied nowhere: the Observation that the report is about tells where they are read (`$window`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
import psycopg
import structlog
from feldsher_ehr_core.ambulatory import Ambulatory
from feldsher_ingest import read
from feldsher_ingest.read import StoredStream

from feldsher_cloud_api import assignment, db
from feldsher_cloud_api.care import picture as pictures
from feldsher_cloud_api.care import stream as care
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.project import common
from feldsher_cloud_api.project.common import Event, ProjectionError, concept
from feldsher_cloud_api.project.ecg import CRITICAL, ENGINE, LIMITS, STATEMENTS
from feldsher_cloud_api.project.vitals import MDC

HOLTER = "18754-2"
"""LOINC "Holter monitor study"."""
WINDOW = "urn:feldsher:window"
"""Extension of a waveform's Observation: the address under which parts of it are read."""
QUIET_S = 900.0
"""Without a piece for so long a continuous ECG has ended: a gateway begins another after ten minutes of silence."""
CHANGED_HANDS = "the device changed hands while it recorded"
_OPEN = ("registered", "preliminary")
_queries = db.queries("stream")
_project = db.queries("project")
_log = structlog.get_logger()


def waveform_id(stream: UUID) -> UUID:
    """Return the id of the Observation of a continuous ECG."""
    return uuid5(stream, "waveform")


def project(connection: db.Connection, event: Event, now: datetime) -> None:
    """Open the report of a continuous ECG that has begun; a second time changes nothing."""
    stored = read.stream(connection, UUID(event.body["stream"]))
    if stored is None:
        raise ProjectionError("stream: it is not stored")
    if store.find(connection, "DiagnosticReport", stored.id) is not None:
        return
    device = common.device(connection, stored.gateway, stored.device, now, kind="belt")
    patient, reason = owner(connection, stored, device)
    report, waveform = _resources(stored, device, patient, "registered", now)
    store.insert(connection, report, patient=patient, now=now, extra={"recording": stored.id})
    store.insert(connection, waveform, patient=patient, now=now)
    targets = [f"DiagnosticReport/{stored.id}", f"Observation/{waveform['id']}"]
    made_by = common.provenance(uuid5(stored.id, "provenance"), targets, device, now, str(stored.id), "feldsher")
    store.insert(connection, made_by, patient=patient, now=now)
    _queries.expect(connection, stream=stored.id)
    if patient is None:
        _wait_for_staff(connection, stored, device, reason)


def owner(connection: db.Connection, stored: StoredStream, device: UUID) -> tuple[UUID | None, str]:
    """Return whose a continuous ECG is; if nobody's, why. Of two people's it is nobody's until staff says."""
    if not read.stream_trusted(connection, stored):
        at = stored.taken_from
        patient = assignment.sole_holder(connection, device, None, at=at, received=stored.opened_at)
        return patient, "" if patient is not None else assignment.CLOCK
    patient, reason = assignment.holder(connection, device, stored.taken_from, None)
    if patient is None:
        return None, reason
    after, _ = assignment.holder(connection, device, stored.taken_until, None)
    span = {"start": stored.taken_from, "until": stored.taken_until}
    if after != patient or _queries.others(connection, device=device, patient=patient, **span):
        return None, CHANGED_HANDS
    return patient, ""


def _wait_for_staff(connection: db.Connection, stored: StoredStream, device: UUID, reason: str) -> None:
    common.queue_unassigned(
        connection, identity=stored.id, kind="ecg", resource=f"DiagnosticReport/{stored.id}", device=device,
        gateway=stored.gateway, at=stored.taken_from, reason=reason,
    )  # fmt: skip


def _resources(
    stored: StoredStream, device: UUID, patient: UUID | None, status: str, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the report and the Observation of the waveform; a running one's period has no end."""
    period = {"start": dates.render(stored.taken_from)}
    period |= {} if status == "registered" else {"end": dates.render(stored.taken_until)}
    whose = {} if patient is None else {"subject": {"reference": f"Patient/{patient}"}}
    waveform = waveform_id(stored.id)
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": str(stored.id),
        "identifier": [{"system": "urn:feldsher:stream", "value": str(stored.id)}],
        "status": status,
        "category": [concept("http://terminology.hl7.org/CodeSystem/v2-0074", "EC", "Electrocardiac")],
        "code": concept(common.LOINC, HOLTER, "Holter monitor study"),
        **whose,
        "effectivePeriod": period,
        "issued": dates.render(now),
        "result": [{"reference": f"Observation/{waveform}"}],
    }
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "id": str(waveform),
        "extension": [{"url": WINDOW, "valueUrl": f"Observation/{waveform}/$window"}],
        "identifier": [{"system": "urn:feldsher:stream", "value": str(stored.id)}],
        "status": status,
        "category": [concept(common.OBSERVATION_CATEGORY, "procedure", "Procedure")],
        "code": concept(MDC, "131328", "MDC_ECG_ELEC_POTL") | {"text": "Continuous electrocardiogram"},
        **whose,
        "effectivePeriod": period,
        "device": {"reference": f"Device/{device}"},
    }
    return report, observation


@dataclass(frozen=True, slots=True)
class _Said:
    """What the engine said of a continuous ECG, with its picture; None and why it said nothing."""

    report: Ambulatory | None = None
    svg: str = ""
    why: str = ""


def settle(connection: db.Connection, now: datetime, *, quiet_s: float = QUIET_S, demo: bool = False) -> UUID | None:
    """Evaluate one continuous ECG that has ended, or of which more came; return it, None where none waits.

    What a doctor has signed stays as it was signed.
    """
    with connection.transaction():
        if not _queries.turn(connection):
            return None
        identity = _queries.due(connection, quiet=quiet_s)
        stored = read.stream(connection, identity) if identity else None
        before = store.find(connection, "DiagnosticReport", stored.id) if stored else None
        if stored is None or before is None:
            return None
        upto = {"received": stored.received_at, "taken_from": stored.taken_from, "taken_until": stored.taken_until}
        if before.content()["status"] not in _OPEN:
            _queries.signed(connection, stream=stored.id, **upto)
            return stored.id
        said = _say(connection, stored, demo=demo)
        _renew(connection, stored, before, said, now)
        found = None if said.report is None else msgspec.json.encode(said.report).decode()
        _queries.evaluated(connection, stream=stored.id, now=now, report=found, why=said.why or None, **upto)
        return stored.id


def _say(connection: db.Connection, stored: StoredStream, *, demo: bool) -> _Said:
    try:
        with connection.transaction():
            source = care.samples(connection, stored)
            report, found = care.evaluate(source)
            return _Said(report, care.picture(report, found, source, demo=demo))
    except psycopg.OperationalError:
        raise  # the connection is gone
    except (ValueError, read.DamagedError) as error:
        return _Said(why=str(error))
    except Exception as error:
        # One recording over which the engine stumbles must not keep the others waiting.
        _log.exception("stream_not_evaluated", stream=str(stored.id))
        return _Said(why=f"the engine failed: {type(error).__name__}")


def _renew(connection: db.Connection, stored: StoredStream, before: store.Stored, said: _Said, now: datetime) -> None:
    """Bring what is known now into the report and its waveform: times, whose it is, what the engine says."""
    device = common.device_id(stored.gateway, stored.device)
    decided = bool(_project.for_staff(connection, id=stored.id, earlier=assignment.EARLIER))
    patient, reason = (before.patient, "") if decided else owner(connection, stored, device)
    report, waveform = _resources(stored, device, patient, "preliminary", now)
    report |= _words(said)
    if said.svg:
        picture = common.derived_id(stored.taken_from, str(stored.id), "picture", dates.render(stored.received_at))
        if store.find(connection, "Binary", picture) is None:
            pictures.keep(connection, picture, said.svg, patient, now)
        form = {"contentType": "image/svg+xml", "url": f"Binary/{picture}", "title": "Ambulatory ECG, unconfirmed"}
        report["presentedForm"] = [form]
    for resource in (report, waveform):
        store.update(connection, resource, patient=patient, now=now)
    _follow(connection, before, f"Observation/{waveform['id']}", patient, now)
    if not decided:
        if patient is None:
            _wait_for_staff(connection, stored, device, reason)
        resolved = None if patient is None else now
        _project.settle(connection, id=stored.id, at=stored.taken_from, reason=reason, resolved=resolved)


def _words(said: _Said) -> dict[str, Any]:
    found = said.report
    if found is None:
        limit = f"not evaluated: {said.why}"
        return {"conclusion": f"{limit[0].upper()}{limit[1:]}.", "extension": [{"url": LIMITS, "valueString": limit}]}
    extension: list[dict[str, Any]] = [{"url": ENGINE, "valueString": found.engine}]
    extension.append({"url": CRITICAL, "valueBoolean": any(s.critical for s in found.statements)})
    if found.artefact_s >= 1:
        limit = f"{found.artefact_s:.0f} s of {found.samples / found.fs:.0f} s not judged"
        extension.insert(0, {"url": LIMITS, "valueString": limit})
    codes = [concept(STATEMENTS, s.code, s.text) for s in found.statements]
    return {"conclusion": found.conclusion, "extension": extension} | ({"conclusionCode": codes} if codes else {})


def _follow(
    connection: db.Connection, before: store.Stored, waveform: str, patient: UUID | None, now: datetime
) -> None:
    """Let earlier pictures of a report, and the Provenance of both resources, be whose the report is."""
    shown = [form["url"] for form in before.content().get("presentedForm", [])]
    references = [f"DiagnosticReport/{before.id}", waveform]
    shown += [f"Provenance/{row[0]}" for row in _project.provenances(connection, references=references)]
    for reference in shown:
        kind, _, identity = reference.partition("/")
        found = store.read(connection, kind, UUID(identity))
        if found.patient != patient:
            store.update(connection, found.content(), patient=patient, now=now)
