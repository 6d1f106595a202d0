"""What programs may not write: what this system has made itself, what is signed, and the trail. One rule, in one place.

A resource is the system's own where it carries one of its names (`urn:feldsher:…` as system of an identifier or code,
or as an extension): those are refused when somebody else sends them, so nobody can pass for the system, and what
carries them is changed by the system alone. What belongs to such a report (results, pictures, provenance) is protected
with it.
"""

from __future__ import annotations

from typing import Any, cast

from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import identity, store
from feldsher_cloud_api.fhir.outcome import FaultError, FhirError
from feldsher_cloud_api.fhir.store import Stored

_NAMES = "urn:feldsher:"
_FREE = frozenset(_NAMES + name for name in ("demo", "pacemaker", "pregnant", "qt-drugs"))
"""Names that others may use: the demo's people, and what an order says of its patient."""
_MADE = frozenset({"Observation", "DiagnosticReport", "Task", "Flag", "Device", "ServiceRequest", "Media"})
"""The types that the system makes itself and knows by its names."""
_BELONGS = {"Observation": "result", "Binary": "presentedForm"}
"""By which element a report holds what belongs to it."""
_INSTEAD = {
    "DiagnosticReport": "a cardiogram's report is corrected and signed at its page, or by $sign",
    "ServiceRequest": "the gateway has this order: withdraw it at its page",
    "Task": "alarms are answered at the page of alarms",
    "Device": "devices are kept by the technicians' commands",
}


def claimed(resource: dict[str, Any]) -> list[FaultError]:
    """Return where a resource that was sent uses the system's own names."""
    kind = str(resource["resourceType"])
    return [
        FaultError(f"{kind}.{at}", f"{at}: {name} is a name that this system alone gives", "business-rule")
        for at, name in _marks(resource)
    ]


def _marks(resource: dict[str, Any]) -> list[tuple[str, str]]:
    if resource["resourceType"] not in _MADE:
        return []
    found: list[tuple[str, Any]] = []
    for i, item in enumerate(_objects(resource.get("identifier"))):
        found.append((f"identifier[{i}].system", item.get("system")))
    for i, item in enumerate(_objects(resource.get("extension"))):
        found.append((f"extension[{i}].url", item.get("url")))
    for name in ("code", "type"):
        concept = resource.get(name)
        for i, item in enumerate(_objects(cast("dict[str, Any]", concept).get("coding")) if concept else []):
            found.append((f"{name}.coding[{i}].system", item.get("system")))
    return [(at, n) for at, n in found if isinstance(n, str) and n.startswith(_NAMES) and n not in _FREE]


def _objects(value: Any) -> list[dict[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def unchangeable(connection: db.Connection, before: Stored) -> None:
    """Raise FhirError 409 where a resource is one that programs may not change nor delete."""
    content = before.content()
    kind = str(content["resourceType"])
    if kind == "AuditEvent":
        raise FhirError(409, "business-rule", "the audit trail is only ever added to", "AuditEvent")
    if _marks(content) or _held(connection, kind, before) or (kind == "Provenance" and _vouches(connection, content)):
        words = _INSTEAD.get(kind, "it belongs to what this system has measured or signed")
        raise FhirError(409, "business-rule", f"this {kind} is not changed by programs: {words}", kind)


def _held(connection: db.Connection, kind: str, before: Stored) -> bool:
    """Whether a report of the system's own holds this as a result or picture."""
    element = _BELONGS.get(kind)
    if element is None:
        return False
    name = {"result": "reference", "presentedForm": "url"}[element]
    query = sql.SQL(
        "SELECT content::text FROM fhir.diagnosticreport"
        " WHERE patient_id IS NOT DISTINCT FROM %s"
        " AND content -> {} @> jsonb_build_array(jsonb_build_object({}, %s::text))"
    ).format(element, name)
    rows = connection.execute(query, (before.patient, f"{kind}/{before.logical}")).fetchall()
    return any(_marks(db.loads(row[0])) for row in rows)


def _vouches(connection: db.Connection, provenance: dict[str, Any]) -> bool:
    """Whether a Provenance says where one of the system's own came from, or who signed it."""
    for target in _objects(provenance.get("target")):
        kind, _, name = str(target.get("reference", "")).split("/_history/")[0].partition("/")
        if kind in _MADE and identity.is_id(name):
            found = store.find(connection, kind, identity.key(name))
            if found is not None and _marks(found.content()):
                return True
    return False
