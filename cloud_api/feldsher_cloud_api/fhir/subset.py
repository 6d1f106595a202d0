"""Parts of resources: `_summary` and `_elements`. What was cut is tagged SUBSETTED, so that nobody stores it back.

Source: http://hl7.org/fhir/R4/search.html#summary and #elements.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from feldsher_cloud_api.fhir.r4 import definitions
from feldsher_cloud_api.fhir.structure import slots

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}
_ALWAYS = frozenset({"resourceType", "id", "meta"})


def cut(resource: dict[str, Any], summary: str, elements: tuple[str, ...]) -> dict[str, Any]:
    """Return the part of a resource that `_summary` (true, text, data) or `_elements` asks for, tagged as such."""
    of = str(resource["resourceType"])
    if elements:
        kept = {k: v for k, v in resource.items() if _named(of, k.removeprefix("_"), elements)}
    elif summary == "data":
        kept = {k: v for k, v in resource.items() if k != "text"}
    elif summary == "text":
        kept = {k: v for k, v in resource.items() if k == "text" or _required(of, k.removeprefix("_"))}
    elif summary == "true":
        kept = _summary(of, resource)
    else:
        return resource
    meta: dict[str, Any] = dict(resource.get("meta", {}))
    tags = [t for t in meta.get("tag", []) if t.get("code") != "SUBSETTED"]
    return {"resourceType": of, **kept, "meta": meta | {"tag": [*tags, SUBSETTED]}}


def _required(of: str, name: str) -> bool:
    slot = slots(of).get(name)
    return name in _ALWAYS or (slot is not None and slot.of.min > 0)


def _named(of: str, name: str, elements: tuple[str, ...]) -> bool:
    slot = slots(of).get(name)
    if name in _ALWAYS or name in elements or name == "implicitRules":
        return True
    return slot is not None and (slot.name in elements or slot.of.min > 0 or slot.of.modifier)


@cache
def _summarised(of: str) -> dict[str, str]:
    """Return the JSON names of a type that a summary shows, with the type of backbone elements (else empty)."""
    types = definitions().types
    return {
        name: slot.type if slot.type in types and types[slot.type].kind == "backbone" else ""
        for name, slot in slots(of).items()
        if slot.of.summary or slot.of.min > 0
    }


def _summary(of: str, element: dict[str, Any]) -> dict[str, Any]:
    shown, out = _summarised(of), dict[str, Any]()
    for key, value in element.items():
        name = key.removeprefix("_")
        if name in _ALWAYS or (name in shown and not shown[name]):
            out[key] = value
        elif name in shown:
            inner = shown[name]
            out[key] = (
                [_summary(inner, item) for item in cast("list[dict[str, Any]]", value)]
                if isinstance(value, list)
                else _summary(inner, value)
            )
    return out
