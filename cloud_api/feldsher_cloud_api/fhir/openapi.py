"""The OpenAPI description of the FHIR interface, made from the same names that serve it; what it says, tests hold.

Resources are described as objects with their resourceType: the CapabilityStatement and R4's definitions say the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from feldsher_cloud_api.fhir.headers import FHIR_JSON, JSON_PATCH
from feldsher_cloud_api.fhir.kinds import kinds

_WORDS = {
    200: "done", 201: "created", 204: "done, nothing comes back", 304: "the client has this version already",
    400: "the request cannot be read", 401: "sign in first", 403: "not allowed",
    404: "there is none, or not to be seen",
    406: "only application/fhir+json is served", 409: "it contradicts what is there, or is protected",
    410: "deleted", 412: "a precondition does not hold", 413: "too large", 415: "this kind of body is not taken",
    405: "not served here, or ids are the server's to give", 422: "the resource is not whole",
    429: "too many requests", 503: "the database does not answer in time: try again",
}  # fmt: skip
_ALWAYS = (400, 401, 403, 404, 406, 429, 503)
_WRITTEN = (409, 412, 413, 415, 422)
_ID = {"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"}


@cache
def describe(base: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document; `base`: the address of the server, to which paths are relative."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "feldsher FHIR R4", "version": version("feldsher")},
        "servers": [{"url": base}],
        "security": [{"bearer": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": {
                "Resource": _typed(),
                "Bundle": _typed("Bundle"),
                "OperationOutcome": _typed("OperationOutcome"),
                "Parameters": _typed("Parameters"),
                "JsonPatch": {"type": "array", "maxItems": 1000, "items": _operation()},
            },
        },
    }


def _typed(kind: str | None = None) -> dict[str, Any]:
    name: dict[str, Any] = {"type": "string"} if kind is None else {"const": kind}
    return {"type": "object", "required": ["resourceType"], "properties": {"resourceType": name}}


def _operation() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string"},
            "from": {"type": "string"},
        },
    }


def _paths() -> dict[str, Any]:
    kind = [_in_path("kind", {"enum": sorted(kinds())})]
    one = [*kind, _in_path("id", _ID)]
    version_ = [*one, _in_path("version", {"type": "integer", "minimum": 1, "maximum": 999999999})]
    history = [_asked("_since", {"type": "string"}), _asked("_at", {"type": "string"}), _asked("_count", _COUNT)]
    found = {200: "Bundle"}
    gone = {200: "Resource", 304: None}
    return {
        "/metadata": {"get": _work("The CapabilityStatement", {200: "Resource"}, security=[])},
        "": {
            "get": _work("Search several types, or all", found, more=[_asked("_type", {"type": "string"})]),
            "post": _work("Do a batch or a transaction", found, body=("Bundle",), refusals=(*_WRITTEN, 405, 410)),
        },
        "/_history": {"get": _work("The versions of everything", found, more=history)},
        "/{kind}": {
            "parameters": kind,
            "get": _work("Search a type", found, more=[_asked("_count", _COUNT)]),
            "post": _work("Create, or find what meets If-None-Exist", {200: "Resource", 201: "Resource"},
                          body=("Resource",), refusals=_WRITTEN, more=[_header("If-None-Exist")]),
            "put": _work("Update the one that meets the criteria, or create it", {200: "Resource", 201: "Resource"},
                         body=("Resource",), refusals=(*_WRITTEN, 405)),
            "patch": _work("Patch the one that meets the criteria", {200: "Resource"}, body=("Parameters", "JsonPatch"),
                           refusals=(*_WRITTEN, 410)),
            "delete": _work("Delete the one that meets the criteria", {204: None}, refusals=(409, 412)),
        },
        "/{kind}/_search": {
            "parameters": kind,
            "post": _work("Search a type by a form", found, form=True, refusals=(413, 415)),
        },
        "/{kind}/_history": {"parameters": kind, "get": _work("The versions of a type", found, more=history)},
        "/{kind}/$validate": {
            "parameters": kind,
            "post": _work("Say what is wrong with a resource", {200: "OperationOutcome"}, body=("Resource",),
                          refusals=(413, 415, 422)),
        },
        "/{kind}/{id}": {
            "parameters": one,
            "get": _work("Read", gone, refusals=(410,), more=[_header("If-None-Match"), _header("If-Modified-Since")],
                         raw=True),
            "put": _work("Update", {200: "Resource", 201: "Resource"}, body=("Resource",), refusals=(*_WRITTEN, 405),
                         more=[_header("If-Match")]),
            "patch": _work("Patch", {200: "Resource"}, body=("Parameters", "JsonPatch"), refusals=(*_WRITTEN, 410),
                           more=[_header("If-Match")]),
            "delete": _work("Delete", {204: None}, refusals=(409, 412), more=[_header("If-Match")]),
        },
        "/{kind}/{id}/_history": {"parameters": one, "get": _work("The versions of one", found, more=history)},
        "/{kind}/{id}/_history/{version}": {
            "parameters": version_,
            "get": _work("Read a version", gone, refusals=(410,), raw=True),
        },
    }  # fmt: skip


_COUNT = {"type": "integer", "minimum": 0, "maximum": 1000000}


def _in_path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _asked(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}}


def _work(
    words: str,
    good: Mapping[int, str | None],
    *,
    body: tuple[str, ...] = (),
    form: bool = False,
    refusals: Iterable[int] = (),
    more: Iterable[dict[str, Any]] = (),
    raw: bool = False,
    security: list[Any] | None = None,
) -> dict[str, Any]:
    """Return one operation. `good`: what it answers with where it is done; `raw`: a Binary leaves as its bytes."""
    answers: dict[str, Any] = {}
    for status, schema in good.items():
        answers[str(status)] = {"description": _WORDS[status]}
        if schema is not None:
            answers[str(status)]["content"] = _content(schema) | ({"*/*": {}} if raw else {})
    for status in sorted({*_ALWAYS, *refusals}):
        answers[str(status)] = {"description": _WORDS[status], "content": _content("OperationOutcome")}
    out: dict[str, Any] = {"summary": words, "responses": answers}
    if body:
        kinds_ = {JSON_PATCH if schema == "JsonPatch" else FHIR_JSON: _ref(schema) for schema in body}
        out["requestBody"] = {"required": True, "content": {k: {"schema": v} for k, v in kinds_.items()}}
    elif form:
        out["requestBody"] = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}
    parameters = list(more)
    if parameters:
        out["parameters"] = parameters
    if security is not None:
        out["security"] = security
    return out


def _ref(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _content(schema: str) -> dict[str, Any]:
    return {FHIR_JSON: {"schema": _ref(schema)}}
