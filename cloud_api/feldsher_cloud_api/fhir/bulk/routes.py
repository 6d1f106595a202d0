"""The routes of bulk export: kick-off, what became of it, its files, and that it is no longer wanted."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request
from fastapi.responses import Response, StreamingResponse

from feldsher_cloud_api import access
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import rest, validate
from feldsher_cloud_api.fhir.bulk import asked as asking
from feldsher_cloud_api.fhir.bulk import export
from feldsher_cloud_api.fhir.bulk.asked import Level
from feldsher_cloud_api.fhir.criterion import Pairs
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.fhir.rest import Body
from feldsher_cloud_api.fhir.search_routes import ByAddress

NDJSON = "application/fhir+ndjson"
_AGAIN_S = "1"
router = APIRouter(prefix="/fhir")


def _key(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found("export") from error


def _begin(
    request: Request,
    of: Context,
    who: Principal,
    background: BackgroundTasks,
    level: Level,
    pairs: Pairs,
    group: str | None = None,
) -> Response:
    rest.accepts_json(request)
    prefer = request.headers.get("prefer", "").replace(" ", "")
    if "respond-async" not in prefer:
        raise FhirError(400, "invalid", "an export takes its time: ask with Prefer: respond-async", "http.prefer")
    lenient = "handling=lenient" in prefer
    asked = asking.understand(level, pairs, group=group, lenient=lenient)
    for kind in asked.types or ():
        access.permit(who, kind, "read")
    address = f"{of.settings.fhir_base}{request.url.path.removeprefix('/fhir')}"
    with access.asking(of.pool, who) as connection:
        begun = export.begin(of, who, connection, asked, address)
    background.add_task(export.write, of, who, begun)
    place = f"{of.settings.fhir_base}/$export-poll/{begun.id}"
    return Response(status_code=202, headers={"Content-Location": place}, background=background)


@router.get("/$export")
def export_all(
    request: Request, of: CurrentContext, who: CurrentPrincipal, background: BackgroundTasks, pairs: ByAddress
) -> Response:
    """Export everything that the asking person or program may read."""
    return _begin(request, of, who, background, "system", pairs)


@router.post("/$export")
def export_all_by_post(
    request: Request, of: CurrentContext, who: CurrentPrincipal, background: BackgroundTasks, body: Body
) -> Response:
    """Export as Parameters in the body ask."""
    return _begin(request, of, who, background, "system", asking.pairs_of(validate.body(body, "Parameters")))


@router.get("/Patient/$export")
def export_patients(
    request: Request, of: CurrentContext, who: CurrentPrincipal, background: BackgroundTasks, pairs: ByAddress
) -> Response:
    """Export the records of all patients within reach, or of those that `patient` names."""
    return _begin(request, of, who, background, "patient", pairs)


@router.post("/Patient/$export")
def export_patients_by_post(
    request: Request, of: CurrentContext, who: CurrentPrincipal, background: BackgroundTasks, body: Body
) -> Response:
    """Export patients' records as Parameters in the body ask."""
    return _begin(request, of, who, background, "patient", asking.pairs_of(validate.body(body, "Parameters")))


@router.get("/Group/{group}/$export")
def export_group(
    group: str,
    request: Request,
    of: CurrentContext,
    who: CurrentPrincipal,
    background: BackgroundTasks,
    pairs: ByAddress,
) -> Response:
    """Export the records of a group's members."""
    return _group(request, of, who, background, pairs, group)


@router.post("/Group/{group}/$export")
def export_group_by_post(
    group: str, request: Request, of: CurrentContext, who: CurrentPrincipal, background: BackgroundTasks, body: Body
) -> Response:
    """Export the records of a group's members as Parameters in the body ask."""
    pairs = asking.pairs_of(validate.body(body, "Parameters"))
    return _group(request, of, who, background, pairs, group)


def _group(
    request: Request, of: Context, who: Principal, background: BackgroundTasks, pairs: Pairs, group: str
) -> Response:
    access.permit(who, "Group", "read")
    with access.asking(of.pool, who) as connection:
        export.members(connection, group, access.reach(connection, who))  # a 404 now rather than a failed export
    return _begin(request, of, who, background, "group", pairs, group)


@router.get("/$export-poll/{identity}")
def status(
    identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal, background: BackgroundTasks
) -> Response:
    """Say how an export stands: 202 while it is written, then what there is to fetch."""
    rest.accepts_json(request)
    now = of.settings.clock()
    with access.asking(of.pool, who) as connection:
        found = export.find(connection, _key(identity), now)
        if found.state == "running" and export.orphaned(connection, found, now):
            background.add_task(export.write, of, who, found)
    if found.state == "running":
        headers = {"Retry-After": _AGAIN_S, "X-Progress": "being written"}
        return Response(status_code=202, headers=headers, background=background)
    if found.state == "failed":
        raise FhirError(422, "processing", found.reason or "the export could not be written")
    expires = found.expires.strftime("%a, %d %b %Y %H:%M:%S GMT")
    response = rest.reply(export.manifest(found, of.settings.fhir_base), Expires=expires)
    response.headers["Content-Type"] = "application/json"
    return response


@router.delete("/$export-poll/{identity}")
def cancel(identity: str, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Stop an export, or delete its files."""
    with access.asking(of.pool, who) as connection:
        export.forget(connection, _key(identity), of.settings.clock())
    return Response(status_code=202)


@router.get("/$export-file/{identity}/{name}")
def fetch(identity: str, name: str, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return one file of an export, piece by piece."""
    with access.asking(of.pool, who) as connection:
        found = export.find(connection, _key(identity), of.settings.clock())
        if all(file["name"] != name for file in found.files):
            raise not_found("file of this export")
    return StreamingResponse(export.fetched(of, who, found.id, name), media_type=NDJSON)
