"""Ingest's alerts come to their alarms: each to one, and to one only.

Whose an alert is, the record decides as it does for the measurement; what is nobody's waits without a patient.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from feldsher_ingest import read

from feldsher_cloud_api import db
from feldsher_cloud_api.project import alarm, ecg, vitals
from feldsher_cloud_api.project.alarm import Alert
from feldsher_cloud_api.project.common import Event, ProjectionError

_queries = db.queries("alarm")


def project(connection: db.Connection, event: Event, now: datetime) -> None:
    """Bring an alert to its Task; a second time changes nothing."""
    row = _queries.alert(connection, id=UUID(event.body["alert"]))
    if row is None:
        raise ProjectionError("alert: it is not stored")
    alert = alarm.alert_of(row)
    if _queries.task_of(connection, alert=alert.id) is not None:
        return
    patient = _whose(connection, event, alert, now)
    report = alert.reading if alert.kind == "ecg" else None
    key = {"patient": patient, "limit": alert.limit, "kind": alert.kind, "report": report}
    fresh = uuid5(alert.id, "task")
    _queries.open(connection, task=fresh, now=now, **key)
    opened = _queries.opened(connection, task=fresh, **key)
    if opened is None:
        raise ProjectionError("alert: its alarm was answered in this very moment")
    task, opened_at = opened
    _queries.gather(connection, alert=alert.id, task=task, now=now)
    alarm.show(connection, task, patient, opened_at, now)


def _whose(connection: db.Connection, event: Event, alert: Alert, now: datetime) -> UUID | None:
    """Return whose an alert is; the reading that it was found in is in the record then."""
    if alert.reading is None:
        return alert.subject
    if alert.kind == "ecg":
        return ecg.whose(connection, event.gateway, alert.reading)
    values = read.readings(connection, [alert.reading])
    if not values:
        raise ProjectionError("alert: its reading is not stored")
    received = alert.arrived_at or event.at
    return vitals.observe(connection, values, received, now, unowned="owner" in alert.doubt)
