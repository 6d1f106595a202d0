"""Composition/$document: a Composition and what it refers to as one document Bundle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.fhir.operation.fetch import View, entry, references, target
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.store import Stored

PARAMETERS = ("persist", "graph")
MOST = 1000
_OF_DOCUMENT = ("subject", "encounter", "author", "custodian")


def document(view: View, composition: Stored, base: str, now: datetime) -> dict[str, Any]:
    """Return the document; FhirError 422 where something it is made of is not here or not the reader's to see.

    http://hl7.org/fhir/R4/documents.html#content: what subject, encounter, author, attester, custodian, event and
    sections refer to has to be in it.
    """
    content = composition.content()
    wanted = list(dict.fromkeys(_referred(content)))
    if len(wanted) > MOST:
        raise FhirError(422, "too-costly", f"the document refers to more than {MOST} resources", "Composition.section")
    own = f"Composition/{composition.logical}"
    found = view.named([text for text in wanted if text != own])
    missing = [text for text in wanted if target(text) is not None and text not in found and text != own]
    if missing:
        kinds = ", ".join(sorted({text.partition("/")[0] for text in missing}))
        words = f"the document is not whole: {len(missing)} of its parts ({kinds}) are not here, or not yours to see"
        raise FhirError(422, "not-found", words, "Composition")
    unique = {(text.partition("/")[0], stored.id): (text, stored) for text, stored in found.items()}
    return {
        "resourceType": "Bundle",
        "id": str(store.new_id(now)),
        "type": "document",
        "identifier": content.get("identifier")
        or {"system": "urn:ietf:rfc:3986", "value": f"{base}/{own}/_history/{composition.version}"},
        "timestamp": dates.render(now),
        "entry": [
            entry(base, "Composition", composition),
            *(entry(base, text.partition("/")[0], stored) for text, stored in unique.values()),
        ],
    }


def _referred(content: dict[str, Any]) -> Iterator[str]:
    for name in _OF_DOCUMENT:
        yield from references(content.get(name))
    for attester in content.get("attester", []):
        yield from references(attester.get("party"))
    for event in content.get("event", []):
        yield from references(event.get("detail"))
    yield from _sections(content.get("section", []))


def _sections(sections: list[dict[str, Any]]) -> Iterator[str]:
    for section in sections:
        for name in ("author", "focus", "entry"):
            yield from references(section.get(name))
        yield from _sections(section.get("section", []))
