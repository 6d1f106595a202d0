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


def schemas() -> tuple[str, ...]:
    """Return the texts of the schema's files in the order in which the cloud's migrations execute them."""
    files = (
        "schema.sql",
        "schema_readings.sql",
        "schema_gateway.sql",
        "schema_seats.sql",
        "schema_rollup.sql",
        "schema_origin.sql",
        "schema_streams.sql",
        "schema_watch.sql",
        "schema_operations.sql",
        "schema_spans.sql",
        "schema_replay.sql",
        "schema_retention.sql",
        "schema_watch_due.sql",
        "schema_received.sql",
        "schema_told.sql",
    )
    return tuple(resources.files("feldsher_ingest").joinpath(file).read_text(encoding="utf-8") for file in files)
