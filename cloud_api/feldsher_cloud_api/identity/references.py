"""References within a resource: turning those to one patient into those to another, and exactly these back again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from feldsher_cloud_api.fhir.operation.fetch import target


@dataclass(frozen=True, slots=True)
class Turned:
    """One reference that was changed: where it stands, and what it was."""

    path: tuple[str, ...]
    was: str


def turn(resource: dict[str, Any], patient: UUID, to: str) -> list[Turned]:
    """Make every reference to a patient one `to` another, in place, and return what was changed."""
    changed: list[Turned] = []
    for path, holder in list(_references(resource, ())):
        was = str(holder["reference"])
        if target(was) == ("Patient", patient):
            holder["reference"] = to
            changed.append(Turned((*path, "reference"), was))
    return changed


def turn_back(resource: dict[str, Any], turned: list[Turned], patient: UUID) -> int:
    """Restore references that still are to `patient`, in place, and return how many these were."""
    restored = 0
    for each in turned:
        holder = _at(resource, each.path[:-1])
        if isinstance(holder, dict):
            element = cast("dict[str, Any]", holder)
            if target(str(element.get("reference", ""))) == ("Patient", patient):
                element["reference"] = each.was
                restored += 1
    return restored


def _references(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if isinstance(value, list):
        for at, item in enumerate(cast("list[Any]", value)):
            yield from _references(item, (*path, str(at)))
    elif isinstance(value, dict):
        element = cast("dict[str, Any]", value)
        if isinstance(element.get("reference"), str):
            yield path, element
        for name, inner in element.items():
            if isinstance(inner, (dict, list)):
                yield from _references(inner, (*path, name))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if isinstance(value, list) and step.isdigit() and int(step) < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[int(step)]
        elif isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(step)
        else:
            return None
    return value
