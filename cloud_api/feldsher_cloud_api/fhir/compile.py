"""From a condition (criterion.py) to SQL over the columns that index.py fills; the same forms on both sides.

Every piece speaks of one row `r` of the type's table. Chains and `_has` are resolved by links.py, which hands in what
they come to. What cannot be answered is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, nextafter
from typing import Any, LiteralString, Protocol

from psycopg import sql
from psycopg.types.range import TimestamptzRange

from feldsher_cloud_api.fhir import forms, identity
from feldsher_cloud_api.fhir.criterion import (
    Amount,
    Criterion,
    Moment,
    OfType,
    Reference,
    Text,
    Together,
    Token,
    Uri,
    Value,
)
from feldsher_cloud_api.fhir.forms import UCUM, fold, term
from feldsher_cloud_api.fhir.fragment import FALSE, TRUE, Fragment, every, fragment, some
from feldsher_cloud_api.fhir.index import END, RAW, START, place_of, plan
from feldsher_cloud_api.fhir.jsonpath import repeats
from feldsher_cloud_api.fhir.kinds import column, kind
from feldsher_cloud_api.fhir.matching import above
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.parameters import component_kinds

PREFIX = 3
"""Letters by which `:text` is narrowed (index.py)."""
Codings = frozenset[tuple[str, str]]


class Terminology(Protocol):
    """What value sets hold and what stands above and below a code."""

    def codes(self, modifier: str, value: Uri | Token) -> Codings:
        """Return (system, code) pairs; FhirError 400 where the value set or code system is not known here."""
        ...


@dataclass(frozen=True, slots=True)
class Forms:
    """What turns values into words of the index: the server's own base address and the terminology."""

    base: str
    terminology: Terminology | None = None

    def criterion(self, of: str, criterion: Criterion) -> Fragment:
        """Return the condition that one parameter of a type means."""
        name = criterion.name
        if name == "_id":
            return _identity(criterion)
        if name == "_lastUpdated":
            return _updated(criterion)
        if criterion.missing is not None:
            present = has_term(term(f"{name}:present"))
            return present.negated() if criterion.missing else present
        if criterion.kind == "composite":
            return some(self.together(of, criterion, v) for v in criterion.values if isinstance(v, Together))
        if criterion.kind in ("token", "of-type", "reference") or criterion.modifier in ("in", "not-in"):
            found = any_term([t for value in criterion.values for t in self.terms(of, criterion, value)])
            return found.negated() if criterion.modifier in ("not", "not-in") else found
        return some(self.other(of, criterion, value) for value in criterion.values)

    def terms(self, of: str, criterion: Criterion, value: Value) -> Iterable[int]:
        """Return the terms, one of which a row has to have."""
        name, modifier = criterion.name, criterion.modifier
        if modifier in ("in", "not-in", "above", "below") and isinstance(value, Uri | Token):
            return [term(f"{name}={system}|{code}") for system, code in self._looked_up(criterion, value)]
        match value:
            case Token():
                return [term(f"{name}{':identifier' if modifier == 'identifier' else ''}={form(value)}")]
            case OfType():
                return [term(f"{name}:of-type={value.system}|{value.code}|{value.value}")]
            case Reference():
                return [term(f"{name}={text}") for text in self.reference(of, name, value)]
            case _:
                return []

    def _looked_up(self, criterion: Criterion, value: Uri | Token) -> Codings:
        if self.terminology is None:
            words = f"{criterion.name}:{criterion.modifier}: the terminology is not at hand here"
            raise FhirError(400, "not-supported", words, f"http.{criterion.name}")
        try:
            return self.terminology.codes(criterion.modifier, value)
        except FhirError as error:
            words = f"{criterion.name}:{criterion.modifier}: {error.words}"
            raise FhirError(400, error.code, words, f"http.{criterion.name}") from error

    def reference(self, of: str, name: str, value: Reference) -> list[str]:
        """Return how resources may write a reference: relative, and absolute with our own base."""
        if value.url:
            return [value.url]
        key = identity.key(value.id)
        targets = [value.type] if value.type else sorted(kind(of).search[name].targets)[:32]
        return [f"{value.type}/{key}" if value.type else str(key), *(f"{self.base}/{t}/{value.id}" for t in targets)]

    def other(self, of: str, criterion: Criterion, value: Value) -> Fragment:
        """Return the condition of a value that is more than a term."""
        name, modifier = criterion.name, criterion.modifier
        match value:
            case Text() if modifier == "text":
                return _described(name, value.text)
            case Text():
                return _string(name, value.text, modifier)
            case Uri():
                return _uri(name, value.text, modifier)
            case Moment():
                return _moment(of, name, value)
            case Amount():
                return measured(of, name, (_amount(value),))
            case _:
                raise TypeError(f"{criterion.kind} is made of terms")

    def together(self, of: str, criterion: Criterion, value: Together) -> Fragment:
        """Return the condition that one element meets both parts of a composite."""
        name = criterion.name
        if not answered(of, name):
            raise FhirError(400, "not-supported", f"{name}: this composite is not served here", f"http.{name}")
        first, second = value.parts
        lefts = [form(first)] if isinstance(first, Token) else self._component(of, criterion, 0, first)
        match second:
            case Amount():
                return some(measured(of, name, (_coded(first), _amount(second))) for _ in lefts)
            case Moment():
                codes = fragment("a.code = ANY (%s)", [term(f"code={left}") for left in lefts])
                return measured(of, name, (codes, _span(second)))
            case Text():
                return some(
                    _like("r.strings LIKE %s", f"%{{}}{name}={left}$={{}}%", START, fold(second.text)) for left in lefts
                )
            case _:
                rights = self._component(of, criterion, 1, second)
                return any_term([term(f"{name}={left}${right}") for left in lefts for right in rights])

    def _component(self, of: str, criterion: Criterion, at: int, value: Value) -> list[str]:
        if isinstance(value, Token):
            return [form(value)]
        if isinstance(value, Reference):
            return self.reference(of, criterion.parameter.components[at].name, value)
        raise TypeError("a component of this kind is no term")


