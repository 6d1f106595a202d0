"""Reading and writing resources: versions, history, search columns, the log; row-level security does the rest.

Content leaves as the text that PostgreSQL keeps, so a decimal's digits survive; every write of a changed resource moves
the superseded version into the type's history in the same statement. What can race (a version expected, an id taken) is
decided by the database: the row is locked before it is judged.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from feldsher_ehr_core.ids import uuid7
from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.access import EVERYTHING, Reach
from feldsher_cloud_api.fhir import compartment, identity, index, row, statement
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.index import Values
from feldsher_cloud_api.fhir.kinds import Kind, kind
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.fhir.statement import table, typed

Method = Literal["POST", "PUT", "PATCH"]
_MOST_TRIES = 5


class Derived:
    """Stands for "the patient that the resource itself leads to" where a patient may be given."""


DERIVED = Derived()
Whose = UUID | Derived | None


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource as stored; `json` is its text exactly as it leaves, empty where it is the deletion.

    `name`: its id as the client chose it, where that is no UUID.
    """

    id: UUID
    version: int
    updated: datetime
    patient: UUID | None
    json: str
    name: str | None = None

    @property
    def logical(self) -> str:
        """The id under which the world knows it."""
        return self.name or str(self.id)

    @property
    def deleted(self) -> bool:
        """Whether this version is the deletion."""
        return not self.json

    def content(self) -> dict[str, Any]:
        """Return the resource as Python values, fractions as Decimal."""
        return db.loads(self.json)


def new_id(now: datetime) -> UUID:
    """Return a fresh UUIDv7."""
    return uuid7(int(now.timestamp() * 1000), os.urandom(10))


def insert(
    connection: db.Connection,
    resource: dict[str, Any],
    *,
    now: datetime,
    patient: Whose = DERIVED,
    extra: dict[str, Any] | None = None,
    method: Method = "POST",
) -> bool:
    """Store the first version of a resource; False where its id exists or existed already (nothing is changed then).

    `patient`: the compartment it belongs to, by itself the one it leads to. `extra`: columns beside the common ones.
    """
    return _insert(connection, resource, 1, now, patient, extra or {}, method)


def _insert(
    connection: db.Connection,
    resource: dict[str, Any],
    version: int,
    now: datetime,
    patient: Whose,
    extra: dict[str, Any],
    method: Method,
) -> bool:
    of = kind(resource["resourceType"])
    resource, extra = _bytes(of, resource, extra)
    found = index.values(resource)
    whose = compartment.patient(resource, found) if isinstance(patient, Derived) else patient
    given = [*row.values(of, resource, found, version=version, now=now, patient=whose), *extra.values()]
    key = identity.key(resource["id"])
    query = statement.insert(of, tuple(extra), sized=bool(found.amounts))
    if not statement.logged(of):
        return connection.execute(query, given).rowcount == 1
    given += [key, version, *_change(of, key, version, method, now, whose), *_amounts(of, key, whose, found)]
    made = connection.execute(query, given).fetchone()
    return made is not None and made[0] == 1


def insert_many(
    connection: db.Connection,
    resources: Sequence[dict[str, Any]],
    *,
    now: datetime,
    method: Method = "POST",
    patients: Sequence[Whose] | None = None,
) -> list[bool]:
    """Store the first versions of many resources, in one statement per type; which were new, in their order.

    As `insert`: where an id exists or existed already nothing is changed, and of two with one id the first counts.
    `patients`: the compartment of each, where it is not the one that each leads to.
    """
    groups: dict[str, dict[UUID, int]] = {}
    for i, resource in enumerate(resources):
        groups.setdefault(resource["resourceType"], {}).setdefault(identity.key(resource["id"]), i)
    made = [False] * len(resources)
    for name, places in groups.items():
        whose = None if patients is None else [patients[i] for i in places.values()]
        for key in _insert_group(connection, kind(name), [resources[i] for i in places.values()], now, method, whose):
            made[places[key]] = True
    return made


def _insert_group(
    connection: db.Connection, of: Kind, resources: Sequence[dict[str, Any]], now: datetime, method: Method,
    patients: Sequence[Whose] | None,
) -> list[UUID]:  # fmt: skip
    names = [name for name, _ in row.columns(of)]
    rows: list[dict[str, Any]] = []
    sizes: list[dict[str, Any]] = []
    for whole, patient in zip(resources, patients or [DERIVED] * len(resources), strict=True):
        resource, extra = _bytes(of, whole, {})
        found = index.values(resource)
        whose = compartment.patient(resource, found) if isinstance(patient, Derived) else patient
        columns = row.values(of, resource, found, version=1, now=now, patient=whose)
        made: dict[str, Any] = dict(zip(names, columns, strict=True)) | {k: f"\\x{v.hex()}" for k, v in extra.items()}
        rows.append(made | {"content": msgspec.Raw(str(made["content"]).encode())})
        sizes.extend({"id": made["id"], **row.amount(each)} for each in found.amounts)
    given: list[Any] = [db.dumps(rows).decode()]
    if statement.logged(of):
        given.append(method)
    if sizes:
        given.append(db.dumps(sizes).decode())
    return [r[0] for r in connection.execute(statement.insert_many(of, sized=bool(sizes)), given).fetchall()]


