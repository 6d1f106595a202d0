"""The values of search parameters: from text to what it means, kind by kind.

Source: http://hl7.org/fhir/R4/search.html, "Search Parameter Types". A backslash before comma, bar, dollar or backslash
takes their meaning from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast, get_args

from feldsher_cloud_api.fhir import dates
from feldsher_cloud_api.fhir.criterion import Amount, Moment, OfType, Prefix, Reference, Text, Token, Uri, Value
from feldsher_cloud_api.fhir.r4 import definitions

_PREFIXES = cast("tuple[Prefix, ...]", get_args(Prefix))
_NUMBER = re.compile(r"[+-]?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,3})?")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LOCAL = re.compile(r"([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_ABOUT = Decimal("0.1")
"""`ap`: "the recommended value for the approximation is 10% of the stated value (or for a date, 10% of the gap between
now and the date)"."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What reading a value needs to know: the server's own base address and the moment of the question."""

    base: str
    now: datetime

    def read(self, kind: str, text: str, only: str = "") -> Value:
        """Return one value (no list any more) of a kind of parameter; ValueError says what is wrong with it.

        `only`: the single type that a reference without type means.
        """
        if kind == "reference":
            return self.reference(text, only)
        if kind == "date":
            return self.moment(text)
        return _READ[kind](text)

    def moment(self, text: str) -> Moment:
        """Return a date with its prefix; ValueError where it is none."""
        prefix, rest = _prefixed(text)
        # In addresses "+" arrives as a blank, and every client forgets to escape it once.
        low, high = dates.parse(rest.replace(" ", "+"))
        if prefix == "ap":
            gap = abs(self.now - low) / 10
            low = low - gap if low - datetime.min.replace(tzinfo=UTC) > gap else datetime.min.replace(tzinfo=UTC)
            high = high + gap if datetime.max.replace(tzinfo=UTC) - high > gap else datetime.max.replace(tzinfo=UTC)
        return Moment(prefix, low, high)

    def reference(self, text: str, only: str = "") -> Reference:
        """Return a reference of any form: bare id, `Type/id`, with version, absolute (ours or foreign)."""
        said = unescaped(text)
        found = self.written(said)
        if found.type:
            if only and found.type != only:
                raise ValueError(f"a reference to {only} is needed, not to {found.type}")
            return found
        if _ID.fullmatch(said):
            return Reference(only, said)
        if ":" in said:
            return Reference(url=said.split("/_history/", maxsplit=1)[0])
        raise ValueError(f"{said[:80]!r} is no reference: an id, Type/id or an address is needed")

    def written(self, text: str) -> Reference:
        """Return a reference as resources write it; one that leads nowhere on this server has neither type nor id."""
        match = _LOCAL.fullmatch(text.removeprefix(self.base + "/"))
        if match and match[1] in definitions().types:
            return Reference(match[1], match[2])
        return Reference()


def split(text: str, sign: str) -> list[str]:
    """Return the parts between the unescaped occurrences of a sign; what is escaped stays escaped."""
    return re.findall(rf"((?:\\.|[^\\{re.escape(sign)}]|\\$)*)(?:{re.escape(sign)}|$)", text, re.DOTALL)[
        : _separators(text, sign) + 1
    ]


def _separators(text: str, sign: str) -> int:
    return len(re.findall(re.escape(sign), re.sub(r"\\.", "", text, flags=re.DOTALL)))


def unescaped(text: str) -> str:
    """Return a value with its escapes resolved."""
    return re.sub(r"\\([\\,|$])", r"\1", text)


def _prefixed(text: str) -> tuple[Prefix, str]:
    for prefix in _PREFIXES:
        if text.startswith(prefix):
            return prefix, text[2:]
    return "eq", text


def token(text: str) -> Token:
    """Return `code`, `system|code`, `|code` or `system|`; ValueError where nothing is asked for."""
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) > 2 or not any(parts):
        raise ValueError("a code, system|code, |code or system| is needed")
    return Token(None, parts[0]) if len(parts) == 1 else Token(parts[0], parts[1])


def of_type(text: str) -> OfType:
    """Return the value of the modifier `:of-type`: `system|code|value`, all three."""
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError("system|code|value is needed, all three")
    return OfType(*parts)


def amount(text: str) -> Amount:
    """Return a number with its prefix; ValueError where it is none."""
    prefix, number = _prefixed(text)
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"{number[:80]!r} is not a number")
    value = Decimal(number)
    half = Decimal(5).scaleb(int(value.as_tuple().exponent) - 1)
    if prefix == "ap":
        half = abs(value) * _ABOUT
    return Amount(prefix, value, value - half, value + half)


def quantity(text: str) -> Amount:
    """Return `number`, `number|system|code` or `number||code` with its prefix; ValueError where it is none of them."""
    parts = split(text, "|")
    if len(parts) not in (1, 3):
        raise ValueError("number, number|system|code or number||code is needed")
    of = amount(parts[0])
    if len(parts) == 1:
        return of
    system, unit = unescaped(parts[1]), unescaped(parts[2])
    if system and not unit:
        raise ValueError("a unit is needed after its system")
    return Amount(of.prefix, of.value, of.low, of.high, system or None, unit)


_READ: dict[str, Callable[[str], Value]] = {
    "token": token,
    "of-type": of_type,
    "number": amount,
    "quantity": quantity,
    "string": lambda text: Text(unescaped(text)),
    "uri": lambda text: Uri(unescaped(text)),
}
