"""Pieces of SQL with the values that belong to their placeholders, put together without ever mixing the two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of SQL and the values of its placeholders, in their order."""

    sql: sql.Composed
    values: tuple[Any, ...] = ()

    def __and__(self, other: Fragment) -> Fragment:
        """Return the piece that holds where both hold."""
        return every((self, other))

    def negated(self) -> Fragment:
        """Return the piece that holds where this one does not, unknown counting as not."""
        return Fragment(sql.SQL("({}) IS NOT TRUE").format(self.sql), self.values)


def fragment(text: LiteralString, *values: Any, **names: sql.Composable) -> Fragment:
    """Return a piece of SQL; `names` fill its braces, `values` its placeholders."""
    return Fragment(sql.SQL(text).format(**names), values)


TRUE, FALSE = fragment("true"), fragment("false")


def every(parts: Iterable[Fragment]) -> Fragment:
    """Return the piece that holds where all hold; of nothing: always."""
    return _joined(" AND ", [p for p in parts if p is not TRUE], TRUE)


def some(parts: Iterable[Fragment]) -> Fragment:
    """Return the piece that holds where one holds; of nothing: never."""
    return _joined(" OR ", [p for p in parts if p is not FALSE], FALSE)


def _joined(sign: LiteralString, parts: list[Fragment], nothing: Fragment) -> Fragment:
    if len(parts) < 2:
        return parts[0] if parts else nothing
    joined = sql.SQL(sign).join(sql.SQL("({})").format(p.sql) for p in parts)
    return Fragment(joined, tuple(v for p in parts for v in p.values))
