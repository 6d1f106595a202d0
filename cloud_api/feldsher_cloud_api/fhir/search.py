"""Search: parameters become one SQL statement; pages follow each other by an encrypted cursor.

A page's link holds no parameter: type, parameters and place are sealed into the token, which only its owner can use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from psycopg import sql
from psycopg.types.range import TimestamptzRange

from feldsher_cloud_api import db
from feldsher_cloud_api.access import Reach
from feldsher_cloud_api.fhir import dates, definitions, forms, identity, index
from feldsher_cloud_api.fhir.definitions import Parameter, ResourceType
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.store import Stored

DEFAULT_COUNT, MAX_COUNT = 50, 200
CURSOR = "_cursor"
_IGNORED = ("_format", "_pretty")
_PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")

Pairs = list[tuple[str, str]]


@dataclass(slots=True)
class Query:
    """A search that has been understood: conditions with their values, order, page size, and the parameters kept."""

    of: ResourceType
    where: list[sql.Composable] = field(default_factory=list[sql.Composable])
    values: list[Any] = field(default_factory=list[Any])
    order: list[tuple[sql.Composable, bool, str]] = field(default_factory=list[tuple[sql.Composable, bool, str]])
    count: int = DEFAULT_COUNT
    total: bool = False
    understood: Pairs = field(default_factory=Pairs)


@dataclass(frozen=True, slots=True)
class Page:
    """What a search found: one page, its total where asked for, and the token of the next page."""

    found: list[Stored]
    total: int | None
    following: str | None
    understood: Pairs


def _refuse(words: str, parameter: str) -> FhirError:
    return FhirError(400, "invalid", words, f"http.{parameter}")


def understand(kind: str, pairs: Iterable[tuple[str, str]], base: str, *, lenient: bool = False) -> Query:
    """Return the query that search parameters mean; FhirError 400 names a parameter or value that is not understood."""
    query = Query(definitions.TYPES[kind])
    for name, value in pairs:
        if name in _IGNORED:
            continue
        if not value:
            raise _refuse(f"{name}: the value is empty", name)
        if _control(query, name, value):
            query.understood.append((name, value))
            continue
        bare, _, modifier = name.partition(":")
        parameter = _parameter(query.of, bare)
        if parameter is None:
            if lenient:
                continue
            raise _refuse(f"{name}: {kind} has no such search parameter here", name)
        _condition(query, parameter, modifier, value, base)
        query.understood.append((name, value))
    query.order.append((sql.SQL("id"), False, "uuid"))
    return query


def _parameter(of: ResourceType, name: str) -> Parameter | None:
    if name == "_id":
        return Parameter("_id", "token", "id", ())
    if name == "_lastUpdated":
        return Parameter("_lastUpdated", "date", "updated", ())
    return of.parameters.get(name)


def _control(query: Query, name: str, value: str) -> bool:
    if name == "_count":
        if not value.isdigit():
            raise _refuse(f"_count: {value!r} is not a number", name)
        query.count = min(int(value), MAX_COUNT)
    elif name == "_total":
        if value not in ("none", "estimate", "accurate"):
            raise _refuse(f"_total: {value!r} is not none, estimate or accurate", name)
        query.total = value == "accurate"
    elif name == "_sort":
        for key in value.split(","):
            query.order.append(_sort(query.of, key))
    else:
        return False
    return True


def _sort(of: ResourceType, key: str) -> tuple[sql.Composable, bool, str]:
    down, name = key.startswith("-"), key.removeprefix("-")
    if name == "_id":
        return sql.SQL("id"), down, "uuid"
    if name == "_lastUpdated":
        return sql.SQL("updated"), down, "timestamptz"
    parameter = of.parameters.get(name)
    if parameter is None or parameter.kind != "date":
        raise _refuse(f"_sort: {name!r} is not _id, _lastUpdated or a date parameter of {of.name}", "_sort")
    column = sql.Identifier(parameter.column)
    return sql.SQL("coalesce(lower({}), '-infinity')").format(column), down, "timestamptz"


def _condition(query: Query, parameter: Parameter, modifier: str, value: str, base: str) -> None:
    name = parameter.name
    parts = [p for p in value.split(",") if p]
    if modifier == "missing" and name[0] != "_" and value in ("true", "false"):
        query.where.append(sql.SQL("NOT (terms && %s)" if value == "true" else "terms && %s"))
        query.values.append([term(f"{name}:present")])
    elif modifier == "not" and parameter.kind == "token" and name != "_id":
        query.where.append(sql.SQL("NOT (terms && %s)"))
        query.values.append([term(f"{name}={p}") for p in parts])
    elif parameter.kind == "string" and modifier in ("", "contains", "exact"):
        _string(query, name, modifier, parts)
    elif modifier and not (parameter.kind == "reference" and modifier in ("Patient", "Device", "Practitioner")):
        raise _refuse(f"{name}: the modifier {modifier!r} is not served", name)
    elif name == "_id":
        query.where.append(sql.SQL("id = ANY (%s)"))
        query.values.append([identity.key(p) for p in parts])
    elif parameter.kind == "token":
        query.where.append(sql.SQL("terms && %s"))
        query.values.append([term(f"{name}={p}") for p in parts])
    elif parameter.kind == "reference":
        query.where.append(sql.SQL("terms && %s"))
        query.values.append([term(f"{name}={_reference(parameter, p, modifier, base)}") for p in parts])
    else:
        _date(query, parameter, parts)


def _string(query: Query, name: str, modifier: str, parts: list[str]) -> None:
    folded = [forms.fold(p).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for p in parts]
    if modifier == "exact":
        texts = [f"%{index.START}{name}={f}{index.RAW}{p}{index.END}%" for f, p in zip(folded, parts, strict=True)]
    else:
        texts = [f"%{index.START}{name}={f}%" for f in folded]
    if modifier == "contains":
        query.where.append(sql.SQL("EXISTS (SELECT FROM unnest(string_to_array(strings, %s)) s WHERE s LIKE ANY (%s))"))
        query.values += [index.START, [f"{name}=%{f}%{index.RAW}%" for f in folded]]
        return
    query.where.append(sql.SQL("strings LIKE ANY (%s)"))
    query.values.append(texts)


def _reference(parameter: Parameter, value: str, modifier: str, base: str) -> str:
    value = value.removeprefix(base + "/").split("/_history/")[0]
    kind = modifier or parameter.target
    if kind and "/" not in value:
        value = f"{kind}/{value}"
    if parameter.target and not value.startswith(parameter.target + "/"):
        raise _refuse(f"{parameter.name}: a reference to {parameter.target} is needed", parameter.name)
    found = forms.target(value)[0]
    return found[0] if "/" in value else str(identity.key(value))


def _date(query: Query, parameter: Parameter, parts: list[str]) -> None:
    column: sql.Composable = sql.Identifier(parameter.column)
    if parameter.name == "_lastUpdated":
        column = sql.SQL("tstzrange(updated, updated, '[]')")
    clauses: list[sql.Composable] = []
    for part in parts:
        prefix, text = (part[:2], part[2:]) if part[:2] in _PREFIXES else ("eq", part)
        try:
            # In addresses "+" arrives as a blank, and every client forgets to escape it once.
            low, high = dates.parse(text.replace(" ", "+"))
        except ValueError as error:
            raise _refuse(f"{parameter.name}: {error}", parameter.name) from error
        clause, values = _compare(prefix, TimestamptzRange(low, high, "[)"))
        clauses.append(sql.SQL(clause).format(c=column))  # pyright: ignore[reportArgumentType]
        query.values.extend(values)
    query.where.append(sql.SQL("({})").format(sql.SQL(" OR ").join(clauses)))


def _compare(prefix: str, span: TimestamptzRange) -> tuple[str, list[TimestamptzRange]]:
    """Prefixes as http://hl7.org/fhir/R4/search.html#prefix defines them on ranges."""
    above, below = TimestamptzRange(span.upper, None, "[)"), TimestamptzRange(None, span.lower, "()")
    return {
        "eq": ("{c} <@ %s", [span]),
        "ne": ("NOT ({c} <@ %s)", [span]),
        "gt": ("{c} && %s", [above]),
        "lt": ("{c} && %s", [below]),
        "ge": ("({c} && %s OR {c} <@ %s)", [above, span]),
        "le": ("({c} && %s OR {c} <@ %s)", [below, span]),
        "sa": ("{c} >> %s", [span]),
        "eb": ("{c} << %s", [span]),
    }[prefix]


