"""The named queries of this package: aiosql reads the .sql files, psycopg runs their text."""

from __future__ import annotations

from importlib import resources
from typing import Protocol, cast

import aiosql


class _Query(Protocol):
    sql: str


def load(file: str) -> dict[str, bytes]:
    """Return the queries of one .sql file of this package by name, as psycopg wants them."""
    text = resources.files("feldsher_ingest").joinpath(file).read_text(encoding="utf-8")
    queries = aiosql.from_str(text, "psycopg", mandatory_parameters=False)  # pyright: ignore[reportUnknownMemberType]
    names = [name for name in queries.available_queries if not name.endswith("_cursor")]
    return {name: cast("_Query", getattr(queries, name)).sql.encode() for name in names}


def schema() -> str:
    """Return the text of schema.sql, which the cloud's first migration executes."""
    return resources.files("feldsher_ingest").joinpath("schema.sql").read_text(encoding="utf-8")
