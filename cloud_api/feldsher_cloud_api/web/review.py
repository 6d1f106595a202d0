"""Second looks for pages: which ECGs a newer interpreter found something critical in, in the reader's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from feldsher_cloud_api import access
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal, Form
from feldsher_cloud_api.care import review
from feldsher_cloud_api.fhir import dates
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.project.review import BECAUSE, ENGINE, REVIEW
from feldsher_cloud_api.web.catalogue import Catalogue
from feldsher_cloud_api.web.desk import Desk, desk
from feldsher_cloud_api.web.people import people
from feldsher_cloud_api.web.routes import PageRoute
from feldsher_cloud_api.web.shapes import Part, Person

MOST = 100
"""Reviews on the worklist: the oldest; the rest is counted."""
router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Review:
    """A second look that is asked for: at which report, because of which statement of which engine."""

    id: UUID
    patient: Person | None
    report: UUID
    finding: str
    engine: str
    because: tuple[str, ...]
    since: datetime


def open_reviews(at: Desk, words: Catalogue) -> Part[Review]:
    """Return the open reviews within reach, the oldest first."""
    found, total = at.part("Task", status="requested", code=f"{REVIEW}|", _sort="authored-on", _count=str(MOST))
    known = people(at, (s.patient for s in found))
    return Part(tuple(_review(s, known.get(s.patient) if s.patient else None, words) for s in found), total)


def of_report(at: Desk, report: UUID, words: Catalogue) -> tuple[Review, ...]:
    """Return the open reviews of one report."""
    found = at.search("Task", status="requested", code=f"{REVIEW}|", focus=f"DiagnosticReport/{report}")
    return tuple(_review(s, None, words) for s in found)


def _review(stored: Stored, patient: Person | None, words: Catalogue) -> Review:
    content = stored.content()
    statement = content["reasonCode"]["coding"][0]
    said: dict[str, list[str]] = {}
    for one in cast("list[dict[str, Any]]", content["input"]):
        said.setdefault(str(one["type"]["coding"][0]["code"]), []).append(str(one["valueString"]))
    return Review(
        stored.id,
        patient,
        UUID(content["focus"]["reference"].partition("/")[2]),
        words.code("statement", statement["code"], statement["display"]),
        said[ENGINE][0],
        tuple(said.get(BECAUSE, ())),
        dates.parse(content["authoredOn"])[0],
    )


@router.post("/ecg/{report}/reviewed")
def reviewed(report: UUID, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """End one review of a report: the doctor has looked; somebody else's end of it is as good."""
    access.permit_role(who, "doctor")
    try:
        task = UUID(form.get("review", ""))
    except ValueError as error:
        raise FhirError(400, "invalid", "review: no id") from error
    note = form.get("note", "").strip()[: review.NOTE_LENGTH]
    try:
        with desk(of, who) as at:
            review.end(at.connection, who, task, note, of.settings.clock())
    except FhirError as error:
        if error.status != 409:
            raise
    return RedirectResponse(f"/ecg/{report}", 303)