def run(
    connection: db.Connection, query: Query, reach: Reach, *, after: list[str] | None = None
) -> tuple[list[Stored], list[str] | None, int | None]:
    """Return one page, the place after it (None at the end), and the total where asked for."""
    reached, reach_values = reach.predicate(query.of.name)
    where, values = [reached, *query.where], [*reach_values, *query.values]
    table = sql.Identifier("fhir", query.of.table)
    total = None
    if query.total:
        counting = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table, sql.SQL(" AND ").join(where))
        row = connection.execute(counting, values).fetchone()
        total = int(row[0]) if row else 0
    if query.count == 0:
        return [], None, total
    if after is not None:
        condition, place = _after(query, after)
        where.append(condition)
        values.extend(place)
    # Named, because a cast of `id` would else be called `id` too and make the order ambiguous.
    keys = sql.SQL(", ").join(
        sql.SQL("({})::text AS {}").format(k, sql.Identifier(f"key_{i}")) for i, (k, _, _) in enumerate(query.order)
    )
    order = sql.SQL(", ").join(sql.SQL("{} DESC" if down else "{}").format(k) for k, down, _ in query.order)
    statement = sql.SQL(
        "SELECT id, version, updated, patient_id, content::text, logical, {} FROM {} WHERE {} ORDER BY {} LIMIT %s"
    ).format(keys, table, sql.SQL(" AND ").join(where), order)
    rows = connection.execute(statement, [*values, query.count + 1]).fetchall()
    page = rows[: query.count]
    place = [str(v) for v in page[-1][6:]] if len(rows) > query.count else None
    return [Stored(*row[:6]) for row in page], place, total


