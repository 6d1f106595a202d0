"""What a client asks a bulk export for: level, types, since when, whose; every parameter is understood or refused."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, cast

import msgspec

from feldsher_cloud_api.fhir import dates
from feldsher_cloud_api.fhir.criterion import Pairs
from feldsher_cloud_api.fhir.kinds import kinds
from feldsher_cloud_api.fhir.outcome import FhirError

Level = Literal["system", "patient", "group"]
FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
NOT_EXPORTED = frozenset({"AuditEvent", "Subscription"})
"""Who looked is asked for by searching; a subscription belongs to one client."""


class Asked(msgspec.Struct, frozen=True):
    """An export. `types`: None = all that may be seen; `patients`: None = everybody's; times as FHIR instants."""

    level: Level
    types: tuple[str, ...] | None = None
    since: datetime | None = None
    patients: tuple[str, ...] | None = None
    elements: tuple[str, ...] | None = None
    group: str | None = None


def _refuse(words: str, name: str, code: str = "invalid") -> FhirError:
    return FhirError(400, code, words, f"http.{name}")


def understand(level: Level, pairs: Iterable[tuple[str, str]], *, group: str | None = None, lenient: bool) -> Asked:
    """Return what parameters ask for; FhirError 400 names what is not understood (`lenient` passes over it)."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        match name:
            case "_outputFormat":
                if value not in FORMATS:
                    raise _refuse(f"_outputFormat: only {' or '.join(sorted(FORMATS))} is written", name)
            case "_since":
                found["since"] = _moment(value)
            case "_type":
                found["types"] = found.get("types", ()) + _types(value, lenient=lenient)
            case "_elements":
                found["elements"] = found.get("elements", ()) + tuple(e for e in value.split(",") if e)
            case "patient" if level != "system":
                found["patients"] = (*found.get("patients", ()), value.removeprefix("Patient/"))
            case _ if not lenient:
                raise _refuse(f"{name}: {level} export has no such parameter here", name, "not-supported")
            case _:
                pass
    return Asked(level, group=group, **found)


def _moment(value: str) -> datetime:
    try:
        return dates.parse(value.replace(" ", "+"))[0]
    except ValueError as error:
        raise _refuse(f"_since: {error}", "_since") from error


def _types(value: str, *, lenient: bool) -> tuple[str, ...]:
    names = [name for name in value.split(",") if name]
    unknown = [name for name in names if name not in kinds() or name in NOT_EXPORTED]
    if unknown and not lenient:
        raise _refuse(f"_type: {unknown[0][:64]} is not exported", "_type")
    return tuple(name for name in names if name not in unknown)


def pairs_of(body: dict[str, Any]) -> Pairs:
    """Return the parameters of a kick-off by POST (Parameters) as those of an address; FhirError 400 names others."""
    if body.get("resourceType") != "Parameters":
        raise FhirError(400, "structure", "the body of $export is Parameters", "Parameters")
    pairs: Pairs = []
    for part in cast("list[dict[str, Any]]", body.get("parameter", [])):
        name = str(part.get("name", ""))
        value = next((v for key, v in part.items() if key.startswith("value")), None)
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get("reference")
        if not isinstance(value, str):
            raise FhirError(400, "value", f"{name[:64]}: a value is needed", "Parameters.parameter.value")
        pairs.append((name, value))
    return pairs


def elements_of(asked: Asked, kind: str) -> tuple[str, ...]:
    """Return which elements of a type are wanted: `name` of every type, `Patient.name` of one; none: all."""
    parts = [e.rpartition(".") for e in asked.elements or ()]
    return tuple(name for of, _, name in parts if of in ("", kind))
