"""One page of what a search finds, with its total and the place where the next page begins.

Several types (`GET [base]?_type=`) are searched one by one and their pages merged by the same keys. Where the order
goes by `_lastUpdated` upwards, only settled rows are shown, and what settled since the last page with an earlier moment
comes first on the next one: who follows the pages misses no transaction, however late it commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from feldsher_cloud_api.fhir.criterion import Search
from feldsher_cloud_api.fhir.fragment import TRUE, Fragment, every, fragment
from feldsher_cloud_api.fhir.links import Linker, table
from feldsher_cloud_api.fhir.order import Order, order
from feldsher_cloud_api.fhir.store import Stored

COLUMNS = sql.SQL("r.id, r.version, r.updated, r.patient_id, r.content::text, r.logical, r.links")
"""What `found` reads of a row."""
_MOST_LATE = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """One resource that was found: its type, what is stored, and its links to others (`parameter=Type/key`)."""

    kind: str
    stored: Stored
    links: tuple[str, ...] = ()


@dataclass(slots=True)
class Page:
    """What a search found: matches, the total where asked for, and the next page's place (None: the end)."""

    found: list[Found] = field(default_factory=list[Found])
    total: int | None = None
    place: list[str] | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with what puts it in order: its stage, and each key as text."""

    stage: int
    found: Found
    keys: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One page as asked for. `horizon`: the transaction below which everything had settled (empty: does not matter)."""

    search: Search
    count: int
    after: Sequence[str] | None
    horizon: str


def found(of: str, row: Sequence[Any]) -> Found:
    """Return what stands in the COLUMNS of a row."""
    return Found(of, Stored(*row[:6]), tuple(row[6]))


def run(linker: Linker, search: Search, count: int, after: Sequence[str] | None) -> Page:
    """Return the page after a place (None: the first); a `count` of 0 asks for the total alone."""
    wheres = {of: _where(linker, of, search) for of in search.kinds}
    page = Page()
    if search.total != "none" or count == 0:
        page.total = sum(_total(linker, of, where, search.total) for of, where in wheres.items())
    if count == 0:
        return page
    asked = _Asked(search, count, after, _horizon(linker, search))
    late: list[_Row] = []
    rows: list[_Row] = []
    for of, where in wheres.items():
        late += _late(linker, of, where, asked)
        rows += _staged(linker, of, where, asked)
    if len(wheres) > 1:
        rows = _merged(rows, order(search.kinds[0], search.sort, several=True))
    page.found = [row.found for row in (*late, *rows[:count])]
    if len(rows) > count:
        last = rows[count - 1]
        page.place = [str(last.stage), asked.horizon, *(str(key) for key in last.keys)]
    return page


def _where(linker: Linker, of: str, search: Search) -> Fragment:
    conditions = [linker.condition(of, condition) for condition in search.conditions]
    if search.patient is not None:
        conditions.append(linker.compartment(of, search.patient))
    return every((linker.within(of), *conditions))


def _total(linker: Linker, of: str, where: Fragment, how: str) -> int:
    names = {"table": table(of), "where": where.sql}
    # What the planner believes of all rows is nobody's business who may see only some of them.
    if how == "estimate" and linker.reach.whole and not linker.reach.bound:
        asked = fragment("EXPLAIN (FORMAT JSON) SELECT FROM {table} r WHERE {where}", *where.values, **names)
        row = linker.connection.execute(asked.sql, asked.values, prepare=False).fetchone()
        return int(row[0][0]["Plan"]["Plan Rows"]) if row else 0
    asked = fragment("SELECT count(*) FROM {table} r WHERE {where}", *where.values, **names)
    row = linker.connection.execute(asked.sql, asked.values, prepare=False).fetchone()
    return int(row[0]) if row else 0


def _horizon(linker: Linker, search: Search) -> str:
    """Return the transaction below which everything has settled, where the order follows the changes."""
    first = search.sort[0] if search.sort else None
    if first is None or first.name != "_lastUpdated" or first.down:
        return ""
    row = linker.connection.execute("SELECT fhir.settled()::text").fetchone()
    return str(row[0]) if row else ""


def _staged(linker: Linker, of: str, where: Fragment, asked: _Asked) -> list[_Row]:
    keys, after = order(of, asked.search.sort, several=len(asked.search.kinds) > 1), asked.after
    if asked.horizon:
        where = where & fragment("r.txid < %s::xid8", asked.horizon)
    rows: list[_Row] = []
    for stage in range(int(after[0]) if after else 0, keys.stages):
        begins = keys.after(after) if after and stage == int(after[0]) else TRUE
        some = every((where, keys.among(stage), begins))
        rows += _rows(linker, of, some, keys, stage, asked.count + 1 - len(rows))
        if len(rows) > asked.count:
            break
    return rows


def _late(linker: Linker, of: str, where: Fragment, asked: _Asked) -> list[_Row]:
    """Return what settled since the last page was read and belongs before its end."""
    before = asked.after[1] if asked.after else ""
    if not asked.horizon or not before or before == asked.horizon or asked.after is None:
        return []
    keys = order(of, asked.search.sort, several=len(asked.search.kinds) > 1)
    changed = fragment(
        "r.id IN (SELECT c.id FROM fhir.change c WHERE c.type = %s AND c.txid >= %s::xid8 AND c.txid < %s::xid8)",
        of,
        before,
        asked.horizon,
    )
    settled = fragment("r.txid >= %s::xid8 AND r.txid < %s::xid8", before, asked.horizon)
    some = every((where, changed, settled, keys.after(asked.after).negated()))
    return _rows(linker, of, some, keys, 0, _MOST_LATE)


def _rows(linker: Linker, of: str, where: Fragment, keys: Order, stage: int, limit: int) -> list[_Row]:
    asked = fragment(
        "SELECT {columns}, {keys} FROM {table} r WHERE {where} ORDER BY {order} LIMIT %s",
        *where.values,
        limit,
        columns=COLUMNS,
        keys=keys.columns(),
        table=table(of),
        where=where.sql,
        order=keys.clause(stage),
    )
    # Not prepared: a plan made for any value would not know which of them are rare.
    rows = linker.connection.execute(asked.sql, asked.values, prepare=False).fetchall()
    return [_Row(stage, found(of, row), tuple(row[7:])) for row in rows]


def _merged(rows: list[_Row], keys: Order) -> list[_Row]:
    """Return rows of several types in their common order; PostgreSQL's texts of moments and ids sort as they do."""
    for i, key in reversed(list(enumerate(keys.keys))):
        numeric = key.type == "float8"

        def value(row: _Row, i: int = i, *, numeric: bool = numeric) -> Any:
            text = row.keys[i] or ""
            return float(text) if numeric else text

        rows = sorted(rows, key=value, reverse=key.down)
    return sorted(rows, key=lambda row: row.stage)
