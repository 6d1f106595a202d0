"""What granular scopes (`patient/Observation.rs?category=…`) leave of a type, as a condition on its rows."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from feldsher_cloud_api.access import Forbidden
from feldsher_cloud_api.fhir import search
from feldsher_cloud_api.fhir.compile import Forms
from feldsher_cloud_api.fhir.criterion import Criterion
from feldsher_cloud_api.fhir.fragment import Fragment, every, some
from feldsher_cloud_api.fhir.kinds import kind
from feldsher_cloud_api.fhir.outcome import FhirError

Pairs = tuple[tuple[str, str], ...]


def condition(
    of: str, alternatives: Iterable[Pairs], row: sql.Composable | None
) -> tuple[sql.Composable, list[object]]:
    """Return the condition, with its values, that a row meets one of the alternatives' search parameters.

    Forbidden where a scope's parameters mean nothing for the type, or lead beyond the row: then nothing is shown rather
    than all. `row`: the table's alias, where the name `id` alone is not clear.
    """
    met = some(_met(of, pairs) for pairs in alternatives)
    table, shared = sql.Identifier("fhir", kind(of).table), sql.SQL("r.type = {} AND ").format(of)
    statement = sql.SQL("{} IN (SELECT r.id FROM {} r WHERE {}({}))").format(
        sql.Identifier("id") if row is None else sql.SQL("{}.id").format(row),
        table,
        shared if kind(of).shared else sql.SQL(""),
        met.sql,
    )
    return statement, list(met.values)


def _met(of: str, pairs: Pairs) -> Fragment:
    try:
        asked = search.understand(of, pairs, "").search
    except FhirError as error:
        raise Forbidden("a scope of the token is narrowed by what this type cannot be searched for") from error
    own = [c for c in asked.conditions if isinstance(c, Criterion)]
    if len(own) != len(pairs):
        raise Forbidden("a scope of the token is narrowed by what is not an element of the resource itself")
    return every(Forms("").criterion(of, c) for c in own)
