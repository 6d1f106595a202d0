"""From the parameters of an address to what they mean (criterion.py); nothing is looked up and nothing is guessed.

What is not understood is refused with 400, naming parameter and value; `lenient` leaves unknown parameters out
(`Prefer: handling=lenient`). Source: http://hl7.org/fhir/R4/search.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from feldsher_cloud_api.fhir import query_control
from feldsher_cloud_api.fhir.criterion import Chain, Condition, Criterion, Has, Search, Together, Value
from feldsher_cloud_api.fhir.operand import Reader, split
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.parameters import common, component_kinds, parameters
from feldsher_cloud_api.fhir.r4 import SearchParameter, definitions

DEEPEST, MOST_PARAMETERS, MOST_VALUES, MOST_TARGETS = 5, 64, 500, 16
"""Steps of a chain; parameters; values of one of them; types that a chain without type may lead to."""
_IGNORED = ("_format", "_pretty")
_REFUSED = {
    "_text": "the narrative's words are not searched here",
    "_content": "a resource's words are not searched here",
    "_filter": "the filter language is not served",
    "_query": "there are no named queries",
}
_MODIFIERS: dict[str, dict[str, str]] = {
    "string": {"exact": "string", "contains": "string"},
    "token": {"not": "token", "text": "string", "in": "uri", "not-in": "uri", "above": "token", "below": "token",
              "of-type": "of-type"},
    "reference": {"identifier": "token"},
    "uri": {"above": "uri", "below": "uri"},
}  # fmt: skip
"""The modifiers of each kind of parameter, and as what their values are read."""
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def refuse(name: str, value: str, words: str) -> FhirError:
    """Return the refusal of a parameter: it names the parameter and its value."""
    return FhirError(400, "invalid", f"{name[:120]}={value[:120]}: {words}", f"http.{name[:120]}")


def understand(
    kinds: tuple[str, ...],
    pairs: Iterable[tuple[str, str]],
    base: str,
    now: datetime,
    *,
    lenient: bool = False,
) -> Search:
    """Return the search that parameters mean for one type, or several (system level); FhirError 400 says why not."""
    search, reading = Search(kinds), _Reading(Reader(base, now), kinds)
    for name, value in pairs:
        if name in _IGNORED:
            continue
        _presentable(name, value)
        if len(search.understood) >= MOST_PARAMETERS:
            raise refuse(name, value, f"more than {MOST_PARAMETERS} parameters")
        if not query_control.take(search, reading.known, name, value, refuse):
            if lenient and not reading.knows(name):
                continue
            search.conditions.append(reading.condition(kinds, name, value, 0))
        search.understood.append((name, value))
    return search


def conditions(kinds: tuple[str, ...], pairs: Iterable[tuple[str, str]], base: str, now: datetime) -> list[Condition]:
    """Return what parameters ask of resources, each as one condition; those that shape an answer are refused."""
    reading = _Reading(Reader(base, now), kinds)
    found: list[Condition] = []
    for name, value in pairs:
        _presentable(name, value)
        found.append(reading.condition(kinds, name, value, 0))
    return found


def _presentable(name: str, value: str) -> None:
    if not value:
        raise refuse(name, value, "the value is empty")
    if _CONTROL_CHARACTER.search(name + value):
        raise refuse(repr(name)[1:-1], repr(value)[1:-1], "control characters mean nothing in a search")


class _Reading:
    """Reads conditions; `known`: the parameters of what is searched at the top."""

    def __init__(self, reader: Reader, kinds: tuple[str, ...]) -> None:
        self.reader = reader
        self.known = common(kinds)

    def knows(self, name: str) -> bool:
        """Whether there is such a parameter at all, whatever its modifier and value are."""
        bare = name.split(":", 1)[0].split(".", 1)[0]
        return bare in self.known or bare in ("_has", "_list", *_REFUSED)

    def condition(self, kinds: tuple[str, ...], name: str, value: str, depth: int) -> Condition:
        """Return what one parameter asks of a type (of several: what they share)."""
        if depth > DEEPEST:
            raise refuse(name, value, f"more than {DEEPEST} steps")
        if name.startswith("_has:"):
            return self.has(kinds, name, value, depth)
        if name == "_list":
            return self.has(kinds, "_has:List:item:_id", value, depth)
        head, dot, rest = name.partition(".")
        bare, _, modifier = head.partition(":")
        if bare in _REFUSED:
            raise FhirError(400, "not-supported", f"{name}={value[:120]}: {_REFUSED[bare]}", f"http.{bare}")
        parameter = (self.known if depth == 0 else common(kinds)).get(bare)
        if parameter is None:
            raise refuse(name, value, f"{' and '.join(kinds[:4])}: there is no such search parameter")
        if dot:
            return self.chain(parameter, bare, modifier, (name, rest, value), depth)
        return self.criterion(kinds[0], bare, parameter, modifier, (name, value))

    def has(self, kinds: tuple[str, ...], name: str, value: str, depth: int) -> Has:
        """Return a reverse chain: `_has:Observation:patient:code=…`."""
        parts = name.split(":", 3)
        if len(parts) != 4 or not all(parts):
            raise refuse(name, value, "_has:Type:reference:parameter is needed")
        _, kind, reference, rest = parts
        if kind not in definitions().resources:
            raise refuse(name, value, f"there is no resource type {kind[:64]} in R4")
        parameter = parameters(kind).get(reference)
        if parameter is None or parameter.kind != "reference":
            raise refuse(name, value, f"{reference[:64]} is no reference of {kind}")
        if parameter.targets and not parameter.targets & set(kinds):
            raise refuse(name, value, f"{reference} of {kind} never leads to {' or '.join(kinds[:4])}")
        return Has(kind, reference, parameter, self.condition((kind,), rest, value, depth + 1))

    def chain(
        self, parameter: SearchParameter, bare: str, modifier: str, rest: tuple[str, str, str], depth: int
    ) -> Chain:
        """Return a chain over every type that the reference may lead to and that has the parameter asked for."""
        name, following, value = rest
        if parameter.kind != "reference":
            raise refuse(name, value, f"{bare} is no reference, nothing follows it")
        targets = parameter.targets or frozenset(definitions().resources)
        if modifier and modifier not in targets:
            raise refuse(name, value, f"{bare} never leads to {modifier[:64]}")
        wanted = following.split(":")[0].split(".")[0]
        leads = [modifier] if modifier else sorted(t for t in targets if wanted == "_has" or wanted in parameters(t))
        if not leads:
            raise refuse(name, value, f"nothing that {bare} leads to has a search parameter {wanted[:64]}")
        if len(leads) > MOST_TARGETS:
            raise refuse(name, value, f"{bare} leads to many types: name one ({bare}:Type.{following[:64]})")
        return Chain(bare, parameter, self._leads(leads, following, value, depth))

    def _leads(self, leads: list[str], following: str, value: str, depth: int) -> tuple[tuple[str, Condition], ...]:
        """Types whose parameter of this name is of another kind may not understand the value: one must."""
        found: list[tuple[str, Condition]] = []
        fault: FhirError | None = None
        for kind in leads:
            try:
                found.append((kind, self.condition((kind,), following, value, depth + 1)))
            except FhirError as error:
                fault = fault or error
        if not found and fault is not None:
            raise fault
        return tuple(found)

    def criterion(
        self, of: str, bare: str, parameter: SearchParameter, modifier: str, sent: tuple[str, str]
    ) -> Criterion:
        """Return one parameter of a type with its values; `sent`: name and value as they came."""
        name, value = sent
        if modifier == "missing":
            if value not in ("true", "false"):
                raise refuse(name, value, "true or false is needed")
            if parameter.kind == "composite":
                raise refuse(name, value, "ask of the parts of a composite whether they are missing")
            return Criterion(bare, parameter, parameter.kind, modifier, missing=value == "true")
        kind, only = _read_as(parameter, modifier, name, value)
        texts = split(value, ",")
        if len(texts) > MOST_VALUES:
            raise refuse(name, value, f"more than {MOST_VALUES} values")
        try:
            if kind == "composite":
                return self.composite(of, bare, parameter, texts)
            values = tuple(self.value(kind, text, only) for text in texts)
        except ValueError as error:
            raise refuse(name, value, str(error)) from error
        return Criterion(bare, parameter, kind, "" if only else modifier, values)

    def composite(self, of: str, bare: str, parameter: SearchParameter, texts: list[str]) -> Criterion:
        """Return a composite parameter; ValueError says what is wrong with one of its values."""
        kinds = component_kinds(of, parameter)
        values: list[Value] = []
        for text in texts:
            parts = split(text, "$")
            if len(parts) != len(kinds):
                raise ValueError(f"{'$'.join(c.name for c in parameter.components)} is needed")
            values.append(Together(tuple(self.value(k, p, "") for k, p in zip(kinds, parts, strict=True))))
        return Criterion(bare, parameter, "composite", "", tuple(values))

    def value(self, kind: str, text: str, only: str) -> Value:
        """Return one value; ValueError says what is wrong with it."""
        if not text:
            raise ValueError("a value is empty")
        return self.reader.read(kind, text, only)


def _read_as(parameter: SearchParameter, modifier: str, name: str, value: str) -> tuple[str, str]:
    """Return as what the values of a parameter are read, and the only type that a reference may mean."""
    kind = parameter.kind
    if not modifier:
        return kind, ""
    if kind == "reference" and modifier in definitions().types:
        return kind, modifier
    read = _MODIFIERS.get(kind, {}).get(modifier)
    if read is None:
        raise refuse(name, value, f"the modifier {modifier[:64]!r} does not go with a {kind} parameter")
    return read, ""
