"""What becomes of alarms: a doctor answers them, or signs the cardiogram; staff find those of nobody their patient."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.rest import Body
from feldsher_cloud_api.project.alarm import Alert, alert_of, flag_id, show

router = APIRouter(prefix="/api/alarm")
NOTE_LENGTH = 1000
ANSWERED, ANOTHERS = "completed", "cancelled"
"""Status of a Task that somebody has answered, and of one whose measurement was another patient's."""
_queries = db.queries("alarm")


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What a doctor says when closing an alarm."""

    note: str = ""


_answer = msgspec.json.Decoder(Answer)


def alerts(connection: db.Connection, task: UUID) -> list[Alert]:
    """Return every alert that was gathered on a Task, newest first."""
    return [alert_of(row) for row in _queries.alerts(connection, task=task)]


def answer(connection: db.Connection, who: Principal, task: UUID, note: str, now: datetime) -> None:
    """Close an alarm as answered; FhirError 404 where it is not within reach, 409 where it is closed already."""
    stored = store.read(connection, "Task", task, access.reach(connection, who))
    if _queries.close(connection, task=task, person=who.person, now=now) is None:
        raise FhirError(409, "conflict", "the alarm has been answered already")
    _end(connection, stored, ANSWERED, who, note, now)
    touched = [f"Task/{task}"]
    audit.record(connection, who, interaction="update", action="U", now=now, resources=touched, patient=stored.patient)


def signed(connection: db.Connection, who: Principal, report: UUID, now: datetime) -> None:
    """Close the alarms of a cardiogram whose report has been signed: its doctor has seen it."""
    for (task,) in list(_queries.of_report(connection, report=report)):
        answer(connection, who, task, "", now)


def found(connection: db.Connection, who: Principal, measurement: UUID, patient: UUID, now: datetime) -> list[str]:
    """Give the open alarms of a measurement of nobody to its patient, and return what moved.

    What broke a limit of somebody else's says nothing of this patient: such an alarm is closed.
    """
    moved: list[str] = []
    for task, subject in list(_queries.of_measurement(connection, measurement=measurement)):
        stored = store.read(connection, "Task", task)
        if subject not in (None, patient):
            _queries.close(connection, task=task, person=None, now=now)
            _end(connection, stored, ANOTHERS, who, "", now)
            continue
        opened_at = _queries.give(connection, task=task, patient=patient)
        show(connection, task, patient, opened_at, now)
        moved.append(f"Task/{task}")
    return moved


def _end(
    connection: db.Connection, stored: store.Stored, status: str, who: Principal, note: str, now: datetime
) -> None:
    content: dict[str, Any] = stored.content() | {"status": status, "lastModified": dates.render(now)}
    person = {"reference": who.reference, "display": who.display} if who.reference else {"display": who.display}
    content["owner"] = person
    if note:
        said: dict[str, Any] = {"time": dates.render(now), "text": note}
        said |= {"authorReference": person} if who.reference else {"authorString": who.display}
        content["note"] = [*content.get("note", []), said]
    store.update(connection, content, patient=stored.patient, now=now)
    flag = store.find(connection, "Flag", flag_id(stored.id))
    if flag is not None:
        was = flag.content()
        over = was | {"status": "inactive", "period": was["period"] | {"end": dates.render(now)}}
        store.update(connection, over, patient=flag.patient, now=now)


@router.get("/{task}")
def get_alarm(task: UUID, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return every alert that was gathered on a Task, newest first."""
    access.permit(who, "Task", "read")
    with access.asking(of.pool, who) as connection:
        stored = store.read(connection, "Task", task, access.reach(connection, who))
        gathered = alerts(connection, task)
        audit.record(
            connection, who, interaction="read", action="R", now=of.settings.clock(), resources=[f"Task/{task}"],
            patient=stored.patient,
        )  # fmt: skip
    said = [{name: getattr(one, name) for name in Alert.__slots__ if name != "subject"} for one in gathered]
    return Response(db.dumps({"task": str(task), "alerts": said}), media_type="application/json")


@router.post("/{task}/answer")
def answer_alarm(task: UUID, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Close an alarm, with a note (see Answer)."""
    try:
        said = _answer.decode(body or b"{}")
    except msgspec.MsgspecError as error:
        raise FhirError(422, "invalid", str(error)) from error
    close(of, who, task, said.note)
    return Response(status_code=204)


def close(of: Context, who: Principal, task: UUID, note: str) -> None:
    """Close an alarm for a doctor, in a transaction of its own; FhirError 422 where the note is too long."""
    access.permit(who, "Task", "update")
    if len(note) > NOTE_LENGTH:
        raise FhirError(422, "invalid", f"note: {len(note)} characters, more than {NOTE_LENGTH}", "$.note")
    with access.asking(of.pool, who) as connection:
        answer(connection, who, task, note, of.settings.clock())
