"""Whether a resource is one: elements, cardinality, types, required codes and references' targets, all faults named.

After the definitions of R4 (`r4.json`) and http://hl7.org/fhir/R4/json.html. Invariants are `invariant.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, cast

from feldsher_cloud_api.fhir import narrative
from feldsher_cloud_api.fhir.outcome import FaultError
from feldsher_cloud_api.fhir.primitive import CHECKS
from feldsher_cloud_api.fhir.r4 import Element, definitions

MOST_FAULTS = 100
MOST_CONTAINED = 100
"""Ours: each is looked for in the whole resource (dom-3)."""
DEEPEST = 64
"""Elements within elements; the standard's own examples have 14."""
_CODED = ("code", "Coding", "CodeableConcept", "Quantity")


@dataclass(frozen=True, slots=True)
class Slot:
    """What one JSON name of a type means: the element's name without its choice's type, the one type, the element."""

    name: str
    type: str
    of: Element


@cache
def slots(type_name: str) -> dict[str, Slot]:
    """Return a type's elements by JSON name (`valueQuantity`, not `value`)."""
    out: dict[str, Slot] = {}
    for name, element in definitions().types[type_name].elements.items():
        for kind in element.types:
            out[name + kind[0].upper() + kind[1:] if element.choice else name] = Slot(name, kind, element)
    return out


