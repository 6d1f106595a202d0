"""FHIRPath Patch (http://hl7.org/fhir/R4/fhirpatch.html): operations in a Parameters resource change a resource.

To find where in the JSON an element stands that an expression has found, every primitive is given an empty `_name`
object of its own first: elements are then told apart by the identity of their objects.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

from feldsher_cloud_api.fhir.fhirpath import PathError, compile_path
from feldsher_cloud_api.fhir.fhirpath.values import Items, Node, held
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.primitive import CHECKS
from feldsher_cloud_api.fhir.r4 import definitions
from feldsher_cloud_api.fhir.structure import Slot, slots

MOST_OPERATIONS = 200
_TYPES = ("add", "insert", "delete", "replace", "move")


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation as asked; `value` is there as its element's JSON name (`valueCode`) and content, or as parts."""

    type: str
    path: str
    name: str
    at: str
    given: dict[str, Any]
    numbers: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an element stands: the object that holds it, that object's type, its JSON name, and its index in a list."""

    parent: dict[str, Any]
    kind: str
    written: str
    index: int | None


def apply(resource: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what the operations of a Parameters resource make of a resource, which itself stays as it is.

    FhirError 400 where an operation is none, 422 where it does not fit the resource.
    """
    listed: Any = parameters.get("parameter", [])
    operations = cast("list[Any]", listed) if isinstance(listed, list) else [None]
    if len(operations) > MOST_OPERATIONS:
        words = f"more than {MOST_OPERATIONS} operations are not taken"
        raise FhirError(400, "too-long", words, "Parameters.parameter")
    changed: dict[str, Any] = copy.deepcopy(resource)
    for i, operation in enumerate(operations):
        _run(changed, _understood(operation, f"Parameters.parameter[{i}]"))
    return changed


def _understood(operation: Any, at: str) -> _Operation:
    given = cast("dict[str, Any]", operation) if isinstance(operation, dict) else {}
    parts: dict[str, dict[str, Any]] = {}
    for part in _parts(given, at):
        parts[str(part.get("name"))] = part
    if given.get("name") != "operation":
        raise FhirError(400, "structure", f"{at}: its name must be `operation`", f"{at}.name")
    kind, path = parts.get("type", {}).get("valueCode"), parts.get("path", {}).get("valueString")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise FhirError(400, "value", f"{at}: type is not one of {', '.join(_TYPES)} (valueCode)", f"{at}.part")
    if not isinstance(path, str):
        raise FhirError(400, "required", f"{at}: path is needed (valueString)", f"{at}.part")
    name = parts.get("name", {}).get("valueString", "")
    if kind == "add" and (not isinstance(name, str) or not name):
        raise FhirError(400, "required", f"{at}: add needs the name of an element (valueString)", f"{at}.part")
    if kind in ("add", "insert", "replace") and "value" not in parts:
        raise FhirError(400, "required", f"{at}: {kind} needs a value", f"{at}.part")
    numbers: dict[str, int] = {}
    for wanted in {"insert": ("index",), "move": ("source", "destination")}.get(kind, ()):
        number = parts.get(wanted, {}).get("valueInteger")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise FhirError(400, "required", f"{at}: {kind} needs {wanted} (valueInteger, from 0)", f"{at}.part")
        numbers[wanted] = number
    return _Operation(kind, path, str(name), at, parts.get("value", {}), numbers)


def _parts(given: dict[str, Any], at: str) -> list[dict[str, Any]]:
    listed: Any = given.get("part", [])
    parts = cast("list[Any]", listed) if isinstance(listed, list) else [None]
    if not all(isinstance(p, dict) for p in parts):
        raise FhirError(400, "structure", f"{at}: part is not an array of objects", f"{at}.part")
    return cast("list[dict[str, Any]]", parts)


def _unfit(operation: _Operation, words: str) -> FhirError:
    return FhirError(422, "processing", f"{operation.at}: {words}", operation.at)


def _run(resource: dict[str, Any], operation: _Operation) -> None:
    places = _marked(resource, str(resource.get("resourceType")))
    try:
        if operation.type == "add":
            _add(resource, places, operation)
        elif operation.type in ("insert", "move"):
            _within_list(resource, places, operation)
        else:
            _change(resource, places, operation)
    finally:
        _unmark(resource)


def _found(resource: dict[str, Any], path: str, operation: _Operation) -> Items:
    try:
        return compile_path(path).nodes(resource)
    except (PathError, ArithmeticError, RecursionError) as error:
        raise FhirError(400, "invalid", f"{operation.at}: path: {error}", operation.at) from error


def _where(places: dict[int, _Place], node: Node, operation: _Operation) -> _Place:
    place = places.get(id(node.beside)) if node.kind in CHECKS else places.get(id(node.value))
    if place is None:
        raise _unfit(operation, f"{operation.path} finds what is no element of the resource")
    return place


def _change(resource: dict[str, Any], places: dict[int, _Place], operation: _Operation) -> None:
    """Delete or replace one element."""
    found = _found(resource, operation.path, operation)
    if not found and operation.type == "delete":
        return
    if len(found) != 1:
        raise _unfit(operation, f"{operation.path} finds {len(found)} elements, one is needed")
    place = _where(places, found[0], operation)
    if operation.type == "delete":
        _delete(place)
        return
    name = slots(place.kind)[place.written].name
    written, value = _value(place.kind, name, operation)
    if place.index is None:
        _delete(place)
        place.parent[written] = value
    else:
        place.parent[written][place.index] = value
        _beside(place)[place.index] = {}


def _delete(place: _Place) -> None:
    beside = "_" + place.written
    if place.index is None:
        place.parent.pop(place.written, None)
        place.parent.pop(beside, None)
        return
    for name in (place.written, beside):
        items: Any = place.parent.get(name)
        if isinstance(items, list) and place.index < len(cast("list[Any]", items)):
            del items[place.index]
    if not place.parent.get(place.written):
        place.parent.pop(place.written, None)
        place.parent.pop(beside, None)


def _beside(place: _Place) -> list[Any]:
    """Return the extensions that stand beside a list's primitives, at least as many as these."""
    items: Any = place.parent.get("_" + place.written)
    return cast("list[Any]", items) if isinstance(items, list) else [None] * len(place.parent[place.written])


def _add(resource: dict[str, Any], places: dict[int, _Place], operation: _Operation) -> None:
    parent = _parent(resource, places, operation)
    primitive = parent.kind in CHECKS  # only what stands beside it can grow: its id and extensions
    holder = parent.beside if primitive else held(parent)
    if holder is None:
        raise _unfit(operation, f"{operation.path} finds what is no element of the resource")
    kind = "Element" if primitive else str(holder.get("resourceType", parent.kind))
    slot, written, value = _slot_of(kind, operation.name, operation)
    if slot.of.many:
        holder.setdefault(written, []).append(value)
        return
    there = [n for n, s in slots(kind).items() if s.name == slot.name and (n in holder or "_" + n in holder)]
    if there:
        raise _unfit(operation, f"{operation.name} is there already and there is at most one: replace it")
    holder[written] = value


def _parent(resource: dict[str, Any], places: dict[int, _Place], operation: _Operation) -> Node:
    """Return the element that something is added to; the next one of a list is made (as HL7's cases want it)."""
    found = _found(resource, operation.path, operation)
    path, bracket, index = operation.path.removesuffix("]").rpartition("[")
    if not found and bracket and index.isdigit() and operation.path.endswith("]"):
        holder, written, kind = _list_of(resource, places, path, operation)
        items: list[Any] = holder.setdefault(written, [])
        if len(items) == int(index) and kind not in CHECKS:
            items.append({})
            return Node(items[-1], kind)
    if len(found) != 1:
        raise _unfit(operation, f"{operation.path} finds {len(found)} elements, one is needed")
    return found[0]


def _list_of(
    resource: dict[str, Any], places: dict[int, _Place], path: str, operation: _Operation
) -> tuple[dict[str, Any], str, str]:
    """Return who holds the list that a path means, the list's JSON name, and its elements' type."""
    found = [_where(places, node, operation) for node in _found(resource, path, operation)]
    if found:
        first = found[0]
        if any(p.parent is not first.parent or p.written != first.written for p in found):
            raise _unfit(operation, f"{path} finds elements of several lists")
        holder, kind, written = first.parent, first.kind, first.written
    else:
        before, _, written = path.rpartition(".")
        parents = _found(resource, before, operation) if before else []
        inner = held(parents[0]) if len(parents) == 1 else None
        if inner is None:
            raise _unfit(operation, f"{path} is no list of one element")
        holder, kind = inner, str(inner.get("resourceType", parents[0].kind))
    slot = slots(kind).get(written) if kind in definitions().types else None
    if slot is None or not slot.of.many:
        raise _unfit(operation, f"{path} is no list")
    return holder, written, slot.type


def _within_list(resource: dict[str, Any], places: dict[int, _Place], operation: _Operation) -> None:
    """Insert into a list, or move within it."""
    holder, written, kind = _list_of(resource, places, operation.path, operation)
    items: list[Any] = holder.get(written, [])
    beside: list[Any] | None = holder.get("_" + written)
    lists = [items] if beside is None else [items, beside]
    if operation.type == "insert":
        index = operation.numbers["index"]
        if index > len(items):
            raise _unfit(operation, f"index {index} is beyond the list's end, {len(items)}")
        value = _typed(kind, operation)
        holder[written] = items
        items.insert(index, value)
        if beside is not None:
            beside.insert(index, None)
        return
    source, destination = operation.numbers["source"], operation.numbers["destination"]
    if max(source, destination) >= len(items):
        raise _unfit(operation, f"the list has no place {max(source, destination)}, only {len(items)}")
    for each in lists:
        each.insert(destination, each.pop(source))


def _slot_of(kind: str, name: str, operation: _Operation) -> tuple[Slot, str, Any]:
    known = slots(kind) if kind in definitions().types else {}
    bare = known[name].name if name in known else name
    if not any(s.name == bare for s in known.values()):
        raise _unfit(operation, f"{kind} has no element {name[:64]!r}")
    written, value = _value(kind, bare, operation)
    return known[written], written, value


def _value(kind: str, name: str, operation: _Operation) -> tuple[str, Any]:
    """Return the JSON name (a choice's says the value's type) and content that an element gets."""
    options = {written: slot for written, slot in slots(kind).items() if slot.name == name}
    if len(options) == 1 and not next(iter(options.values())).of.choice:
        written, slot = next(iter(options.items()))
        return written, _typed(slot.type, operation)
    given = next((key for key in operation.given if key.startswith("value")), "")
    written = name + given.removeprefix("value")
    if written not in options:
        raise _unfit(operation, f"{name} cannot be a {given.removeprefix('value') or 'value without type'}")
    return written, copy.deepcopy(operation.given[given])


def _typed(kind: str, operation: _Operation) -> Any:
    """Return the value for an element of a type: a `value[x]`, a resource, or an object made of parts."""
    for key, value in operation.given.items():
        if key == "resource" or key.startswith("value"):
            return copy.deepcopy(value)
    made: dict[str, Any] = {}
    for part in _parts(operation.given, operation.at):
        inner = _Operation("add", operation.path, str(part.get("name")), operation.at, part, {})
        slot, written, value = _slot_of(kind, inner.name, inner)
        if slot.of.many:
            made.setdefault(written, []).append(value)
        else:
            made[written] = value
    if not made:
        raise _unfit(operation, "the value is empty")
    return made


def _marked(resource: dict[str, Any], kind: str) -> dict[int, _Place]:
    """Give every primitive an object beside it and return where each element stands, by identity."""
    places: dict[int, _Place] = {}
    ahead: list[tuple[dict[str, Any], str]] = [(resource, kind)]
    while ahead:
        parent, of = ahead.pop()
        of = str(parent["resourceType"]) if "resourceType" in parent else of
        for written, slot in slots(of).items() if of in definitions().types else ():
            if slot.type in CHECKS:
                _mark(parent, of, written, places)
                continue
            value: Any = parent.get(written)
            many = isinstance(value, list)
            for i, item in enumerate(cast("list[Any]", value) if many else [value]):
                if isinstance(item, dict):
                    places[id(cast("object", item))] = _Place(parent, of, written, i if many else None)
                    ahead.append((cast("dict[str, Any]", item), slot.type))
    return places


def _mark(parent: dict[str, Any], of: str, written: str, places: dict[int, _Place]) -> None:
    value, beside = parent.get(written), "_" + written
    if isinstance(value, list):
        others: list[Any] = parent.setdefault(beside, [])
        others.extend([None] * (len(cast("list[Any]", value)) - len(others)))
        for i, other in enumerate(others):
            others[i] = {} if other is None else other
            places[id(others[i])] = _Place(parent, of, written, i)
    elif value is not None or beside in parent:
        places[id(parent.setdefault(beside, {}))] = _Place(parent, of, written, None)


def _unmark(value: Any) -> None:
    """Take the empty objects away again, and what an operation has emptied: FHIR knows nothing that is empty."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            _unmark(item)
    if not isinstance(value, dict):
        return
    inside = cast("dict[str, Any]", value)
    for name in list(inside):
        item = inside[name]
        _unmark(item)
        if isinstance(item, list):
            items = cast("list[Any]", item)
            beside = name.startswith("_")
            item = inside[name] = [(e or None) if beside else e for e in items if beside or e not in ({}, [])]
        if item in ({}, []) or (isinstance(item, list) and not any(e is not None for e in cast("list[Any]", item))):
            del inside[name]
