"""What a search parameter's expression finds in a resource, as plain comparable values: no index and no SQL.

Used where a single resource is judged (subscriptions) and as the measure that the index is tested against.
Source: http://hl7.org/fhir/R4/search.html, the tables of each kind of parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from feldsher_cloud_api.fhir import dates, ucum
from feldsher_cloud_api.fhir.criterion import Reference
from feldsher_cloud_api.fhir.fhirpath.values import Node, children, held, is_kind
from feldsher_cloud_api.fhir.operand import Reader
from feldsher_cloud_api.fhir.r4 import definitions

UCUM = "http://unitsofmeasure.org"
CURRENCY = "urn:iso:std:iso:4217"
_SPECIAL = "http://terminology.hl7.org/CodeSystem/special-values"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded fact: `system` None where none is said; `type`: (system, code) of an identifier's type."""

    system: str | None
    code: str | None
    types: tuple[tuple[str | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time, [low, high); None: without end."""

    low: datetime | None
    high: datetime | None


@dataclass(frozen=True, slots=True)
class Measure:
    """A stretch of numbers, [low, high] (None: without end), with its unit as system, code and words."""

    low: Decimal | None
    high: Decimal | None
    system: str | None = None
    code: str | None = None
    unit: str | None = None

    def canonical(self) -> tuple[Decimal | None, Decimal | None, str] | None:
        """Return it in UCUM's base units with their dimension; None where the unit is not UCUM's or not known."""
        if self.system != UCUM or self.code is None:
            return None
        ends = [None if e is None else ucum.canonical(e, self.code) for e in (self.low, self.high)]
        dimension = next((e[1] for e in ends if e is not None), None)
        if dimension is None:
            return None
        low, high = (e[0] if e is not None else None for e in ends)
        return low, high, dimension


def codes(nodes: Iterable[Node]) -> Iterator[Code]:
    """Yield the codes, identifiers and plain values among what an expression found.

    A `code` is of the system that its value set takes it from; true and false are of the standard's special values, and
    go without system too; a ContactPoint's system is no system of codes.
    """
    for node in nodes:
        element = held(node)
        if isinstance(node.value, bool):
            word = "true" if node.value else "false"
            yield from (Code(None, word), Code(_SPECIAL, word))
        elif element is None:
            if isinstance(node.value, str | int | Decimal):
                yield from _plain(str(node.value), node.codes)
        elif is_kind(node.kind, "CodeableConcept"):
            yield from codes(children(node, "coding"))
        elif is_kind(node.kind, "Identifier"):
            types = tuple((c.system, c.code) for c in codes(children(node, "type")))
            yield Code(element.get("system"), element.get("value"), types)
        elif is_kind(node.kind, "ContactPoint"):
            yield Code(None, element.get("value"))
        elif is_kind(node.kind, "Coding"):
            yield Code(element.get("system"), element.get("code"))


def _plain(word: str, value_set: str) -> list[Code]:
    systems = [s for s, known in definitions().codes.get(value_set, {}).items() if word in known]
    return [Code(system, word) for system in systems] or [Code(None, word)]


def words(nodes: Iterable[Node]) -> Iterator[str]:
    """Yield the strings among what an expression found: of names and addresses each part."""
    for node in nodes:
        if isinstance(node.value, str):
            yield node.value
        elif is_kind(node.kind, "HumanName"):
            yield from _strings(node, "text", "family", "given", "prefix", "suffix")
        elif is_kind(node.kind, "Address"):
            yield from _strings(node, "text", "line", "city", "district", "state", "postalCode", "country")


def descriptions(nodes: Iterable[Node]) -> Iterator[str]:
    """Yield what `:text` searches: text of concepts, display of codings, text of an identifier's type."""
    for node in nodes:
        if is_kind(node.kind, "CodeableConcept"):
            yield from _strings(node, "text")
            yield from descriptions(children(node, "coding"))
        elif is_kind(node.kind, "Coding"):
            yield from _strings(node, "display")
        elif is_kind(node.kind, "Identifier"):
            for of in children(node, "type"):
                yield from _strings(of, "text")


def _strings(node: Node, *names: str) -> Iterator[str]:
    for name in names:
        for child in children(node, name):
            if isinstance(child.value, str):
                yield child.value


def intervals(nodes: Iterable[Node]) -> Iterator[Interval]:
    """Yield the stretches of time among what an expression found; of a Timing its outer limits."""
    for node in nodes:
        if isinstance(node.value, str):
            if node.kind in ("date", "dateTime", "instant"):  # words may stand where a date may (`daily`)
                yield Interval(*dates.parse(node.value))
        elif is_kind(node.kind, "Period"):
            yield _period(node)
        elif is_kind(node.kind, "Timing"):
            yield from _timing(node)


def _period(node: Node) -> Interval:
    element = held(node) or {}
    start, end = element.get("start"), element.get("end")
    low, high = dates.parse(start)[0] if start else None, dates.parse(end)[1] if end else None
    return Interval(low, high) if low is None or high is None or low < high else Interval(high, low)


def _timing(node: Node) -> Iterator[Interval]:
    events = [dates.parse(e.value) for e in children(node, "event") if isinstance(e.value, str)]
    if events:
        yield Interval(min(e[0] for e in events), max(e[1] for e in events))
    for repeat in children(node, "repeat"):
        yield from (_period(b) for b in children(repeat, "bounds") if is_kind(b.kind, "Period"))


def measures(nodes: Iterable[Node]) -> Iterator[Measure]:
    """Yield the numbers, quantities, sums of money and ranges among what an expression found."""
    for node in nodes:
        element = held(node)
        if element is None:
            if isinstance(node.value, int | Decimal) and not isinstance(node.value, bool):
                yield Measure(Decimal(node.value), Decimal(node.value))
        elif is_kind(node.kind, "Range"):
            yield from _range(element)
        elif is_kind(node.kind, "Money") and "value" in element:
            value = Decimal(element["value"])
            yield Measure(value, value, CURRENCY, element.get("currency"))
        elif is_kind(node.kind, "Quantity") and "value" in element:
            yield _quantity(element)


def _quantity(element: dict[str, Any]) -> Measure:
    value, comparator = Decimal(element["value"]), element.get("comparator", "")
    low = None if comparator.startswith("<") else value
    high = None if comparator.startswith(">") else value
    return Measure(low, high, element.get("system"), element.get("code"), element.get("unit"))


def _range(element: dict[str, Any]) -> Iterator[Measure]:
    ends = [element.get("low", {}), element.get("high", {})]
    low, high = (Decimal(e["value"]) if "value" in e else None for e in ends)
    said = {name: next((e[name] for e in ends if name in e), None) for name in ("system", "code", "unit")}
    if low is not None or high is not None:
        yield Measure(low, high, said["system"], said["code"], said["unit"])


def references(nodes: Iterable[Node], reader: Reader) -> Iterator[Reference]:
    """Yield the references and canonicals among what an expression found; `#` inside a resource leads nowhere."""
    for node in nodes:
        element = held(node)
        text: Any = node.value if element is None else element.get("reference")
        if isinstance(text, str) and text and not text.startswith("#"):
            found = reader.written(text)
            yield found if found.type else Reference(url=text.split("/_history/", maxsplit=1)[0])


def reference_identifiers(nodes: Iterable[Node]) -> Iterator[Code]:
    """Yield the identifiers by which references name what they refer to."""
    for node in nodes:
        yield from codes(children(node, "identifier"))


def uris(nodes: Iterable[Node]) -> Iterator[str]:
    """Yield the URIs among what an expression found."""
    for node in nodes:
        if isinstance(node.value, str):
            yield node.value
