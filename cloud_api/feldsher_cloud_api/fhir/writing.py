"""The REST interface, writing: create, update, patch, delete, each also by criteria; batch and transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import Response

from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import (
    binary,
    bundle,
    headers,
    interaction,
    patch_fhirpath,
    patch_json,
    rest,
    searching,
    validate,
)
from feldsher_cloud_api.fhir.bundle import Got
from feldsher_cloud_api.fhir.entry import Entry
from feldsher_cloud_api.fhir.interaction import Done, Turn
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.rest import Body

router = APIRouter(prefix="/fhir")
fallback = APIRouter(prefix="/fhir")
"""What answers where no route does: it comes last of all."""


@router.post("")
@router.post("/")
def gathered(request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Do a batch or a transaction."""
    headers.require_json(request.headers.get("content-type"))
    given = validate.body(body, "Bundle")
    works = {"batch": bundle.batch, "transaction": bundle.transaction}
    work = works.get(str(given.get("type")))
    if work is None:
        raise FhirError(400, "value", "type: a Bundle is sent here as batch or transaction", "Bundle.type")
    whole = "return=representation" in request.headers.get("prefer", "")
    with interaction.take(of, who) as turn:
        return rest.reply(work(turn, given, _getter(of), whole=whole))


def _getter(of: Context) -> bundle.Get:
    def get(turn: Turn, entry: Entry) -> Got:
        if entry.history:
            return Got(rest.versions(turn, of.cursor, entry.kind, entry.name, entry.query))
        if not entry.name:
            pairs = rest.pairs_of(entry.query)
            return Got(searching.answer(of, turn.who, turn.connection, searching.of_type(entry.kind), pairs))
        stored = rest.current(turn, entry.kind, entry.name, entry.version)
        asked = entry.request
        if headers.unchanged(stored.version, stored.updated, asked.get("ifNoneMatch"), asked.get("ifModifiedSince")):
            return Got(b"", stored)
        return Got(rest.whole(turn, entry.kind, stored), stored)

    return get


