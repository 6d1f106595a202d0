"""FHIRPath's conversions between its types, and the limits of what a precision leaves open."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from feldsher_cloud_api.fhir.fhirpath.temporal import Temporal, parse
from feldsher_cloud_api.fhir.fhirpath.values import CALENDAR, Quantity

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)\s*(?:'([^']+)'|([a-z]+))?")
_ROUNDING = {-1: "ROUND_FLOOR", 1: "ROUND_CEILING"}
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")


def moment(at: datetime) -> Temporal:
    """Return a moment as DateTime to the millisecond."""
    offset = at.utcoffset()
    zone = 0 if offset is None else int(offset.total_seconds()) // 60
    second = Decimal(at.second) + Decimal(at.microsecond // 1000).scaleb(-3)
    return Temporal("DateTime", (at.year, at.month, at.day, at.hour, at.minute, second), zone)


def day(at: datetime) -> Temporal:
    """Return a moment's date."""
    return Temporal("Date", (at.year, at.month, at.day))


def clock(at: datetime) -> Temporal:
    """Return a moment's time of day."""
    return Temporal("Time", moment(at).parts[3:])


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return {0: False, 1: True}.get(int(value)) if value in (0, 1) else None
    text = value.casefold() if isinstance(value, str) else ""
    return True if text in _TRUE else False if text in _FALSE else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool | int):
        return int(value)
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool | int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _string(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | Decimal | Temporal | Quantity) else None


def _date(value: Any) -> Temporal | None:
    if isinstance(value, str):
        value = parse(value)
    if not isinstance(value, Temporal) or value.kind == "Time":
        return None
    return Temporal("Date", value.parts[:3])


def _date_time(value: Any) -> Temporal | None:
    if isinstance(value, str):
        value = parse(value)
    if not isinstance(value, Temporal) or value.kind == "Time":
        return None
    return Temporal("DateTime", value.parts, value.zone)


def _time(value: Any) -> Temporal | None:
    if isinstance(value, Temporal):
        return value if value.kind == "Time" else None
    return parse(value, "Time") if isinstance(value, str) else None


def _quantity(value: Any, unit: Any = None) -> Quantity | None:
    if isinstance(value, Quantity):
        return value if unit in (None, value.unit) else None
    if isinstance(value, bool | int | Decimal):
        return Quantity(Decimal(value), "1")
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    name = match[3]
    if name is not None:
        name = name if name in CALENDAR else name.removesuffix("s")
        if name not in CALENDAR:
            return None
    return Quantity(Decimal(match[1]), match[2] or name or "1")


def _converts(work: Callable[..., Any]) -> Callable[..., bool]:
    def run(value: Any, *more: Any) -> bool:
        return work(value, *more) is not None

    return run


def _low(value: Any, digits: Any = None) -> Any:
    return _boundary(value, digits, -1)


def _high(value: Any, digits: Any = None) -> Any:
    return _boundary(value, digits, 1)


def _boundary(value: Any, digits: Any, side: int) -> Any:
    if isinstance(value, Temporal):
        return _edge(value, digits, side)
    if isinstance(value, Quantity):
        number = _boundary(value.value, digits, side)
        return None if number is None else Quantity(number, value.unit)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    places = 8 if digits is None else digits
    if not 0 <= places <= 28:
        return None
    number = Decimal(value)
    half = Decimal(5).scaleb(int(number.as_tuple().exponent) - 1)
    return (number + side * half).quantize(Decimal(1).scaleb(-places), rounding=_ROUNDING[side])


def _edge(it: Temporal, digits: Any, side: int) -> Temporal | None:
    """Return the first or last moment that a partial one can mean; `digits`: 4 year … 17 millisecond (Time: 2 to 9)."""
    sizes = {2: 1, 4: 2, 6: 3, 9: 4} if it.kind == "Time" else {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 7}
    most = {"Date": 8, "DateTime": 17, "Time": 9}[it.kind]
    wanted = sizes.get(most if digits is None else digits)
    if wanted is None or (digits or 0) > most:
        return None
    parts: list[int | Decimal] = [int(p) for p in it.parts]
    fraction = Decimal(it.parts[-1]) % 1 if isinstance(it.parts[-1], Decimal) else None
    first = 3 if it.kind == "Time" else 0
    while len(parts) + first < 6:
        place = len(parts) + first
        last = monthrange(int(parts[0]), int(parts[1]))[1] if place == 2 else (0, 12, 0, 23, 59, 59)[place]
        parts.append((1 if place < 3 else 0) if side < 0 else last)
    if fraction is None:
        fraction = Decimal("0.000") if side < 0 else Decimal("0.999")
    whole = 4 if it.kind == "Time" else 7
    if wanted == whole:
        parts[-1] = Decimal(parts[-1]) + fraction.quantize(Decimal("0.001"))
    kept = parts[: min(wanted, len(parts))]
    zone = it.zone if it.zone is not None else (14 * 60 if side < 0 else -12 * 60)
    return Temporal(it.kind, tuple(kept), zone if it.kind == "DateTime" and len(kept) > 3 else None)


def _precision(value: Any) -> int | None:
    if isinstance(value, Temporal):
        fraction = -int(Decimal(value.parts[-1]).as_tuple().exponent) if isinstance(value.parts[-1], Decimal) else 0
        n = len(value.parts)
        return (n * 2 if value.kind == "Time" else n * 2 + 2) + fraction
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return max(0, -int(Decimal(value).as_tuple().exponent))
    return None


_TO: dict[str, tuple[int, Callable[..., Any]]] = {
    "Boolean": (0, _boolean),
    "Integer": (0, _integer),
    "Decimal": (0, _decimal),
    "String": (0, _string),
    "Date": (0, _date),
    "DateTime": (0, _date_time),
    "Time": (0, _time),
    "Quantity": (1, _quantity),
}
FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = (
    {f"to{name}": (0, most, work) for name, (most, work) in _TO.items()}
    | {f"convertsTo{name}": (0, most, _converts(work)) for name, (most, work) in _TO.items()}
    | {"lowBoundary": (0, 1, _low), "highBoundary": (0, 1, _high), "precision": (0, 0, _precision)}
)
"""Least and most arguments, and the work on the one value and them."""
