"""The routes of operations on the record: each permitted first, read within reach, and audited."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from cryptography.fernet import InvalidToken
from fastapi import APIRouter, Request
from fastapi.responses import Response
from psycopg import sql

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import identity, store, validate
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.kinds import kinds
from feldsher_cloud_api.fhir.operation import document, everything, lastn, meta, summary
from feldsher_cloud_api.fhir.operation.everything import Wanted
from feldsher_cloud_api.fhir.operation.fetch import View, entry
from feldsher_cloud_api.fhir.operation.parameters import Asked, answer, asked, wrong
from feldsher_cloud_api.fhir.outcome import FhirError, not_found, outcome
from feldsher_cloud_api.fhir.rest import Body, accepts_json, reply
from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.identity import match
from feldsher_cloud_api.identity.traits import traits

router = APIRouter(prefix="/fhir")
_MATCH = ("resource", "onlyCertainMatches", "count")
_MOST_MATCHES = 50
_LIFE_S = 24 * 3600


def _asked(request: Request, body: bytes, known: tuple[str, ...], alone: str | None = None) -> Asked:
    accepts_json(request)
    return asked(parse_qsl(request.url.query, keep_blank_values=True), body, known, alone)


@contextmanager
def _view(of: Context, who: Principal) -> Generator[View]:
    with access.asking(of.pool, who) as connection:
        yield View(connection, who, access.reach(connection, who))


def _audit(of: Context, view: View, operation: str, patient: UUID | None, action: audit.Action = "R") -> None:
    now = of.settings.clock()
    audit.record(view.connection, view.who, interaction=operation, action=action, now=now, patient=patient)


def _known(kind: str) -> None:
    if kind not in kinds():
        raise FhirError(404, "not-supported", f"there is no resource type {kind[:64]} in R4")


def _searchset(entries: list[dict[str, Any]], links: dict[str, str], total: int | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        made["total"] = total
    made["link"] = [{"relation": relation, "url": url} for relation, url in links.items()]
    return made | ({"entry": entries} if entries else {})


# ---------------------------------------------------------------- Patient/$everything
@router.get("/Patient/{identity_}/$everything")
@router.post("/Patient/{identity_}/$everything")
def get_everything(identity_: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Return a patient's whole record within reach, by pages."""
    given = _asked(request, body, everything.PARAMETERS)
    access.permit(who, "Patient", "read")
    wanted, after = everything.wanted(given), None
    token = given.text("_cursor")
    if token is not None:
        wanted, after = _opened(of, who, identity_, token)
    with _view(of, who) as view:
        patient = store.read(view.connection, "Patient", identity.key(identity_), view.reach)
        page = everything.page(view, patient.id, wanted, after)
        _audit(of, view, "everything", patient.id)
    base = of.settings.fhir_base
    address = f"{base}/Patient/{patient.logical}/$everything"
    links = {"self": f"{address}?{request.url.query}" if request.url.query else address}
    if page.following is not None:
        links["next"] = f"{address}?{urlencode({'_cursor': _sealed(of, who, identity_, wanted, page.following)})}"
    entries = [entry(base, name, stored, "match") for name, stored in page.found]
    entries += [entry(base, name, stored, "include") for name, stored in page.referred]
    total = len(page.found) if page.following is None and after is None else None
    return reply(_searchset(entries, links, total))


def _sealed(of: Context, who: Principal, patient: str, wanted: Wanted, place: tuple[str, UUID]) -> str:
    span = [wanted.span.lower, wanted.span.upper] if wanted.span is not None else None
    inner = [str(who.person), patient, wanted.types, span, wanted.since, wanted.count, place]
    return of.cursor.encrypt(db.dumps(inner)).decode()


def _opened(of: Context, who: Principal, patient: str, token: str) -> tuple[Wanted, tuple[str, UUID]]:
    try:
        person, of_patient, *inner, place = db.loads(of.cursor.decrypt(token.encode(), ttl=_LIFE_S))
    except (InvalidToken, ValueError) as error:
        raise wrong("_cursor", "the token is not valid or is over") from error
    if (person, of_patient) != (str(who.person), patient):
        raise wrong("_cursor", "the token belongs to another request")
    return everything.again(*inner), (str(place[0]), UUID(place[1]))


