"""$validate-code of value sets and code systems: whether a code is one of theirs, and whether its name is right."""

from __future__ import annotations

from typing import Any

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.operation.parameters import Asked, answer
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology import canonical, compose, concept
from feldsher_cloud_api.fhir.terminology.canonical import Found
from feldsher_cloud_api.fhir.terminology.coded import Coded, coded
from feldsher_cloud_api.fhir.terminology.compose import Evaluation
from feldsher_cloud_api.fhir.terminology.concept import Concept

OF_VALUE_SET = (
    "url", "valueSet", "valueSetVersion", "code", "system", "systemVersion", "display", "coding", "codeableConcept",
    "date", "abstract", "displayLanguage",
)  # fmt: skip
OF_CODE_SYSTEM = (
    "url", "codeSystem", "code", "version", "display", "coding", "codeableConcept", "date", "abstract",
    "displayLanguage", "system",
)  # fmt: skip


def in_value_set(connection: db.Connection, value_set: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """Return whether one of the codes asked about is in a value set."""
    given = coded(asked, version="systemVersion")
    versions = {c.system: c.version for c in given if c.system and c.version}
    of = Evaluation(connection, only=tuple(c.code for c in given), versions=versions)
    found = list(compose.members(of, value_set).values())
    abstract = asked.flag("abstract", otherwise=True)
    url = value_set.get("url", "given")
    for each in given:
        for member in found:
            if member.code != each.code or each.system not in (None, member.system):
                continue
            if member.abstract and not abstract:
                return _no(f"{each.code} is abstract: it stands for others and may not be chosen", member)
            return _verdict(each, member, asked)
    return _no(f"{_listed(given)} is not in the value set {url}")


def in_code_system(connection: db.Connection, system: Found, asked: Asked) -> dict[str, Any]:
    """Return whether one of the codes asked about is a code system's; FhirError 422 where its concepts are not here."""
    given = coded(asked, system="url")
    for each in given:
        if each.system not in (None, system.url):
            continue
        found = concept.get(connection, system, each.code)
        if found is None:
            continue
        if found.abstract and not asked.flag("abstract", otherwise=True):
            return _no(f"{each.code} is abstract: it stands for others and may not be chosen", found)
        return _verdict(each, found, asked)
    if system.content.get("content") == "not-present":
        raise FhirError(422, "not-found", f"the concepts of {system.url} are not on this server")
    return _no(f"{_listed(given)} is not in the code system {system.canonical}")


def of_code_system(connection: db.Connection, asked: Asked) -> Found:
    """Return the code system that a call is about: by `url`, `system` or the system of its coding."""
    url = asked.text("url") or asked.text("system")
    if url is None:
        url = next((c.system for c in coded(asked, required=False) if c.system), None)
    if url is None:
        raise FhirError(400, "required", "url is needed: the address of a code system", "Parameters.parameter")
    return canonical.get(connection, "CodeSystem", url, asked.text("version"))


def _listed(given: list[Coded]) -> str:
    return ", ".join(f"{c.system or ''}#{c.code}" for c in given)[:400]


def _no(words: str, found: Concept | None = None) -> dict[str, Any]:
    return answer(("result", False), ("message", words), ("display", found.display if found else None))


def _verdict(given: Coded, found: Concept, asked: Asked) -> dict[str, Any]:
    display = found.display_in(asked.texts("displayLanguage"))
    names = {n.casefold() for n in (found.display, *(str(d.get("value", "")) for d in found.designation)) if n}
    if given.display is not None and names and given.display.casefold() not in names:
        words = f"the name {given.display[:200]!r} is not that of {found.code}: {found.display!r} is"
        return answer(("result", False), ("message", words), ("display", display))
    return answer(
        ("result", True),
        ("message", f"{found.code} is inactive" if found.inactive else None),
        ("display", display),
        ("code", ("Code", found.code)),
        ("system", ("Uri", found.system) if found.system else None),
        ("version", found.version),
    )
