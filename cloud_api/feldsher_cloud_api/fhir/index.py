r"""What of a resource goes into the columns that searches look at. Pure: a resource in, values out.

`terms`: numbers for `parameter=value` (forms.term), one for every form in which a search may ask; `parameter:present`
for `:missing`; `parameter:text^abc` narrows `:text` by its first letters; `parameter:many` says that a date column is
the hull of several values, which then stand among the amounts in µs. `strings` and `texts` are segments
`\x1fparameter=folded\x1eRaw\x1f`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from math import inf
from typing import Any, NamedTuple, cast

from feldsher_cloud_api.fhir import elements, forms
from feldsher_cloud_api.fhir.elements import Element, Step
from feldsher_cloud_api.fhir.forms import Span, term
from feldsher_cloud_api.fhir.kinds import Kind, column, kind
from feldsher_cloud_api.identity import keys

START, RAW, END = "\x1f", "\x1e", "\x1f"
_PREFIX = 3


class Amount(NamedTuple):
    """A row of fhir.amount. `place`: which element it is of; `code`, `coded`: the code beside it, bare and with system.

    `low`, `high`: in the unit's canonical form; `sent_low`, `sent_high`: as sent.
    """

    place: int
    code: int | None
    coded: int | None
    unit: int | None
    symbol: int | None
    low: float
    high: float
    sent_low: float
    sent_high: float


@dataclass(slots=True)
class Values:
    """Everything that is extracted from one resource. `dates`: by column."""

    terms: set[int] = field(default_factory=set[int])
    links: set[str] = field(default_factory=set[str])
    strings: list[str] = field(default_factory=list[str])
    texts: list[str] = field(default_factory=list[str])
    spans: dict[str, list[Span]] = field(default_factory=dict[str, list[Span]])
    amounts: list[Amount] = field(default_factory=list[Amount])
    dates: dict[str, Span] = field(default_factory=dict[str, Span])

    def segments(self, name: str, words: list[str], into: list[str]) -> None:
        """Add strings of a parameter as segments."""
        into.extend(f"{START}{name}={forms.fold(word)}{RAW}{word}" for word in words)


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite parameter: its components' (kind, tree), walked from each element that the composite looks at.

    The kind is that of the elements; the standard's own word for it is wrong once (DocumentReference's relationship).
    """

    name: str
    parts: tuple[tuple[str, Step], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a type is indexed: the tree, the parameters left to the engine, and where each parameter's amounts are.

    `composites`: the kinds of the parts of each composite that is indexed: a quantity is among the amounts beside its
    code, a date among them at a place of its own; others are terms `name=a$b` and segments `name=a$folded`.
    """

    kind: Kind
    tree: Step
    odd: tuple[tuple[str, str, str], ...]
    places: dict[str, tuple[int, ...]]
    composites: dict[str, tuple[str, ...]]


Names = tuple[str, ...]


def values(resource: Element) -> Values:
    """Return what of a resource goes into the search columns."""
    plan_ = plan(str(resource["resourceType"]))
    out = Values()
    _visit(plan_.tree, resource, out, None)
    for name, of, expression in plan_.odd:
        for value, kind_ in elements.evaluate(expression, resource):
            _ADD[of](out, (name,), value, kind_, "", None, 0)
    _close(plan_, out)
    if plan_.kind.name == "Patient":
        out.terms |= keys.of_patient(resource)
    return out


def _visit(step: Step, value: Any, out: Values, beside: Any) -> None:  # noqa: C901 - the hot loop, in one piece
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            _visit(step, item, out, beside)
        return
    if value is None or (step.test is not None and not step.test(value)):
        return
    for (add, names, place), kind_, codes, test in step.leaves:
        if test is None or test(value):
            add(out, names, value, kind_, codes, beside, place)
    if isinstance(value, dict):
        element = cast("Element", value)
        if step.companion:
            beside = element.get(step.companion)
        below = step.below
        if below:
            for name, inner in element.items():
                found = below.get(name)
                if found is not None:
                    _visit(found, inner, out, beside)
    for other in step.also:
        _visit(other, value, out, beside)


def _close(plan_: Plan, out: Values) -> None:
    """Dates become one range each; several become their hull, and amounts for the exact answer."""
    for name, found in out.spans.items():
        if len(found) > 1:
            out.terms.add(term(f"{name}:many"))
            place = place_of(plan_.kind.name, name)
            for low, high in found:
                a, b = forms.moment(low, -inf), forms.moment(high, inf)
                out.amounts.append(Amount(place, None, None, None, None, a, b, a, b))
        lows, highs = [s[0] for s in found], [s[1] for s in found]
        out.dates[column(name)] = (
            None if None in lows else min(cast("list[datetime]", lows)),
            None if None in highs else max(cast("list[datetime]", highs)),
        )


@lru_cache(1 << 12)
def _presence(names: Names) -> tuple[int, ...]:
    return tuple(term(f"{name}:present") for name in names)


def _present(out: Values, names: Names) -> None:
    out.terms.update(_presence(names))


# The same codes, words and references come again and again: what becomes of them is remembered, not computed.
@lru_cache(1 << 16)
def _formed(names: Names, value: str | bool, kind_: str, codes: str) -> tuple[int, ...]:
    return tuple(term(f"{name}={form}") for form in forms.tokens(value, kind_, codes) for name in names)


@lru_cache(1 << 16)
def _coded(names: Names, system: str | None, code: str | None) -> tuple[int, ...]:
    return tuple(term(f"{name}={form}") for form in forms.pair(system, code) for name in names)


@lru_cache(1 << 16)
def _worded(names: Names, word: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    folded = forms.fold(word)
    first = tuple(term(f"{name}:text^{folded[:_PREFIX]}") for name in names)
    return tuple(f"{START}{name}={folded}{RAW}{word}" for name in names), first


@lru_cache(1 << 16)
def _linked(names: Names, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    found, link = forms.target(text)
    terms = tuple(term(f"{name}={form}") for form in found for name in names)
    return terms, tuple(f"{name}={link}" for name in names) if link is not None else ()


def _token(out: Values, names: Names, value: Any, kind_: str, codes: str, beside: Any, place: int) -> None:
    terms = out.terms
    terms.update(_presence(names))
    if isinstance(value, str | bool):
        terms.update(_formed(names, value, kind_, codes))
        return
    if not isinstance(value, dict):
        return
    element = cast("Element", value)
    if kind_ in ("CodeableConcept", "Coding"):
        for coding in forms.objects(element, "coding") if kind_ == "CodeableConcept" else (element,):
            system, code = coding.get("system"), coding.get("code")
            if isinstance(system, str | None) and isinstance(code, str | None):
                terms.update(_coded(names, system, code))
    else:
        terms.update(term(f"{name}={form}") for form in forms.tokens(element, kind_, codes) for name in names)
    if kind_ == "Identifier":
        terms.update(term(f"{name}:of-type={form}") for form in forms.typed(element) for name in names)
    for word in forms.texts(element, kind_):
        segments, first = _worded(names, word)
        out.texts.extend(segments)
        terms.update(first)


def _reference(out: Values, names: Names, value: Any, kind_: str, codes: str, beside: Any, place: int) -> None:
    out.terms.update(_presence(names))
    text = forms.refers(value, kind_)
    if text is not None:
        found, links = _linked(names, text)
        out.terms.update(found)
        out.links.update(links)
    if kind_ == "Reference" and isinstance(value, dict) and "identifier" in value:
        for identifier in forms.objects(cast("Element", value), "identifier"):
            for form in forms.tokens(identifier, "Identifier"):
                out.terms.update(term(f"{name}:identifier={form}") for name in names)


def _string(out: Values, names: Names, value: Any, kind_: str, codes: str, beside: Any, place: int) -> None:
    words = list(dict.fromkeys(forms.strings(value, kind_)))
    _present(out, names)
    for name in names:
        out.segments(name, words, out.strings)


def _uri(out: Values, names: Names, value: Any, kind_: str, codes: str, beside: Any, place: int) -> None:
    if not isinstance(value, str):
        return
    _present(out, names)
    bare = value.partition("|")[0]
    for name in names:
        out.terms.update((term(f"{name}={value}"), term(f"{name}={bare}")))
        # What every resource may carry would swell the index of the few that are looked for.
        (out.texts if name[0] == "_" else out.strings).append(f"{START}{name}={value}{RAW}{value}")


def _date(out: Values, names: Names, value: Any, kind_: str, codes: str, beside: Any, place: int) -> None:
    _present(out, names)
    found = list(forms.spans(value, kind_))
    if found:
        for name in names:
            out.spans.setdefault(name, []).extend(found)


def _amount(out: Values, names: Names, value: Any, kind_: str, codes: str, beside: Any, place: int) -> None:
    _present(out, names)
    found = list(forms.amounts(value, kind_))
    for low, high, sent_low, sent_high, unit, symbol in found:
        for code, coded in _codes(beside):
            out.amounts.append(Amount(place, code, coded, unit, symbol, low, high, sent_low, sent_high))


def _codes(beside: Any) -> list[tuple[int | None, int | None]]:
    """Return the codes that stand beside an amount, bare and with their system; one of nothing where there are none."""
    if not isinstance(beside, dict):
        return [(None, None)]
    element = cast("Element", beside)
    codings = list(forms.objects(element, "coding")) if "coding" in element else [element]
    found = [
        (term(f"code={c['code']}"), term(f"code={c.get('system', '')}|{c['code']}"))
        for c in codings
        if isinstance(c.get("code"), str)
    ]
    return list(dict.fromkeys(found)) or [(None, None)]


def _composite(out: Values, names: Any, value: Any, kind_: str, codes: str, beside: Any, place: int) -> None:
    of = cast("Composite", names)
    (first, one), (second, two) = of.parts
    right = _forms(second, two, value)
    left = _forms(first, one, value) if right else []  # most values are of another type than a composite asks for
    for a in left:
        for b in right:
            if second == "date":
                low, high = cast("Span", b)
                ends = forms.moment(low, -inf), forms.moment(high, inf)
                out.amounts.append(Amount(place, term(f"code={a}"), term(f"code={a}"), None, None, *ends, *ends))
            elif second == "string":
                out.segments(f"{of.name}={a}$", [str(b)], out.strings)
            else:
                out.terms.add(term(f"{of.name}={a}${b}"))
    if left and right:
        _present(out, (of.name,))


def _forms(of: str, tree: Step, value: Any) -> list[Any]:
    found: list[Any] = []
    for _, element, kind_, codes in elements.walk(value, tree):
        if of == "token":
            found.extend(forms.tokens(element, kind_, codes))
        elif of == "reference":
            text = forms.refers(element, kind_)
            found.extend(forms.target(text)[0] if text else ())
        elif of == "date":
            found.extend(forms.spans(element, kind_))
        elif of == "string":
            found.extend(forms.strings(element, kind_))
    return list(dict.fromkeys(found))


Add = Callable[[Values, Any, Any, str, str, Any, int], None]
_ADD: dict[str, Add] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "uri": _uri,
    "date": _date,
    "quantity": _amount,
    "number": _amount,
}
_MEASURED = ("quantity", "number")


def place_of(kind_: str, name: str) -> int:
    """Return the place of amounts that belong to one parameter alone."""
    return term(f"place={kind_}.{name}")


@cache
def plan(name: str) -> Plan:
    """Return how resources of a type are indexed; KeyError where there is no such type."""
    of, tree, composites = kind(name), Step(), dict[str, tuple[str, ...]]()
    odd: list[tuple[str, str, str]] = []
    for parameter, definition in of.search.items():
        if parameter in ("_id", "_lastUpdated"):
            continue
        if definition.kind == "composite":
            _grow_composite(tree, of, parameter, composites)
        elif (found := elements.paths(definition.expression, name)) is None:
            odd.append((parameter, definition.kind, definition.expression))
        else:
            for path in found:
                elements.grow(tree, name, path, (definition.kind, parameter))
    places: dict[str, set[int]] = {}
    _settle(tree, name, places)
    return Plan(of, tree, tuple(odd), {n: tuple(sorted(p)) for n, p in places.items()}, composites)


def _grow_composite(tree: Step, of: Kind, name: str, composites: dict[str, tuple[str, ...]]) -> None:
    """Add a composite of two parts: with a quantity, the code is kept beside each amount; else both parts' forms."""
    definition = of.search[name]
    bases = elements.paths(definition.expression, of.name)
    if bases is None or len(definition.components) != 2 or "%" in definition.components[0].expression:
        return
    first, second = definition.components
    sort = of.search[second.name].kind
    for base in bases:
        mark = object()
        elements.grow(tree, of.name, base, mark)
        for step, kind_ in elements.claim(tree, mark):
            if sort in _MEASURED:
                step.companion = first.expression
                composites[name] = ("token", sort)
                for path in elements.paths(second.expression, kind_) or []:
                    elements.grow(step, kind_, path, (sort, name))
            else:
                parts: list[tuple[str, Step]] = []
                for component in (first, second):
                    branch = Step()
                    for path in elements.paths(component.expression, kind_) or []:
                        elements.grow(branch, kind_, path, component.name)
                    parts.append((_sort(branch, of.search[component.name].kind), branch))
                composites[name] = tuple(p[0] for p in parts)
                step.leaves.append((("composite", Composite(name, tuple(parts))), kind_, "", None))


def _sort(branch: Step, said: str) -> str:
    """Return a composite's part's kind by its elements: references are no codes, whatever the standard says."""
    found = {kind_ for step in branch.below.values() for _, kind_, _, _ in step.leaves}
    if said in ("token", "reference") and found:
        return "reference" if found <= {"Reference", "canonical", "uri"} else "token"
    return said


def _settle(step: Step, name: str, places: dict[str, set[int]]) -> None:
    """Put together at each place what is done alike, once and for all: one function with all parameters' names."""
    merged: dict[tuple[str, str, str, Any], list[str]] = {}
    leaves: list[tuple[Any, str, str, Any]] = []
    for (sort, of), kind_, codes, test in step.leaves:
        if sort == "composite":
            place = place_of(name, of.name)
            places.setdefault(of.name, set()).add(place)
            leaves.append(((_composite, of, place), kind_, codes, test))
        else:
            merged.setdefault((sort, kind_, codes, test), []).append(of)
    for (sort, kind_, codes, test), names in merged.items():
        place = 0
        if sort in _MEASURED:
            place = place_of(name, "+".join(sorted(set(names))))
            for parameter in names:
                places.setdefault(parameter, set()).add(place)
        leaves.append(((_ADD[sort], tuple(dict.fromkeys(names)), place), kind_, codes, test))
    step.leaves[:] = leaves
    for below in [*step.below.values(), *step.also]:
        _settle(below, name, places)
