"""References between resources: what leads nowhere, and what would lead nowhere if a resource were deleted.

The policy (FELDSHER_REFERENCES): `refuse`, so that what is written over REST refers to what is there and nothing is
deleted while others refer to it, or `accept`. R4 leaves it to the server. Bulk imports accept: their files come in any
order. Absolute addresses, `urn:`, identifiers and contained resources are nobody's to check here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from uuid import UUID

from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import identity
from feldsher_cloud_api.fhir.forms import target, term
from feldsher_cloud_api.fhir.kinds import Kind, kind, kinds
from feldsher_cloud_api.fhir.outcome import FaultError, FhirError
from feldsher_cloud_api.fhir.statement import table, typed

_TRAIL = frozenset({"AuditEvent", "Provenance"})
"""What tells of other resources for ever: a trail neither keeps its subject alive nor is refused when that is gone."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A reference that leads nowhere: of the resource at `number`, at which element, as it is written."""

    number: int
    path: str
    text: str


def named(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (FHIRPath, text) of every reference in a resource, wherever it stands."""
    yield from _named(resource, str(resource["resourceType"]))


def _named(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            if name == "reference" and isinstance(inner, str):
                yield path, inner
            elif isinstance(inner, dict | list):
                yield from _named(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for i, item in enumerate(cast("list[Any]", value)):
            if isinstance(item, dict | list):
                yield from _named(item, f"{path}[{i}]")


def missing(connection: db.Connection, resources: Sequence[dict[str, Any]]) -> list[Missing]:
    """Return the references to this server's resources that lead nowhere, in one statement.

    What the resources themselves are is there; what the asker may not see is not.
    """
    own = {f"{r['resourceType']}/{identity.key(str(r['id']))}" for r in resources if "id" in r}
    places: dict[str, list[Missing]] = {}
    for i, resource in enumerate(resources):
        if resource["resourceType"] in _TRAIL:
            continue
        for path, text in named(resource):
            link = target(text)[1]
            if link is not None and link not in own:
                places.setdefault(link, []).append(Missing(i, path, text))
    gone = _absent(connection, places)
    return sorted((m for link in gone for m in places[link]), key=lambda m: m.number)


def _absent(connection: db.Connection, links: Iterable[str]) -> list[str]:
    wanted: dict[str, list[UUID]] = {}
    for link in links:
        name, _, key = link.partition("/")
        if name in kinds():
            wanted.setdefault(name, []).append(UUID(key))
    if not wanted:
        return []
    one = sql.SQL(
        "SELECT {n} || '/' || k FROM unnest(%s::uuid[]) k WHERE NOT EXISTS (SELECT FROM {t} WHERE {o} id = k)"
    )
    parts = [one.format(n=name, t=table(kind(name)), o=typed(kind(name))) for name in wanted]
    return [row[0] for row in connection.execute(sql.SQL(" UNION ALL ").join(parts), list(wanted.values())).fetchall()]


def refused(found: Iterable[Missing], resources: Sequence[dict[str, Any]]) -> list[FaultError]:
    """Return references that lead nowhere as faults of the resources that hold them."""
    return [
        FaultError(
            m.path,
            f"{m.path}: {m.text[:100]} is not on this server, or not for you to see"
            + (f" (resource {m.number + 1} of {len(resources)})" if len(resources) > 1 else ""),
            "not-found",
        )
        for m in found
    ]


@cache
def _leading(of: Kind) -> dict[str, tuple[str, ...]]:
    """Return the types whose search parameters may lead to a type, each with those parameters."""
    out: dict[str, tuple[str, ...]] = {}
    for name, other in kinds().items():
        found = tuple(
            n for n, p in other.search.items() if p.kind == "reference" and of.name in (p.targets or (of.name,))
        )
        if found and name not in _TRAIL:
            out[name] = found
    return out


def referring(connection: db.Connection, name: str, key: UUID, *, most: int = 5) -> list[str]:
    """Return up to `most` resources (`Type/id`) that refer to one by a search parameter, itself and trails apart."""
    parts: list[sql.Composable] = []
    values: list[Any] = []
    for other, parameters in _leading(kind(name)).items():
        parts.append(
            sql.SQL(
                "(SELECT {n} || '/' || coalesce(logical, id::text) FROM {t}"
                " WHERE {o} terms && %s::bigint[] AND NOT ({same} AND id = %s) LIMIT %s)"
            ).format(
                n=other, t=table(kind(other)), o=typed(kind(other)), same=sql.SQL("true" if other == name else "false")
            )
        )
        values += [[term(f"{p}={name}/{key}") for p in parameters], key, most]
    query = sql.SQL("{} LIMIT %s").format(sql.SQL(" UNION ALL ").join(parts))
    return [row[0] for row in connection.execute(query, [*values, most], prepare=False).fetchall()]


def keep(connection: db.Connection, name: str, key: UUID) -> None:
    """Raise FhirError 409 where others refer to a resource that is to be deleted."""
    found = referring(connection, name, key)
    if found:
        raise FhirError(
            409, "conflict", f"this {name} is referred to by {', '.join(found)}: change or delete those first"
        )
