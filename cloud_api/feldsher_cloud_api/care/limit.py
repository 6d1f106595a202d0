"""Individual limits of remote monitoring: doctors set, change and end them, every version stays, patients read theirs.

Ingest's watch evaluates them (feldsher_ehr_core.monitoring has the rules); which version judges a measurement is
decided by the time of measurement. FHIR R4 has no resource for a limit that is watched (a Goal says what is aimed at),
so they are rows of their own, under the same rules of access as the record.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from feldsher_ehr_core import monitoring
from feldsher_ehr_core.monitoring import RuleError, Severity

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.fhir.rest import Body

router = APIRouter(prefix="/api/patient")
LONGEST = timedelta(days=2 * 366)
"""A limit is reviewed after so long at the latest; who sets one says when. Chosen by us."""
_NAMES = (
    "id", "version", "rule", "severity", "zone", "start", "until", "review_at", "set_by", "set_at", "ended_by",
    "ended_at",
)  # fmt: skip
_queries = db.queries("limit")


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What a doctor asks for: `rule` (feldsher_ehr_core.monitoring), how much an alert weighs, the days' time zone.

    `start`: from when on it holds, now where not given; `until`: open where not given; `review_at`: when it is to be
    looked at again.
    """

    rule: msgspec.Raw
    severity: Severity
    review_at: datetime
    zone: str = "UTC"
    start: datetime | None = None
    until: datetime | None = None


_asked = msgspec.json.Decoder(Asked)


def _wrong(field: str, words: str) -> FhirError:
    return FhirError(422, "invalid", f"{field}: {words}", f"$.{field}")


def parse(body: bytes, now: datetime) -> Asked:
    """Return what a request's body asks for; FhirError 422 names the field that cannot be taken."""
    try:
        asked = _asked.decode(body)
    except msgspec.MsgspecError as error:
        raise FhirError(422, "invalid", str(error)) from error
    _check_rule(asked)
    for name in ("start", "until", "review_at"):
        at: datetime | None = getattr(asked, name)
        if at is not None and at.tzinfo is None:
            raise _wrong(name, "a time with its offset is needed")
    start = asked.start or now
    if start < now - timedelta(minutes=1):
        raise _wrong("start", "a limit cannot hold for what was measured before it was set")
    if asked.until is not None and asked.until <= start:
        raise _wrong("until", "after `start`")
    if not start < asked.review_at <= start + LONGEST:
        raise _wrong("review_at", f"after `start`, within {LONGEST.days} days")
    return asked


def _check_rule(asked: Asked) -> None:
    try:
        rule = monitoring.decode(bytes(asked.rule))
    except RuleError as error:
        raise _wrong("rule", str(error)) from error
    if isinstance(rule, monitoring.NoLimits):
        raise _wrong("rule", "`absent` is built in")
    try:
        ZoneInfo(asked.zone)
    except (KeyError, ValueError, OSError) as error:
        raise _wrong("zone", f"{asked.zone[:40]!r} is no IANA time zone") from error


def put(
    connection: db.Connection, who: Principal, patient: UUID, asked: Asked, now: datetime, limit: UUID | None = None
) -> tuple[UUID, int]:
    """Set a new limit of a patient, or the next version of one; return its id and version."""
    _of(connection, who, patient, limit)
    identity = limit or store.new_id(now)
    version = _queries.put(
        connection, id=identity, patient=patient, rule=bytes(asked.rule).decode(), severity=asked.severity,
        zone=asked.zone, start=asked.start or now, until=asked.until, review=asked.review_at, person=who.person,
    )  # fmt: skip
    _audit(connection, who, "create" if limit is None else "update", patient, now)
    return identity, int(version)


def end(connection: db.Connection, who: Principal, patient: UUID, limit: UUID, now: datetime) -> int:
    """End a limit now; return how many versions that cut short."""
    _of(connection, who, patient, limit)
    cut = int(_queries.end(connection, id=limit, at=now, person=who.person))
    _audit(connection, who, "update", patient, now)
    return cut


def _of(connection: db.Connection, who: Principal, patient: UUID, limit: UUID | None) -> None:
    """Raise FhirError 404 where the patient is not within reach or the limit is none of theirs."""
    store.read(connection, "Patient", patient, access.reach(connection, who))
    if limit is not None:
        row = _queries.whose(connection, id=limit)
        if row is None or row[0] != patient:
            raise not_found("limit")


def _audit(
    connection: db.Connection, who: Principal, interaction: Literal["create", "update", "search-type"], patient: UUID,
    now: datetime,
) -> None:  # fmt: skip
    actions: dict[str, audit.Action] = {"create": "C", "update": "U", "search-type": "E"}
    audit.record(connection, who, interaction=interaction, action=actions[interaction], now=now, patient=patient)


def every(connection: db.Connection, patient: UUID) -> list[dict[str, Any]]:
    """Return a patient's limits with all their versions, the newest of each first."""
    return [
        dict(zip(_NAMES, row, strict=True)) | {"rule": msgspec.Raw(str(row[2]).encode())}
        for row in _queries.every(connection, patient=patient)
    ]


@router.get("/{patient}/limits")
def get_limits(patient: UUID, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return a patient's limits, every version: for their doctors and themselves."""
    access.permit(who, "Observation", "search")
    with access.asking(of.pool, who) as connection:
        _of(connection, who, patient, None)
        found = every(connection, patient)
        _audit(connection, who, "search-type", patient, of.settings.clock())
    return Response(db.dumps({"limits": found}), media_type="application/json")


@router.post("/{patient}/limits")
def set_limit(patient: UUID, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Set a limit of a patient (see Asked)."""
    return _put(of, who, patient, body, None)


@router.put("/{patient}/limits/{limit}")
def change_limit(
    patient: UUID, limit: UUID, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body
) -> Response:
    """Set the next version of a limit; the former one stays and held until then."""
    return _put(of, who, patient, body, limit)


def _put(of: Context, who: Principal, patient: UUID, body: bytes, limit: UUID | None) -> Response:
    _permit(who)
    now = of.settings.clock()
    with access.asking(of.pool, who) as connection:
        identity, version = put(connection, who, patient, parse(body, now), now, limit)
    said = db.dumps({"id": str(identity), "version": version})
    return Response(said, status_code=200 if limit else 201, media_type="application/json")


@router.post("/{patient}/limits/{limit}/end")
def end_limit(patient: UUID, limit: UUID, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """End a limit now; what it judged stays."""
    _permit(who)
    with access.asking(of.pool, who) as connection:
        cut = end(connection, who, patient, limit, of.settings.clock())
    return Response(db.dumps({"id": str(limit), "ended": cut}), media_type="application/json")


def _permit(who: Principal) -> None:
    """Raise Forbidden unless a doctor asks, in their own browser or with a token that may change Tasks."""
    access.permit_role(who, "doctor")
    access.permit(who, "Task", "update")
