"""What a gateway's clock, set right later, changes in the record: corrected times, and with them whose a reading is.

Every Observation of the boot gets a new version with the corrected effective time, the time as sent beside it, and a
Provenance that says why. What a doctor has signed stays as it was signed; what staff gave to a patient stays theirs.
"""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID, uuid5

from feldsher_ingest import read
from feldsher_ingest.read import StoredRecording, StoredVital

from feldsher_cloud_api import assignment, db
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.project import common, ecg, vitals
from feldsher_cloud_api.project.common import TIME_AS_SENT, Event

CORRECTED = "time corrected: the gateway's clock was set right later"
"""What the Provenance of a corrected resource says."""
_queries = db.queries("project")


def project(connection: db.Connection, event: Event, now: datetime) -> None:
    """Bring a correction of a gateway's clock into what was projected before it; a second time changes nothing."""
    if not event.body.get("trusted", True):
        return
    boot = _queries.boot(connection, gateway=event.gateway, message=event.message_id)
    _readings(connection, event, boot, now)
    for (identity,) in list(_queries.corrected_recordings(connection, gateway=event.gateway, boot=boot)):
        stored = read.recording(connection, identity)
        if stored is not None:
            _recording(connection, stored, now)


def _readings(connection: db.Connection, event: Event, boot: UUID, now: datetime) -> None:
    waiting = _queries.waiting(connection, gateway=event.gateway, kind="vitals", reason=assignment.CLOCK)
    values = read.corrected(connection, event.gateway, boot)
    others = {row[0] for row in waiting} - {v.reading_id for v in values}
    values += read.readings(connection, sorted(others)) if others else []
    for _, group in groupby(values, lambda v: v.reading_id):
        _reading(connection, list(group), event, now)


def _reading(connection: db.Connection, values: list[StoredVital], event: Event, now: datetime) -> None:
    first = values[0]
    device = common.device_id(first.gateway, first.device)
    found = store.find(connection, "Observation", UUID(vitals.resources(values, device, None)[0]["id"]))
    if found is None:
        return  # not projected yet: it will be, with the corrected time
    decided = bool(_queries.for_staff(connection, id=first.reading_id, earlier=assignment.EARLIER))
    patient, reason = found.patient, ""
    if not decided:
        patient, reason = vitals.owner(connection, first, device, vitals.kind(values), event.at)
    made = vitals.resources(values, device, patient)
    _renew(connection, made, patient, first.reading_id, now)
    if not decided:
        _settle(connection, first, device, made, patient, reason, now)


def _settle(
    connection: db.Connection, first: StoredVital, device: UUID, made: list[dict[str, Any]], patient: UUID | None,
    reason: str, now: datetime,
) -> None:  # fmt: skip
    if patient is None:
        common.queue_unassigned(
            connection, identity=first.reading_id, kind="vitals", resource=f"Observation/{made[0]['id']}",
            device=device, gateway=first.gateway, at=first.taken_at, reason=reason,
        )  # fmt: skip
    resolved = None if patient is None else now
    _queries.settle(connection, id=first.reading_id, at=first.taken_at, reason=reason, resolved=resolved)


def _recording(connection: db.Connection, stored: StoredRecording, now: datetime) -> None:
    """Correct the times of a preliminary report and its results; whose it is was decided by its order or by staff."""
    report = store.read(connection, "DiagnosticReport", stored.id)
    content = report.content()
    made = [_timed(content, stored) | {"effectivePeriod": ecg.period(stored)}]
    for result in content.get("result", []):
        found = store.read(connection, "Observation", UUID(result["reference"].partition("/")[2]))
        made.append(_timed(found.content(), stored) | {"effectiveDateTime": dates.render(stored.taken_at)})
    _renew(connection, made, report.patient, stored.id, now)


def _timed(content: dict[str, Any], stored: StoredRecording) -> dict[str, Any]:
    others = [e for e in content.get("extension", []) if e["url"] != TIME_AS_SENT]
    return content | {"extension": others + ecg.as_sent(stored)}


def _renew(
    connection: db.Connection, made: list[dict[str, Any]], patient: UUID | None, source: UUID, now: datetime
) -> None:
    """Store the next versions of resources with their Provenance, all in a patient's compartment, and say why."""
    versions: dict[str, int] = {}
    for resource in made:
        kind, identity = str(resource["resourceType"]), UUID(resource["id"])
        before = store.read(connection, kind, identity)
        after = store.update(connection, resource, patient=patient, now=now)
        if after != before.version:
            versions[f"{kind}/{identity}"] = after
    if not versions:
        return
    for (identity,) in list(_queries.provenances(connection, references=list(versions))):
        trail = store.read(connection, "Provenance", identity).content()
        store.update(connection, trail, patient=patient, now=now)
    store.insert(connection, _provenance(source, versions, now), patient=patient, now=now)


def _provenance(source: UUID, versions: dict[str, int], now: datetime) -> dict[str, Any]:
    target = [{"reference": r} for r in versions]
    return {
        "resourceType": "Provenance",
        "id": str(uuid5(source, f"clock corrected, version {max(versions.values())}")),
        "target": target,
        "recorded": dates.render(now),
        "activity": {"text": CORRECTED},
        "agent": [{"who": {"display": "feldsher cloud worker"}}],
    }
