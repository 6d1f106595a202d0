"""Fetching several resources of what a principal may see, for operations that gather them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from psycopg import sql

from feldsher_cloud_api import access, db
from feldsher_cloud_api.access import Principal, Reach
from feldsher_cloud_api.fhir import identity
from feldsher_cloud_api.fhir.kinds import kind, kinds
from feldsher_cloud_api.fhir.statement import table, typed
from feldsher_cloud_api.fhir.store import Stored

_COLUMNS = sql.SQL("id, version, updated, patient_id, content::text, logical")


@dataclass(frozen=True, slots=True)
class View:
    """Who asks, on which connection, and whose rows they reach."""

    connection: db.Connection
    who: Principal
    reach: Reach

    def select(self, name: str, where: sql.Composable, values: Iterable[Any], tail: sql.Composable) -> list[Stored]:
        """Return the resources of a type that meet a condition, within reach; none where the role may not read it."""
        if not access.may(self.who, name, "read"):
            return []
        reached, more = self.reach.predicate(name)
        query = sql.SQL("SELECT {} FROM {} WHERE {} {} AND {} {}")
        of = kind(name)
        statement = query.format(_COLUMNS, table(of), typed(of), reached, where, tail)
        return [Stored(*row) for row in self.connection.execute(statement, [*more, *values]).fetchall()]

    def named(self, references: Iterable[str]) -> dict[str, Stored]:
        """Return what references `Type/id` lead to, by reference, as far as it may be seen."""
        wanted: dict[str, dict[UUID, str]] = {}
        for text in references:
            name, key = target(text) or ("", None)
            if key is not None:
                wanted.setdefault(name, {}).setdefault(key, text)
        found: dict[str, Stored] = {}
        for name, keys in wanted.items():
            rows = self.select(name, sql.SQL("id = ANY (%s)"), [list(keys)], sql.SQL(""))
            found |= {keys[stored.id]: stored for stored in rows}
        return found


def target(text: str) -> tuple[str, UUID] | None:
    """Return type and key of a reference to something on this server, None for any other."""
    parts = text.partition("/_history/")[0].split("/")
    if len(parts) != 2 or parts[0] not in kinds() or not identity.is_id(parts[1]):
        return None
    return parts[0], identity.key(parts[1])


def references(value: Any) -> Iterator[str]:
    """Yield every reference in a resource or element, as sent."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from references(item)
    elif isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            if name == "reference" and isinstance(inner, str):
                yield inner
            elif isinstance(inner, (dict, list)):
                yield from references(inner)


def entry(base: str, name: str, stored: Stored, mode: str | None = None) -> dict[str, Any]:
    """Return a Bundle's entry of a resource."""
    made: dict[str, Any] = {"fullUrl": f"{base}/{name}/{stored.logical}", "resource": stored.content()}
    return made | ({"search": {"mode": mode}} if mode else {})
