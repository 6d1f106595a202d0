"""What FHIRPath works on: nodes of a resource and values of the language, and when two of them are equal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from feldsher_cloud_api.fhir import ucum
from feldsher_cloud_api.fhir.fhirpath.temporal import Temporal, compare, parse
from feldsher_cloud_api.fhir.primitive import CHECKS
from feldsher_cloud_api.fhir.r4 import definitions

if TYPE_CHECKING:
    from feldsher_cloud_api.fhir.structure import Slot

CALENDAR = {
    "year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s",
    "millisecond": "ms",
}  # fmt: skip
"""Calendar durations and the definite ones that stand in for them."""
_STRINGS = {"id": "string", "code": "string", "markdown": "string"}
_URIS = {"url": "uri", "canonical": "uri", "uuid": "uri", "oid": "uri"}
_PARENTS = _STRINGS | _URIS | {"unsignedInt": "integer", "positiveInt": "integer"}


class PathError(ValueError):
    """An expression that cannot be read, or that what it is asked of cannot answer."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with a unit: a UCUM code, or a calendar duration (`year`)."""

    value: Decimal
    unit: str

    def __str__(self) -> str:
        """Return it as FHIRPath writes it."""
        return f"{self.value} {self.unit}" if self.unit in CALENDAR else f"{self.value} '{self.unit}'"

    def size(self) -> tuple[Decimal, str] | None:
        """Return the value in base units with its dimension; calendar years and months have one of their own."""
        if self.unit in ("year", "month"):
            return self.value * (12 if self.unit == "year" else 1), "calendar"
        return ucum.canonical(self.value, CALENDAR.get(self.unit, self.unit))


@dataclass(frozen=True, slots=True)
class Node:
    """One item: a JSON value of a FHIR type, or a value of the language (`kind` begins with `System.`).

    `beside`: id and extensions of a primitive element (`_name`). `name`: the element it stands in; `codes`: the value
    set that this is bound to.
    """

    value: Any
    kind: str
    beside: dict[str, Any] | None = None
    name: str = ""
    codes: str = ""


Items = list[Node]


def system(value: bool | int | Decimal | str | Temporal | Quantity) -> Node:
    """Return a value of the language as a node."""
    if isinstance(value, Temporal):
        return Node(value, f"System.{value.kind}")
    names: dict[type, str] = {bool: "Boolean", int: "Integer", Decimal: "Decimal", str: "String", Quantity: "Quantity"}
    return Node(value, f"System.{names[type(value)]}")


def plain(node: Node) -> Any:
    """Return the value of the language that a node stands for; a node's JSON object where it stands for none."""
    value, kind = node.value, node.kind
    if kind.startswith("System."):
        return value
    if kind in ("date", "dateTime", "instant"):
        return (parse(value, "Date" if kind == "date" else "DateTime") or value) if isinstance(value, str) else value
    if kind == "time":
        return parse(value, "Time") or value
    if kind == "decimal" and isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    if is_kind(kind, "Quantity") and isinstance(value, dict):
        return _quantity(cast("dict[str, Any]", value))
    return value


def _quantity(element: dict[str, Any]) -> Any:
    number = element.get("value")
    if number is None or "comparator" in element:
        return element
    unit = element.get("code") if element.get("system") == "http://unitsofmeasure.org" else None
    return Quantity(Decimal(str(number)), str(unit or element.get("unit") or "1"))


def is_kind(kind: str, wanted: str) -> bool:
    """Return whether a type is another one or descends from it. `wanted`: with or without `FHIR.` and `System.`."""
    space, _, name = wanted.rpartition(".") if wanted.startswith(("FHIR.", "System.")) else ("", "", wanted)
    if kind.startswith("System."):
        return space != "FHIR" and kind == f"System.{name}"
    if space == "System":
        return False
    types = definitions().types
    while kind:
        if kind == name:
            return True
        of = types.get(kind)
        kind = of.base if of is not None else _PARENTS.get(kind, "Element" if kind in CHECKS else "")
    return False


def held(node: Node) -> dict[str, Any] | None:
    """Return a node's JSON object, None where it is a plain value."""
    value: Any = node.value
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def children(node: Node, name: str | None = None) -> Items:
    """Return a node's children, or those of one element; a choice goes by its name without type."""
    element = held(node) or node.beside
    if element is None:
        return []
    if node.kind == "System.Type":
        return [system(word) for key, word in element.items() if name in (None, key)]
    kind = str(element["resourceType"]) if "resourceType" in element else node.kind
    out: Items = []
    for written, beside, slot in _slots(kind if kind in definitions().types else "Element", name):
        if written in element or beside in element:
            out.extend(nodes(element.get(written), element.get(beside), slot))
    return out


@cache
def _slots(kind: str, name: str | None) -> list[tuple[str, str, Slot]]:
    from feldsher_cloud_api.fhir.structure import slots  # noqa: PLC0415 - structure needs no path, this needs structure

    return [(w, f"_{w}", s) for w, s in slots(kind).items() if name in (None, s.name)]


