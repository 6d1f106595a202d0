"""What granular scopes (`patient/Observation.rs?category=…`) leave of a type, as a condition on its rows."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from feldsher_cloud_api.fhir import search

Pairs = tuple[tuple[str, str], ...]


def condition(
    kind: str, alternatives: Iterable[Pairs], row: sql.Composable | None
) -> tuple[sql.Composable, list[object]]:
    """Return the condition, with its values, that a row meets one of the alternatives' search parameters.

    FhirError 400 where a scope names a parameter that the type does not have: then nothing is shown rather than all.
    `row`: the table's alias, unless the columns' names alone are clear.
    """
    found: list[sql.Composable] = []
    values: list[object] = []
    for pairs in alternatives:
        query = search.understand(kind, list(pairs), "")
        found.append(sql.SQL("({})").format(sql.SQL(" AND ").join(query.where)))
        values.extend(query.values)
    met = sql.SQL("({})").format(sql.SQL(" OR ").join(found))
    if row is None:
        return met, values
    inner = sql.SQL("{}.id IN (SELECT id FROM {} WHERE {})")
    return inner.format(row, sql.Identifier("fhir", kind.lower()), met), values