def answered(of: str, name: str) -> bool:
    """Return whether a search parameter of a type is served: all are but composites of other forms than two parts."""
    parameter = kind(of).search[name]
    if parameter.kind != "composite":
        return True
    kinds = component_kinds(of, parameter)
    return len(kinds) == 2 and kinds[0] in ("token", "reference") and kinds[1] != "number"


def form(value: Token) -> str:
    """Return a token in the form in which the index has it."""
    return value.code if value.system is None else f"{value.system}|{value.code}"


def has_term(number: int) -> Fragment:
    """Return the condition that a row has a term."""
    return fragment("r.terms @> %s::bigint[]", [number])


def any_term(numbers: list[int]) -> Fragment:
    """Return the condition that a row has one of some terms."""
    if len(numbers) == 1:
        return has_term(numbers[0])
    return fragment("r.terms && %s::bigint[]", numbers) if numbers else FALSE


def _identity(criterion: Criterion) -> Fragment:
    if criterion.missing is not None:
        return FALSE if criterion.missing else TRUE
    keys = [identity.key(v.code) for v in criterion.values if isinstance(v, Token) and v.system is None and v.code]
    found = fragment("r.id = ANY (%s)", keys)
    return found.negated() if criterion.modifier == "not" else found


_UPDATED: dict[str, LiteralString] = {
    "eq": "r.updated >= {low} AND r.updated < {high}",
    "ne": "r.updated < {low} OR r.updated >= {high}",
    "gt": "r.updated >= {high}",
    "lt": "r.updated < {low}",
    "ge": "r.updated >= {low}",
    "le": "r.updated < {high}",
    "sa": "r.updated >= {high}",
    "eb": "r.updated < {low}",
    "ap": "r.updated >= {low} AND r.updated < {high}",
}


