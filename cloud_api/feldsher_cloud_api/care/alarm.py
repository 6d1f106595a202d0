"""What becomes of alarms: a doctor answers them, or signs the cardiogram; staff find those of nobody their patient."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
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
ANSWERED, VOID = "completed", "cancelled"
"""Status of a Task that somebody has answered, and of one that is none of its own: its measurement was another
patient's, or its alerts went to the alarm that was open already."""
_ANOTHERS, _JOINED = "the limit was another patient's", "its alerts are gathered on the alarm that was open already"
_queries = db.queries("alarm")


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What a doctor says when closing an alarm. `version`: of the Task as they saw it."""

    version: int
    note: str = ""


class ChangedError(FhirError):
    """An alarm has gathered something that whoever answered it has not seen: they are to look again."""

    def __init__(self, seen: int, version: int, alerts: int, latest: str) -> None:
        words = f"the alarm has changed since version {seen}: it is version {version} and has {alerts} alerts, the"
        super().__init__(409, "conflict", f"{words} newest of {latest}; look at it and answer that version")


_answer = msgspec.json.Decoder(Answer)


def alerts(connection: db.Connection, task: UUID) -> list[Alert]:
    """Return every alert that was gathered on a Task, newest first."""
    return [alert_of(row) for row in _queries.alerts(connection, task=task)]


def answer(
    connection: db.Connection, who: Principal, task: UUID, note: str, now: datetime, *, seen: int | None = None
) -> None:
    """Close an alarm as answered; FhirError 404 where it is not within reach, 409 where it is closed already.

    `seen`: the Task's version that is answered (None: whatever it is); ChangedError where there is a newer one.
    """
    reach = access.reach(connection, who)
    store.read(connection, "Task", task, reach)
    if _queries.close(connection, task=task, person=who.person, now=now) is None:
        raise FhirError(409, "conflict", "the alarm has been answered already")
    # Only now, with the alarm's row locked, can nothing be gathered on the Task any more.
    stored = store.read(connection, "Task", task, reach)
    if seen is not None and seen != stored.version:
        newest = alerts(connection, task)
        raise ChangedError(seen, stored.version, len(newest), dates.render(newest[0].measured_at))
    _end(connection, stored, ANSWERED, who, note, now)
    touched = [f"Task/{task}"]
    audit.record(connection, who, interaction="update", action="U", now=now, resources=touched, patient=stored.patient)


def signed(connection: db.Connection, who: Principal, report: UUID, now: datetime) -> None:
    """Close the alarms of a cardiogram whose report has been signed: its doctor has seen it."""
    for (task,) in list(_queries.of_report(connection, report=report)):
        answer(connection, who, task, "", now)


def found(connection: db.Connection, who: Principal, measurement: UUID, patient: UUID, now: datetime) -> list[str]:
    """Give the open alarms of a measurement of nobody to its patient, and return what moved.

    What broke a limit of somebody else's says nothing of this patient: such an alarm is closed. Where the patient has
    an open alarm of that limit, the alerts are gathered there.
    """
    moved: list[str] = []
    for task, subject in list(_queries.of_measurement(connection, measurement=measurement)):
        if subject not in (None, patient):
            _void(connection, who, task, _ANOTHERS, now)
            continue
        taken = _give(connection, task, patient)
        if taken != task:
            _queries.move(connection, task=task, to=taken)
            _void(connection, who, task, _JOINED, now, to=taken)
        show(connection, taken, patient, _queries.opened_at(connection, task=taken), now)
        moved.append(f"Task/{taken}")
    return moved


def _give(connection: db.Connection, task: UUID, patient: UUID) -> UUID:
    """Make an alarm a patient's, or return which alarm of theirs is open already, locked."""
    while True:
        joined = _queries.open_beside(connection, task=task, patient=patient)
        if joined is not None:
            return joined
        with suppress(psycopg.errors.UniqueViolation), connection.transaction():  # opened in this very moment
            _queries.give(connection, task=task, patient=patient)
            return task


def _void(
    connection: db.Connection, who: Principal, task: UUID, why: str, now: datetime, *, to: UUID | None = None
) -> None:
    _queries.close(connection, task=task, person=None, now=now)
    parent = {} if to is None else {"partOf": [{"reference": f"Task/{to}"}]}
    _end(connection, store.read(connection, "Task", task), VOID, who, "", now, {"statusReason": {"text": why}} | parent)


def _end(
    connection: db.Connection, stored: store.Stored, status: str, who: Principal, note: str, now: datetime,
    more: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    content: dict[str, Any] = stored.content() | {"status": status, "lastModified": dates.render(now)} | (more or {})
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
    """Close an alarm as it was seen, with a note (see Answer); 409 where it has gathered more since then."""
    try:
        said = _answer.decode(body or b"{}")
    except msgspec.MsgspecError as error:
        raise FhirError(422, "invalid", str(error)) from error
    close(of, who, task, said.note, said.version)
    return Response(status_code=204)


def close(of: Context, who: Principal, task: UUID, note: str, seen: int) -> None:
    """Close an alarm for a doctor, in a transaction of its own; FhirError as `answer`, 422: the note is too long."""
    access.permit(who, "Task", "update")
    if len(note) > NOTE_LENGTH:
        raise FhirError(422, "invalid", f"note: {len(note)} characters, more than {NOTE_LENGTH}", "$.note")
    with access.asking(of.pool, who) as connection:
        answer(connection, who, task, note, of.settings.clock(), seen=seen)
