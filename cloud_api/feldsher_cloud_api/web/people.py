"""Patients for pages: from FHIR Patient to the few facts that the head of a page shows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, cast
from uuid import UUID

from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.web.desk import Desk
from feldsher_cloud_api.web.shapes import Person

MOST = 200
"""Patients in one list; who looks for another gives more of the name."""
_BATCH = 200


def person(stored: Stored) -> Person:
    """Return a patient as pages name them."""
    content = stored.content()
    names = cast("list[dict[str, Any]]", content.get("name", []))
    born: str = content.get("birthDate", "")
    return Person(stored.id, _name(names[0]) if names else "–", _full_date(born), content.get("gender", "unknown"))


def _name(name: dict[str, Any]) -> str:
    if "text" in name:
        return str(name["text"])
    return " ".join([*name.get("given", []), name.get("family", "")]).strip() or "–"


def _full_date(text: str) -> date | None:
    # A birth date of a year or month alone gives no day to show and no age to reckon with.
    return date.fromisoformat(text) if len(text) == 10 else None


def people(desk: Desk, ids: Iterable[UUID | None]) -> dict[UUID, Person]:
    """Return those patients of `ids` that the reader may see."""
    wanted = sorted({str(i) for i in ids if i is not None})
    found: dict[UUID, Person] = {}
    for start in range(0, len(wanted), _BATCH):
        batch = desk.search("Patient", _id=",".join(wanted[start : start + _BATCH]), _count=str(_BATCH))
        found |= {s.id: person(s) for s in batch}
    return found


def find(desk: Desk, name: str) -> list[Person]:
    """Return active patients by part of a name (empty: the first of all), in order of name."""
    parameters = {"_count": str(MOST)} | ({"name:contains": name} if name.strip() else {})
    found = [person(s) for s in desk.search("Patient", **parameters)]
    return sorted(found, key=lambda p: (p.name.casefold(), str(p.id)))
