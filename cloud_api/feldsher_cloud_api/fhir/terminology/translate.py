"""ConceptMap/$translate: what a code is in another code system, by the concept maps that are here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.operation.parameters import Asked, answer
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology import canonical
from feldsher_cloud_api.fhir.terminology.coded import Coded, coded

PARAMETERS = (
    "url", "conceptMap", "conceptMapVersion", "code", "system", "version", "source", "coding", "codeableConcept",
    "target", "targetsystem", "reverse",
)  # fmt: skip
_NOT_MATCHING = ("unmatched", "disjoint")
_BACK = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}
_DEEPEST = 5
# Only maps in force that speak of the code's system come into question, so not all of them leave the database.
_MAPS = """
    SELECT content FROM fhir.terminology WHERE kind = 'ConceptMap' AND status IN ('active', 'draft')
        AND (content -> 'group') @> jsonb_build_array(jsonb_build_object(%s::text, %s::text)) ORDER BY url, id
"""


@dataclass(frozen=True, slots=True)
class Match:
    """One translation, with the map it comes from."""

    equivalence: str
    system: str | None
    code: str | None
    display: str | None
    map: str


@dataclass(frozen=True, slots=True)
class _Way:
    """From where to where: names of a map's elements, and the system asked for."""

    connection: db.Connection
    reverse: bool
    target: str | None

    @property
    def ends(self) -> tuple[str, str]:
        """The names of a group's systems: the one that codes come from, the one they go to."""
        return ("target", "source") if self.reverse else ("source", "target")


def translate(connection: db.Connection, asked: Asked, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the translations of the codes asked about, by one map (`url`, `given`) or by all that fit."""
    codes = coded(asked)
    source = asked.text("source")
    way = _Way(connection, asked.flag("reverse"), asked.text("targetsystem"))
    maps = [given] if given is not None else _named(connection, asked)
    matches: list[Match] = []
    for code in codes:
        for each in maps if maps is not None else _fitting(way, code, source, asked.text("target")):
            matches += [m for m in _by_map(way, each, code, 0) if m not in matches]
    found = any(m.equivalence not in _NOT_MATCHING for m in matches)
    words = None if found else f"no translation of {', '.join(c.code for c in codes)[:200]} is known here"
    return answer(("result", found), ("message", words), *(("match", _said(m)) for m in matches))


def _named(connection: db.Connection, asked: Asked) -> list[dict[str, Any]] | None:
    url = asked.text("url")
    if url is None:
        return None
    return [canonical.get(connection, "ConceptMap", url, asked.text("conceptMapVersion")).content]


def _fitting(way: _Way, code: Coded, source: str | None, target: str | None) -> list[dict[str, Any]]:
    if code.system is None:
        raise FhirError(400, "required", "system is needed where no map is named by url", "Parameters.parameter")
    rows = way.connection.execute(_MAPS, (way.ends[0], code.system)).fetchall()
    maps = [cast("dict[str, Any]", row[0]) for row in rows]
    return [m for m in maps if _is(m, "source", source) and _is(m, "target", target)]


def _is(each: dict[str, Any], end: str, wanted: str | None) -> bool:
    own = each.get(f"{end}Uri") or each.get(f"{end}Canonical")
    return wanted is None or (own is not None and str(own).partition("|")[0] == wanted.partition("|")[0])


def _by_map(way: _Way, each: dict[str, Any], code: Coded, depth: int) -> Iterator[Match]:
    here, there = way.ends
    for group in each.get("group", []):
        if code.system not in (None, group.get(here)) or way.target not in (None, group.get(there)):
            continue
        found = list(_by_group(way, group, code, str(each.get("url", ""))))
        yield from found
        if not found and not way.reverse:
            yield from _unmapped(way, group, code, str(each.get("url", "")), depth)


def _by_group(way: _Way, group: dict[str, Any], code: Coded, url: str) -> Iterator[Match]:
    for element in group.get("element", []):
        for target in element.get("target", []):
            equivalence = str(target.get("equivalence", "equivalent"))
            if not way.reverse and element.get("code") == code.code:
                yield Match(equivalence, group.get("target"), target.get("code"), target.get("display"), url)
            elif way.reverse and target.get("code") == code.code:
                back = _BACK.get(equivalence, equivalence)
                yield Match(back, group.get("source"), element.get("code"), element.get("display"), url)


def _unmapped(way: _Way, group: dict[str, Any], code: Coded, url: str, depth: int) -> Iterator[Match]:
    rule: dict[str, Any] = group.get("unmapped", {})
    if rule.get("mode") == "provided":
        yield Match("equal", group.get("target"), code.code, None, url)
    elif rule.get("mode") == "fixed":
        yield Match("inexact", group.get("target"), rule.get("code"), rule.get("display"), url)
    elif rule.get("mode") == "other-map":
        if depth >= _DEEPEST:
            raise FhirError(422, "too-costly", f"maps lead on to others more than {_DEEPEST} times", "ConceptMap.group")
        other = canonical.get(way.connection, "ConceptMap", str(rule.get("url", "")))
        yield from _by_map(way, other.content, code, depth + 1)


def _said(match: Match) -> list[tuple[str, Any]]:
    coding = {"system": match.system, "code": match.code, "display": match.display}
    return [
        ("equivalence", ("Code", match.equivalence)),
        ("concept", ("Coding", {k: v for k, v in coding.items() if v}) if match.code else None),
        ("source", ("Uri", match.map) if match.map else None),
    ]
