"""Whose a resource is: the patient that the parameters of R4's CompartmentDefinition lead to, where it is one."""

from __future__ import annotations

from uuid import UUID

from feldsher_cloud_api.fhir import identity
from feldsher_cloud_api.fhir.elements import Element
from feldsher_cloud_api.fhir.forms import objects
from feldsher_cloud_api.fhir.index import Values
from feldsher_cloud_api.fhir.kinds import kind


def patients(resource: Element, found: Values) -> frozenset[UUID]:
    """Return the patients in whose compartments a resource lies, by what was extracted from it."""
    of = kind(str(resource["resourceType"]))
    if of.name == "Patient":
        return frozenset({identity.key(str(resource["id"]))})
    if of.name == "Binary":
        text = next((str(c.get("reference")) for c in objects(resource, "securityContext")), "")
        start, _, name = text.split("/_history/", maxsplit=1)[0].partition("/")
        return frozenset({identity.key(name)}) if start == "Patient" and identity.is_id(name) else frozenset()
    starts = tuple(f"{name}=Patient/" for name in of.leads)
    return (
        frozenset(UUID(link.rpartition("/")[2]) for link in found.links if link.startswith(starts))
        if starts
        else (frozenset())
    )


def patient(resource: Element, found: Values) -> UUID | None:
    """Return the one patient whose a resource is; None where there is none, or more than one."""
    whose = patients(resource, found)
    return next(iter(whose)) if len(whose) == 1 else None
