"""Where a search parameter's values stand in the JSON, as PostgreSQL's jsonpath: for orders and for words as sent."""

from __future__ import annotations

from functools import cache

from feldsher_cloud_api.fhir import elements
from feldsher_cloud_api.fhir.fhirpath.values import is_kind
from feldsher_cloud_api.fhir.kinds import kind
from feldsher_cloud_api.fhir.r4 import definitions
from feldsher_cloud_api.fhir.structure import slots

_SORTED = {
    "CodeableConcept": ("coding.code", "text"),
    "Coding": ("code",),
    "Identifier": ("value",),
    "ContactPoint": ("value",),
    "HumanName": ("family", "text", "given"),
    "Address": ("text", "city", "line"),
    "Reference": ("reference", "identifier.value"),
    "Quantity": ("value",),
    "Money": ("value",),
    "Range": ("low.value", "high.value"),
}
"""What of a complex type an order goes by: the first of these that is there."""


@cache
def places(of: str, name: str) -> tuple[tuple[str, str], ...]:
    """Return (path, type) of the elements that a search parameter of a type looks at; empty where they are no paths."""
    found: list[tuple[str, str]] = []
    for path in elements.paths(kind(of).search[name].expression, of) or []:
        found.extend(_follow("$", of, path.names, path.cast, path.tail))
    return tuple(found)


def _follow(
    written: str, of: str, names: tuple[str, ...], cast: str | None, tail: tuple[str, ...]
) -> list[tuple[str, str]]:
    if not names:
        return _follow(written, of, tail, None, ()) if tail else [(written, of)]
    out: list[tuple[str, str]] = []
    for key, slot in slots(of).items() if of in definitions().types else ():
        if slot.name != names[0] or (len(names) == 1 and cast is not None and not _fits(slot.type, cast)):
            continue
        out.extend(_follow(f'{written}."{key}"', slot.type, names[1:], cast, tail))
    return out


def _fits(of: str, cast: str) -> bool:
    return is_kind(of, cast) or of.lower() == cast.lower()


@cache
def ordered(of: str, name: str) -> tuple[str, ...]:
    """Return the paths whose first value an order by a parameter goes by."""
    out: list[str] = []
    for path, of_element in places(of, name):
        parts = next((p for base, p in _SORTED.items() if is_kind(of_element, base)), None)
        if parts is None:
            out.append(path)
        else:
            out.extend(f"{path}.{part}" for part in parts)
    return tuple(out)


@cache
def repeats(of: str, name: str) -> bool:
    """Return whether a parameter can find several values in one resource."""
    found = elements.paths(kind(of).search[name].expression, of)
    if found is None or len({path.names for path in found}) > 1:
        return True
    return any(_many(of, path.names + path.tail) for path in found)


def _many(of: str, names: tuple[str, ...]) -> bool:
    element = definitions().types[of].elements.get(names[0]) if of in definitions().types and names else None
    if element is None:
        return bool(names)
    if element.many or "Timing" in element.types:
        return True
    return len(names) > 1 and any(_many(t, names[1:]) for t in element.types)
