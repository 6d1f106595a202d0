"""The operations that this server has beside the interactions, for the CapabilityStatement."""

from __future__ import annotations

_STANDARD = "http://hl7.org/fhir/OperationDefinition/"

OF_TYPES: dict[str, dict[str, str]] = {
    "ValueSet": {"expand": "ValueSet-expand", "validate-code": "ValueSet-validate-code"},
    "CodeSystem": {
        "lookup": "CodeSystem-lookup",
        "validate-code": "CodeSystem-validate-code",
        "subsumes": "CodeSystem-subsumes",
    },
    "ConceptMap": {"translate": "ConceptMap-translate"},
    "Patient": {"everything": "Patient-everything", "match": "Patient-match"},
    "Observation": {"lastn": "Observation-lastn"},
    "Composition": {"document": "Composition-document"},
}
OF_EVERY_TYPE = {"validate": "Resource-validate", "meta": "Resource-meta"} | {
    name: f"Resource-{name}" for name in ("meta-add", "meta-delete")
}
_OTHERS = {"Patient": {"summary": "http://hl7.org/fhir/uv/ips/OperationDefinition/summary"}}


def of_type(kind: str) -> list[dict[str, str]]:
    """Return a type's operations as CapabilityStatement.rest.resource.operation has them."""
    found = {name: _STANDARD + definition for name, definition in OF_TYPES.get(kind, {}).items()}
    found |= _OTHERS.get(kind, {})
    return [{"name": name, "definition": definition} for name, definition in found.items()]


def of_every_type() -> list[dict[str, str]]:
    """Return the operations that every type has, as CapabilityStatement.rest.operation has them."""
    return [{"name": name, "definition": _STANDARD + definition} for name, definition in OF_EVERY_TYPE.items()]
