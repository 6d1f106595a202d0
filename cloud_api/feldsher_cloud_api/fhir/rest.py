"""The REST interface, reading: read, vread, history, $validate, the capability statement (search: search_routes.py)."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl

from cryptography.fernet import Fernet
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.care import signature, stream
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import binary, capability, headers, history, interaction, search, store, validate
from feldsher_cloud_api.fhir.interaction import Turn
from feldsher_cloud_api.fhir.outcome import not_found, outcome
from feldsher_cloud_api.fhir.transport import MEDIA_TYPE, acceptable

router = APIRouter(prefix="/fhir")


async def body_of(request: Request) -> bytes:
    """Return a request's body (a FastAPI dependency)."""
    return await request.body()


Body = Annotated[bytes, Depends(body_of)]


def reply(body: bytes | dict[str, Any], status: int = 200, **headers: str) -> Response:
    """Return a FHIR response."""
    data = body if isinstance(body, bytes) else db.dumps(body)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(data, status_code=status, media_type=MEDIA_TYPE, headers=names)


def accepts_json(request: Request) -> None:
    """Raise FhirError 406 where a client accepts only what is not served: transport.py has done so for every route."""
    acceptable(request.url.path, request.headers, dict(request.query_params))


def pairs_of(query: str) -> search.Pairs:
    """Return the parameters of an address."""
    return parse_qsl(query, keep_blank_values=True)


def whole(turn: Turn, kind: str, stored: store.Stored) -> bytes:
    """Return a version of a resource as it leaves, a Binary with its bytes in it."""
    if kind != "Binary":
        return stored.json.encode()
    return db.dumps(binary.with_data(stored, binary.bytes_of(turn.connection, stored)))


def one(stored: store.Stored, status: int = 200) -> Response:
    """Return a version of a resource as an answer, with its ETag and time."""
    names = {"ETag": headers.etag(stored.version), "Last_Modified": headers.modified(stored.updated)}
    return reply(stored.json.encode(), status, **names)


@router.get("/metadata")
def metadata(request: Request, of: CurrentContext) -> Response:
    """Return the CapabilityStatement."""
    return reply(capability.statement(of.settings))


