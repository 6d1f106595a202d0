"""The standard's invariants (`obs-6`, `pat-1`, …): which of them a resource breaks, and where.

Resources are to be whole already (`structure.py`). Left out: `ele-1`, which is the form's own, `dom-6`
(a narrative should be there: every machine's resource would be warned of) and what asks for terminology or profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from feldsher_cloud_api.fhir.fhirpath import Expression, PathError, compile_path
from feldsher_cloud_api.fhir.fhirpath.values import Node, held, nodes
from feldsher_cloud_api.fhir.outcome import FaultError
from feldsher_cloud_api.fhir.r4 import Rule, definitions
from feldsher_cloud_api.fhir.structure import Slot, slots

_LEFT_OUT = frozenset({"ele-1", "dom-6"})
_ERRATA = {"que-7": "operator = 'exists' implies (answer is boolean)"}
"""R4 wrote `Boolean`, a type of the language that no answer has; R5 mended it."""
_UNANSWERED = ("memberOf(", "subsumes(", "elementDefinition(", "slice(", "checkModifiers(")


Held = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A rule as it is asked: first, where there is one, a plain look that tells of most elements that it holds."""

    rule: Rule
    expression: Expression
    surely: Held | None


def _refers_outward(element: dict[str, Any]) -> bool:
    text = element.get("reference")
    return not isinstance(text, str) or not text.startswith("#")


SURELY: dict[str, Held] = {
    "ref-1": _refers_outward,
    **dict.fromkeys(("dom-2", "dom-3", "dom-4", "dom-5"), lambda e: "contained" not in e),
    "qty-3": lambda e: "code" not in e or "system" in e,
    "per-1": lambda e: "start" not in e or "end" not in e,
    "obs-6": lambda e: "dataAbsentReason" not in e,
    "obs-7": lambda e: "component" not in e,
}
"""By key: what is true only of elements for which the rule holds. Nine of ten evaluations end here."""


@cache
def _rules(kind: str) -> list[_Asked]:
    """Return the rules that hold at every element of a type, those of its bases among them."""
    of = definitions().types.get(kind)
    if of is None:
        return []
    return [*_compiled(of.rules), *_rules(of.base)]


@cache
def _element_rules(kind: str, name: str) -> list[_Asked]:
    """Return the rules that hold at one element of a type."""
    of = definitions().types.get(kind)
    element = of.elements.get(name) if of is not None else None
    return _compiled(element.rules) if element is not None else []


def _compiled(rules: tuple[Rule, ...]) -> list[_Asked]:
    asked = [r for r in rules if r.key not in _LEFT_OUT and not any(word in r.expression for word in _UNANSWERED)]
    return [_Asked(r, compile_path(_ERRATA.get(r.key, r.expression)), SURELY.get(r.key)) for r in asked]


@dataclass(frozen=True, slots=True)
class _Way:
    """Where something may hold below an element: its JSON names, what they mean, and the rules at it."""

    written: str
    beside: str
    slot: Slot
    rules: list[_Asked]


@cache
def _ways(kind: str) -> dict[str, _Way]:
    """Return, by JSON name, the elements of a type at or in which a rule may hold."""
    out: dict[str, _Way] = {}
    for written, slot in slots(kind if kind in definitions().types else "Element").items():
        rules = _element_rules(kind, slot.name)
        if rules or not _bare(slot.type):
            way = _Way(written, f"_{written}", slot, rules)
            out[written] = out[way.beside] = way
    return out


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


def _walk(node: Node, at: str, here: list[_Asked], root: Node, now: datetime) -> Iterator[FaultError]:
    element = held(node)
    for asked in (*here, *_rules(node.kind)):
        if element is not None and asked.surely is not None and asked.surely(element):
            continue
        try:
            holds = asked.expression.true(node, root, now=now)
        except (PathError, ArithmeticError, RecursionError):
            holds = False  # a rule that stumbles over what is there does not hold
        if not holds:
            rule = asked.rule
            words = f"{at}: {rule.human} ({rule.key})"
            yield FaultError(at, words, "invariant", severity="error" if rule.severity == "error" else "warning")
    ways = _ways(node.kind)
    inside = element if element is not None else node.beside or {}
    for written in inside:
        way = ways.get(written)
        if way is None or (written == way.beside and way.written in inside):
            continue
        found = nodes(inside.get(way.written), inside.get(way.beside), way.slot)
        for place, child in enumerate(found):
            where = f"{at}.{way.slot.name}[{place}]" if way.slot.of.many else f"{at}.{way.slot.name}"
            resource = "resourceType" in (held(child) or ()) and way.slot.name != "contained"
            yield from _walk(child, where, way.rules, child if resource else root, now)
