"""What is asked about: one or several codes of a call, given by code and system, as Coding or as CodeableConcept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from feldsher_cloud_api.fhir.operation.parameters import Asked, wrong
from feldsher_cloud_api.fhir.outcome import FhirError


@dataclass(frozen=True, slots=True)
class Coded:
    """One code as it was given; `system` None: not said."""

    code: str
    system: str | None = None
    version: str | None = None
    display: str | None = None


def coded(asked: Asked, system: str = "system", version: str = "version", required: bool = True) -> list[Coded]:
    """Return the codes of a call: `code`, `coding` or `codeableConcept`; FhirError 400 where there is none."""
    code = asked.text("code")
    if code is not None:
        return [Coded(code, asked.text(system), asked.text(version), asked.text("display"))]
    coding, concept = asked.element("coding"), asked.element("codeableConcept")
    if coding is not None:
        return [one(coding, "coding")]
    if concept is not None:
        codings: Any = concept.get("coding", [])
        if not isinstance(codings, list) or not codings:
            raise wrong("codeableConcept", "a coding is needed")
        return [one(each, "codeableConcept") for each in cast("list[Any]", codings)]
    if required:
        raise FhirError(400, "required", "code, coding or codeableConcept is needed", "Parameters.parameter")
    return []


def one(coding: Any, name: str) -> Coded:
    """Return a Coding of a parameter; FhirError 400 where it is none."""
    if not isinstance(coding, dict):
        raise wrong(name, "a Coding is needed")
    given = cast("dict[str, Any]", coding)
    parts = [given.get(part) for part in ("code", "system", "version", "display")]
    if not isinstance(parts[0], str) or not all(p is None or isinstance(p, str) for p in parts):
        raise wrong(name, "a Coding with a code is needed")
    return Coded(*cast("tuple[str, str | None, str | None, str | None]", tuple(parts)))
