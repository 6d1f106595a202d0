"""Reading and writing resources: versions, history, extracted columns; row-level security does the rest.

Content leaves as the text that PostgreSQL keeps, so a decimal's digits survive; every write of a changed resource moves
the superseded version into the type's history in the same transaction.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from feldsher_ehr_core.ids import uuid7
from psycopg import sql
from psycopg.types.json import Jsonb

from feldsher_cloud_api import db
from feldsher_cloud_api.access import EVERYTHING, Reach
from feldsher_cloud_api.fhir import dates, definitions
from feldsher_cloud_api.fhir.outcome import not_found


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource as stored; `json` is its text exactly as it leaves."""

    id: UUID
    version: int
    updated: datetime
    patient: UUID | None
    json: str

    def content(self) -> dict[str, Any]:
        """Return the resource as Python values, fractions as Decimal."""
        return db.loads(self.json)


def new_id(now: datetime) -> UUID:
    """Return a fresh UUIDv7."""
    return uuid7(int(now.timestamp() * 1000), os.urandom(10))


def _table(kind: str, suffix: str = "") -> sql.Identifier:
    return sql.Identifier("fhir", definitions.TYPES[kind].table + suffix)


def _stamped(resource: dict[str, Any], version: int, now: datetime) -> dict[str, Any]:
    meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": dates.render(now)}
    return {"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta} | {
        k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")
    }


def _unstamped(resource: dict[str, Any]) -> dict[str, Any]:
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {k: v for k, v in resource.items() if k != "meta"} | ({"meta": meta} if meta else {})


def insert(
    connection: db.Connection,
    resource: dict[str, Any],
    *,
    patient: UUID | None,
    now: datetime,
    extra: dict[str, Any] | None = None,
) -> bool:
    """Store the first version of a resource; False where its id exists already (nothing is changed then).

    `patient`: the compartment it belongs to. `extra`: columns beside the extracted ones.
    """
    kind: str = resource["resourceType"]
    stamped = _stamped(resource, 1, now)
    values: dict[str, Any] = {
        "id": UUID(resource["id"]),
        "version": 1,
        "updated": now,
        "patient_id": patient,
        "content": Jsonb(stamped),
        **definitions.columns(kind, resource),
        **(extra or {}),
    }
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        _table(kind),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join([sql.Placeholder()] * len(values)),
    )
    return connection.execute(statement, list(values.values())).rowcount == 1


def update(
    connection: db.Connection,
    resource: dict[str, Any],
    *,
    patient: UUID | None,
    now: datetime,
    extra: dict[str, Any] | None = None,
) -> int:
    """Store the next version of a resource and return its number; the same content again changes nothing.

    The superseded version goes into the history. FhirError 404 where the resource does not exist or is not visible.
    """
    kind: str = resource["resourceType"]
    identity = UUID(resource["id"])
    row = connection.execute(
        sql.SQL("SELECT version, content::text, patient_id FROM {} WHERE id = %s FOR UPDATE").format(_table(kind)),
        (identity,),
    ).fetchone()
    if row is None:
        raise not_found(kind)
    if not extra and row[2] == patient and _unstamped(db.loads(row[1])) == _unstamped(resource):
        return int(row[0])
    _archive(connection, kind, identity)
    version = int(row[0]) + 1
    values: dict[str, Any] = {
        "version": version,
        "updated": now,
        "patient_id": patient,
        "content": Jsonb(_stamped(resource, version, now)),
        **definitions.columns(kind, resource),
        **(extra or {}),
    }
    changes = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(c)) for c in values)
    statement = sql.SQL("UPDATE {} SET {}, txid = pg_current_xact_id() WHERE id = %s").format(_table(kind), changes)
    connection.execute(statement, [*values.values(), identity])
    return version


def _archive(connection: db.Connection, kind: str, identity: UUID) -> None:
    names = ["id", "version", "updated", "txid", "patient_id", "content"] + (["bytes"] if kind == "Binary" else [])
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE id = %s").format(
            _table(kind, "_history"), listed, listed, _table(kind)
        ),
        (identity,),
    )


def put(
    connection: db.Connection,
    resource: dict[str, Any],
    *,
    patient: UUID | None,
    now: datetime,
    extra: dict[str, Any] | None = None,
) -> int:
    """Store a resource whether it is new or not and return its version; the same content again changes nothing."""
    if insert(connection, resource, patient=patient, now=now, extra=extra):
        return 1
    return update(connection, resource, patient=patient, now=now, extra=extra)


_COLUMNS = sql.SQL("id, version, updated, patient_id, content::text")


def find(connection: db.Connection, kind: str, identity: UUID, reach: Reach = EVERYTHING) -> Stored | None:
    """Return the current version of a resource within reach, else None."""
    where, values = reach.predicate(kind)
    statement = sql.SQL("SELECT {} FROM {} WHERE id = %s AND {}").format(_COLUMNS, _table(kind), where)
    row = connection.execute(statement, [identity, *values]).fetchone()
    return Stored(*row) if row else None


def read(connection: db.Connection, kind: str, identity: UUID, reach: Reach = EVERYTHING) -> Stored:
    """Return the current version of a resource within reach; FhirError 404 otherwise."""
    stored = find(connection, kind, identity, reach)
    if stored is None:
        raise not_found(kind)
    return stored


def versions(connection: db.Connection, kind: str, identity: UUID, reach: Reach = EVERYTHING) -> list[Stored]:
    """Return all versions of a resource within reach, newest first; FhirError 404 where there is none."""
    where, values = reach.predicate(kind)
    statement = sql.SQL(
        "SELECT {c} FROM {t} WHERE id = %s AND {w} UNION ALL SELECT {c} FROM {h} WHERE id = %s AND {w} ORDER BY 2 DESC"
    ).format(c=_COLUMNS, t=_table(kind), h=_table(kind, "_history"), w=where)
    rows = connection.execute(statement, [identity, *values, identity, *values]).fetchall()
    if not rows:
        raise not_found(kind)
    return [Stored(*row) for row in rows]


def picture(connection: db.Connection, identity: UUID, reach: Reach = EVERYTHING) -> tuple[bytes, Stored]:
    """Return the bytes of a Binary and its resource; FhirError 404 where there is none within reach."""
    stored = read(connection, "Binary", identity, reach)
    row = connection.execute("SELECT bytes FROM fhir.binary WHERE id = %s", (identity,)).fetchone()
    if row is None:
        raise not_found("Binary")
    return bytes(row[0]), stored
