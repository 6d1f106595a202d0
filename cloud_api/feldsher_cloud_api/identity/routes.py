"""The identity of patients for registrars' programs and pages: `/api/identity`, JSON; every act is audited."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, TypeVar
from uuid import UUID

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.rest import Body
from feldsher_cloud_api.identity import duplicate, merge

router = APIRouter(prefix="/api/identity")
_WHO = ("registrar", "service")
_MOST = 200
T = TypeVar("T")


class MergeAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Whose record goes into whose, and why."""

    survivor: UUID
    source: UUID
    reason: str


class DecisionAsked(msgspec.Struct, forbid_unknown_fields=True):
    """What a person found out about a pair."""

    first: UUID
    second: UUID
    decision: Literal["different"]


class UndoAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Why a merge is undone."""

    reason: str


def _parsed(body: bytes, of: type[T]) -> T:
    try:
        asked = msgspec.json.decode(body, type=of)
    except msgspec.MsgspecError as error:
        raise FhirError(422, "invalid", str(error)) from error
    if not getattr(asked, "reason", "given").strip():
        raise FhirError(422, "required", "reason: say why, so that it can be understood later", "$.reason")
    return asked


def _permit(who: Principal) -> None:
    access.permit_role(who, *_WHO)
    access.permit(who, "Patient", "update")


def _reached(of: Context, who: Principal, *patients: UUID) -> None:
    """Raise FhirError 404 unless every patient is within the principal's reach."""
    with access.asking(of.pool, who) as connection:
        reach = access.reach(connection, who)
        for patient in patients:
            store.read(connection, "Patient", patient, reach)


@contextmanager
def _acting(of: Context) -> Generator[db.Connection]:
    """Open the transaction of an act that touches everything of a patient, which no role of a person may."""
    with db.connect(of.settings.database_url, db.WORKER) as connection, connection.transaction():
        yield connection


def _json(value: object, status: int = 200) -> Response:
    return Response(db.dumps(value), status_code=status, media_type="application/json")


@router.get("/duplicates")
def get_duplicates(of: CurrentContext, who: CurrentPrincipal, count: int = 50) -> Response:
    """Return the pairs that may be one person's and wait for a decision, the likeliest first; ids and levels only."""
    _permit(who)
    with access.asking(of.pool, who) as connection:
        reach = access.reach(connection, who)
        audit.record(connection, who, interaction="identity-duplicates", action="R", now=of.settings.clock())
    with _acting(of) as connection:
        found = duplicate.waiting(connection, reach, max(1, min(count, _MOST)))
    return _json({"pairs": found})


@router.post("/decisions")
def post_decision(of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Say that a pair is two people; that it is one is said by merging."""
    _permit(who)
    asked, now = _parsed(body, DecisionAsked), of.settings.clock()
    _reached(of, who, asked.first, asked.second)
    with _acting(of) as connection:
        duplicate.decide(connection, asked.first, asked.second, asked.decision, now=now, person=who.person)
        _audit(connection, who, "identity-decision", of, asked.first, asked.second)
    return _json({"decision": asked.decision})


@router.post("/merges")
def post_merge(of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Bring the source's record into the survivor's; the answer counts what was moved, by type and table."""
    _permit(who)
    asked = _parsed(body, MergeAsked)
    _reached(of, who, asked.survivor, asked.source)
    with _acting(of) as connection:
        report = merge.merge(
            connection,
            asked.survivor,
            asked.source,
            reason=asked.reason,
            now=of.settings.clock(),
            person=who.person,
        )
        _audit(connection, who, "identity-merge", of, asked.survivor, asked.source)
    return _json(report, 201)


@router.get("/merges/{patient}")
def get_merges(patient: UUID, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the merges that a patient took part in, the newest first."""
    _permit(who)
    _reached(of, who, patient)
    with _acting(of) as connection:
        found = merge.of(connection, patient)
        _audit(connection, who, "identity-merges", of, patient, action="R")
    return _json({"merges": found})


@router.post("/merges/{identity}/undo")
def post_undo(identity: UUID, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Take a merge back: what came from the source returns to it; the answer counts what could not (`left`)."""
    _permit(who)
    asked = _parsed(body, UndoAsked)
    with _acting(of) as connection:
        between = merge.between(connection, identity)
    _reached(of, who, *between)
    with _acting(of) as connection:
        report = merge.unmerge(connection, identity, reason=asked.reason, now=of.settings.clock(), person=who.person)
        _audit(connection, who, "identity-unmerge", of, *between)
    return _json(report)


def _audit(
    connection: db.Connection, who: Principal, act: str, of: Context, *patients: UUID, action: audit.Action = "U"
) -> None:
    for patient in patients:
        audit.record(connection, who, interaction=act, action=action, now=of.settings.clock(), patient=patient)