def _after(query: Query, after: list[str]) -> tuple[sql.Composable, list[str]]:
    """Return the condition "comes after this place" for several keys of mixed direction, and its values."""
    if len(after) != len(query.order):
        raise _refuse("_cursor: the token does not fit this search", CURSOR)
    alternatives: list[sql.Composable] = []
    values: list[str] = []
    for i, (key, down, kind) in enumerate(query.order):
        terms = [
            sql.SQL("{} = %s::{}").format(k, sql.SQL(t))  # pyright: ignore[reportArgumentType]
            for k, _, t in query.order[:i]
        ]
        step = sql.SQL("{} < %s::{}" if down else "{} > %s::{}")
        terms.append(step.format(key, sql.SQL(kind)))  # pyright: ignore[reportArgumentType]
        values.extend([*after[:i], after[i]])
        alternatives.append(sql.SQL("({})").format(sql.SQL(" AND ").join(terms)))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(alternatives)), values


def seal_cursor(key: Fernet, person: UUID, kind: str, understood: Pairs, place: list[str]) -> str:
    """Return the token of a next page, readable by this server alone and usable by one person alone."""
    return key.encrypt(db.dumps([str(person), kind, understood, place])).decode()


def open_cursor(key: Fernet, person: UUID, kind: str, token: str) -> tuple[Pairs, list[str]]:
    """Return parameters and place of a page's token; FhirError 400 where it is not this person's and type's."""
    try:
        owner, of, understood, place = db.loads(key.decrypt(token.encode(), ttl=24 * 3600))
    except (InvalidToken, ValueError) as error:
        raise _refuse("_cursor: the token is not valid or is over", CURSOR) from error
    if owner != str(person) or of != kind:
        raise _refuse("_cursor: the token belongs to another search", CURSOR)
    return [(n, v) for n, v in understood], place
