"""What a value set holds: its compose evaluated over concepts, other value sets and exclusions, within bounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology import canonical, concept
from feldsher_cloud_api.fhir.terminology.canonical import Found
from feldsher_cloud_api.fhir.terminology.concept import Concept, Wanted

MOST = 60_000
"""So many concepts at most are held at once; what needs more is too costly. Chosen by us."""
DEEPEST = 20
Members = dict[tuple[str, str], Concept]


@dataclass(slots=True)
class Evaluation:
    """One evaluation: what it is narrowed to, and what it came across.

    `only`: the codes asked about, of any system; `words`, `active`: as of Wanted. `used`: canonical addresses of the
    code systems and value sets that took part.
    """

    connection: db.Connection
    only: tuple[str, ...] | None = None
    words: tuple[str, ...] = ()
    active: bool = False
    versions: dict[str, str] = field(default_factory=dict[str, str])
    used: dict[str, str] = field(default_factory=dict[str, str])
    path: list[str] = field(default_factory=list[str])

    def wanted(self, filters: Sequence[tuple[str, str, str]] = (), codes: Iterable[str] | None = None) -> Wanted:
        """Return what is asked of a code system for a part of a value set."""
        named = tuple(codes) if codes is not None else None
        if self.only is not None:
            named = self.only if named is None else tuple(c for c in named if c in self.only)
        return Wanted(tuple(filters), self.words, named, self.active)


def members(of: Evaluation, value_set: dict[str, Any]) -> Members:
    """Return what a value set holds, in its order; FhirError where it cannot be told or is refused."""
    url = str(value_set.get("url", ""))
    if url and url in of.path:
        raise FhirError(422, "business-rule", f"the value set {url[:200]} includes itself", "ValueSet.compose.include")
    if len(of.path) >= DEEPEST:
        raise FhirError(422, "too-costly", f"value sets are nested deeper than {DEEPEST}", "ValueSet.compose.include")
    if "compose" not in value_set:
        return _expanded(of, value_set)
    compose = cast("dict[str, Any]", value_set["compose"])
    narrowed = replace(of, active=True) if compose.get("inactive") is False else of
    narrowed = replace(narrowed, path=[*of.path, url])
    found: Members = {}
    for part in _parts(compose, "include"):
        found |= {key: c for key, c in _part(narrowed, part).items() if key not in found}
        _bound(found)
    for part in _parts(compose, "exclude"):
        for key in _part(narrowed, part):
            found.pop(key, None)
    return found


def _parts(compose: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", compose.get(name, []))


def _bound(found: Members) -> None:
    if len(found) > MOST:
        raise FhirError(422, "too-costly", f"the value set holds more than {MOST} concepts", "ValueSet.compose")


def _expanded(of: Evaluation, value_set: dict[str, Any]) -> Members:
    """Return what the expansion lists of a value set that came with no more than it."""
    found: Members = {}
    waiting = list(value_set.get("expansion", {}).get("contains", []))
    while waiting:
        each = waiting.pop(0)
        waiting[:0] = each.get("contains", [])
        if "code" not in each or (of.only is not None and each["code"] not in of.only):
            continue
        made = Concept(each.get("system", ""), each.get("version"), each["code"], each.get("display"))
        if all(w in f"{made.code} {made.display or ''}".lower() for w in of.words):
            found[made.system, made.code] = replace(made, abstract=bool(each.get("abstract")))
    return found


def _part(of: Evaluation, part: dict[str, Any]) -> Members:
    """One include or exclude: what its system's part and every one of its value sets have in common."""
    found: Members | None = None
    if "system" in part:
        found = {(c.system, c.code): c for c in _of_system(of, part)}
        _bound(found)
    for address in part.get("valueSet", []):
        nested = canonical.get(of.connection, "ValueSet", address)
        of.used[nested.canonical] = "used-valueset"
        inner = members(of, nested.content | {"url": nested.url})
        found = inner if found is None else {key: c for key, c in found.items() if key in inner}
    if found is None:
        raise FhirError(422, "required", "a system or a value set is needed", "ValueSet.compose.include")
    return found


def _of_system(of: Evaluation, part: dict[str, Any]) -> list[Concept]:
    if "concept" in part:
        system = _system(of, part)
        return _listed(of, str(part["system"]), part.get("version"), system, part["concept"])
    system, wanted = whole(of, part)
    return concept.select(of.connection, system, wanted, limit=MOST + 1)


def _system(of: Evaluation, part: dict[str, Any]) -> Found | None:
    address = str(part["system"])
    system = canonical.find(of.connection, "CodeSystem", address, part.get("version") or of.versions.get(address))
    if system is not None:
        of.used[system.canonical] = "version"
    return system


def whole(of: Evaluation, part: dict[str, Any]) -> tuple[Found, Wanted]:
    """Return the code system of an include without listed concepts, and what of it is wanted.

    FhirError 422 where the code system or its concepts are not here.
    """
    system = _system(of, part)
    if system is None or system.content.get("content") == "not-present":
        named = str(part["system"])[:200] + (f"|{part['version']}" if part.get("version") else "")
        words = f"the code system {named} is not on this server" + (" with its concepts" if system else "")
        raise FhirError(422, "not-found", words, "ValueSet.compose.include.system")
    return system, of.wanted(_filters(part))


def _filters(part: dict[str, Any]) -> list[tuple[str, str, str]]:
    try:
        return [(str(f["property"]), str(f["op"]), str(f["value"])) for f in part.get("filter", [])]
    except (KeyError, TypeError) as error:
        words = "a filter has a property, an op and a value"
        raise FhirError(422, "required", words, "ValueSet.compose.include.filter") from error


def _listed(of: Evaluation, address: str, version: str | None, system: Found | None, listed: Any) -> list[Concept]:
    """Concepts that a value set lists: with the names of their code system, and only those it has where it is whole."""
    given: dict[str, dict[str, Any]] = {str(each.get("code", "")): each for each in listed}
    known: dict[str, Concept] = {}
    complete = system is not None and system.content.get("content") == "complete"
    if system is not None:
        # A name that the value set gives is searched too, so words are compared here and not in the database.
        wanted = replace(of.wanted(codes=given), words=())
        known = {c.code: c for c in concept.select(of.connection, system, wanted)}
    out: list[Concept] = []
    for code, each in given.items():
        if (of.only is not None and code not in of.only) or (complete and code not in known):
            continue
        own = known.get(code) or Concept(address, version, code, None)
        made = own.named(each.get("display"), each.get("designation", []))
        names = " ".join([code, made.display or "", *(str(d.get("value", "")) for d in made.designation)]).lower()
        if all(w in names for w in of.words):
            out.append(made)
    return out
