"""The routes of the terminology operations: by GET and POST, of a type and of one resource, for all signed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import Response

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.fhir import identity, store, structure
from feldsher_cloud_api.fhir.operation.parameters import Asked, asked
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.rest import Body, accepts_json, reply
from feldsher_cloud_api.fhir.terminology import canonical, expand, lookup, translate, validate_code
from feldsher_cloud_api.fhir.validate import check

router = APIRouter(prefix="/fhir")


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `resource` is the one that its address names, None where it names the type alone."""

    connection: db.Connection
    asked: Asked
    now: datetime
    resource: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its type and name, the parameters it knows, and which of them a body may be as such."""

    kind: str
    name: str
    parameters: tuple[str, ...]
    run: Callable[[Call], dict[str, Any]]
    alone: str | None = None
    of_one: bool = True


def _expand(call: Call) -> dict[str, Any]:
    value_set = call.resource or expand.wanted(call.connection, call.asked)
    return expand.expand(call.connection, value_set, expand.view(call.asked), call.now)


def _in_value_set(call: Call) -> dict[str, Any]:
    value_set = call.resource or expand.wanted(call.connection, call.asked)
    return validate_code.in_value_set(call.connection, value_set, call.asked)


def _in_code_system(call: Call) -> dict[str, Any]:
    if call.asked.element("codeSystem") is not None:
        raise FhirError(422, "not-supported", "codeSystem: store it first, or name one by url", "Parameters.parameter")
    system = _of(call) or validate_code.of_code_system(call.connection, call.asked)
    return validate_code.in_code_system(call.connection, system, call.asked)


def _of(call: Call) -> canonical.Found | None:
    """Return the code system that the address names, with its concepts."""
    if call.resource is None:
        return None
    url, version = str(call.resource.get("url", "")), call.resource.get("version")
    return canonical.get(call.connection, "CodeSystem", url, version)


def _lookup(call: Call) -> dict[str, Any]:
    return lookup.lookup(call.connection, call.asked)


def _subsumes(call: Call) -> dict[str, Any]:
    system = _of(call)
    return lookup.subsumes(call.connection, call.asked, system.canonical if system else None)


def _translate(call: Call) -> dict[str, Any]:
    given = call.asked.resource("conceptMap", "ConceptMap")
    if given is not None:
        check(structure.faults(given))
    return translate.translate(call.connection, call.asked, call.resource or given)


OPERATIONS = (
    Operation("ValueSet", "expand", expand.PARAMETERS, _expand, "valueSet"),
    Operation("ValueSet", "validate-code", validate_code.OF_VALUE_SET, _in_value_set),
    Operation("CodeSystem", "validate-code", validate_code.OF_CODE_SYSTEM, _in_code_system),
    Operation("CodeSystem", "lookup", lookup.OF_LOOKUP, _lookup, of_one=False),
    Operation("CodeSystem", "subsumes", lookup.OF_SUBSUMES, _subsumes),
    Operation("ConceptMap", "translate", translate.PARAMETERS, _translate),
)


def _serve(operation: Operation) -> None:
    def answered(
        request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body, logical: str | None = None
    ) -> Response:
        accepts_json(request)
        access.permit(who, operation.kind, "read")
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        given = asked(pairs, body, operation.parameters, operation.alone)
        now = of.settings.clock()
        with access.asking(of.pool, who) as connection:
            stored = None
            if logical is not None:
                reach = access.reach(connection, who)
                stored = store.read(connection, operation.kind, identity.key(logical), reach)
            made = operation.run(Call(connection, given, now, stored.content() if stored else None))
            touched = [f"{operation.kind}/{stored.logical}"] if stored else []
            audit.record(connection, who, interaction=operation.name, action="E", now=now, resources=touched)
        return reply(made)

    def of_type(request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
        return answered(request, of, who, body)

    def of_one(identity: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: Body) -> Response:
        return answered(request, of, who, body, identity)

    for method in ("GET", "POST"):
        names = f"{operation.kind}_{operation.name}_{method.lower()}"
        router.add_api_route(f"/{operation.kind}/${operation.name}", of_type, methods=[method], name=names)
        if operation.of_one:
            path = f"/{operation.kind}/{{identity}}/${operation.name}"
            router.add_api_route(path, of_one, methods=[method], name=f"{names}_one")


for _each in OPERATIONS:
    _serve(_each)
