"""The REST interface: read, vread, history, create of orders, the capability statement (search: search_routes.py)."""

from __future__ import annotations

import base64
from email.utils import format_datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.care import order, signature, stream
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import capability, identity, store, validate
from feldsher_cloud_api.fhir.definitions import TYPES, ResourceType
from feldsher_cloud_api.fhir.outcome import FhirError, not_found, outcome
from feldsher_cloud_api.fhir.r4 import definitions

MEDIA_TYPE = "application/fhir+json"
_JSON = ("application/fhir+json", "application/json", "application/*", "*/*", "text/json", "json")

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
    """Raise FhirError 406 where a client accepts only what is not served (XML)."""
    asked = request.query_params.get("_format") or request.headers.get("accept", "*/*")
    kinds = [part.partition(";")[0].strip().lower() for part in asked.replace(" ", "+").split(",")]
    if not any(k in _JSON for k in kinds) and "text/html" not in kinds:
        raise FhirError(406, "not-supported", "only application/fhir+json is served")


def _type(kind: str, interaction: str) -> ResourceType:
    of = TYPES.get(kind)
    if of is None:
        raise FhirError(404, "not-supported", f"the resource type {kind[:64]} is not served")
    if interaction not in of.interactions:
        raise FhirError(405, "not-supported", f"{interaction} of {kind} is not served")
    return of


def _id(kind: str, text: str) -> UUID:
    if not identity.is_id(text):
        raise not_found(kind)
    return identity.key(text)


def _one(stored: store.Stored, status: int = 200) -> Response:
    return reply(
        stored.json.encode(),
        status,
        ETag=f'W/"{stored.version}"',
        Last_Modified=format_datetime(stored.updated, usegmt=True),
    )


@router.get("/metadata")
def metadata(request: Request, of: CurrentContext) -> Response:
    """Return the CapabilityStatement."""
    accepts_json(request)
    return reply(capability.statement(of.settings))


@router.get("/Observation/{identity}/$window")
def window(identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Read a part of a continuous ECG as SampledData: `start` (instant; without it the beginning) and `seconds`."""
    accepts_json(request)
    access.permit(who, "Observation", "read")
    with access.asking(of.pool, who) as connection:
        stored = store.read(connection, "Observation", _id("Observation", identity), access.reach(connection, who))
        made = stream.window(connection, stored.content(), request.query_params)
        _audit(connection, of, who, "read", stored, "Observation")
    return reply(made)


@router.get("/{kind}/{identity}")
def read(kind: str, identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Read the current version of a resource; of a Binary its bytes, unless FHIR JSON is asked for."""
    _type(kind, "read")
    access.permit(who, kind, "read")
    with access.asking(of.pool, who) as connection:
        reach = access.reach(connection, who)
        stored = store.read(connection, kind, _id(kind, identity), reach)
        data = store.picture(connection, stored.id, reach)[0] if kind == "Binary" else b""
        _audit(connection, of, who, "read", stored, kind)
    if kind == "Binary":
        return _binary(request, stored, data)
    accepts_json(request)
    if request.headers.get("if-none-match") == f'W/"{stored.version}"':
        return Response(status_code=304, headers={"ETag": f'W/"{stored.version}"'})
    return _one(stored)


def _binary(request: Request, stored: store.Stored, data: bytes) -> Response:
    content = stored.content()
    if "fhir+json" in request.headers.get("accept", ""):
        return reply({**content, "data": base64.b64encode(data).decode()}, ETag=f'W/"{stored.version}"')
    # A picture is looked at, never run.
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    headers = {"ETag": f'W/"{stored.version}"', "Content-Security-Policy": policy}
    return Response(data, media_type=content["contentType"], headers=headers)


def _audit(
    connection: db.Connection, of: Context, who: Principal, interaction: str, stored: store.Stored, kind: str
) -> None:
    audit.record(
        connection,
        who,
        interaction=interaction,
        action="R",
        now=of.settings.clock(),
        resources=[f"{kind}/{stored.id}"] if kind != "Patient" else [],
        patient=stored.patient,
    )


@router.get("/{kind}/{identity}/_history")
def history(kind: str, identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return all versions of a resource, newest first."""
    accepts_json(request)
    _type(kind, "history-instance")
    access.permit(who, kind, "read")
    with access.asking(of.pool, who) as connection:
        found = store.versions(connection, kind, _id(kind, identity), access.reach(connection, who))
        _audit(connection, of, who, "history-instance", found[0], kind)
    address = f"{of.settings.fhir_base}/{kind}/{found[0].id}"
    entries = [
        ({} if s.deleted else {"resource": msgspec.Raw(s.json.encode())})
        | {
            "fullUrl": address,
            "request": {
                "method": "DELETE" if s.deleted else "POST" if s.version == 1 else "PUT",
                "url": kind if s.version == 1 else f"{kind}/{s.id}",
            },
            "response": {
                "status": "204" if s.deleted else "201" if s.version == 1 else "200",
                "etag": f'W/"{s.version}"',
            },
        }
        for s in found
    ]
    links = [{"relation": "self", "url": f"{address}/_history"}]
    return reply({"resourceType": "Bundle", "type": "history", "total": len(entries), "link": links, "entry": entries})


@router.get("/{kind}/{identity}/_history/{version}")
def vread(
    kind: str, identity: str, version: str, request: Request, of: CurrentContext, who: CurrentPrincipal
) -> Response:
    """Read one version of a resource."""
    accepts_json(request)
    _type(kind, "vread")
    access.permit(who, kind, "read")
    with access.asking(of.pool, who) as connection:
        if not version.isdigit() or len(version) > 9:
            raise not_found(f"version of {kind}")
        stored = store.vread(connection, kind, _id(kind, identity), int(version), access.reach(connection, who))
        _audit(connection, of, who, "vread", stored, kind)
    return _one(stored)


@router.post("/{kind}")
def create(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Create a resource: an order for an ECG, which goes to the gateway at once."""
    accepts_json(request)
    _type(kind, "create")
    access.permit(who, kind, "create")
    now = of.settings.clock()
    with access.asking(of.pool, who) as connection:
        placed = order.place(connection, who, validate.body(body, kind), now=now, life=of.settings.order_life)
        stored = store.read(connection, kind, UUID(placed["id"]))
    response = _one(stored, 201)
    response.headers["Location"] = f"{of.settings.fhir_base}/{kind}/{stored.id}/_history/{stored.version}"
    return response


@router.post("/{kind}/$validate")
def validated(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Say what is wrong with a resource of any type of R4 (itself, or as `resource` of Parameters); nothing is kept."""
    accepts_json(request)
    access.permit_role(who, "doctor", "service")
    if kind not in definitions().resources:
        raise FhirError(404, "not-supported", f"there is no resource type {kind[:64]} in R4")
    found = validate.faults(validate.offered(body, kind), of.settings.clock())
    return reply(outcome(found) if found else validate.WHOLE)


@router.post("/DiagnosticReport/{identity}/$sign")
def sign(identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Sign a report: Parameters with `password`, `version` as shown, and optionally `conclusion`."""
    accepts_json(request)
    access.permit(who, "DiagnosticReport", "update")
    stored = signature.sign(of, who, _id("DiagnosticReport", identity), signature.asked(body))
    return _one(stored)
