"""Patient/$summary: an International Patient Summary as a document Bundle, of what the reader may see."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape
from importlib import resources
from typing import Any, cast

from psycopg import sql

from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.fhir.kinds import kinds
from feldsher_cloud_api.fhir.operation.fetch import View, entry, references
from feldsher_cloud_api.fhir.store import Stored

PARAMETERS = ("identifier", "profile")
_LOINC = "http://loinc.org"
_EMPTY = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
_WRONG = frozenset({"entered-in-error", "refuted", "cancelled"})
_MOST_READ = 400
Element = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its LOINC code, and of which types which values of which element count."""

    code: str
    title: str
    required: bool
    most: int
    of: dict[str, dict[str, list[str]]]


@cache
def sections() -> tuple[Section, ...]:
    """Return the sections in their order (summary.toml)."""
    raw = tomllib.loads((resources.files(__package__ or "") / "summary.toml").read_text(encoding="utf-8"))
    return tuple(Section(s["code"], s["title"], s.get("required", False), s["most"], s["of"]) for s in raw["section"])


def summary(view: View, patient: Stored, base: str, now: datetime) -> Element:
    """Return the summary of a patient; a required section of which nothing is on record says so."""
    read: dict[str, list[Stored]] = {}
    told: dict[str, Stored] = {}
    made: list[Element] = []
    for section in sections():
        entries = list(_entries(view, patient, section, read))
        if entries or section.required:
            made.append(_section(section, entries))
        told |= {f"{name}/{stored.logical}": stored for name, stored in entries}
    composition = _composition(view, patient, made, now)
    named = {text for stored in told.values() for text in references(stored.content())}
    named |= set(references(composition)) | set(references(patient.content().get("managingOrganization")))
    own = f"Patient/{patient.logical}"
    others = view.named(sorted(named - set(told) - {own}))
    every = {own: patient, **told, **{k: s for k, s in others.items() if not k.startswith("Patient/")}}
    unique = {(text.partition("/")[0], stored.id): (text, stored) for text, stored in every.items()}
    return {
        "resourceType": "Bundle",
        "id": str(store.new_id(now)),
        "type": "document",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{composition['id']}"},
        "timestamp": dates.render(now),
        "entry": [
            {"fullUrl": f"urn:uuid:{composition['id']}", "resource": composition},
            *(entry(base, text.partition("/")[0], stored) for text, stored in unique.values()),
        ],
    }


def _entries(
    view: View, patient: Stored, section: Section, read: dict[str, list[Stored]]
) -> Iterator[tuple[str, Stored]]:
    for name, rule in section.of.items():
        if name not in read:
            order = sql.SQL("ORDER BY {} DESC, id DESC LIMIT %s").format(_newest(name))
            read[name] = view.select(name, sql.SQL("patient_id = %s"), [patient.id, _MOST_READ], order)
        ((element, values),) = rule.items()
        counted = [s for s in read[name] if _counts(s.content(), element, values)]
        yield from ((name, stored) for stored in counted[: section.most])


def _newest(name: str) -> sql.Composable:
    found = kinds()[name].dates
    if not found:
        return sql.SQL("updated")
    return sql.SQL("coalesce(lower({}), updated)").format(sql.Identifier(found[0]))


def _counts(content: Element, element: str, values: list[str]) -> bool:
    """Return whether an entry belongs into a section; what was entered in error or refuted never does."""
    if (_codes(content.get("status")) | _codes(content.get("verificationStatus"))) & _WRONG:
        return False
    codes = _codes(content.get(element))
    return bool(codes & set(values)) if codes else "must" not in values


def _codes(value: Any) -> set[str]:
    """Return the codes of a code, a CodeableConcept or several of these."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, list):
        return {code for each in cast("list[Any]", value) for code in _codes(each)}
    if isinstance(value, dict):
        return {str(c.get("code")) for c in cast("Element", value).get("coding", [])}
    return set()


def _section(section: Section, entries: list[tuple[str, Stored]]) -> Element:
    code = {"coding": [{"system": _LOINC, "code": section.code}], "text": section.title}
    lines = [_line(stored.content()) for _, stored in entries] or ["No information is on record."]
    text = "".join(f"<li>{escape(line)}</li>" for line in lines)
    made: Element = {
        "title": section.title,
        "code": code,
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><ul>{text}</ul></div>',
        },
    }
    if entries:
        return made | {"entry": [{"reference": f"{name}/{stored.logical}"} for name, stored in entries]}
    reason = {"coding": [{"system": _EMPTY, "code": "unavailable", "display": "Unavailable"}]}
    return made | {"emptyReason": reason}


_NAMED = ("code", "medicationCodeableConcept", "vaccineCode", "category")
_WHEN = (
    "effectiveDateTime", "onsetDateTime", "performedDateTime", "occurrenceDateTime", "authoredOn", "recordedDate",
    "issued", "created",
)  # fmt: skip


def _line(content: Element) -> str:
    """Return one entry in words: what it is, its value, when, and its status."""
    named = next((w for w in (_words(content.get(n)) for n in _NAMED) if w), "")
    reference = cast("Element", content.get("medicationReference") or content.get("device") or {})
    what = str(content.get("title") or named or reference.get("display") or content["resourceType"])
    when = next((str(content[n])[:10] for n in _WHEN if n in content), "")
    value = content.get("valueQuantity")
    said = f"{value.get('value', '')} {value.get('unit', value.get('code', ''))}".strip() if value else ""
    state = ", ".join(sorted(_codes(content.get("clinicalStatus")) or _codes(content.get("status"))))
    return ", ".join(part for part in (what, said, when, state) if part)


def _words(concept: Any) -> str:
    if isinstance(concept, list):
        return _words(concept[0]) if concept else ""
    if not isinstance(concept, dict):
        return ""
    element = cast("Element", concept)
    codings = cast("list[Element]", element.get("coding", []))
    return str(element.get("text") or next((c.get("display") or c.get("code") or "" for c in codings), ""))


def _composition(view: View, patient: Stored, made: list[Element], now: datetime) -> Element:
    organization = patient.content().get("managingOrganization")
    asks = view.who.reference
    author: Element = {"display": "feldsher health record"}
    if asks is not None and view.who.practitioner is not None:
        author = {"reference": asks}
    elif organization is not None:
        author = organization
    composition: Element = {
        "resourceType": "Composition",
        "id": str(store.new_id(now)),
        "status": "final",
        "type": {"coding": [{"system": _LOINC, "code": "60591-5", "display": "Patient summary Document"}]},
        "subject": {"reference": f"Patient/{patient.logical}"},
        "date": dates.render(now),
        "author": [author],
        "title": "International Patient Summary",
    }
    if organization is not None:
        composition["custodian"] = organization
    return composition | {"section": made}
