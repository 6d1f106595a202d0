"""From a FHIR Patient to what the identity index compares."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, cast

from feldsher_ehr_core.identity import Name, Traits, normal_identifier, normal_phone

_DEAD = ("old", "temp")
"""Uses of identifiers and telephone numbers that say nothing of the person any more."""


def traits(patient: dict[str, Any]) -> Traits:
    """Return what identifies a patient; what is not there or not well formed is left out."""
    return Traits(
        names=tuple(_name(n) for n in _objects(patient, "name") if "family" in n or "given" in n),
        birth=_birth(patient.get("birthDate")),
        sex=str(patient.get("gender", "")) if patient.get("gender") in ("male", "female") else "",
        identifiers=frozenset(_identifiers(patient)),
        phones=frozenset(_phones(patient)),
        place=next((_word(a.get("postalCode")) for a in _objects(patient, "address") if a.get("postalCode")), ""),
    )


def _objects(of: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found: Any = of.get(name, [])
    if not isinstance(found, list):
        return []
    return [cast("dict[str, Any]", each) for each in cast("list[Any]", found) if isinstance(each, dict)]


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _name(name: dict[str, Any]) -> Name:
    """Return a name; the patronymic is the second given name, as registers of countries that have one send it."""
    given: Any = name.get("given", [])
    words = [_word(g) for g in cast("list[Any]", given)] if isinstance(given, list) else []
    return Name(_word(name.get("family")), *[*words, "", ""][:2])


def _birth(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def _identifiers(patient: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for each in _objects(patient, "identifier"):
        system, value = _word(each.get("system")), normal_identifier(_word(each.get("value")))
        if system and value and each.get("use") not in _DEAD:
            yield system, value


def _phones(patient: dict[str, Any]) -> Iterator[str]:
    for each in _objects(patient, "telecom"):
        number = normal_phone(_word(each.get("value"))) if each.get("system") in ("phone", "sms") else ""
        if number and each.get("use") not in _DEAD:
            yield number