@cache
def _needed(type_name: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the elements that must be there, each with the JSON names that make it so."""
    names: dict[str, list[str]] = {}
    for written, slot in slots(type_name).items():
        if slot.of.min:
            names.setdefault(slot.name, []).extend((written, "_" + written))
    return [(name, tuple(written)) for name, written in names.items()]


def faults(resource: dict[str, Any]) -> list[FaultError]:
    """Return the faults of a resource, at most MOST_FAULTS, warnings among them."""
    return list(islice(_resource(resource, str(resource.get("resourceType"))[:64], 0), MOST_FAULTS))


def _fault(at: str, words: str, code: str = "structure") -> FaultError:
    return FaultError(at, f"{at}: {words}", code)


def _resource(value: Any, at: str, depth: int) -> Iterator[FaultError]:
    kind: Any = cast("dict[str, Any]", value).get("resourceType") if isinstance(value, dict) else None
    of = definitions().types.get(kind) if isinstance(kind, str) else None
    if of is None or of.kind != "resource" or of.abstract:
        yield _fault(at, "a resource with its resourceType is needed")
        return
    held = {name: item for name, item in cast("dict[str, Any]", value).items() if name != "resourceType"}
    if held:
        yield from _complex(held, kind, at, depth)


def _complex(value: Any, type_name: str, at: str, depth: int) -> Iterator[FaultError]:
    if not isinstance(value, dict) or not value:
        yield _fault(at, f"a JSON object with the elements of {type_name} is needed")
        return
    if depth > DEEPEST:
        yield _fault(at, f"more than {DEEPEST} elements within each other", "too-long")
        return
    held, known = cast("dict[str, Any]", value), slots(type_name)
    chosen: dict[str, str] = {}
    for written, item in held.items():
        bare = written.removeprefix("_")
        slot = known.get(bare)
        if slot is None or (written != bare and slot.type not in CHECKS):
            yield _fault(f"{at}.{bare[:64]}", f"{type_name} has no element {written[:64]!r}")
            continue
        where = f"{at}.{slot.name}"
        if slot.of.choice and chosen.setdefault(slot.name, bare) != bare:
            yield _fault(where, f"{chosen[slot.name]} and {bare} cannot be there both")
        if written == bare:
            yield from _element(item, slot, where, held.get("_" + bare), depth)
        else:
            yield from _siblings(item, slot, where, bare in held, depth)
    for name, names in _needed(type_name):
        if not any(n in held for n in names):
            yield _fault(f"{at}.{name}", "is required", "required")


def _element(item: Any, slot: Slot, at: str, sibling: Any, depth: int) -> Iterator[FaultError]:
    if not slot.of.many:
        if isinstance(item, list):
            yield _fault(at, "is there at most once: no JSON array")
        else:
            yield from _one(item, slot, at, depth)
        return
    items = cast("list[Any]", item) if isinstance(item, list) else []
    if not items:
        yield _fault(at, "a JSON array that is not empty is needed")
    if slot.name == "contained" and len(items) > MOST_CONTAINED:
        yield _fault(at, f"more than {MOST_CONTAINED} contained resources are not taken", "too-long")
        return
    beside = cast("list[Any]", sibling) if isinstance(sibling, list) else []
    for i, each in enumerate(items):
        if each is None and slot.type in CHECKS and beside[i : i + 1] not in ([], [None]):
            continue  # said by its extension alone
        yield from _one(each, slot, f"{at}[{i}]", depth)


def _siblings(item: Any, slot: Slot, at: str, alone: bool, depth: int) -> Iterator[FaultError]:
    """Check `_name`: id and extensions of a primitive, in an array those of each entry."""
    if isinstance(item, list) != slot.of.many:
        yield _fault(at, "its extensions stand beside it: an array where it is one")
        return
    for i, each in enumerate(cast("list[Any]", item) if slot.of.many else [item]):
        if each is None and slot.of.many and alone:
            continue
        yield from _complex(each, "Element", f"{at}[{i}]" if slot.of.many else at, depth + 1)


def _one(value: Any, slot: Slot, at: str, depth: int) -> Iterator[FaultError]:
    check = CHECKS.get(slot.type)
    if check is not None:
        if not check(value):
            yield _fault(at, f"{_shown(value)} is not a FHIR {slot.type}", "value")
            return
        if slot.type == "xhtml":
            words = narrative.fault(value)
            if words is not None:
                yield _fault(at, words, "value")
    elif slot.type == "Resource":
        yield from _resource(value, at, depth + 1)
        return
    else:
        yield from _complex(value, slot.type, at, depth + 1)
    if slot.of.codes and slot.type in _CODED:
        yield from _bound(value, slot, at)
    if slot.of.targets and slot.type == "Reference":
        yield from _target(value, slot, at)


def _shown(value: Any) -> str:
    text = (
        repr(value)
        if not isinstance(value, dict | list)
        else "a JSON object"
        if isinstance(value, dict)
        else "an array"
    )
    return text if len(text) <= 40 else text[:37] + "…"


def _bound(value: Any, slot: Slot, at: str) -> Iterator[FaultError]:
    """Check a required binding: a code of the set; of a concept, one of its codings."""
    allowed = definitions().codes[slot.of.codes]
    if isinstance(value, str):
        if not any(value in codes for codes in allowed.values()):
            yield _fault(at, f"{value[:40]!r} is not a code of {slot.of.codes}", "code-invalid")
        return
    if not isinstance(value, dict):
        return
    element = cast("dict[str, Any]", value)
    codings: Any = element.get("coding", ()) if slot.type == "CodeableConcept" else [element]
    for coding in cast("list[Any]", codings) if isinstance(codings, list) else []:
        if isinstance(coding, dict):
            one = cast("dict[str, Any]", coding)
            system, code = one.get("system"), one.get("code")
            if isinstance(system, str) and isinstance(code, str) and code in allowed.get(system, ()):
                return
    if slot.type != "Quantity" or "code" in element:
        yield _fault(at, f"no code of {slot.of.codes} is there", "code-invalid")


def _target(value: Any, slot: Slot, at: str) -> Iterator[FaultError]:
    """Check a reference's type: a warning only, because the standard's own examples break it."""
    text: Any = cast("dict[str, Any]", value).get("reference") if isinstance(value, dict) else None
    if not isinstance(text, str) or ":" in text or text.startswith("#"):
        return
    kind = text.split("/_history/")[0].split("?")[0].rpartition("/")[0].rpartition("/")[2] or text.split("?")[0]
    if kind in definitions().types and kind not in slot.of.targets:
        words = f"{at}.reference: {kind} is none of {', '.join(sorted(slot.of.targets))}"
        yield FaultError(f"{at}.reference", words, "value", severity="warning")
