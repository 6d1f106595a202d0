"""FHIRPath's functions on strings and numbers."""

from __future__ import annotations

import base64
import binascii
import html
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from feldsher_cloud_api.fhir import narrative
from feldsher_cloud_api.fhir.fhirpath.lexer import tokens
from feldsher_cloud_api.fhir.fhirpath.values import PathError, Quantity
from feldsher_cloud_api.fhir.r4 import definitions

_LONGEST_PATTERN = 1000
_REPEATED = re.compile(r"[)\]][*+{].*[)\]][*+{]|[*+}][^)]*\)[*+{]")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PathError(f"a string is needed, not {type(value).__name__}")
    return value


def _index_of(value: Any, part: Any) -> int:
    return _text(value).find(_text(part))


def _substring(value: Any, start: Any, length: Any = None) -> str | None:
    text = _text(value)
    if not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(length, 0)]


def _pattern(text: Any) -> re.Pattern[str]:
    """Return a pattern; one that could take for ever is refused, because Python's search cannot be stopped."""
    written = _text(text)
    if written not in _standards() and (len(written) > _LONGEST_PATTERN or _REPEATED.search(written)):
        raise PathError("the pattern is too long or repeats what repeats")
    try:
        return re.compile(written, re.DOTALL)
    except re.error as error:
        raise PathError(f"the pattern cannot be read: {error}") from error


@cache
def _standards() -> frozenset[str]:
    """Return the strings in the standard's own rules: their patterns are known to end."""
    of = definitions().types.values()
    rules = [r for each in of for r in (*each.rules, *(r for e in each.elements.values() for r in e.rules))]
    return frozenset(w.text for r in rules if "matches(" in r.expression for w in tokens(r.expression) if w.quoted)


def _replace_matches(value: Any, pattern: Any, new: Any) -> str:
    words = re.sub(r"\$(\d|\{\w+\})", lambda m: rf"\g<{m[1].strip('{}')}>", _text(new))
    return _pattern(pattern).sub(words, _text(value))


def _encode(value: Any, how: Any) -> str:
    raw = _text(value).encode()
    makers: dict[str, Callable[[bytes], bytes]] = {
        "hex": binascii.hexlify,
        "base64": base64.b64encode,
        "urlbase64": base64.urlsafe_b64encode,
    }
    if how not in makers:
        raise PathError(f"encode: {how!r} is not hex, base64 or urlbase64")
    return makers[how](raw).decode()


def _decode(value: Any, how: Any) -> str:
    readers: dict[str, Callable[[str], bytes]] = {
        "hex": binascii.unhexlify,
        "base64": base64.b64decode,
        "urlbase64": base64.urlsafe_b64decode,
    }
    try:
        return readers[how](_text(value)).decode()
    except (KeyError, ValueError) as error:
        raise PathError(f"decode: {how!r} does not read it") from error


def _escape(value: Any, how: Any) -> str:
    if how == "html":
        return html.escape(_text(value), quote=False).replace('"', "&quot;")
    if how == "json":
        return json.dumps(_text(value), ensure_ascii=False)[1:-1]
    raise PathError(f"escape: {how!r} is not html or json")


def _unescape(value: Any, how: Any) -> str:
    if how == "html":
        return html.unescape(_text(value))
    if how == "json":
        try:
            return str(json.loads(f'"{_text(value)}"'))
        except ValueError as error:
            raise PathError("unescape: no JSON string") from error
    raise PathError(f"unescape: {how!r} is not html or json")


def _number(value: Any) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PathError(f"a number is needed, not {type(value).__name__}")
    return value


def _real(work: Callable[[float], float]) -> Callable[[Any], Decimal | None]:
    def run(value: Any) -> Decimal | None:
        try:
            return Decimal(repr(work(float(_number(value)))))
        except (ValueError, OverflowError):
            return None

    return run


def _abs(value: Any) -> Any:
    return Quantity(abs(value.value), value.unit) if isinstance(value, Quantity) else abs(_number(value))


def _log(value: Any, base: Any) -> Decimal | None:
    try:
        return Decimal(repr(math.log(float(_number(value)), float(_number(base)))))
    except (ValueError, ZeroDivisionError):
        return None


def _power(value: Any, exponent: Any) -> Any:
    base, power = _number(value), _number(exponent)
    if isinstance(base, int) and isinstance(power, int) and power >= 0:
        if power > 1000 or abs(base) > 10**100:
            raise PathError("power: too large")
        return base**power
    try:
        found = float(base) ** float(power)
    except (OverflowError, ZeroDivisionError):
        return None
    return None if isinstance(found, complex) else Decimal(repr(found))


def _round(value: Any, digits: Any = 0) -> Decimal:
    if isinstance(digits, bool) or not isinstance(digits, int) or not 0 <= digits <= 28:
        raise PathError("round: 0 to 28 digits")
    return Decimal(_number(value)).quantize(Decimal(1).scaleb(-digits), rounding="ROUND_HALF_UP")


def _html_checks(value: Any) -> bool:
    return narrative.fault(_text(value)) is None


def _split(value: Any, between: Any) -> list[str]:
    return _text(value).split(_text(between)) if between else list(_text(value))


def _matches(value: Any, pattern: Any) -> bool:
    return _pattern(pattern).search(_text(value)) is not None


Work = Callable[[Any], Any] | Callable[[Any, Any], Any] | Callable[[Any, Any, Any], Any]
FUNCTIONS: dict[str, tuple[int, int, Work]] = {
    "indexOf": (1, 1, _index_of),
    "lastIndexOf": (1, 1, lambda value, part: _text(value).rfind(_text(part))),
    "substring": (1, 2, _substring),
    "startsWith": (1, 1, lambda value, part: _text(value).startswith(_text(part))),
    "endsWith": (1, 1, lambda value, part: _text(value).endswith(_text(part))),
    "contains": (1, 1, lambda value, part: _text(part) in _text(value)),
    "upper": (0, 0, lambda value: _text(value).upper()),
    "lower": (0, 0, lambda value: _text(value).lower()),
    "trim": (0, 0, lambda value: _text(value).strip()),
    "replace": (2, 2, lambda value, old, new: _text(value).replace(_text(old), _text(new))),
    "matches": (1, 1, _matches),
    "matchesFull": (1, 1, lambda value, pattern: _pattern(pattern).fullmatch(_text(value)) is not None),
    "replaceMatches": (2, 2, _replace_matches),
    "length": (0, 0, lambda value: len(_text(value))),
    "toChars": (0, 0, lambda value: list(_text(value))),
    "split": (1, 1, _split),
    "encode": (1, 1, _encode),
    "decode": (1, 1, _decode),
    "escape": (1, 1, _escape),
    "unescape": (1, 1, _unescape),
    "htmlChecks": (0, 0, _html_checks),
    "abs": (0, 0, _abs),
    "ceiling": (0, 0, lambda value: math.ceil(_number(value))),
    "floor": (0, 0, lambda value: math.floor(_number(value))),
    "truncate": (0, 0, lambda value: int(_number(value))),
    "exp": (0, 0, _real(math.exp)),
    "ln": (0, 0, _real(math.log)),
    "sqrt": (0, 0, _real(math.sqrt)),
    "log": (1, 1, _log),
    "power": (1, 1, _power),
    "round": (0, 1, _round),
}
"""Least and most arguments, and the work on the one value and them."""
