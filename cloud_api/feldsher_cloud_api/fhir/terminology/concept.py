"""The concepts of a code system: finding those that filters ask for, one by one or in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology.canonical import Found

LONGEST_REGEX = 200
_PATIENCE = "SET LOCAL statement_timeout = '3s'"
_COLUMNS = sql.SQL("code, display, definition, designation, property, parents, abstract, inactive")


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept of a code system, or one that only a value set names (then without all else)."""

    system: str
    version: str | None
    code: str
    display: str | None
    definition: str | None = None
    designation: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    property: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    parents: list[str] = field(default_factory=list[str])
    abstract: bool = False
    inactive: bool = False

    def named(self, display: str | None, designation: list[dict[str, Any]]) -> Concept:
        """Return it with the names that a value set gives it."""
        return replace(self, display=display or self.display, designation=[*designation, *self.designation])

    def display_in(self, languages: Sequence[str]) -> str | None:
        """Return its name in the first of some languages (`ru`, `de-AT`) that it has one in, else its own."""
        for language in languages:
            for each in self.designation:
                said = str(each.get("language", "")).lower()
                if said == language.lower() or said.partition("-")[0] == language.lower():
                    return str(each["value"])
        return self.display


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which concepts: those that meet all `filters` (ValueSet.compose.include.filter), `words` and `codes`."""

    filters: tuple[tuple[str, str, str], ...] = ()
    words: tuple[str, ...] = ()
    codes: tuple[str, ...] | None = None
    active: bool = False


def words(text: str | None) -> tuple[str, ...]:
    """Return the words of a text as names are compared with them."""
    return tuple((text or "").lower().split())


Clause = tuple[sql.Composable, list[Any]]


def _where(of: Found, wanted: Wanted) -> Clause:
    clauses: list[Clause] = [(sql.SQL("system = %s"), [of.id])]
    clauses += [_filter(*each) for each in wanted.filters]
    for word in wanted.words:
        escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        clauses.append((sql.SQL("folded LIKE %s"), [f"%{escaped}%"]))
    if wanted.codes is not None:
        exact = of.content.get("caseSensitive", True)
        codes = list(wanted.codes) if exact else [c.lower() for c in wanted.codes]
        clauses.append((sql.SQL("code = ANY (%s)" if exact else "lower(code) = ANY (%s)"), [codes]))
    if wanted.active:
        clauses.append((sql.SQL("NOT inactive"), []))
    return sql.SQL(" AND ").join(c for c, _ in clauses), [v for _, vs in clauses for v in vs]


_ON_CODE = {
    "is-a": "(code = %s OR ancestors @> ARRAY[%s])",
    "descendent-of": "ancestors @> ARRAY[%s]",
    "is-not-a": "NOT (code = %s OR ancestors @> ARRAY[%s])",
    "generalizes": "(code = %s OR code IN (SELECT unnest(c.ancestors) FROM fhir.concept c"
    " WHERE c.system = fhir.concept.system AND c.code = %s))",
}


def _filter(name: str, operator: str, value: str) -> Clause:
    """Return the condition of one filter (http://hl7.org/fhir/R4/valueset-filter-operator.html)."""
    if operator in _ON_CODE and name in ("concept", "code"):
        clause = sql.SQL(_ON_CODE[operator])  # pyright: ignore[reportArgumentType]
        return clause, [value] * _ON_CODE[operator].count("%s")
    if operator in ("=", "in", "not-in"):
        values = [value] if operator == "=" else [part.strip() for part in value.split(",")]
        clause, found = _values(name, values)
        return (sql.SQL("NOT ({})").format(clause) if operator == "not-in" else clause), found
    if operator == "exists" and value in ("true", "false"):
        clause, found = _exists(name)
        return (clause if value == "true" else sql.SQL("NOT ({})").format(clause)), found
    if operator == "regex":
        return _regex(name, value)
    raise FhirError(422, "not-supported", f"the filter {operator} of {name} is not understood", "ValueSet.compose")


def _values(name: str, values: list[str]) -> Clause:
    if name in ("concept", "code", "display"):
        column = sql.Identifier("display" if name == "display" else "code")
        return sql.SQL("{} = ANY (%s)").format(column), [values]
    if name == "parent":
        return sql.SQL("parents && %s"), [values]
    if name == "child":
        below = "code IN (SELECT unnest(c.parents) FROM fhir.concept c"
        return sql.SQL(below + " WHERE c.system = fhir.concept.system AND c.code = ANY (%s))"), [values]
    return sql.SQL("property -> %s ?| %s"), [name, values]


def _exists(name: str) -> Clause:
    if name in ("display", "definition"):
        return sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)), []
    if name == "parent":
        return sql.SQL("parents <> '{}'"), []
    return sql.SQL("property ? %s"), [name]