@router.post("/{kind}")
def create(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Create a resource, or find the one that meets If-None-Exist; of a Binary the body may be its bytes."""
    criteria = request.headers.get("if-none-exist")
    return _work(
        of, who, request,
        lambda turn: interaction.create(turn, kind, _resource(request, kind, body), if_none_exist=criteria), kind,
    )  # fmt: skip


@router.put("/{kind}")
def update_where(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Update the one resource that meets the address's criteria, or create it."""
    expected = headers.expected(request.headers.get("if-match"))
    return _work(
        of, who, request,
        lambda turn: interaction.update_where(
            turn, kind, request.url.query, _resource(request, kind, body), expected=expected
        ), kind,
    )  # fmt: skip


@router.put("/{kind}/{identity}")
def update(
    kind: str, identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body
) -> Response:
    """Store a resource's next version, or (where that is set) its first under an id of the sender's."""
    expected = headers.expected(request.headers.get("if-match"))

    def work(turn: Turn) -> Done:
        resource = _resource(request, kind, body)
        if kind == "Binary" and not headers.is_resource(request.headers.get("content-type")):
            resource["id"] = identity
        return interaction.update(turn, kind, identity, resource, expected=expected)

    return _work(of, who, request, work, kind)


@router.patch("/{kind}")
def patch_where(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
    """Patch the one resource that meets the address's criteria."""
    change, expected = _change(request, body), headers.expected(request.headers.get("if-match"))
    return _work(
        of, who, request,
        lambda turn: interaction.patch_where(turn, kind, request.url.query, change, expected=expected), kind,
    )  # fmt: skip


@router.patch("/{kind}/{identity}")
def patch(
    kind: str, identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body
) -> Response:
    """Patch a resource, by a JSON Patch or by FHIRPath Patch (Parameters)."""
    change, expected = _change(request, body), headers.expected(request.headers.get("if-match"))
    return _work(
        of, who, request, lambda turn: interaction.patch(turn, kind, identity, change, expected=expected), kind
    )


@router.delete("/{kind}")
def delete_where(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Delete the one resource that meets the address's criteria."""
    return _work(of, who, request, lambda turn: interaction.delete_where(turn, kind, request.url.query), kind)


@router.delete("/{kind}/{identity}")
def delete(kind: str, identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Delete a resource; its versions stay in its history."""
    expected = headers.expected(request.headers.get("if-match"))
    return _work(of, who, request, lambda turn: interaction.delete(turn, kind, identity, expected=expected), kind)


def _resource(request: Request, kind: str, body: bytes) -> dict[str, Any]:
    content_type = request.headers.get("content-type")
    if kind == "Binary" and not headers.is_resource(content_type):
        return binary.made(body, content_type or "", request.headers.get("x-security-context"))
    headers.require_json(content_type)
    return validate.body(body, kind)


def _change(request: Request, body: bytes) -> interaction.Change:
    if headers.is_json_patch(request.headers.get("content-type")):
        operations = validate.parsed(body)
        return lambda resource: patch_json.apply(resource, operations)
    parameters = validate.body(body, "Parameters")
    return lambda resource: patch_fhirpath.apply(resource, parameters)


def _work(of: Context, who: Principal, request: Request, work: Callable[[Turn], Done], kind: str) -> Response:
    """Do one interaction in its transaction, and answer once that is committed."""
    parts = request.url.path.split("/")[2:]
    if any(part == "metadata" or part[:1] in ("_", "$") for part in parts):
        return otherwise(request, "/".join(parts))  # no resource's address: it has methods of its own
    interaction.known(kind)
    with interaction.take(of, who) as turn:
        done = work(turn)
        body = rest.whole(turn, kind, done.stored) if done.stored is not None and not done.stored.deleted else b""
    return _answer(of, request, done, body)


def _answer(of: Context, request: Request, done: Done, body: bytes) -> Response:
    names: dict[str, str] = {}
    if done.stored is not None:
        names = {"ETag": headers.etag(done.stored.version), "Last_Modified": headers.modified(done.stored.updated)}
        if not done.stored.deleted:
            place = f"{of.settings.fhir_base}/{done.kind}/{done.stored.logical}/_history/{done.stored.version}"
            names["Location" if done.made else "Content_Location"] = place
    returns = headers.preference(request.headers.get("prefer")).returns
    if returns == "OperationOutcome":
        words = done.words or ("created" if done.made else "done")
        said = {"severity": "information", "code": "informational", "diagnostics": words}
        status = 200 if done.status == 204 else done.status
        return rest.reply({"resourceType": "OperationOutcome", "issue": [said]}, status, **names)
    if done.status == 204 or returns == "minimal":
        answer = Response(status_code=done.status)
        for name, value in names.items():
            answer.headers[name.replace("_", "-")] = value
        return answer
    return rest.reply(body, done.status, **names)


_ALL = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


@fallback.api_route("", methods=_ALL, include_in_schema=False)
@fallback.api_route("/{path:path}", methods=_ALL, include_in_schema=False)
def otherwise(request: Request, path: str = "") -> Response:
    """Say what is allowed at an address: as the answer to OPTIONS, or with the refusal of another method."""
    allowed = _allowed([part for part in path.split("/") if part])
    if not allowed:
        raise FhirError(404, "not-found", "there is nothing at this address")
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": ", ".join(allowed)})
    words = f"{request.method} is not served here, but {', '.join(allowed)}"
    return rest.reply(FhirError(405, "not-supported", words).outcome(), 405, Allow=", ".join(allowed))


def _allowed(parts: list[str]) -> tuple[str, ...]:
    """Return the methods that an address of the interface has; none where it has no meaning."""
    read = ("GET", "HEAD", "OPTIONS")
    match parts:
        case []:
            return (*read, "POST")
        case ["metadata"] | ["_history"]:
            return read
        case [kind, *_] if kind not in interaction.names():
            return ()
        case [_]:
            return cast("tuple[str, ...]", (*read, "POST", "PUT", "PATCH", "DELETE"))
        case [_, "_history"] | [_, _, "_history"] | [_, _, "_history", _]:
            return read
        case [_, "_search"] | [_, "$validate"]:
            return ("POST", "OPTIONS")
        case [_, _]:
            return cast("tuple[str, ...]", (*read, "PUT", "PATCH", "DELETE"))
        case _:
            return ()
