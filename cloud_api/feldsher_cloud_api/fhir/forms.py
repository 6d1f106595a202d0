"""Under which words a search may ask for an element: forms of tokens, references, strings; ranges of dates and numbers.

The words of a search are put the same way, so that a search and what it looks for cannot disagree.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from math import inf
from typing import Any, cast

from feldsher_cloud_api.fhir import dates, identity, ucum
from feldsher_cloud_api.fhir.elements import Element
from feldsher_cloud_api.fhir.r4 import definitions

UCUM = "http://unitsofmeasure.org"
CURRENCY = "urn:iso:std:iso:4217"
_SPECIAL = "http://terminology.hl7.org/CodeSystem/special-values"
_NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
_ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")
_QUANTITIES = ("Quantity", "Age", "Duration", "Count", "Distance", "SimpleQuantity", "MoneyQuantity")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(1 << 17)
def term(text: str) -> int:
    """Return the number that stands for `parameter=value`: the first 8 bytes of its SHA-256 (SQL: `fhir.term`)."""
    return int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)


@lru_cache(1 << 14)
def fold(text: str) -> str:
    """Return a string as string searches compare it: without case, accents and superfluous spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    bare = "".join(c for c in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(c))
    return " ".join(unicodedata.normalize("NFC", bare).split())


def objects(element: Element, name: str) -> Iterator[Element]:
    """Yield the JSON objects of an element's list, nothing else that may stand there."""
    found: Any = element.get(name)
    for item in cast("list[Any]", found) if isinstance(found, list) else (found,):
        if isinstance(item, dict):
            yield cast("Element", item)


def inside(element: Element) -> tuple[Any, str] | None:
    """Return an extension's value and its type; None where it has none."""
    for name, value in element.items():
        if name.startswith("value"):
            kind = name[5:]
            return value, kind if kind in definitions().types else kind[:1].lower() + kind[1:]
    return None


@lru_cache(1 << 16)
def pair(system: str | None, code: str | None) -> tuple[str, ...]:
    """Return the forms of a code in a system: `code`, `system|code` or `|code`, `system|`."""
    out: list[str] = []
    if code is not None:
        out += [code, f"{system or ''}|{code}"]
    if system:
        out.append(f"{system}|")
    return tuple(out)


@lru_cache(1 << 10)
def implied(code: str, value_set: str) -> tuple[str, ...]:
    """Return the forms of a `code` element: its system is that of the value set it is bound to."""
    systems = definitions().codes.get(value_set, {})
    found = [s for s, codes in systems.items() if code in codes]
    return (code, *(form for s in found for form in (f"{s}|{code}", f"{s}|"))) if found else pair(None, code)


def tokens(value: Any, kind: str, codes: str = "") -> Iterator[str]:
    """Yield every form under which a token search may ask for an element of a type."""
    if isinstance(value, bool):
        word = "true" if value else "false"
        yield from pair(_SPECIAL, word)
        yield f"|{word}"
    elif isinstance(value, str):
        yield from implied(value, codes) if codes else pair(None, value)
    elif isinstance(value, dict):
        element = cast("Element", value)
        if kind == "CodeableConcept":
            for coding in objects(element, "coding"):
                yield from tokens(coding, "Coding")
        elif kind == "Extension":
            held = inside(element)
            if held is not None:
                yield from tokens(*held)
        else:
            # Of a ContactPoint the system says the kind of connection, not whose code it is.
            system = element.get("system") if kind in ("Coding", "Identifier", "Quantity") else None
            code = element.get("code" if kind == "Coding" else "value")
            yield from pair(_text(system), _text(code))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None if value is None else str(value)


def typed(value: Element) -> Iterator[str]:
    """Yield an Identifier's forms for `:of-type`: `type's system|type's code|value`, and without the system."""
    number = value.get("value")
    for kind in objects(value, "type"):
        for coding in objects(kind, "coding"):
            if coding.get("code") and number is not None:
                yield f"{coding.get('system', '')}|{coding['code']}|{number}"


def texts(value: Any, kind: str) -> Iterator[str]:
    """Yield the words that stand beside a code, for `:text`."""
    if not isinstance(value, dict) or kind not in ("CodeableConcept", "Coding", "Identifier"):
        return
    element = cast("Element", value)
    found: list[Any] = [element.get("text"), element.get("display")]
    if kind == "CodeableConcept":
        found += [coding.get("display") for coding in objects(element, "coding")]
    if kind == "Identifier":
        found += [of.get("text") for of in objects(element, "type")]
    yield from dict.fromkeys(w for w in found if isinstance(w, str))