def _regex(name: str, value: str) -> Clause:
    if len(value) > LONGEST_REGEX:
        raise FhirError(422, "too-costly", f"a regex has at most {LONGEST_REGEX} letters", "ValueSet.compose")
    whole = f"^(?:{value})$"
    if name in ("concept", "code", "display"):
        return sql.SQL("{} ~ %s").format(sql.Identifier("display" if name == "display" else "code")), [whole]
    return sql.SQL("EXISTS (SELECT FROM jsonb_array_elements_text(property -> %s) v WHERE v ~ %s)"), [name, whole]


def _run(connection: db.Connection, wanted: Wanted, statement: sql.Composed, values: Iterable[Any]) -> list[Any]:
    bounded = any(operator == "regex" for _, operator, _ in wanted.filters)
    try:
        if bounded:
            connection.execute(_PATIENCE)
        found = connection.execute(statement, list(values)).fetchall()
        if bounded:
            connection.execute("SET LOCAL statement_timeout TO DEFAULT")
    except psycopg.errors.QueryCanceled as error:
        raise FhirError(422, "too-costly", "this takes longer than is given to it", "ValueSet.compose") from error
    except psycopg.errors.InvalidRegularExpression as error:
        raise FhirError(422, "invalid", "a filter's regex is not one", "ValueSet.compose") from error
    return found


def select(
    connection: db.Connection, of: Found, wanted: Wanted, *, limit: int | None = None, offset: int = 0
) -> list[Concept]:
    """Return a code system's concepts that are wanted, in its order."""
    where, values = _where(of, wanted)
    statement = sql.SQL("SELECT {} FROM fhir.concept WHERE {} ORDER BY ordinal LIMIT %s OFFSET %s")
    rows = _run(connection, wanted, statement.format(_COLUMNS, where), [*values, limit, offset])
    return [Concept(of.url, of.version, r[0], r[1], r[2], r[3] or [], *r[4:]) for r in rows]


def count(connection: db.Connection, of: Found, wanted: Wanted) -> int:
    """Return how many concepts are wanted."""
    where, values = _where(of, wanted)
    statement = sql.SQL("SELECT count(*) FROM fhir.concept WHERE {}").format(where)
    return int(_run(connection, wanted, statement, values)[0][0])


def get(connection: db.Connection, of: Found, code: str) -> Concept | None:
    """Return one concept, None where the code system has none of that code."""
    found = select(connection, of, Wanted(codes=(code,)), limit=1)
    return found[0] if found else None


def below(connection: db.Connection, of: Found, code: str) -> list[str]:
    """Return the codes of a concept and of all that are kinds of it; none where there is no such concept."""
    return [c.code for c in select(connection, of, Wanted(filters=(("concept", "is-a", code),)))]


def above(connection: db.Connection, of: Found, code: str) -> list[str]:
    """Return the codes of a concept and of all that it is a kind of; none where there is no such concept."""
    return [c.code for c in select(connection, of, Wanted(filters=(("concept", "generalizes", code),)))]
