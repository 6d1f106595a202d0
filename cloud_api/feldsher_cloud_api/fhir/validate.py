"""Validation of what is written over REST: every fault is found and named by its element.

Elements and codes of ServiceRequest after http://hl7.org/fhir/R4/servicerequest-definitions.html (4.0.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

import msgspec

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.outcome import FaultError, FhirError, InvalidResourceError

_ONE, _MANY = "object", "list"
_BASE: dict[str, str] = {
    "resourceType": "text",
    "id": "text",
    "meta": _ONE,
    "implicitRules": "text",
    "language": "text",
    "text": _ONE,
    "contained": _MANY,
    "extension": _MANY,
    "modifierExtension": _MANY,
}
SERVICE_REQUEST: dict[str, str] = _BASE | {
    "identifier": _MANY,
    "instantiatesCanonical": _MANY,
    "instantiatesUri": _MANY,
    "basedOn": _MANY,
    "replaces": _MANY,
    "requisition": _ONE,
    "status": "text",
    "intent": "text",
    "category": _MANY,
    "priority": "text",
    "doNotPerform": "boolean",
    "code": _ONE,
    "orderDetail": _MANY,
    "quantityQuantity": _ONE,
    "quantityRatio": _ONE,
    "quantityRange": _ONE,
    "subject": _ONE,
    "encounter": _ONE,
    "occurrenceDateTime": "text",
    "occurrencePeriod": _ONE,
    "occurrenceTiming": _ONE,
    "asNeededBoolean": "boolean",
    "asNeededCodeableConcept": _ONE,
    "authoredOn": "text",
    "requester": _ONE,
    "performerType": _ONE,
    "performer": _MANY,
    "locationCode": _MANY,
    "locationReference": _MANY,
    "reasonCode": _MANY,
    "reasonReference": _MANY,
    "insurance": _MANY,
    "supportingInfo": _MANY,
    "specimen": _MANY,
    "bodySite": _MANY,
    "note": _MANY,
    "patientInstruction": "text",
    "relevantHistory": _MANY,
}
PRIORITIES = ("routine", "urgent", "asap", "stat")


def body(data: bytes, kind: str) -> dict[str, Any]:
    """Return a resource of a type from a request's body; FhirError 400 where it is not JSON or another type."""
    try:
        value = db.loads(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FhirError(400, "structure", f"the body is not JSON: {error}") from error
    if not isinstance(value, dict) or cast("dict[str, Any]", value).get("resourceType") != kind:
        raise FhirError(400, "structure", f"the body is not a {kind}", f"{kind}.resourceType")
    return cast("dict[str, Any]", value)


def structure(resource: dict[str, Any], elements: Mapping[str, str]) -> list[FaultError]:
    """Return the faults of a resource's outer form: elements that do not exist, or are of the wrong JSON kind."""
    kind = resource["resourceType"]
    faults: list[FaultError] = []
    for name, value in resource.items():
        bare = name.removeprefix("_")
        expected = elements.get(bare)
        at = f"{kind}.{bare}"
        if expected is None:
            faults.append(FaultError(at, f"{at}: {kind} has no such element", "structure"))
        elif name.startswith("_"):
            continue
        elif not _is(value, expected):
            faults.append(FaultError(at, f"{at}: a JSON {expected} is needed", "structure"))
    if resource.get("modifierExtension"):
        at = f"{kind}.modifierExtension"
        faults.append(FaultError(at, f"{at}: a modifier that is not understood cannot be accepted", "not-supported"))
    return faults


def _is(value: Any, expected: str) -> bool:
    if expected == _ONE:
        return isinstance(value, dict) and bool(cast("dict[str, Any]", value))
    if expected == _MANY:
        items = cast("list[Any]", value) if isinstance(value, list) else []
        return bool(items) and all(isinstance(i, dict | str) for i in items)
    if expected == "boolean":
        return isinstance(value, bool)
    return isinstance(value, str) and bool(value.strip())


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