def nodes(value: Any, beside: Any, slot: Slot) -> Items:
    """Return an element's items as nodes, each with what stands beside it; what is not there at all is none."""
    if beside is None:
        items = cast("list[Any]", value) if isinstance(value, list) else [value]
        return [Node(v, _kind(v, slot.type), None, slot.name, slot.of.codes) for v in items if v is not None]
    if isinstance(value, list) or isinstance(beside, list):
        values = cast("list[Any]", value) if isinstance(value, list) else []
        others = cast("list[Any]", beside) if isinstance(beside, list) else []
        pairs = [(values[i] if i < len(values) else None, others[i] if i < len(others) else None)
                 for i in range(max(len(values), len(others)))]  # fmt: skip
    else:
        pairs = [(value, beside)]
    found = [(v, b) for v, b in pairs if v is not None or b is not None]
    return [Node(v, _kind(v, slot.type), b, slot.name, slot.of.codes) for v, b in found]


def _kind(value: Any, kind: str) -> str:
    """Return the type of an element: of a resource in another one, its own."""
    return (
        str(cast("dict[str, Any]", value)["resourceType"]) if kind == "Resource" and isinstance(value, dict) else kind
    )


def equal(a: Items, b: Items) -> bool | None:
    """Return whether two collections are equal (`=`); None where that is open, or one is empty."""
    if not a or not b:
        return None
    if len(a) != len(b):
        return False
    found = [same(x, y) for x, y in zip(a, b, strict=True)]
    return None if None in found and False not in found else all(found)


def same(a: Node, b: Node) -> bool | None:
    """Return whether two items are equal; None where their precision leaves it open."""
    x, y = plain(a), plain(b)
    if isinstance(x, Temporal) or isinstance(y, Temporal):
        x, y = _moment(x), _moment(y)
        if not isinstance(x, Temporal) or not isinstance(y, Temporal) or (x.kind == "Time") != (y.kind == "Time"):
            return False
        order = compare(x, y)
        return None if order is None else order == 0
    if isinstance(x, Quantity) or isinstance(y, Quantity):
        return _same_size(x, y)
    if isinstance(x, bool) or isinstance(y, bool):
        return isinstance(x, bool) and isinstance(y, bool) and x == y
    return bool(x == y)


def _moment(value: Any) -> Any:
    return (parse(value) or value) if isinstance(value, str) else value


def _same_size(x: Any, y: Any) -> bool | None:
    x = Quantity(Decimal(x), "1") if isinstance(x, int | Decimal) and not isinstance(x, bool) else x
    y = Quantity(Decimal(y), "1") if isinstance(y, int | Decimal) and not isinstance(y, bool) else y
    if not isinstance(x, Quantity) or not isinstance(y, Quantity):
        return False
    if x.unit == y.unit:
        return x.value == y.value
    if (x.unit in CALENDAR) != (y.unit in CALENDAR) and {x.unit, y.unit} & {"year", "month", "a", "mo"}:
        return None  # a calendar year is no 365.25 days
    left, right = x.size(), y.size()
    if left is None or right is None or left[1] != right[1]:
        return None
    return left[0] == right[0]


def alike(a: Items, b: Items) -> bool:
    """Return whether two collections are equivalent (`~`): in any order, words without case, numbers as written."""
    if len(a) != len(b):
        return False
    left = list(b)
    for x in a:
        for i, y in enumerate(left):
            if _alike(x, y):
                del left[i]
                break
        else:
            return False
    return True


def _alike(a: Node, b: Node) -> bool:
    x, y = plain(a), plain(b)
    if isinstance(x, str) and isinstance(y, str):
        return " ".join(x.casefold().split()) == " ".join(y.casefold().split())
    if isinstance(x, Quantity) and isinstance(y, Quantity):
        left = ucum.canonical(x.value, CALENDAR.get(x.unit, x.unit))
        right = ucum.canonical(y.value, CALENDAR.get(y.unit, y.unit))
        return x == y or (left is not None and right is not None and left[1] == right[1] and _close(left[0], right[0]))
    numbers = (int, Decimal)
    if isinstance(x, numbers) and isinstance(y, numbers) and not isinstance(x, bool) and not isinstance(y, bool):
        return _close(Decimal(x), Decimal(y))
    if isinstance(x, dict) and isinstance(y, dict):
        return _objects(cast("dict[str, Any]", x), cast("dict[str, Any]", y))
    return same(a, b) is True


def _objects(x: dict[str, Any], y: dict[str, Any]) -> bool:
    if x.keys() - {"id"} != y.keys() - {"id"}:
        return False
    return all(_values(x[k], y[k]) for k in x if k != "id")


def _values(x: Any, y: Any) -> bool:
    left, right = (cast("list[Any]", v) if isinstance(v, list) else [v] for v in (x, y))
    return alike([Node(v, "Element") for v in left], [Node(v, "Element") for v in right])


def _close(x: Decimal, y: Decimal) -> bool:
    """Equal at the precision of the less precise, trailing zeroes not counted."""
    places = max(int(x.normalize().as_tuple().exponent), int(y.normalize().as_tuple().exponent))
    step = Decimal(1).scaleb(min(places, 0))
    return x.quantize(step) == y.quantize(step)
