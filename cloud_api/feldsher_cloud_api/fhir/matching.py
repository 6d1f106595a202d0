"""Whether one resource meets a search's conditions, judged by the definitions' expressions alone: no index, no SQL.

It decides which subscriptions a change concerns, and it is the measure that the compiled searches are tested against.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from feldsher_cloud_api.fhir import facets, ucum
from feldsher_cloud_api.fhir.criterion import (
    Amount,
    Chain,
    Condition,
    Criterion,
    Has,
    Moment,
    OfType,
    Reference,
    Text,
    Together,
    Token,
    Uri,
    Value,
)
from feldsher_cloud_api.fhir.facets import UCUM, Code, Interval, Measure
from feldsher_cloud_api.fhir.fhirpath import compile_path
from feldsher_cloud_api.fhir.fhirpath.values import Node
from feldsher_cloud_api.fhir.forms import fold
from feldsher_cloud_api.fhir.operand import Reader

Resource = dict[str, Any]
Codings = frozenset[tuple[str, str]]


class World(Protocol):
    """What lies around the resource: others that it is linked with, and the terminology."""

    def get(self, kind: str, identity: str) -> Resource | None:
        """Return a resource by type and id, None where there is none within reach."""
        ...

    def every(self, kind: str) -> Iterable[Resource]:
        """Return all resources of a type within reach."""
        ...

    def codes(self, modifier: str, value: Uri | Token) -> Codings:
        """Return the (system, code) pairs in a value set (`in`), or above or below a code."""
        ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """Judges resources in their world."""

    world: World
    reader: Reader

    def matches(self, resource: Resource, condition: Condition) -> bool:
        """Return whether a resource meets a condition."""
        root = Node(resource, str(resource["resourceType"]))
        if isinstance(condition, Chain):
            return any(self._leads(condition, found) for found in self._links(root, condition.parameter.expression))
        if isinstance(condition, Has):
            return any(self._refers(condition, other, root) for other in self.world.every(condition.kind))
        nodes = compile_path(condition.parameter.expression).on(root, root)
        if condition.missing is not None:
            return self._present(condition, nodes, root) is not condition.missing
        if condition.modifier in ("not", "not-in"):
            return not any(self._any(condition, nodes, value, root) for value in condition.values)
        return any(self._any(condition, nodes, value, root) for value in condition.values)

    def _present(self, criterion: Criterion, nodes: list[Node], root: Node) -> bool:
        """Whether there is such an element, of a composite all its parts, whatever can be compared of it."""
        if criterion.kind != "composite":
            return bool(nodes)
        expressions = [compile_path(c.expression) for c in criterion.parameter.components]
        return any(all(e.on(node, root) for e in expressions) for node in nodes)

    def _links(self, root: Node, expression: str) -> Iterator[Reference]:
        return (r for r in facets.references(compile_path(expression).on(root, root), self.reader) if r.type)

    def _leads(self, chain: Chain, found: Reference) -> bool:
        for kind, inner in chain.inner:
            other = self.world.get(kind, found.id) if kind == found.type else None
            if other is not None and self.matches(other, inner):
                return True
        return False

    def _refers(self, has: Has, other: Resource, root: Node) -> bool:
        here = Reference(root.kind, str(root.value.get("id")))
        links = self._links(Node(other, has.kind), has.parameter.expression)
        return here in links and self.matches(other, has.inner)

    def _any(self, criterion: Criterion, nodes: list[Node], value: Value, root: Node) -> bool:
        if isinstance(value, Together):
            return any(self._together(criterion, node, value, root) for node in nodes)
        looked_up = criterion.modifier in ("in", "not-in", "above", "below") and criterion.parameter.kind == "token"
        if looked_up and isinstance(value, Uri | Token):
            wanted = self.world.codes(criterion.modifier, value)
            return any((c.system, c.code) in wanted for c in facets.codes(nodes))
        if criterion.modifier == "identifier":
            return isinstance(value, Token) and any(_code(c, value) for c in facets.reference_identifiers(nodes))
        return self.compare(nodes, value, criterion.modifier)

    def _together(self, criterion: Criterion, node: Node, value: Together, root: Node) -> bool:
        for component, part in zip(criterion.parameter.components, value.parts, strict=True):
            if not self.compare(compile_path(component.expression).on(node, root), part, ""):
                return False
        return True

    def compare(self, nodes: list[Node], value: Value, modifier: str) -> bool:
        """Return whether one of some elements is what a value asks for."""
        match value:
            case Token():
                return any(_code(c, value) for c in facets.codes(nodes))
            case OfType():
                wanted = (value.system, value.code)
                return any(c.code == value.value and wanted in c.types for c in facets.codes(nodes))
            case Text():
                texts = facets.descriptions(nodes) if modifier == "text" else facets.words(nodes)
                return any(_string(t, value.text, modifier) for t in texts)
            case Uri():
                return any(_uri(u, value.text, modifier) for u in facets.uris(nodes))
            case Moment():
                return any(moment(i, value) for i in facets.intervals(nodes))
            case Amount():
                return any(amount(m, value) for m in facets.measures(nodes))
            case Reference():
                return any(_reference(r, value) for r in facets.references(nodes, self.reader))
            case Together():
                raise TypeError("a composite is no part of another one")


def _code(found: Code, wanted: Token) -> bool:
    if wanted.code and found.code != wanted.code:
        return False
    return wanted.system is None or (found.system or "") == wanted.system


def _string(found: str, wanted: str, modifier: str) -> bool:
    if modifier == "exact":
        return found == wanted
    if modifier == "contains":
        return fold(wanted) in fold(found)
    return fold(found).startswith(fold(wanted))


def _uri(found: str, wanted: str, modifier: str) -> bool:
    if modifier == "below":
        return found.startswith(wanted)
    if modifier == "above":
        return found in above(wanted)
    return wanted in (found, found.partition("|")[0])


def above(uri: str) -> list[str]:
    """Return a URI and what stands above it: one step of its path after the other is taken away."""
    scheme, _, path = uri.rpartition("://")
    steps = path.rstrip("/").split("/")
    return [uri, *(f"{scheme}://{'/'.join(steps[:n])}" for n in range(len(steps), 0, -1))] if scheme else [uri]


def _reference(found: Reference, wanted: Reference) -> bool:
    if wanted.url:
        return found.url == wanted.url or ("|" not in wanted.url and found.url.partition("|")[0] == wanted.url)
    return found.id == wanted.id and wanted.type in ("", found.type)


def moment(found: Interval, wanted: Moment) -> bool:
    """Return whether a stretch of time is what a date with its prefix asks for (prefixes as search.html#prefix)."""
    after = found.high is None or found.high > wanted.high
    before = found.low is None or found.low < wanted.low
    within = not after and not before
    overlaps = (found.high is None or found.high > wanted.low) and (found.low is None or found.low < wanted.high)
    return {
        "eq": within,
        "ne": not within,
        "gt": after,
        "lt": before,
        "ge": after or within,
        "le": before or within,
        "sa": found.low is not None and found.low >= wanted.high,
        "eb": found.high is not None and found.high <= wanted.low,
        "ap": overlaps,
    }[wanted.prefix]


def amount(found: Measure, wanted: Amount) -> bool:
    """Return whether a number or quantity is what is asked for: its unit, then its size."""
    if not wanted.unit:
        return _size(found.low, found.high, wanted)
    if wanted.system is None:
        return wanted.unit in (found.code, found.unit) and _size(found.low, found.high, wanted)
    canonical = found.canonical() if wanted.system == UCUM else None
    asked = _canonical(wanted) if canonical is not None else None
    if canonical is not None and asked is not None:
        return canonical[2] == asked[1] and _size(canonical[0], canonical[1], asked[0])
    same = (found.system, found.code) == (wanted.system, wanted.unit)
    return same and _size(found.low, found.high, wanted)


def _canonical(wanted: Amount) -> tuple[Amount, str] | None:
    ends = [ucum.canonical(v, wanted.unit) for v in (wanted.value, wanted.low, wanted.high)]
    if ends[0] is None or ends[1] is None or ends[2] is None:
        return None
    return Amount(wanted.prefix, ends[0][0], ends[1][0], ends[2][0]), ends[0][1]


def _size(low: Decimal | None, high: Decimal | None, wanted: Amount) -> bool:
    value = wanted.value
    within = low is not None and high is not None and wanted.low <= low and high < wanted.high
    return {
        "eq": within,
        "ne": not within,
        "gt": high is None or high > value,
        "lt": low is None or low < value,
        "ge": high is None or high >= value,
        "le": low is None or low <= value,
        "sa": low is not None and low > value,
        "eb": high is not None and high < value,
        "ap": (high is None or high >= wanted.low) and (low is None or low <= wanted.high),
    }[wanted.prefix]
