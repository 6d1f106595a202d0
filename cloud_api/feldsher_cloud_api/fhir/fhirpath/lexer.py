"""The words of a FHIRPath expression (hl7.org/fhirpath, appendix: grammar)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from feldsher_cloud_api.fhir.fhirpath.values import PathError

Kind = Literal["number", "string", "name", "variable", "moment", "sign", "end"]
_CLOCK = r"[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?"
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<moment>@(?:T@|[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?(?:T(?:@(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)?))
      | (?P<number>[0-9]+(?:\.[0-9]+)?)
      | (?P<string>'(?:\\.|[^'\\])*')
      | (?P<variable>%(?:[A-Za-z_][A-Za-z0-9_-]*|`(?:\\.|[^`\\])*`|'(?:\\.|[^'\\])*')|\$(?:this|index|total))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*|`(?:\\.|[^`\\])*`)
      | (?P<sign><=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{}])""".replace("@(?:T@", f"@(?:T{_CLOCK}").replace(
        "(?:@(?:Z", f"(?:{_CLOCK}(?:Z"
    ),
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, its text without quotes, and where it begins; `quoted`: a name in backquotes is never a keyword."""

    kind: Kind
    text: str
    at: int
    quoted: bool = False


def tokens(expression: str) -> list[Token]:
    """Return an expression's words, an `end` behind them; PathError names the place that is none."""
    out: list[Token] = []
    at = 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise PathError(f"position {at + 1}: {expression[at : at + 12]!r} is no FHIRPath")
        kind, text = cast("Kind", match.lastgroup), match[0]
        if match["space"] is None:
            quoted = text[:1] in "'`" or (kind == "variable" and text[1] in "`'")
            body = text if not quoted else text[1:-1] if kind != "variable" else "%" + text[2:-1]
            out.append(Token(kind, _unescaped(body) if quoted else body, at, quoted))
        at = match.end()
    return [*out, Token("end", "", at)]


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else _ESCAPES.get(m[1], m[1]), text)
