"""Validation of what is written over REST: every fault is found and named by its element."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import invariant, structure
from feldsher_cloud_api.fhir.outcome import FaultError, FhirError, InvalidResourceError


def faults(resource: dict[str, Any], now: datetime) -> list[FaultError]:
    """Return the faults of a resource of a known type: of its structure or, where that is whole, of the invariants."""
    found = structure.faults(resource)
    return found if any(f.severity == "error" for f in found) else found + invariant.faults(resource, now)


def errors(resource: dict[str, Any], now: datetime) -> list[FaultError]:
    """Return for what a resource is not taken: its faults but warnings, and modifiers that nobody here understands."""
    found = [f for f in faults(resource, now) if f.severity == "error"]
    if resource.get("modifierExtension"):
        at = f"{resource['resourceType']}.modifierExtension"
        found.append(FaultError(at, f"{at}: a modifier that is not understood cannot be accepted", "not-supported"))
    return found


def body(data: bytes, kind: str) -> dict[str, Any]:
    """Return a resource of a type from a request's body; FhirError 400 where it is not JSON or another type."""
    return _of_type(parsed(data), kind)


def parsed(data: bytes) -> Any:
    """Return a body's JSON, fractions as Decimal; FhirError 400 where it is none."""
    try:
        return db.loads(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FhirError(400, "structure", f"the body is not JSON: {error}") from error


def _of_type(value: Any, kind: str) -> dict[str, Any]:
    if not isinstance(value, dict) or cast("dict[str, Any]", value).get("resourceType") != kind:
        raise FhirError(400, "structure", f"the body is not a {kind}", f"{kind}.resourceType")
    return cast("dict[str, Any]", value)


WHOLE: dict[str, Any] = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "information", "code": "informational", "diagnostics": "no fault was found"}],
}
"""The answer of `$validate` where there is nothing to say."""


def offered(data: bytes, kind: str) -> dict[str, Any]:
    """Return the resource that is to be validated: the body, or its part `resource` where the body is Parameters.

    FhirError 400 where there is none of that type, or where a profile is asked for that is not the type's own.
    """
    value = parsed(data)
    if kind == "Parameters" or not isinstance(value, dict):
        return _of_type(value, kind)
    sent = cast("dict[str, Any]", value)
    if sent.get("resourceType") != "Parameters":
        return _of_type(sent, kind)
    parts = cast("list[Any]", sent.get("parameter") or [])
    named = {str(p.get("name")): p for p in cast("list[dict[str, Any]]", [p for p in parts if isinstance(p, dict)])}
    profile = named.get("profile", {}).get("valueUri")
    if profile not in (None, f"http://hl7.org/fhir/StructureDefinition/{kind}"):
        raise FhirError(400, "not-supported", "profile: only the type's own is known here", "Parameters.parameter")
    return _of_type(named.get("resource", {}).get("resource"), kind)


def reference(resource: dict[str, Any], element: Any, at: str, kind: str, faults: list[FaultError]) -> UUID | None:
    """Return the id in a reference to `kind` on this server, or note at which element it is missing or wrong."""
    text: Any = cast("dict[str, Any]", element).get("reference") if isinstance(element, dict) else None
    if not isinstance(text, str):
        faults.append(
            FaultError(f"{resource['resourceType']}.{at}", f"{at}: a reference to a {kind} is needed", "required")
        )
        return None
    parts = text.split("/_history/")[0].split("/")
    try:
        if parts[-2:-1] != [kind]:
            raise ValueError
        return UUID(parts[-1])
    except ValueError:
        faults.append(FaultError(f"{resource['resourceType']}.{at}.reference", f"{at}: {kind}/[id] is needed", "value"))
        return None


def has_coding(concept: Any, system: str, code: str) -> bool:
    """Return whether a CodeableConcept holds a coding."""
    if not isinstance(concept, dict):
        return False
    codings: Any = cast("dict[str, Any]", concept).get("coding")
    if not isinstance(codings, list):
        return False
    return any(
        isinstance(c, dict)
        and cast("dict[str, Any]", c).get("system") == system
        and cast("dict[str, Any]", c).get("code") == code
        for c in cast("list[Any]", codings)
    )


def check(faults: list[FaultError]) -> None:
    """Raise InvalidResourceError with all faults where there are any."""
    if faults:
        raise InvalidResourceError(faults)