def _updated(criterion: Criterion) -> Fragment:
    if criterion.missing is not None:
        return FALSE if criterion.missing else TRUE
    return some(
        fragment(_UPDATED[v.prefix], low=sql.Literal(v.low), high=sql.Literal(v.high))
        for v in criterion.values
        if isinstance(v, Moment)
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _like(condition: LiteralString, pattern: str, *texts: str) -> Fragment:
    return fragment(condition, pattern.format(*map(_escaped, texts)))


def _string(name: str, text: str, modifier: str) -> Fragment:
    folded, head = fold(text), f"{START}{name}="
    if modifier == "exact":
        return fragment("r.strings LIKE %s", f"%{_escaped(head + folded + RAW + text + END)}%")
    if modifier != "contains":
        return fragment("r.strings LIKE %s", f"%{_escaped(head + folded)}%")
    # LIKE narrows by trigrams; that the words stand within this parameter's segment, only the expression says.
    narrowed = fragment("r.strings LIKE %s", f"%{_escaped(folded)}%")
    return narrowed & fragment("r.strings ~ %s", f"{head}[^{RAW}]*{_literal(folded)}")


def _literal(text: str) -> str:
    """Return a text as a regular expression of PostgreSQL that matches it alone."""
    return "".join(c if c.isalnum() or c == " " else f"\\{c}" if c.isascii() else c for c in text)


def _described(name: str, text: str) -> Fragment:
    folded = fold(text)
    found = fragment("r.texts LIKE %s", f"%{_escaped(START + name + '=' + folded)}%")
    return has_term(term(f"{name}:text^{folded[:PREFIX]}")) & found if len(folded) >= PREFIX else found


def _uri(name: str, text: str, modifier: str) -> Fragment:
    if modifier == "below":
        pattern = f"%{_escaped(START + name + '=' + text)}%"
        return fragment("r.texts LIKE %s" if name[0] == "_" else "r.strings LIKE %s", pattern)
    return any_term([term(f"{name}={uri}") for uri in (above(text) if modifier == "above" else [text])])


# Of a prefix: what the range of a row has to meet (all values' hull, for the index), and what each value has to meet.
_HULL: dict[str, LiteralString] = {
    "eq": "{c} && {span}",
    "ne": "{c} IS NOT NULL",
    "gt": "{c} && {after}",
    "lt": "{c} && {before}",
    "ge": "{c} && {from_}",
    "le": "{c} && {until}",
    "sa": "{c} && {after}",
    "eb": "{c} && {before}",
    "ap": "{c} && {span}",
}
_ONE: dict[str, LiteralString] = {
    "eq": "{c} <@ {span}",
    "ne": "NOT {c} <@ {span}",
    "gt": "true",
    "lt": "true",
    "ge": "{c} && {after} OR {c} <@ {span}",
    "le": "{c} && {before} OR {c} <@ {span}",
    "sa": "{c} >> {span}",
    "eb": "{c} << {span}",
    "ap": "true",
}


def _moment(of: str, name: str, value: Moment) -> Fragment:
    low, high = value.low, value.high
    names: dict[str, sql.Composable] = {
        "c": sql.Identifier("r", column(name)),
        "span": sql.Literal(TimestamptzRange(low, high, "[)")),
        "after": sql.Literal(TimestamptzRange(high, None, "[)")),
        "before": sql.Literal(TimestamptzRange(None, low, "()")),
        "from_": sql.Literal(TimestamptzRange(low, None, "[)")),
        "until": sql.Literal(TimestamptzRange(None, high, "()")),
    }
    hull, one = fragment(_HULL[value.prefix], **names), fragment(_ONE[value.prefix], **names)
    if value.prefix in ("gt", "lt") or not repeats(of, name):
        return hull & one
    many = has_term(term(f"{name}:many"))
    rows = every((_amount_rows(of, [place_of(of, name)]), _span(value)))
    exact = fragment("CASE WHEN {m} THEN {e} ELSE {o} END", m=many.sql, e=_exists(rows).sql, o=one.sql)
    return hull & Fragment(exact.sql, (*many.values, *rows.values, *one.values))


def _span(value: Moment) -> Fragment:
    """Return the condition of one date among several, as amounts in µs since 1970."""
    low, high = forms.moment(value.low, 0), forms.moment(value.high, 0)
    within = fragment("a.sent_low >= %s AND a.sent_high <= %s", low, high)
    after, before = fragment("a.sent_high > %s", high), fragment("a.sent_low < %s", low)
    return {
        "eq": within,
        "ne": within.negated(),
        "gt": after,
        "lt": before,
        "ge": some((after, within)),
        "le": some((before, within)),
        "sa": fragment("a.sent_low >= %s", high),
        "eb": fragment("a.sent_high <= %s", low),
        "ap": fragment("a.sent_high > %s AND a.sent_low < %s", low, high),
    }[value.prefix]


def _amount_rows(of: str, places: Iterable[int]) -> Fragment:
    return fragment("a.kind = %s AND a.place = ANY (%s)", term(f"kind={of}"), list(places))


def _exists(rows: Fragment) -> Fragment:
    return fragment("EXISTS (SELECT FROM fhir.amount a WHERE a.id = r.id AND {rows})", *rows.values, rows=rows.sql)


def measured(of: str, name: str, conditions: tuple[Fragment, ...]) -> Fragment:
    """Return the condition that one amount of a parameter meets all of some conditions."""
    places = plan(of).places.get(name, ())
    return _exists(every((_amount_rows(of, places), *conditions))) if places else FALSE


def _coded(value: Value) -> Fragment:
    """Return the condition of the code beside an amount; FhirError 400 where only its system is given."""
    if not isinstance(value, Token) or not value.code:
        raise FhirError(400, "not-supported", "in a composite with a quantity, the code itself is needed", None)
    column_: LiteralString = "a.code = %s" if value.system is None else "a.coded = %s"
    return fragment(column_, term(f"code={form(value)}"))


_SIZE: dict[str, LiteralString] = {
    "eq": "{low} >= {from_} AND {high} < {to}",
    "ne": "NOT ({low} >= {from_} AND {high} < {to})",
    "gt": "{high} > {value}",
    "lt": "{low} < {value}",
    "ge": "{high} >= {value}",
    "le": "{low} <= {value}",
    "sa": "{low} > {value}",
    "eb": "{high} < {value}",
    "ap": "{high} >= {from_} AND {low} <= {to}",
}


def _amount(value: Amount) -> Fragment:
    unit: dict[str, Any] = {"system": value.system, "code": value.unit}
    sizes = [forms.sized(each, unit) for each in (value.value, value.low, value.high)]
    ends = [
        s[0] if value.system == UCUM else float(v)
        for s, v in zip(sizes, (value.value, value.low, value.high), strict=True)
    ]
    # More digits than a float has: the end that does not belong must not fall on the value itself.
    ends[2] = max(ends[2], nextafter(ends[0], inf))
    low, high = ("low", "high") if value.system is not None else ("sent_low", "sent_high")
    names: dict[str, sql.Composable] = {"low": sql.Identifier("a", low), "high": sql.Identifier("a", high)}
    names |= {name: sql.Literal(end) for name, end in zip(("value", "from_", "to"), ends, strict=True)}
    size = fragment(_SIZE[value.prefix], **names)
    if not value.unit:
        return size
    if value.system is None:
        return fragment("a.symbol = %s", term(f"unit={value.unit}")) & size
    return fragment("a.unit = %s", sizes[0][1]) & size
