"""CodeSystem/$lookup and $subsumes: what is known of one code, and which of two is a kind of the other."""

from __future__ import annotations

from typing import Any

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.operation.parameters import Asked, answer
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology import canonical, coded, concept
from feldsher_cloud_api.fhir.terminology.canonical import Found
from feldsher_cloud_api.fhir.terminology.concept import Concept, Wanted

OF_LOOKUP = ("code", "system", "version", "coding", "date", "displayLanguage", "property")
OF_SUBSUMES = ("codeA", "codeB", "system", "version", "codingA", "codingB")


def lookup(connection: db.Connection, asked: Asked) -> dict[str, Any]:
    """Return what a code system says of a code; FhirError 404 where it or the code is not here."""
    given = coded.coded(asked)[0]
    if given.system is None:
        raise FhirError(400, "required", "system is needed: the address of a code system", "Parameters.parameter")
    system = canonical.get(connection, "CodeSystem", given.system, given.version)
    found = _get(connection, system, given.code)
    designations = [
        (
            "designation",
            [
                ("language", ("Code", d["language"]) if "language" in d else None),
                ("use", ("Coding", d["use"]) if "use" in d else None),
                ("value", str(d.get("value", ""))),
            ],
        )
        for d in found.designation
    ]
    name = system.content.get("name") or system.content.get("title") or system.url
    return answer(
        ("name", str(name)),
        ("version", system.version),
        ("display", found.display_in(asked.texts("displayLanguage")) or found.code),
        *designations,
        *_properties(connection, system, found, asked.texts("property")),
    )


def _get(connection: db.Connection, system: Found, code: str) -> Concept:
    found = concept.get(connection, system, code)
    if found is None:
        raise FhirError(404, "not-found", f"the code system {system.canonical} has no code {code[:100]!r} here")
    return found


def _properties(connection: db.Connection, system: Found, found: Concept, names: list[str]) -> list[tuple[str, Any]]:
    values: list[tuple[str, Any]] = [(name, value) for name, each in found.property.items() for value in each]
    values = [(name, ("String", value)) for name, value in values if name not in ("parent", "child", "inactive")]
    values.append(("inactive", ("Boolean", found.inactive)))
    if found.definition:
        values.append(("definition", ("String", found.definition)))
    values += [("parent", ("Code", code)) for code in found.parents]
    if not names or "child" in names:
        children = concept.select(connection, system, Wanted(filters=(("parent", "=", found.code),)))
        values += [("child", ("Code", each.code)) for each in children]
    return [("property", [("code", ("Code", n)), ("value", v)]) for n, v in values if not names or n in names]


def subsumes(connection: db.Connection, asked: Asked, of: str | None = None) -> dict[str, Any]:
    """Return how two codes of a code system stand to each other; FhirError 404 where one is not there."""
    first, second = asked.element("codingA"), asked.element("codingB")
    if first is not None and second is not None:
        a, b = coded.one(first, "codingA"), coded.one(second, "codingB")
        if a.system != b.system:
            raise FhirError(400, "invalid", "both codings have to be of the same system", "Parameters.parameter")
        names, url = (a.code, b.code), a.system or asked.text("system") or of
    else:
        names, url = (asked.text("codeA"), asked.text("codeB")), asked.text("system") or of
    if names[0] is None or names[1] is None or url is None:
        words = "codeA, codeB and system, or codingA and codingB, are needed"
        raise FhirError(400, "required", words, "Parameters.parameter")
    system = canonical.get(connection, "CodeSystem", url, asked.text("version"))
    left, right = _get(connection, system, names[0]).code, _get(connection, system, names[1]).code
    if left == right:
        outcome = "equivalent"
    elif right in concept.below(connection, system, left):
        outcome = "subsumes"
    else:
        outcome = "subsumed-by" if left in concept.below(connection, system, right) else "not-subsumed"
    return answer(("outcome", ("Code", outcome)))