# ---------------------------------------------------------------- Observation/$lastn
@router.get("/Observation/$lastn")
@router.post("/Observation/$lastn")
def get_lastn(request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Return the newest observations of each code of one patient."""
    given = _asked(request, body, lastn.PARAMETERS)
    access.permit(who, "Observation", "search")
    with _view(of, who) as view:
        found = lastn.newest(view, given)
        _audit(of, view, "lastn", lastn.patient(given) if found else None)
    base = of.settings.fhir_base
    entries = [entry(base, "Observation", stored, "match") for stored in found]
    return reply(_searchset(entries, {"self": f"{base}/Observation/$lastn"}, len(found)))


# ---------------------------------------------------------------- Patient/$summary, Composition/$document
@router.get("/Patient/{identity_}/$summary")
@router.post("/Patient/{identity_}/$summary")
def get_summary(identity_: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Return a patient's International Patient Summary."""
    _asked(request, body, summary.PARAMETERS)
    return _summary(of, who, identity.key(identity_))


@router.get("/Patient/$summary")
@router.post("/Patient/$summary")
def get_summary_by_identifier(request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Return the summary of the one patient that has an `identifier` (system|value)."""
    given = _asked(request, body, summary.PARAMETERS)
    identifier = given.text("identifier")
    if identifier is None:
        raise FhirError(400, "required", "identifier is needed: system|value", "Parameters.parameter")
    access.permit(who, "Patient", "search")
    with _view(of, who) as view:
        condition = sql.SQL("terms && %s::bigint[]")
        found = view.select("Patient", condition, [[term(f"identifier={identifier}")]], sql.SQL("LIMIT 2"))
    if len(found) != 1:
        raise not_found("Patient") if not found else FhirError(412, "multiple-matches", "several patients have it")
    return _summary(of, who, found[0].id)


def _summary(of: Context, who: Principal, key: UUID) -> Response:
    access.permit(who, "Patient", "read")
    with _view(of, who) as view:
        patient = store.read(view.connection, "Patient", key, view.reach)
        made = summary.summary(view, patient, of.settings.fhir_base, of.settings.clock())
        _audit(of, view, "summary", patient.id)
    return reply(made)


@router.get("/Composition/{identity_}/$document")
@router.post("/Composition/{identity_}/$document")
def get_document(identity_: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Return a Composition as a document; with `persist` the Bundle is stored too."""
    given = _asked(request, body, document.PARAMETERS)
    access.permit(who, "Composition", "read")
    persist = given.flag("persist")
    if persist:
        access.permit(who, "Bundle", "create")
    now = of.settings.clock()
    with _view(of, who) as view:
        composition = store.read(view.connection, "Composition", identity.key(identity_), view.reach)
        made = document.document(view, composition, of.settings.fhir_base, now)
        if persist:
            store.insert(view.connection, made, patient=composition.patient, now=now)
        _audit(of, view, "document", composition.patient, "C" if persist else "R")
    return reply(made)


# ---------------------------------------------------------------- $meta
@router.get("/{kind}/{identity_}/$meta")
@router.post("/{kind}/{identity_}/$meta")
def get_meta(
    kind: str, identity_: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body
) -> Response:
    """Return a resource's Meta."""
    _asked(request, body, ())
    _known(kind)
    access.permit(who, kind, "read")
    with _view(of, who) as view:
        stored = store.read(view.connection, kind, identity.key(identity_), view.reach)
        _audit(of, view, "meta", stored.patient)
    return reply(answer(("return", ("Meta", meta.of(stored)))))


@router.post("/{kind}/{identity_}/$meta-add")
def add_meta(
    kind: str, identity_: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body
) -> Response:
    """Add profiles, tags and labels to a resource."""
    return _change(kind, identity_, request, of, who, body, add=True)


@router.post("/{kind}/{identity_}/$meta-delete")
def delete_meta(
    kind: str, identity_: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body
) -> Response:
    """Take profiles, tags and labels from a resource."""
    return _change(kind, identity_, request, of, who, body, add=False)


def _change(
    kind: str, identity_: str, request: Request, of: Context, who: Principal, body: bytes, *, add: bool
) -> Response:
    given = meta.given(_asked(request, body, meta.PARAMETERS))
    _known(kind)
    access.permit(who, kind, "update")
    with _view(of, who) as view:
        stored = store.read(view.connection, kind, identity.key(identity_), view.reach)
        made = meta.change(view.connection, stored, given, of.settings.clock(), add=add)
        _audit(of, view, "meta-add" if add else "meta-delete", stored.patient, "U")
    return reply(answer(("return", ("Meta", made))))


# ---------------------------------------------------------------- $validate of one resource
_MODES = ("create", "update", "delete", "profile")


@router.post("/{kind}/{identity_}/$validate")
def validate_one(
    kind: str, identity_: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body
) -> Response:
    """Say whether a resource could be updated (or, `mode` delete, deleted) so: nothing is kept."""
    given = _asked(request, body, ("resource", "mode", "profile"), "resource")
    _known(kind)
    mode = given.text("mode") or "update"
    if mode not in _MODES:
        raise wrong("mode", f"one of {', '.join(_MODES)} is needed")
    as_: Literal["delete", "update"] = "delete" if mode == "delete" else "update"
    access.permit(who, kind, as_)
    with _view(of, who) as view:
        stored = store.read(view.connection, kind, identity.key(identity_), view.reach)
        _audit(of, view, "validate", stored.patient)
    if mode == "delete":
        return reply(validate.WHOLE)
    return reply(_judged(given, kind, stored, of))


def _judged(given: Asked, kind: str, stored: Stored, of: Context) -> dict[str, Any]:
    resource = given.resource("resource", kind)
    if resource is None:
        raise FhirError(400, "required", "resource is needed", "Parameters.parameter.where(name='resource')")
    profile = given.text("profile")
    if profile not in (None, f"http://hl7.org/fhir/StructureDefinition/{kind}"):
        raise FhirError(400, "not-supported", "profile: only the type's own is known here", "Parameters.parameter")
    found = validate.faults(resource, of.settings.clock())
    if resource.get("id") != stored.logical:
        found.append(validate.FaultError(f"{kind}.id", "id: it has to be that of the resource itself"))
    return outcome(found) if found else validate.WHOLE


# ---------------------------------------------------------------- Patient/$match
@router.post("/Patient/$match")
def get_match(request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Return the patients within reach that may be the one described, each with its score and grade."""
    given = _asked(request, body, _MATCH, "resource")
    access.permit(who, "Patient", "search")
    resource = given.resource("resource", "Patient")
    if resource is None:
        raise wrong("resource", "a Patient is needed")
    only, count = given.flag("onlyCertainMatches"), given.number("count", _MOST_MATCHES)
    with _view(of, who) as view:
        found = match.find(view.connection, traits(resource), view.reach)
        found = match.certain(found) if only else found[: _MOST_MATCHES if count is None else count]
        audit.search(view.connection, who, "Patient", [m.stored for m in found], of.settings.clock())
    base = of.settings.fhir_base
    entries = [entry(base, "Patient", m.stored) | {"search": match.shown(m)} for m in found]
    return reply(_searchset(entries, {"self": f"{base}/Patient/$match"}, len(found)))
