"""FHIRPath's operators: arithmetic, comparison, logic of three values, collections."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, InvalidOperation
from typing import Any

from feldsher_cloud_api.fhir import ucum
from feldsher_cloud_api.fhir.fhirpath import temporal
from feldsher_cloud_api.fhir.fhirpath.scope import Compiled, Scope
from feldsher_cloud_api.fhir.fhirpath.temporal import Temporal
from feldsher_cloud_api.fhir.fhirpath.values import (
    CALENDAR,
    Items,
    PathError,
    Quantity,
    alike,
    equal,
    plain,
    same,
    system,
)

_DIGITS = Context(prec=28)
_DEFINITE = {code: name for name, code in CALENDAR.items() if name not in ("year", "month")}


def truth(items: Items) -> bool | None:
    """Return a collection as a condition: one boolean itself, one other item true, none None; PathError for several."""
    if not items:
        return None
    if len(items) > 1:
        raise PathError(f"one value is needed where {len(items)} are")
    value = plain(items[0])
    return value if isinstance(value, bool) else True


def single(items: Items) -> Any:
    """Return the one value of a collection, None for an empty one; PathError for several."""
    if len(items) > 1:
        raise PathError(f"one value is needed where {len(items)} are")
    return plain(items[0]) if items else None


def said(value: bool | None) -> Items:
    """Return a truth value as a collection."""
    return [] if value is None else [system(value)]


def signed(inner: Compiled) -> Compiled:
    """Return the negative of a number or quantity."""

    def run(scope: Scope, items: Items) -> Items:
        value = single(inner(scope, items))
        if value is None:
            return []
        if isinstance(value, Quantity):
            return [system(Quantity(-value.value, value.unit))]
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise PathError(f"-: {_named(value)} has no negative")
        return [system(-value)]

    return run


def indexed(inner: Compiled, place: Compiled) -> Compiled:
    """Return the item at a place, counted from 0."""

    def run(scope: Scope, items: Items) -> Items:
        found, at = inner(scope, items), single(place(scope, items))
        if at is None:
            return []
        if not isinstance(at, int) or isinstance(at, bool):
            raise PathError(f"[]: a whole number is needed, not {_named(at)}")
        return found[at : at + 1] if at >= 0 else []

    return run


def binary(sign: str, left: Compiled, right: Compiled) -> Compiled:
    """Return the operation of a sign on two expressions."""
    if sign in _LOGIC:
        logic = _LOGIC[sign]
        return lambda scope, items: said(logic(truth(left(scope, items)), truth(right(scope, items))))
    if sign in _COLLECTIONS:
        whole = _COLLECTIONS[sign]
        return lambda scope, items: whole(left(scope, items), right(scope, items))
    work = _VALUES[sign]

    def run(scope: Scope, items: Items) -> Items:
        a, b = single(left(scope, items)), single(right(scope, items))
        if sign == "&":
            return [system(str(a or "") + str(b or ""))]
        if a is None or b is None:
            return []
        found = work(a, b)
        return [] if found is None else [system(found)]

    return run


def _and(a: bool | None, b: bool | None) -> bool | None:
    return False if a is False or b is False else None if None in (a, b) else True


def _or(a: bool | None, b: bool | None) -> bool | None:
    return True if a is True or b is True else None if None in (a, b) else False


def _xor(a: bool | None, b: bool | None) -> bool | None:
    return None if a is None or b is None else a != b


def _implies(a: bool | None, b: bool | None) -> bool | None:
    return _or(None if a is None else not a, b)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def union(a: Items, b: Items) -> Items:
    """Return both collections without repetition."""
    out: Items = []
    seen = set[tuple[type, str | int]]()
    others: Items = []
    for node in [*a, *b]:
        value = plain(node)
        if isinstance(value, str | int):  # found at once; a moment or a decimal may still equal it
            if (type(value), value) in seen or any(same(node, other) is True for other in others):
                continue
            seen.add((type(value), value))
        elif any(same(node, other) is True for other in (out if isinstance(value, Temporal | Decimal) else others)):
            continue
        else:
            others.append(node)
        out.append(node)
    return out


def within(one: Items, many: Items) -> Items:
    """Return whether the one item of a collection is in another."""
    if not one:
        return []
    if len(one) > 1:
        raise PathError("in: one item is needed on its left")
    return said(any(same(one[0], node) is True for node in many))


def _text(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two values as such that can be compared: a string beside a moment is read as one."""
    if isinstance(a, Temporal) and isinstance(b, str):
        return a, temporal.parse(b) or b
    if isinstance(b, Temporal) and isinstance(a, str):
        return temporal.parse(a) or a, b
    return a, b


