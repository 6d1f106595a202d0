"""A newer engine's word on a recording that has a report (ingest's event `reinterpreted`).

What is signed stays as it was signed: something critical that nobody has said before becomes a Task for a doctor, once
for each recording and statement. Where the operator asked for it, a report that nobody has signed gets a new version
with the new proposal; otherwise it stays as well, and the doctor who will sign it has the Task.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from feldsher_ehr_core.ecg import Statement
from feldsher_ingest import read
from feldsher_ingest.read import StoredRecording

from feldsher_cloud_api import db
from feldsher_cloud_api.care import picture as pictures
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.project import common, ecg
from feldsher_cloud_api.project.common import Event, ProjectionError, concept

REVIEW = "urn:feldsher:review"
"""System of the code of Tasks that ask for a second look, and of their identifiers: recording/statement."""
KIND, TITLE = "reinterpretation", "A newer interpreter finds something critical"
ENGINE, BECAUSE = "engine", "because"
REINTERPRETED = "interpreted again by a newer engine, as the operator asked"
"""What the Provenance of a new proposal says."""
_queries = db.queries("review")


def project(connection: db.Connection, event: Event, now: datetime, *, watermark: str | None = None) -> None:
    """Bring a re-interpretation into the record; a second time changes nothing."""
    recording, engine = UUID(event.body["recording"]), str(event.body["engine"])
    row = _queries.report(connection, recording=recording)
    if row is None:
        if _queries.awaited(connection, recording=recording):
            raise ProjectionError("recording: its own event is not projected yet")
        return
    report, shown_engine = row
    stored = read.recording(connection, recording, engine)
    if stored is None:
        raise ProjectionError("recording: it is not stored")
    shown = store.read(connection, "DiagnosticReport", report)
    if event.body["apply"] and shown.content()["status"] == "preliminary":
        if shown_engine != engine:
            _propose(connection, stored, shown, engine, now, watermark)
        return
    for code in event.body["critical"]:
        _ask(connection, stored, shown, code, engine, now)


def _ask(
    connection: db.Connection, stored: StoredRecording, shown: store.Stored, code: str, engine: str, now: datetime
) -> None:
    said = stored.interpretation.statements if stored.interpretation else ()
    statement = next((s for s in said if s.code == code), None)
    if statement is None:
        raise ProjectionError(f"critical: {code!r} is not said by {engine}")
    store.insert(connection, task(stored.id, shown, statement, engine, now), patient=shown.patient, now=now)


def task(recording: UUID, shown: store.Stored, statement: Statement, engine: str, now: datetime) -> dict[str, Any]:
    """Return the Task to look again at a report because of a statement; the same two give the same id."""

    def of(kind: str, text: str) -> dict[str, Any]:
        return {"type": {"coding": [{"system": REVIEW, "code": kind}]}, "valueString": text}

    made: dict[str, Any] = {
        "resourceType": "Task",
        "id": str(uuid5(recording, f"review {statement.code}")),
        "identifier": [{"system": REVIEW, "value": f"{recording}/{statement.code}"}],
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": concept(REVIEW, KIND, TITLE),
        "description": f"{TITLE}: {statement.text} ({statement.certainty}, {engine}). Unconfirmed.",
        "focus": {"reference": f"DiagnosticReport/{shown.id}"},
        "authoredOn": dates.render(now),
        "lastModified": dates.render(now),
        "requester": {"display": engine},
        "reasonCode": concept(ecg.STATEMENTS, statement.code, statement.text),
        "input": [of(ENGINE, engine), *(of(BECAUSE, reason) for reason in statement.because)],
    }
    return made if shown.patient is None else made | {"for": {"reference": f"Patient/{shown.patient}"}}


def _propose(
    connection: db.Connection, stored: StoredRecording, shown: store.Stored, engine: str, now: datetime,
    watermark: str | None,
) -> None:  # fmt: skip
    """Give a preliminary report its next version, with the results, the words and the picture of another engine."""
    before = shown.content()
    device = common.device_id(stored.gateway, stored.device)
    links = {name: before[name] for name in ("subject", "basedOn") if name in before}
    results = ecg.observations(stored, links | {"device": {"reference": f"Device/{device}"}})
    picture = common.derived_id(stored.started_at, str(stored.id), "picture", engine)
    pictures.keep(connection, picture, ecg.drawn(stored, watermark), shown.patient, now)
    made = ecg.report_of(stored, links, results, picture, now)
    version = store.update(connection, made, patient=shown.patient, now=now, extra={"reinterpreted_by": engine})
    for result in results:
        store.put(connection, result, patient=shown.patient, now=now)
    _withdraw(connection, before, made, now)
    targets = [f"DiagnosticReport/{shown.id}/_history/{version}", *(f"Observation/{r['id']}" for r in results)]
    identity = uuid5(stored.id, f"reinterpreted by {engine}, version {version}")
    trail = common.provenance(identity, targets, device, now, str(stored.id), engine)
    store.insert(connection, trail | {"activity": {"text": REINTERPRETED}}, patient=shown.patient, now=now)


def _withdraw(connection: db.Connection, before: dict[str, Any], after: dict[str, Any], now: datetime) -> None:
    """Cancel the results that the new interpretation could not measure."""
    kept = {r["reference"] for r in after.get("result", [])}
    for result in before.get("result", []):
        if result["reference"] not in kept:
            found = store.read(connection, "Observation", UUID(result["reference"].partition("/")[2]))
            store.update(connection, found.content() | {"status": "cancelled"}, patient=found.patient, now=now)