def _bytes(of: Kind, resource: dict[str, Any], extra: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a Binary without its data, which stands beside it as bytes; anything else as it is."""
    if of.name != "Binary" or "bytes" in extra:
        return resource, extra
    data = base64.b64decode(resource.get("data", ""))
    return {k: v for k, v in resource.items() if k != "data"}, extra | {"bytes": data}


def _change(of: Kind, key: UUID, version: int, method: str, now: datetime, patient: UUID | None) -> list[Any]:
    return [of.name, key, version, method, now, patient, of.letter]


def _amounts(of: Kind, key: UUID, patient: UUID | None, found: Values) -> list[Any]:
    return [term(f"kind={of.name}"), key, patient, of.letter, *row.amounts(found)] if found.amounts else []


def update(
    connection: db.Connection,
    resource: dict[str, Any],
    *,
    now: datetime,
    patient: Whose = DERIVED,
    extra: dict[str, Any] | None = None,
    expected: int | None = None,
    method: Method = "PUT",
) -> int:
    """Store the next version of a resource and return its number; the same content again changes nothing.

    The superseded version goes into the history. FhirError 404 where the resource does not exist or is not visible, 412
    where its version is not the `expected` one.
    """
    of, key = kind(resource["resourceType"]), identity.key(resource["id"])
    before = _lock(connection, of, key)
    if before is None:
        raise not_found(of.name)
    expect(before.version, expected)
    resource, extra = _bytes(of, resource, extra or {})
    found = index.values(resource)
    whose = compartment.patient(resource, found) if isinstance(patient, Derived) else patient
    if (
        _same_bytes(connection, key, extra)
        and before.patient == whose
        and row.unstamped(before.content()) == row.unstamped(resource)
    ):
        return before.version
    version = before.version + 1
    fields = row.values(of, resource, found, version=version, now=now, patient=whose)
    given = [key, *_unkeyed(of, fields), *extra.values(), key]
    given += [*_change(of, key, version, method, now, whose), term(f"kind={of.name}"), key]
    query = statement.update(of, tuple(extra), sized=bool(found.amounts))
    connection.execute(query, [*given, *_amounts(of, key, whose, found)])
    return version


def _same_bytes(connection: db.Connection, key: UUID, extra: dict[str, Any]) -> bool:
    if set(extra) != {"bytes"}:
        return not extra
    found = connection.execute("SELECT bytes = %s FROM fhir.binary WHERE id = %s", (extra["bytes"], key)).fetchone()
    return found is not None and bool(found[0])


def _unkeyed(of: Kind, fields: list[Any]) -> list[Any]:
    return fields[3:] if of.shared else fields[1:]


def expect(version: int | None, expected: int | None) -> None:
    """Raise FhirError 412 where a resource's version is not the one that its writer has seen. None: whichever."""
    if expected is not None and version != expected:
        now = f"version {version}" if version is not None else "nothing"
        raise FhirError(412, "conflict", f"version {expected} was expected, there is {now}: read it and try again")


def lock(connection: db.Connection, name: str, key: UUID) -> Stored | None:
    """Return the current version of a resource, which nobody else changes until the transaction ends; else None."""
    return _lock(connection, kind(name), key)


def _lock(connection: db.Connection, of: Kind, key: UUID) -> Stored | None:
    found = connection.execute(statement.find(of) + b"true FOR UPDATE", (key,)).fetchone()
    return Stored(*found) if found else None


def put(
    connection: db.Connection,
    resource: dict[str, Any],
    *,
    now: datetime,
    patient: Whose = DERIVED,
    extra: dict[str, Any] | None = None,
    expected: int | None = None,
) -> int:
    """Store a resource whether it is new, there, or deleted, and return its version; the same again changes nothing.

    FhirError 412 where its version is not the `expected` one.
    """
    of, key = kind(resource["resourceType"]), identity.key(resource["id"])
    for _ in range(_MOST_TRIES):
        if _lock(connection, of, key) is not None:
            return update(connection, resource, now=now, patient=patient, extra=extra, expected=expected)
        expect(None, expected)
        version = (_last(connection, of, key) or 0) + 1
        if _insert(connection, resource, version, now, patient, extra or {}, "PUT"):
            return version
    raise FhirError(409, "conflict", f"this {of.name} is there, but not for you to change")


def _last(connection: db.Connection, of: Kind, key: UUID) -> int | None:
    query = sql.SQL("SELECT max(version) FROM {} WHERE {} id = %s").format(table(of, "_history"), typed(of))
    found = connection.execute(query, (key,)).fetchone()
    return found[0] if found else None


def delete(
    connection: db.Connection, name: str, key: UUID, *, now: datetime, expected: int | None = None
) -> int | None:
    """Delete a resource and return the deletion's version; None where there is nothing (any more) to delete.

    Its last version and the deletion stay in the history. FhirError 412 where its version is not the `expected` one.
    """
    of = kind(name)
    before = _lock(connection, of, key)
    expect(before.version if before else None, expected)
    if before is None:
        return None
    version = before.version + 1
    connection.execute(statement.archive(of), (key,))
    given = [version, now, key, *_change(of, key, version, "DELETE", now, before.patient)]
    connection.execute(statement.tombstone(of), given)
    connection.execute("SELECT fhir.bury(%s, %s)", (name, key))
    return version


_COLUMNS = statement.COLUMNS
_VERSION = sql.SQL("id, version, updated, patient_id, coalesce(content::text, '') AS content, logical")


def find(connection: db.Connection, name: str, key: UUID, reach: Reach = EVERYTHING) -> Stored | None:
    """Return the current version of a resource within reach, else None."""
    of = kind(name)
    where, values = reach.predicate(name)
    query = statement.find(of) + where.as_bytes(None)
    found = connection.execute(query, [key, *values]).fetchone()
    return Stored(*found) if found else None


def read(connection: db.Connection, name: str, key: UUID, reach: Reach = EVERYTHING) -> Stored:
    """Return the current version of a resource within reach; FhirError 410 where it was deleted, else 404."""
    stored = find(connection, name, key, reach)
    if stored is None:
        raise _gone(connection, name, key, reach)
    return stored


def _gone(connection: db.Connection, name: str, key: UUID, reach: Reach) -> FhirError:
    of = kind(name)
    where, values = reach.predicate(name)
    query = sql.SQL("SELECT version FROM {} WHERE {} id = %s AND content IS NULL AND {} ORDER BY version DESC LIMIT 1")
    if connection.execute(query.format(table(of, "_history"), typed(of), where), [key, *values]).fetchone():
        return FhirError(410, "deleted", f"this {name} was deleted; its versions are in its history")
    return not_found(name)


def vread(connection: db.Connection, name: str, key: UUID, version: int, reach: Reach = EVERYTHING) -> Stored:
    """Return one version of a resource within reach; FhirError 404 where there is none, 410 where it was deleted."""
    of = kind(name)
    where, values = reach.predicate(name)
    one = sql.SQL("SELECT {} FROM {} WHERE {} id = %s AND version = %s AND {}")
    query = sql.SQL("{} UNION ALL {}").format(
        one.format(_COLUMNS, table(of), typed(of), where),
        one.format(_VERSION, table(of, "_history"), typed(of), where),
    )
    found = connection.execute(query, [key, version, *values] * 2).fetchone()
    if found is None:
        raise not_found(f"version of this {name}")
    if not found[4]:
        raise FhirError(410, "deleted", f"version {version} of this {name} is its deletion")
    return Stored(*found)


def versions(connection: db.Connection, name: str, key: UUID, reach: Reach = EVERYTHING) -> list[Stored]:
    """Return all versions of a resource within reach, newest first; FhirError 404 where there is none."""
    of = kind(name)
    where, values = reach.predicate(name)
    one = sql.SQL("SELECT {} FROM {} WHERE {} id = %s AND {}")
    query = sql.SQL("{} UNION ALL {} ORDER BY 2 DESC").format(
        one.format(_COLUMNS, table(of), typed(of), where),
        one.format(_VERSION, table(of, "_history"), typed(of), where),
    )
    rows = connection.execute(query, [key, *values] * 2).fetchall()
    if not rows:
        raise not_found(name)
    return [Stored(*r) for r in rows]


def picture(connection: db.Connection, key: UUID, reach: Reach = EVERYTHING) -> tuple[bytes, Stored]:
    """Return the bytes of a Binary and its resource; FhirError 404 where there is none within reach."""
    stored = read(connection, "Binary", key, reach)
    found = connection.execute("SELECT bytes FROM fhir.binary WHERE id = %s", (key,)).fetchone()
    if found is None:
        raise not_found("Binary")
    return bytes(found[0]), stored