def strings(value: Any, kind: str) -> Iterator[str]:
    """Yield the strings that a string search compares: the parts of a name or address, one each."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        element = cast("Element", value)
        if kind == "Extension":
            held = inside(element)
            if held is not None:
                yield from strings(*held)
            return
        for part in _ADDRESS_PARTS if kind == "Address" else _NAME_PARTS:
            found: Any = element.get(part)
            for item in cast("list[Any]", found) if isinstance(found, list) else (found,):
                if isinstance(item, str):
                    yield item


@lru_cache(1 << 16)
def target(text: str) -> tuple[tuple[str, ...], str | None]:
    """Return the forms of a reference's text, and `Type/key` where it leads to a resource of this server.

    Relative ones: `Type/key` and `key`. A canonical with a version also goes without it. `#contained`: none.
    """
    if text.startswith("#"):
        return (), None
    plain = text.split("/_history/", maxsplit=1)[0]
    kind, _, name = plain.partition("/")
    if kind in definitions().types and identity.is_id(name):
        key = str(identity.key(name))
        return (f"{kind}/{key}", key), f"{kind}/{key}"
    bare = plain.partition("|")[0]
    return ((plain,) if bare == plain else (plain, bare)), None


def refers(value: Any, kind: str) -> str | None:
    """Return the text of a Reference, canonical or uri; None where there is none."""
    if kind == "Extension" and isinstance(value, dict):
        held = inside(cast("Element", value))
        return refers(*held) if held is not None else None
    text: Any = cast("Element", value).get("reference") if isinstance(value, dict) else value
    return text if isinstance(text, str) and text else None


Span = tuple[datetime | None, datetime | None]


def spans(value: Any, kind: str) -> Iterator[Span]:
    """Yield the ranges of a date, dateTime, instant, Period or Timing; None: open. What is no date gives none.

    Of a Timing the outer limits alone matter (http://hl7.org/fhir/R4/search.html#date).
    """
    if isinstance(value, str):
        if kind not in ("date", "dateTime", "instant"):
            return  # words may stand where a date may, and look like one
        try:
            yield dates.parse(value)
        except (ValueError, OverflowError):
            return
    elif isinstance(value, dict):
        element = cast("Element", value)
        if kind == "Timing":
            yield from _timing(element)
        elif kind == "Extension":
            held = inside(element)
            if held is not None:
                yield from spans(*held)
        elif "start" in element or "end" in element:
            start = next(spans(element.get("start"), "dateTime"), (None, None))[0]
            end = next(spans(element.get("end"), "dateTime"), (None, None))[1]
            yield (start, end) if start is None or end is None or start < end else (end, start)


def _timing(element: Element) -> Iterator[Span]:
    events: Any = element.get("event")
    listed = cast("list[Any]", events) if isinstance(events, list) else []
    found = [dates.parse(event) for event in listed if isinstance(event, str)]
    if found:
        yield min(low for low, _ in found), max(high for _, high in found)
    for repeat in objects(element, "repeat"):
        yield from spans(repeat.get("boundsPeriod"), "Period")


def moment(at: datetime | None, otherwise: float) -> float:
    """Return a moment in µs since 1970 (exact below the year 2255), or what stands for an open end."""
    return otherwise if at is None else float((at - _EPOCH) // dates.MICROSECOND)


# low, high in canonical units; low, high as sent; what the canonical unit is; what its symbol is
Amount = tuple[float, float, float, float, int | None, int | None]


def amounts(value: Any, kind: str) -> Iterator[Amount]:
    """Yield the sizes of a quantity, range, sum of money or number: canonical and as sent, with their unit's terms."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = float(value)
        yield number, number, number, number, None, None
        return
    if not isinstance(value, dict):
        return
    element = cast("Element", value)
    if kind == "Range":
        yield from _range(element)
    elif kind == "Money":
        size, currency = element.get("value"), element.get("currency")
        if isinstance(size, int | Decimal):
            unit = {"system": CURRENCY, "code": currency} if currency else {}
            yield from amounts({"value": size, **unit}, "Quantity")
    elif kind == "Extension":
        held = inside(element)
        if held is not None:
            yield from amounts(*held)
    elif kind in _QUANTITIES:
        yield from _quantity(element)


def _quantity(element: Element) -> Iterator[Amount]:
    size: Any = element.get("value")
    if not isinstance(size, int | Decimal) or isinstance(size, bool):
        return
    comparator: Any = element.get("comparator")
    canonical, unit, symbol = sized(Decimal(size), element)
    sent = float(size)
    low = (-inf, -inf) if comparator in ("<", "<=") else (canonical, sent)
    high = (inf, inf) if comparator in (">", ">=") else (canonical, sent)
    yield low[0], high[0], low[1], high[1], unit, symbol


def _range(element: Element) -> Iterator[Amount]:
    a = next((size for end in objects(element, "low") for size in _quantity(end)), None)
    b = next((size for end in objects(element, "high") for size in _quantity(end)), None)
    known = a or b
    if known is not None:
        yield a[0] if a else -inf, b[1] if b else inf, a[2] if a else -inf, b[3] if b else inf, known[4], known[5]


def sized(size: Decimal, unit: Element) -> tuple[float, int | None, int | None]:
    """Return a size in canonical units, that unit's term, and its symbol's; what is unknown stands as sent."""
    system, code = unit.get("system"), unit.get("code")
    word = code or unit.get("unit")
    symbol = term(f"unit={word}") if isinstance(word, str) else None
    if isinstance(code, str) and system == UCUM:
        found = ucum.canonical(size, code)
        if found is not None:
            return float(found[0]), term(f"dimension={found[1]}"), symbol
    return float(size), term(f"unit={system or ''}|{code}") if isinstance(code, str) else None, symbol