def order(a: Any, b: Any) -> int | None:
    """Return -1, 0 or 1; None where precision or units leave it open; PathError where two values have no order."""
    a, b = _text(a, b)
    x: Any = a
    y: Any = b
    if isinstance(a, Temporal) and isinstance(b, Temporal) and (a.kind == "Time") == (b.kind == "Time"):
        return temporal.compare(a, b)
    if isinstance(a, Quantity) and isinstance(b, int | Decimal) and not isinstance(b, bool):
        b = Quantity(Decimal(b), "1")
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        if a.unit == b.unit:
            return (a.value > b.value) - (a.value < b.value)
        left, right = a.size(), b.size()
        if left is None or right is None or left[1] != right[1]:
            return None
        return (left[0] > right[0]) - (left[0] < right[0])
    numbers = isinstance(a, int | Decimal) and isinstance(b, int | Decimal)
    if isinstance(a, bool) or isinstance(b, bool) or not (numbers or (isinstance(a, str) and isinstance(b, str))):
        raise PathError(f"{_named(a)} and {_named(b)} have no order")
    return int(x > y) - int(x < y)


def _compared(accept: Callable[[int], bool]) -> Callable[[Any, Any], Any]:
    def work(a: Any, b: Any) -> bool | None:
        found = order(a, b)
        return None if found is None else accept(found)

    return work


def _plus(a: Any, b: Any) -> Any:
    if isinstance(a, str) and isinstance(b, str):
        return a + b
    if isinstance(a, Temporal) and isinstance(b, Quantity):
        return temporal.plus(a, b.value, _calendar(b))
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return _sum(a, b)
    x, y = _numbers("+", a, b)
    return x + y


def _minus(a: Any, b: Any) -> Any:
    if isinstance(b, Quantity):
        return _plus(a, Quantity(-b.value, b.unit))
    x, y = _numbers("-", a, b)
    return x - y


def _sum(a: Quantity, b: Quantity) -> Quantity | None:
    if a.unit == b.unit:
        return Quantity(a.value + b.value, a.unit)
    left, right, unit = a.size(), b.size(), ucum.unit(a.unit)
    if left is None or right is None or left[1] != right[1] or unit is None:
        return None
    return Quantity(_DIGITS.divide(left[0] + right[0], unit.factor), a.unit)


def _calendar(quantity: Quantity) -> str:
    unit = quantity.unit if quantity.unit in CALENDAR else _DEFINITE.get(quantity.unit)
    if unit is None:
        raise PathError(f"{quantity.unit!r} is no span of the calendar")
    return unit


def _numbers(sign: str, a: Any, b: Any) -> tuple[Any, Any]:
    for value in (a, b):
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise PathError(f"{sign}: a number is needed, not {_named(value)}")
    return a, b


def _times(a: Any, b: Any) -> Any:
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        x, y = (v if isinstance(v, Quantity) else Quantity(Decimal(v), "1") for v in (a, b))
        unit = x.unit if y.unit == "1" else y.unit if x.unit == "1" else f"{x.unit}.{y.unit}"
        return Quantity(x.value * y.value, unit)
    x, y = _numbers("*", a, b)
    return x * y


def _divided(a: Any, b: Any) -> Any:
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        x, y = (v if isinstance(v, Quantity) else Quantity(Decimal(v), "1") for v in (a, b))
        if not y.value:
            return None
        unit = x.unit if y.unit == "1" else "1" if x.unit == y.unit else f"{x.unit}/{y.unit}"
        return Quantity(_DIGITS.divide(x.value, y.value), unit)
    x, y = _numbers("/", a, b)
    try:
        return _DIGITS.divide(Decimal(x), Decimal(y))
    except (DivisionByZero, InvalidOperation):
        return None


def _div(a: Any, b: Any) -> Any:
    x, y = _numbers("div", a, b)
    return None if not y else int(Decimal(x) / Decimal(y)) if abs(x) < 10**20 else int(x // y)


def _mod(a: Any, b: Any) -> Any:
    x, y = _numbers("mod", a, b)
    if not y:
        return None
    rest = Decimal(x) % Decimal(y)
    return int(rest) if isinstance(x, int) and isinstance(y, int) else rest


def _joined(a: Any, b: Any) -> str:
    return f"{a}{b}"


def _named(value: Any) -> str:
    return "an element" if isinstance(value, dict) else f"a {type(value).__name__}"


_LOGIC: dict[str, Callable[[bool | None, bool | None], bool | None]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
}
_COLLECTIONS: dict[str, Callable[[Items, Items], Items]] = {
    "=": lambda a, b: said(equal(a, b)),
    "!=": lambda a, b: said(_not(equal(a, b))),
    "~": lambda a, b: said(alike(a, b)),
    "!~": lambda a, b: said(not alike(a, b)),
    "|": union,
    "in": within,
    "contains": lambda a, b: within(b, a),
}
_VALUES: dict[str, Callable[[Any, Any], Any]] = {
    "<": _compared(lambda o: o < 0),
    ">": _compared(lambda o: o > 0),
    "<=": _compared(lambda o: o <= 0),
    ">=": _compared(lambda o: o >= 0),
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _divided,
    "div": _div,
    "mod": _mod,
    "&": _joined,
}
