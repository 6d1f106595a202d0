"""The order of what a search finds, and the condition "comes after this place": pages by key, never by offset.

Where an order goes by a date, undated rows come last, whichever the direction: `stage` 1 is a search among these alone,
so that both stages read their index in order. Ids end every order, so that it is total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from feldsher_cloud_api.fhir.criterion import Sort
from feldsher_cloud_api.fhir.fragment import TRUE, Fragment, fragment, some
from feldsher_cloud_api.fhir.jsonpath import ordered
from feldsher_cloud_api.fhir.kinds import column, kind

Place = Sequence[str]
"""Where a page ended: the stage, the horizon of what had settled, and the value of each key, all as text."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its SQL, PostgreSQL's type, and whether the largest comes first."""

    sql: sql.Composable
    type: LiteralString
    down: bool


@dataclass(frozen=True, slots=True)
class Order:
    """The keys of an order; `dated`: the date column that it begins with, where it begins with one."""

    keys: tuple[Key, ...]
    dated: sql.Composable | None = None

    @property
    def stages(self) -> int:
        """How many searches after each other give the order."""
        return 1 if self.dated is None else 2

    def among(self, stage: int) -> Fragment:
        """Return the condition of the rows of a stage."""
        if self.dated is None:
            return TRUE
        wanted: LiteralString = "lower({c}) IS NOT NULL" if stage == 0 else "lower({c}) IS NULL"
        return fragment(wanted, c=self.dated)

    def clause(self, stage: int) -> sql.Composable:
        """Return what ORDER BY says in a stage."""
        return sql.SQL(", ").join(
            sql.SQL("{} DESC" if k.down else "{}").format(k.sql) for k in self.keys[stage if self.dated else 0 :]
        )

    def columns(self) -> sql.Composable:
        """Return the keys as texts to select, so that the last row's are the next page's place."""
        return sql.SQL(", ").join(sql.SQL("({})::text").format(k.sql) for k in self.keys)

    def after(self, place: Place) -> Fragment:
        """Return the condition that a row comes after a place in its stage."""
        skipped = int(place[0]) if self.dated is not None else 0
        keys, values = self.keys[skipped:], list(place[2 + skipped :])
        if len({k.down for k in keys}) == 1:
            sign: LiteralString = "({keys}) < ({values})" if keys[0].down else "({keys}) > ({values})"
            given = sql.SQL(", ").join(_given(k) for k in keys)
            return fragment(sign, *values, keys=sql.SQL(", ").join(k.sql for k in keys), values=given)
        steps: list[Fragment] = []
        for i, key in enumerate(keys):
            equal = [sql.SQL("{} = {}").format(k.sql, _given(k)) for k in keys[:i]]
            beyond = sql.SQL("{} < {}" if key.down else "{} > {}").format(key.sql, _given(key))
            steps.append(Fragment(sql.SQL(" AND ").join([*equal, beyond]), tuple(values[: i + 1])))
        return some(steps)


def _given(key: Key) -> sql.Composable:
    return sql.SQL("%s::{}").format(sql.SQL(key.type))


def order(of: str, sorts: Sequence[Sort], *, several: bool = False) -> Order:
    """Return the order of a type's rows; without any key by id, which is the cheapest and stands still under changes.

    `several`: rows of other types are merged with them, and two types may have the same id.
    """
    keys: list[Key] = []
    dated: sql.Composable | None = None
    for sort in sorts:
        if sort.kind == "date" and sort.name != "_lastUpdated":
            at = sql.Identifier("r", column(sort.name))
            if not keys:
                dated = at
                keys.append(Key(sql.SQL("lower({})").format(at), "timestamptz", sort.down))
            else:
                end = sql.SQL("'-infinity'" if sort.down else "'infinity'")
                keys.append(Key(sql.SQL("coalesce(lower({}), {})").format(at, end), "timestamptz", sort.down))
        else:
            keys.append(_key(of, sort))
    if not any(s.name == "_id" for s in sorts):
        keys.append(Key(sql.SQL("r.id"), "uuid", keys[-1].down if keys else False))
    if several:
        keys.append(Key(sql.SQL("{}::text").format(sql.Literal(of)), "text", keys[-1].down))
    return Order(tuple(keys), dated)


def _key(of: str, sort: Sort) -> Key:
    if sort.name == "_id":
        return Key(sql.SQL("r.id"), "uuid", sort.down)
    if sort.name == "_lastUpdated":
        return Key(sql.SQL("r.updated"), "timestamptz", sort.down)
    if sort.kind in ("number", "quantity"):
        end = sql.SQL("'-infinity'" if sort.down else "'infinity'")
        return Key(sql.SQL("coalesce({}::float8, {})").format(_first(of, sort.name), end), "float8", sort.down)
    # What has no value comes last: no text is empty, and none begins with the last character of Unicode.
    end = sql.SQL("''") if sort.down else sql.Literal("\U0010ffff")
    text = _first(of, sort.name)
    if sort.kind == "string":
        text = sql.SQL("lower({})").format(text)
    return Key(sql.SQL('coalesce({}, {}) COLLATE "C"').format(text, end), 'text COLLATE "C"', sort.down)


def _first(of: str, name: str) -> sql.Composable:
    """Return what reads the first value of a parameter from the JSON."""
    found = [
        sql.SQL("jsonb_path_query_first(r.content, {}) #>> '{{}}'").format(sql.Literal(path))
        for path in ordered(of, name)
    ]
    if not found:
        return sql.SQL("NULL")
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join(found))


def known(of: str, name: str) -> bool:
    """Return whether rows of a type can be put in order by a parameter."""
    return kind(of).search[name].kind == "date" or bool(ordered(of, name)) or name in ("_id", "_lastUpdated")
