"""FHIR's primitive types: whether a JSON value is one, after http://hl7.org/fhir/R4/datatypes.html."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

MOST_LETTERS = 1 << 20
"""Letters of a string (FHIR: one megabyte)."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_YEAR = r"(?P<year>[0-9]{4})"
_DAY = rf"{_YEAR}-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
_DATE = re.compile(rf"{_DAY}|[0-9]{{4}}(?:-(?:0[1-9]|1[0-2]))?")
_DATE_TIME = re.compile(rf"{_DAY}(?:T{_CLOCK}{_ZONE})?|[0-9]{{4}}(?:-(?:0[1-9]|1[0-2]))?")
_INSTANT = re.compile(rf"{_DAY}T{_CLOCK}{_ZONE}")
_TIME = re.compile(_CLOCK)
_CODE = re.compile(r"[^\s]+(?:\s[^\s]+)*", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_URI = re.compile(r"\S+", re.ASCII)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_BLANKS = str.maketrans("", "", " \t\r\n")
_INTEGERS = {"integer": -(1 << 31), "unsignedInt": 0, "positiveInt": 1}


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_LETTERS and _CONTROL.search(value) is None


def _like(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= MOST_LETTERS and pattern.fullmatch(value) is not None


def _dated(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        found = pattern.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            return False
        if found["day"] is None or int(found["day"]) <= 28:
            return value[:4] != "0000"
        try:
            date(int(found["year"]), int(found["month"]), int(found["day"]))
        except ValueError:
            return False
        return True

    return check


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value < 1 << 31


def _decimal(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _base64(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and _BASE64.fullmatch(value.translate(_BLANKS)) is not None


def _boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _xhtml(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "base64Binary": _base64,
    "boolean": _boolean,
    "canonical": _like(_URI),
    "code": _like(_CODE),
    "date": _dated(_DATE),
    "dateTime": _dated(_DATE_TIME),
    "decimal": _decimal,
    "id": _like(_ID),
    "instant": _dated(_INSTANT),
    "markdown": _text,
    "oid": _like(_OID),
    "string": _text,
    "time": _like(_TIME),
    "uri": _like(_URI),
    "url": _like(_URI),
    "uuid": _like(_UUID),
    "xhtml": _xhtml,
} | {name: _whole(least) for name, least in _INTEGERS.items()}
"""For each primitive type, whether a JSON value is one. `xhtml`'s content is `narrative.py`'s."""
