"""ValueSet/$expand: a value set with what it holds, by pages (hl7.org/fhir/R4/valueset-operation-expand.html)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import dates, structure
from feldsher_cloud_api.fhir.operation.parameters import Asked, wrong
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology import canonical, compose, concept
from feldsher_cloud_api.fhir.terminology.compose import Evaluation
from feldsher_cloud_api.fhir.terminology.concept import Concept
from feldsher_cloud_api.fhir.validate import check

PARAMETERS = (
    "url", "valueSet", "valueSetVersion", "filter", "date", "offset", "count", "includeDesignations", "designation",
    "includeDefinition", "activeOnly", "excludeNested", "excludeNotForUI", "excludePostCoordinated", "displayLanguage",
    "exclude-system", "system-version", "check-system-version", "force-system-version",
)  # fmt: skip
MOST_AT_ONCE = 10_000
"""An expansion that is not asked for by pages is at most so long. Chosen by us."""


@dataclass(frozen=True, slots=True)
class View:
    """How an expansion is to be shown."""

    filter: str | None
    offset: int
    count: int | None
    active: bool
    designations: bool
    definitions: bool
    abstract: bool
    languages: tuple[str, ...]
    excluded: tuple[str, ...]
    versions: dict[str, str]


def view(asked: Asked) -> View:
    """Return what was asked; FhirError 400 names the parameter that is wrong."""
    versions: dict[str, str] = {}
    for name in ("system-version", "force-system-version"):
        for each in asked.texts(name):
            url, _, version = each.partition("|")
            if not version:
                raise wrong(name, "system|version is needed")
            versions[url] = version
    return View(
        filter=asked.text("filter"),
        offset=asked.number("offset", 10**9) or 0,
        count=asked.number("count", MOST_AT_ONCE),
        active=asked.flag("activeOnly"),
        designations=asked.flag("includeDesignations"),
        definitions=asked.flag("includeDefinition"),
        abstract=not asked.flag("excludeNotForUI"),
        languages=tuple(part.partition(";")[0].strip() for part in asked.texts("displayLanguage")),
        excluded=tuple(each.partition("|")[0] for each in asked.texts("exclude-system")),
        versions=versions,
    )


def wanted(connection: db.Connection, asked: Asked) -> dict[str, Any]:
    """Return the value set that a call names by `url` or brings as `valueSet`."""
    given = asked.resource("valueSet", "ValueSet")
    if given is not None:
        check(structure.faults(given))
        return given
    url = asked.text("url")
    if url is None:
        raise FhirError(400, "required", "url or valueSet is needed", "Parameters.parameter")
    found = canonical.get(connection, "ValueSet", url, asked.text("valueSetVersion"))
    return found.content | {"url": found.url}


def expand(connection: db.Connection, value_set: dict[str, Any], seen: View, now: datetime) -> dict[str, Any]:
    """Return the value set with its expansion; FhirError 422 `too-costly` where it is too long for one answer."""
    of = Evaluation(connection, words=concept.words(seen.filter), active=seen.active, versions=seen.versions)
    simple = _simple(of, value_set) if seen.abstract and not seen.excluded else None
    if simple is not None:
        total = concept.count(connection, *simple)
        _bound(seen, total)
        page = concept.select(connection, *simple, limit=seen.count, offset=seen.offset)
    else:
        found = [c for c in compose.members(of, value_set).values() if c.system not in seen.excluded]
        found = [c for c in found if seen.abstract or not c.abstract]
        total = len(found)
        _bound(seen, total)
        end = None if seen.count is None else seen.offset + seen.count
        page = found[seen.offset : end]
    kept = {k: v for k, v in value_set.items() if k not in ("compose", "expansion", "text")}
    return kept | {
        "resourceType": "ValueSet",
        "status": value_set.get("status", "active"),
        "expansion": {
            "identifier": _identifier(value_set, seen),
            "timestamp": dates.render(now),
            "total": total,
            **({"offset": seen.offset} if seen.count is not None or seen.offset else {}),
            "parameter": _said(seen, of),
            "contains": [_contained(c, seen) for c in page],
        },
    }


def _identifier(value_set: dict[str, Any], seen: View) -> str:
    named = (value_set.get("url"), value_set.get("version"), replace(seen, offset=0, count=None))
    return f"urn:uuid:{uuid5(NAMESPACE_URL, repr(named))}"  # the same for all pages


def _simple(of: Evaluation, value_set: dict[str, Any]) -> tuple[canonical.Found, concept.Wanted] | None:
    """Return code system and filters where these are all of a value set, so that the database can count and page."""
    parts: dict[str, Any] = value_set.get("compose", {})
    includes: list[dict[str, Any]] = parts.get("include", [])
    if len(includes) != 1 or "exclude" in parts or set(includes[0]) - {"system", "version", "filter"}:
        return None
    if parts.get("inactive") is False:
        of.active = True
    return compose.whole(of, includes[0]) if "system" in includes[0] else None


def _bound(seen: View, total: int) -> None:
    if seen.count is None and total - seen.offset > MOST_AT_ONCE:
        words = f"the expansion has {total} concepts; ask for pages with count and offset, or narrow it with filter"
        raise FhirError(422, "too-costly", words, "ValueSet.expansion")


def _said(seen: View, of: Evaluation) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    if seen.filter:
        out.append({"name": "filter", "valueString": seen.filter})
    if seen.count is not None:
        out.append({"name": "count", "valueInteger": seen.count})
    if seen.active:
        out.append({"name": "activeOnly", "valueBoolean": True})
    if seen.languages:
        out.append({"name": "displayLanguage", "valueCode": ",".join(seen.languages)})
    return out + [{"name": kind, "valueUri": address} for address, kind in of.used.items()]


def _contained(each: Concept, seen: View) -> dict[str, Any]:
    display = each.display_in(seen.languages)
    out: dict[str, Any] = {
        **({"system": each.system} if each.system else {}),
        **({"abstract": True} if each.abstract else {}),
        **({"inactive": True} if each.inactive else {}),
        **({"version": each.version} if each.version else {}),
        "code": each.code,
        **({"display": display} if display else {}),
    }
    if seen.designations and each.designation:
        out["designation"] = each.designation
    if seen.definitions and each.definition:
        url = "http://hl7.org/fhir/StructureDefinition/valueset-concept-definition"
        out["extension"] = [{"url": url, "valueString": each.definition}]
    return out
