"""Patient/$everything: all of one patient's record that the reader may see, by pages, with what it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.types.range import TimestamptzRange

from feldsher_cloud_api.fhir import dates
from feldsher_cloud_api.fhir.kinds import Kind, kinds
from feldsher_cloud_api.fhir.operation.fetch import View, references, target
from feldsher_cloud_api.fhir.operation.parameters import Asked, wrong
from feldsher_cloud_api.fhir.store import Stored

PARAMETERS = ("start", "end", "_since", "_type", "_count", "_cursor")
DEFAULT_COUNT, MOST = 100, 500
_REFERRED = (
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
    "Medication",
    "Device",
    "HealthcareService",
)
"""Types of the directory that come with what names them, so that a record can be read on its own."""
_UNTOLD = ("AuditEvent",)
"""Who looked is no part of the record; it is searched for itself."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the record: types, a span of care dates, changed since; `count` at a time."""

    types: tuple[str, ...]
    span: TimestamptzRange | None
    since: datetime | None
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what belongs to the patient, what that refers to, and where the next page begins."""

    found: list[tuple[str, Stored]]
    referred: list[tuple[str, Stored]]
    following: tuple[str, UUID] | None


def wanted(asked: Asked) -> Wanted:
    """Return what was asked; FhirError 400 names the parameter that is wrong."""
    types = asked.texts("_type")
    for name in types:
        if name not in kinds():
            raise wrong("_type", f"there is no type {name[:64]} in R4")
    start, end = _moment(asked, "start"), _moment(asked, "end")
    span = None
    if start or end:
        low, high = start[0] if start else None, end[1] if end else None
        if low is not None and high is not None and low > high:
            raise wrong("end", "it is before start")
        span = TimestamptzRange(low, high, "[)")
    since = _moment(asked, "_since")
    count = asked.number("_count", MOST)
    return Wanted(tuple(types), span, since[0] if since else None, DEFAULT_COUNT if count is None else max(1, count))


def _moment(asked: Asked, name: str) -> tuple[datetime, datetime] | None:
    text = asked.text(name)
    try:
        return dates.parse(text.replace(" ", "+")) if text else None
    except ValueError as error:
        raise wrong(name, str(error)) from error


def page(view: View, patient: UUID, of: Wanted, after: tuple[str, UUID] | None = None) -> Page:
    """Return a page of the record, in order of types (the Patient first) and ids; `after`: the last one's place."""
    names = ["Patient", *sorted(n for n, k in kinds().items() if k.scope == "compartment" and n != "Patient")]
    names = [n for n in names if n not in _UNTOLD and (not of.types or n in of.types)]
    found: list[tuple[str, Stored]] = []
    for name in names[names.index(after[0]) :] if after and after[0] in names else names:
        place = after[1] if after and after[0] == name else None
        rows = _of_kind(view, kinds()[name], patient, of, place, of.count + 1 - len(found))
        found += [(name, stored) for stored in rows]
        if len(found) > of.count:
            break
    more = len(found) > of.count
    found = found[: of.count]
    return Page(found, _referred(view, found, of), (found[-1][0], found[-1][1].id) if more else None)


def _of_kind(view: View, of: Kind, patient: UUID, wanted: Wanted, place: UUID | None, most: int) -> list[Stored]:
    where, values = [sql.SQL("patient_id = %s")], [patient]
    clauses: list[sql.Composable] = list(where)
    given: list[Any] = list(values)
    if place is not None:
        clauses.append(sql.SQL("id > %s"))
        given.append(place)
    if wanted.since is not None:
        clauses.append(sql.SQL("updated >= %s"))
        given.append(wanted.since)
    if wanted.span is not None and of.dates and of.name != "Patient":
        column = sql.Identifier(of.dates[0])
        clauses.append(sql.SQL("({c} IS NULL OR {c} && %s)").format(c=column))
        given.append(wanted.span)
    return view.select(of.name, sql.SQL(" AND ").join(clauses), [*given, most], sql.SQL("ORDER BY id LIMIT %s"))


def _referred(view: View, found: list[tuple[str, Stored]], of: Wanted) -> list[tuple[str, Stored]]:
    wanted_types = [n for n in _REFERRED if not of.types or n in of.types]
    texts = {text for _, stored in found for text in references(stored.content())}
    named: dict[str, str] = {}
    for text in sorted(texts):
        at = target(text)
        if at is not None and at[0] in wanted_types:
            named[text] = at[0]
    return [(named[text], stored) for text, stored in view.named(named).items()]


def again(types: list[str], span: list[str | None] | None, since: str | None, count: int) -> Wanted:
    """Return what was asked from what a page's token holds."""

    def moment(text: str | None) -> datetime | None:
        return datetime.fromisoformat(text) if text else None

    between = TimestamptzRange(moment(span[0]), moment(span[1]), "[)") if span else None
    return Wanted(tuple(types), between, moment(since), count)