@router.get("/Observation/{identity}/$window")
def window(identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Read a part of a continuous ECG as SampledData: `start` (instant; without it the beginning) and `seconds`."""
    access.permit(who, "Observation", "read")
    with interaction.take(of, who) as turn:
        stored = store.read(turn.connection, "Observation", interaction.key("Observation", identity), turn.reach)
        made = stream.window(turn.connection, stored.content(), request.query_params)
        seen(turn, "read", stored, "Observation")
    return reply(made)


@router.get("/_history")
def history_of_all(request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the versions of everything that the asker may read, newest first."""
    return _history(of, who, "", "", request.url.query)


@router.get("/{kind}/_history")
def history_of_type(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the versions of all resources of a type, newest first."""
    return _history(of, who, interaction.known(kind), "", request.url.query)


@router.get("/{kind}/{identity}/_history")
def history_of_one(kind: str, identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the versions of a resource, newest first."""
    return _history(of, who, interaction.known(kind), identity, request.url.query)


def _history(of: Context, who: Principal, kind: str, name: str, query: str) -> Response:
    with interaction.take(of, who) as turn:
        return reply(versions(turn, of.cursor, kind, name, query))


def versions(turn: Turn, cursor: Fernet, kind: str, name: str, query: str) -> bytes:
    """Return a page of the history of one resource, a type (`name` empty) or everything (`kind` empty), as a Bundle."""
    if kind:
        access.permit(turn.who, kind, "read")
    path = "/".join(part for part in (kind, name, "_history") if part)
    pairs, after = pairs_of(query), None
    token = next((v for n, v in pairs if n == search.CURSOR), None)
    if token is not None:
        pairs, after = search.open_cursor(cursor, turn.who.person, path, token)
    asked = history.understand(pairs)
    if name:
        page = history.of_resource(turn, kind, interaction.key(kind, name), asked, after)
        seen(turn, "history-instance", page.entries[0].stored if page.entries else None, kind)
    else:
        page = history.of_many(turn, kind or None, asked, after)
        by_kind: dict[str, list[store.Stored]] = {kind: []} if kind else {}
        for entry in page.entries:
            by_kind.setdefault(entry.kind, []).append(entry.stored)
        for one_kind, stored in by_kind.items():
            audit.search(turn.connection, turn.who, one_kind, stored, turn.now)
    following = search.seal_cursor(cursor, turn.who.person, path, asked.given or [], page.place) if page.place else None
    return history.bundle(turn.base, path, page, asked, following)


@router.get("/{kind}/{identity}")
def read(kind: str, identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Read the current version of a resource; of a Binary its bytes, unless FHIR JSON is asked for."""
    with interaction.take(of, who) as turn:
        stored = current(turn, interaction.known(kind), identity)
        return _shown(turn, request, kind, stored)


@router.get("/{kind}/{identity}/_history/{version}")
def vread(
    kind: str, identity: str, version: str, request: Request, of: CurrentContext, who: CurrentPrincipal
) -> Response:
    """Read one version of a resource."""
    with interaction.take(of, who) as turn:
        if not (version.isascii() and version.isdigit() and len(version) < 10):
            raise not_found(f"version of {interaction.known(kind)}")
        stored = current(turn, interaction.known(kind), identity, int(version))
        return _shown(turn, request, kind, stored)


def current(turn: Turn, kind: str, name: str, version: int | None = None) -> store.Stored:
    """Return a resource's current version, or one by its number, and audit that it was read; FhirError 404, 410."""
    access.permit(turn.who, kind, "read")
    at = interaction.key(kind, name)
    if version is None:
        stored = store.read(turn.connection, kind, at, turn.reach)
    else:
        stored = store.vread(turn.connection, kind, at, version, turn.reach)
    seen(turn, "read" if version is None else "vread", stored, kind)
    return stored


def _shown(turn: Turn, request: Request, kind: str, stored: store.Stored) -> Response:
    tag = headers.etag(stored.version)
    asked = request.headers
    if headers.unchanged(stored.version, stored.updated, asked.get("if-none-match"), asked.get("if-modified-since")):
        return Response(status_code=304, headers={"ETag": tag, "Last-Modified": headers.modified(stored.updated)})
    if kind != "Binary":
        return one(stored)
    data = binary.bytes_of(turn.connection, stored)
    if "fhir+json" in (request.query_params.get("_format") or asked.get("accept", "")).replace(" ", "+"):
        return reply(binary.with_data(stored, data), ETag=tag, Last_Modified=headers.modified(stored.updated))
    content = stored.content()
    more = {"ETag": tag, "Last-Modified": headers.modified(stored.updated), **binary.headers(content)}
    return Response(data, media_type=str(content["contentType"]), headers=more)


def seen(turn: Turn, as_: str, stored: store.Stored | None, kind: str) -> None:
    """Audit that a resource was read."""
    audit.record(
        turn.connection,
        turn.who,
        interaction=as_,
        action="R",
        now=turn.now,
        resources=[f"{kind}/{stored.logical}"] if stored is not None and kind != "Patient" else [],
        patient=stored.patient if stored is not None else None,
    )


@router.post("/{kind}/$validate")
def validated(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Say what is wrong with a resource of any type of R4 (itself, or as `resource` of Parameters); nothing is kept."""
    access.permit_role(who, "doctor", "service")
    faults = validate.faults(validate.offered(body, interaction.known(kind)), of.settings.clock())
    return reply(outcome(faults) if faults else validate.WHOLE)


@router.post("/DiagnosticReport/{identity}/$sign")
def sign(identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Sign a report: Parameters with `password`, `version` as shown, and optionally `conclusion`."""
    access.permit(who, "DiagnosticReport", "update")
    stored = signature.sign(of, who, interaction.key("DiagnosticReport", identity), signature.asked(body))
    return one(stored)
