"""Second looks that a re-interpretation asked for: a doctor looks at the ECG and ends them; the report stays."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.project.review import REVIEW

NOTE_LENGTH = 1000
_queries = db.queries("review")


def end(connection: db.Connection, who: Principal, task: UUID, note: str, now: datetime) -> None:
    """End a review as done by a doctor, with what they found.

    FhirError 404 where there is none within reach, 409 where somebody has ended it, 422 where the note is too long.
    """
    access.permit(who, "Task", "update")
    if len(note) > NOTE_LENGTH:
        raise FhirError(422, "invalid", f"note: {len(note)} characters, more than {NOTE_LENGTH}")
    list(_queries.lock(connection, task=task))
    stored = store.read(connection, "Task", task, access.reach(connection, who))
    content = stored.content()
    if content["code"]["coding"][0]["system"] != REVIEW:
        raise not_found("review")
    if content["status"] != "requested":
        raise FhirError(409, "conflict", "the review has been ended already")
    person = {"reference": who.reference, "display": who.display} if who.reference else {"display": who.display}
    content |= {"status": "completed", "lastModified": dates.render(now), "owner": person}
    if note:
        said: dict[str, Any] = {"time": dates.render(now), "text": note}
        said |= {"authorReference": person} if who.reference else {"authorString": who.display}
        content["note"] = [*cast("list[dict[str, Any]]", content.get("note", [])), said]
    store.update(connection, content, patient=stored.patient, now=now)
    touched = [f"Task/{task}"]
    audit.record(connection, who, interaction="update", action="U", now=now, resources=touched, patient=stored.patient)


def of_run(connection: db.Connection, run: int) -> dict[str, Any] | None:
    """Return what a run of re-interpretation came to in the record, in numbers; None where there is no such run.

    Recordings that have no report are of nobody: they count in `feldsher-ingest replay report` only.
    """
    found = _queries.run(connection, run=run)
    if found is None:
        return None
    names = ("reports", "patients", "of_nobody", "signed", "critical_reports", "critical_patients", "applied")
    counts = dict(zip(names, _queries.counts(connection, run=run), strict=True))
    asked, still_open = _queries.reviews(connection, run=run)
    return {"run": found[0], "engine": found[1], **counts, "reviews": asked, "open_reviews": still_open}
