"""A resource as a row: its columns in the order of its table, as PostgreSQL reads them in a statement or a COPY."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from math import inf, isfinite
from typing import Any
from uuid import UUID

from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import dates, identity, index
from feldsher_cloud_api.fhir.forms import Span
from feldsher_cloud_api.fhir.index import Amount, Values
from feldsher_cloud_api.fhir.kinds import Kind
from feldsher_cloud_api.fhir.outcome import FhirError

SEARCH = (("terms", "bigint[]"), ("links", "text[]"), ("strings", "text"), ("texts", "text"))
"""The columns that searches look at, beside the ranges of dates."""
AMOUNT = (
    ("place", "bigint"), ("code", "bigint"), ("coded", "bigint"), ("unit", "bigint"), ("symbol", "bigint"),
    ("low", "float8"), ("high", "float8"), ("sent_low", "float8"), ("sent_high", "float8"),
)  # fmt: skip


def stamped(resource: dict[str, Any], version: int, now: datetime) -> dict[str, Any]:
    """Return a resource as it is stored: with its version and time."""
    meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": dates.render(now)}
    return {"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta} | {
        k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")
    }


def unstamped(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource without version and time: what its sender has said."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {k: v for k, v in resource.items() if k != "meta"} | ({"meta": meta} if meta else {})


@cache
def columns(of: Kind) -> tuple[tuple[str, str], ...]:
    """Return the columns of a type's table that every write fills, each with its SQL type."""
    typed = (("type", "text"), ("scope", '"char"')) if of.shared else ()
    whole = (("id", "uuid"), ("logical", "text"), ("version", "int"), ("updated", "timestamptz"))
    ranges = tuple((name, "tstzrange") for name in of.dates)
    return (*typed, *whole, ("patient_id", "uuid"), ("content", "jsonb"), *SEARCH, *ranges)


def values(
    of: Kind, resource: dict[str, Any], found: Values, *, version: int, now: datetime, patient: UUID | None
) -> list[Any]:
    """Return what goes into `columns`, in their order. `found`: index.values of the resource."""
    typed = [of.name, of.letter] if of.shared else []
    identity_ = str(resource["id"])
    content = db.dumps(stamped(resource, version, now)).decode()
    if "\\u0000" in content and "\\u0000" in content.replace("\\\\", ""):
        raise FhirError(422, "invalid", f"{of.name}: a text holds the character NUL, which no FHIR string may")
    whole = [identity.key(identity_), identity.logical(identity_), version, now, patient, content]
    return [*typed, *whole, *searched(of, found)]


def amount(of: Amount) -> dict[str, Any]:
    """Return an amount as a JSON object by column; JSON has no infinity, but PostgreSQL reads its name."""
    ends = {
        name: value if isfinite(value) else _number(value) for name, value in zip(of._fields[5:], of[5:], strict=True)
    }
    return dict(zip(of._fields[:5], of[:5], strict=True)) | ends


def searched(of: Kind, found: Values) -> list[Any]:
    """Return what goes into the columns that searches look at."""
    ranges = [span(found.dates[name]) if name in found.dates else None for name in of.dates]
    terms = "{" + ",".join(map(str, sorted(found.terms))) + "}"
    links = "{" + ",".join(sorted(found.links)) + "}"
    return [terms, links, segments(found.strings), segments(found.texts), *ranges]


def segments(found: list[str]) -> str:
    """Return strings of a resource as one text."""
    return "".join(sorted(set(found))) + index.END if found else ""


def span(of: Span) -> str:
    """Return a range of time as PostgreSQL reads it."""
    low, high = of
    return f"[{low.isoformat() if low else ''},{high.isoformat() if high else ''})"


def amounts(found: Values) -> list[str]:
    """Return the amounts of a resource as arrays, one for each column of AMOUNT."""
    return ["{" + ",".join(map(_number, column)) + "}" for column in zip(*found.amounts, strict=True)]


def _number(value: float | None) -> str:
    if value is None:
        return "NULL"
    return ("Infinity" if value > 0 else "-Infinity") if value in (inf, -inf) else repr(value)


def identifiers(names: tuple[tuple[str, str], ...]) -> sql.Composed:
    """Return columns as a list in SQL."""
    return sql.SQL(", ").join(sql.Identifier(name) for name, _ in names)


def placeholders(names: tuple[tuple[str, str], ...]) -> sql.Composed:
    """Return placeholders for columns, each with its type."""
    return sql.SQL(", ").join(sql.SQL("%s::" + kind) for _, kind in names)  # pyright: ignore[reportArgumentType]
