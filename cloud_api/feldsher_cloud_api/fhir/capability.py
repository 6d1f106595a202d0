"""The CapabilityStatement: what this server serves, made from the definitions that serve it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.fhir.definitions import TYPES
from feldsher_cloud_api.fhir.operation import listing

# The statement's date is that of its form, not of the request.
_DATE = "2026-11-23"


def statement(settings: Settings) -> dict[str, Any]:
    """Return the CapabilityStatement (R4 4.0.1) of an installation."""
    resources: list[dict[str, Any]] = []
    for of in TYPES.values():
        entry: dict[str, Any] = {
            "type": of.name,
            "interaction": [{"code": code} for code in of.interactions],
            "versioning": "versioned",
            "readHistory": "history-instance" in of.interactions,
            "updateCreate": False,
            "conditionalCreate": False,
        }
        if "search-type" in of.interactions:
            own = [{"name": p.name, "type": p.kind} for p in of.parameters.values()]
            entry["searchParam"] = [
                {"name": "_id", "type": "token"},
                {"name": "_lastUpdated", "type": "date"},
                *own,
            ]
        if of.name == "DiagnosticReport":
            entry["operation"] = [
                {"name": "sign", "definition": f"{settings.fhir_base}/OperationDefinition/DiagnosticReport-sign"}
            ]
        if of.name == "Observation":
            entry["operation"] = [
                {"name": "window", "definition": f"{settings.fhir_base}/OperationDefinition/Observation-window"}
            ]
        own_operations = listing.of_type(of.name)
        if own_operations:
            entry["operation"] = [*entry.get("operation", []), *own_operations]
        resources.append(entry)
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _DATE,
        "kind": "instance",
        "software": {"name": "feldsher", "version": version("feldsher")},
        "implementation": {"description": "feldsher health record", "url": settings.fhir_base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": _security(settings),
                "resource": resources,
                "operation": listing.of_every_type(),
            }
        ],
    }


def _security(settings: Settings) -> dict[str, Any]:
    uris = [
        {"url": "authorize", "valueUri": f"{settings.api_url}/oauth/authorize"},
        {"url": "token", "valueUri": f"{settings.api_url}/oauth/token"},
    ]
    service = {
        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
        "code": "SMART-on-FHIR",
    }
    extension = {"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris", "extension": uris}
    return {"cors": False, "service": [{"coding": [service]}], "extension": [extension]}
