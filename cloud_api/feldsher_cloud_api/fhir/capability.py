"""The CapabilityStatement: what this server serves, made from the definitions that serve it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.fhir.compile import answered
from feldsher_cloud_api.fhir.kinds import kinds
from feldsher_cloud_api.fhir.operation import listing
from feldsher_cloud_api.fhir.parameters import parameters

# The statement's date is that of its form, not of the request.
_DATE = "2026-11-23"
_SAID = 40
"""Up to so many target types a reference is listed with each of them."""
_INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)


def statement(settings: Settings) -> dict[str, Any]:
    """Return the CapabilityStatement (R4 4.0.1) of an installation."""
    resources: list[dict[str, Any]] = []
    for of in kinds().values():
        entry = dict(_resource(of.name))
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


@cache
def _references() -> dict[str, list[str]]:
    """Return, by type, the parameters of other types that may refer to it (`Observation:subject`)."""
    out: dict[str, list[str]] = {name: [] for name in kinds()}
    for name in kinds():
        for parameter, definition in parameters(name).items():
            # What may refer to anything would fill the statement: it is served and goes without saying.
            if definition.kind == "reference" and len(definition.targets) <= _SAID:
                for target in definition.targets:
                    out[target].append(f"{name}:{parameter}")
    return out


@cache
def _resource(name: str) -> dict[str, Any]:
    """Return what is served of every type alike, with the type's own search parameters."""
    searched = {n: p for n, p in parameters(name).items() if answered(name, n)}
    return {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "searchInclude": ["*", *(f"{name}:{n}" for n, p in searched.items() if p.kind == "reference")],
        "searchRevInclude": sorted(_references()[name]),
        "searchParam": [{"name": n, "type": p.kind} for n, p in searched.items()],
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
