"""The standard's invariants (`obs-6`, `pat-1`, …): which of them a resource breaks, and where.

Resources are to be whole already (`structure.py`). Left out: `ele-1`, which is the form's own, `dom-6`
(a narrative should be there: every machine's resource would be warned of) and what asks for terminology or profiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from feldsher_cloud_api.fhir.fhirpath import Expression, PathError, compile_path
from feldsher_cloud_api.fhir.fhirpath.values import Node, children, held
from feldsher_cloud_api.fhir.outcome import FaultError
from feldsher_cloud_api.fhir.r4 import Rule, definitions

_LEFT_OUT = frozenset({"ele-1", "dom-6"})
_ERRATA = {"que-7": "operator = 'exists' implies (answer is boolean)"}
"""R4 wrote `Boolean`, a type of the language that no answer has; R5 mended it."""
_UNANSWERED = ("memberOf(", "subsumes(", "elementDefinition(", "slice(", "checkModifiers(")


@cache
def _rules(kind: str) -> list[tuple[Rule, Expression]]:
    """Return the rules that hold at every element of a type, those of its bases among them."""
    of = definitions().types.get(kind)
    if of is None:
        return []
    return [*_compiled(of.rules), *_rules(of.base)]


@cache
def _element_rules(kind: str, name: str) -> list[tuple[Rule, Expression]]:
    """Return the rules that hold at one element of a type."""
    of = definitions().types.get(kind)
    element = of.elements.get(name) if of is not None else None
    return _compiled(element.rules) if element is not None else []


def _compiled(rules: tuple[Rule, ...]) -> list[tuple[Rule, Expression]]:
    asked = [r for r in rules if r.key not in _LEFT_OUT and not any(word in r.expression for word in _UNANSWERED)]
    return [(rule, compile_path(_ERRATA.get(rule.key, rule.expression))) for rule in asked]


@cache
def _bare(kind: str) -> bool:
    """Return whether nothing holds at a type or anywhere in it."""
    seen: set[str] = set()
    ahead = [kind]
    while ahead:
        name = ahead.pop()
        of = definitions().types.get(name)
        if of is None or name in seen:
            continue
        seen.add(name)
        if name == "Resource" or _rules(name) or any(_element_rules(name, e) for e in of.elements):
            return False
        ahead.extend(t for element in of.elements.values() for t in element.types)
    return True


def faults(resource: dict[str, Any], now: datetime) -> list[FaultError]:
    """Return the broken invariants of a whole resource, as errors and warnings with the standard's words."""
    kind = str(resource["resourceType"])
    root = Node(resource, kind)
    return list(_walk(root, kind, [], root, now))


def _walk(node: Node, at: str, here: list[tuple[Rule, Expression]], root: Node, now: datetime) -> Iterator[FaultError]:
    for rule, expression in [*here, *_rules(node.kind)]:
        try:
            holds = expression.true(node, root, now=now)
        except (PathError, ArithmeticError, RecursionError):
            holds = False  # a rule that stumbles over what is there does not hold
        if not holds:
            words = f"{at}: {rule.human} ({rule.key})"
            yield FaultError(at, words, "invariant", severity="error" if rule.severity == "error" else "warning")
    places: dict[str, int] = {}
    for child in children(node):
        place = places.get(child.name, 0)
        places[child.name] = place + 1
        inner = _element_rules(node.kind, child.name)
        if inner or not _bare(child.kind):
            many = definitions().types[node.kind].elements[child.name].many
            where = f"{at}.{child.name}[{place}]" if many else f"{at}.{child.name}"
            resource = "resourceType" in (held(child) or ()) and child.name != "contained"
            yield from _walk(child, where, inner, child if resource else root, now)
