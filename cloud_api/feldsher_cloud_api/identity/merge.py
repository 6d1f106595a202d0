"""Bringing two records of one person together, and taking them apart again exactly as they were.

The source's Patient stays and says by what it is replaced; everything of it becomes the survivor's. What was signed,
and the trail of who did what, keeps its words: only in whose compartment it lies changes; of audit events nothing does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString, cast
from uuid import UUID

from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.kinds import Kind, kinds
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.fhir.statement import table, typed
from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.identity.references import Turned, turn, turn_back

_UNTOUCHED = frozenset({"AuditEvent", "Patient"})
_KEPT = frozenset({"Provenance"})
"""Their words are about what happened then."""
_ROWS: dict[str, tuple[LiteralString, LiteralString]] = {
    "cloud.device_assignment": (
        "UPDATE cloud.device_assignment SET patient = %(new)s WHERE patient = %(old)s RETURNING id::text",
        "UPDATE cloud.device_assignment SET patient = %(old)s WHERE patient = %(new)s AND id = %(key)s::uuid",
    ),
    "cloud.care_relationship": (
        "UPDATE cloud.care_relationship SET patient = %(new)s WHERE patient = %(old)s RETURNING id::text",
        "UPDATE cloud.care_relationship SET patient = %(old)s WHERE patient = %(new)s AND id = %(key)s::uuid",
    ),
    "public.watch_limit": (
        "UPDATE public.watch_limit SET subject = %(new)s WHERE subject = %(old)s RETURNING id::text",
        "UPDATE public.watch_limit SET subject = %(old)s WHERE subject = %(new)s AND id = %(key)s::uuid",
    ),
    "cloud.patient_link": (
        "UPDATE cloud.patient_link t SET patient = %(new)s WHERE patient = %(old)s AND NOT EXISTS (SELECT"
        " FROM cloud.patient_link o WHERE o.patient = %(new)s AND o.person = t.person) RETURNING person::text",
        "UPDATE cloud.patient_link SET patient = %(old)s WHERE patient = %(new)s AND person = %(key)s::uuid",
    ),
    "cloud.clinic_patient": (
        "UPDATE cloud.clinic_patient t SET patient = %(new)s WHERE patient = %(old)s AND NOT EXISTS (SELECT"
        " FROM cloud.clinic_patient o WHERE o.patient = %(new)s AND o.organization = t.organization)"
        " RETURNING organization::text",
        "UPDATE cloud.clinic_patient SET patient = %(old)s WHERE patient = %(new)s AND organization = %(key)s::uuid",
    ),
    "cloud.alarm": (
        "UPDATE cloud.alarm t SET patient = %(new)s WHERE patient = %(old)s AND NOT EXISTS (SELECT FROM cloud.alarm o"
        " WHERE o.patient = %(new)s AND t.closed_at IS NULL AND o.closed_at IS NULL AND o.limit_id = t.limit_id"
        " AND o.kind = t.kind) RETURNING task::text",
        "UPDATE cloud.alarm SET patient = %(old)s WHERE patient = %(new)s AND task = %(key)s::uuid",
    ),
}
"""Rows that are somebody's: how they go over, and back. What would clash with a row of the survivor's stays.

Grants of access do not go over: who was given one was given the record as it was.
"""
_COLUMNS = sql.SQL("id, version, updated, patient_id, content::text, logical")


@dataclass(slots=True)
class Report:
    """What was done: the merge, how many resources and rows of each place, and what had changed too much to go back."""

    merge: UUID
    moved: dict[str, int] = field(default_factory=dict[str, int])
    left: dict[str, int] = field(default_factory=dict[str, int])

    def count(self, place: str, *, left: bool = False) -> None:
        """Count one more of a place."""
        into = self.left if left else self.moved
        into[place] = into.get(place, 0) + 1


@dataclass(slots=True)
class _Work:
    connection: db.Connection
    merge: UUID
    now: datetime
    ordinal: int = 0

    def note(self, place: str, key: str, path: tuple[str, ...] | None = None, was: str | None = None) -> None:
        self.ordinal += 1
        self.connection.execute(
            "INSERT INTO cloud.identity_moved (merge, ordinal, place, key, path, was) VALUES (%s, %s, %s, %s, %s, %s)",
            (self.merge, self.ordinal, place, key, list(path) if path else None, was),
        )


def merge(
    connection: db.Connection, survivor: UUID, source: UUID, *, reason: str, now: datetime, person: UUID | None = None
) -> Report:
    """Bring the source's record into the survivor's, on a connection that row-level security does not bind.

    FhirError 404 where one is not here, 409 where one has been merged into another already.
    """
    if survivor == source:
        raise FhirError(422, "invalid", "survivor and source are the same Patient")
    kept, gone = _locked(connection, survivor, source)
    identity = store.new_id(now)
    connection.execute(
        "INSERT INTO cloud.identity_merge (id, survivor, source, reason, merged_at, merged_by)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (identity, survivor, source, reason, now, person),
    )
    work, report = _Work(connection, identity, now), Report(identity)
    for of in kinds().values():
        if of.name not in _UNTOUCHED:
            for stored in _of(connection, of, source):
                _move(work, of, stored, source, kept)
                report.count(of.name)
    for place, (over, _) in _ROWS.items():
        rows = connection.execute(over, {"old": source, "new": survivor}).fetchall()
        for moved in dict.fromkeys(str(row[0]) for row in rows):
            work.note(place, moved)
            report.count(place)
    _link(work, kept, gone)
    first, second = sorted((survivor, source))
    connection.execute(
        "UPDATE cloud.identity_pair SET decision = 'same', decided_at = %s, decided_by = %s"
        " WHERE first = %s AND second = %s",
        (now, person, first, second),
    )
    return report


def _locked(connection: db.Connection, survivor: UUID, source: UUID) -> tuple[Stored, Stored]:
    query = sql.SQL("SELECT {} FROM fhir.patient WHERE id = ANY (%s) ORDER BY id FOR UPDATE").format(_COLUMNS)
    found = {row[0]: Stored(*row) for row in connection.execute(query, ([survivor, source],)).fetchall()}
    if set(found) != {survivor, source}:
        raise not_found("Patient")
    for stored in found.values():
        if any(link.get("type") == "replaced-by" for link in stored.content().get("link", [])):
            raise FhirError(409, "conflict", "one of the two has been merged into another already; undo that first")
    return found[survivor], found[source]


def _of(connection: db.Connection, of: Kind, patient: UUID) -> Iterator[Stored]:
    """Yield a type's resources that are a patient's or that refer to one."""
    names = [name for name, p in of.search.items() if p.kind == "reference"]
    terms = [term(f"{name}=Patient/{patient}") for name in names]
    query = sql.SQL("SELECT {} FROM {} WHERE {} (patient_id = %s OR terms && %s::bigint[]) ORDER BY id FOR UPDATE")
    for row in connection.execute(query.format(_COLUMNS, table(of), typed(of)), (patient, terms)).fetchall():
        yield Stored(*row)


def _signed(connection: db.Connection, of: Kind, stored: Stored) -> bool:
    if of.name in _KEPT:
        return True
    signed = connection.execute(
        "SELECT EXISTS (SELECT FROM cloud.signature WHERE report = %s)", (stored.id,)
    ).fetchone()
    return signed == (True,)


def _move(work: _Work, of: Kind, stored: Stored, source: UUID, survivor: Stored) -> None:
    content = stored.content()
    signed = _signed(work.connection, of, stored)
    turned = [] if signed else turn(content, source, f"Patient/{survivor.logical}")
    whose = survivor.id if stored.patient == source else stored.patient
    if turned:
        store.update(work.connection, content, now=work.now, patient=whose)
    elif whose != stored.patient:
        _rehouse(work.connection, of, stored.id, whose)
    for each in turned:
        work.note(of.name, str(stored.id), each.path, each.was)
    if stored.patient == source:
        work.note(of.name, str(stored.id))


def _rehouse(connection: db.Connection, of: Kind, key: UUID, patient: UUID | None) -> None:
    """Change whose compartment a resource lies in, and nothing of what it says."""
    query = sql.SQL("UPDATE {} SET patient_id = %s WHERE {} id = %s")
    connection.execute(query.format(table(of), typed(of)), (patient, key))
    connection.execute(
        "UPDATE fhir.amount SET patient_id = %s WHERE id = %s AND kind = %s", (patient, key, term(f"kind={of.name}"))
    )


def _link(work: _Work, survivor: Stored, source: Stored) -> None:
    kept, gone = survivor.content(), source.content()
    kept["link"] = [*kept.get("link", []), _linked(source, "replaces")]
    gone["link"] = [*gone.get("link", []), _linked(survivor, "replaced-by")]
    work.note("active", str(source.id), None, db.dumps(gone.get("active")).decode())
    gone["active"] = False
    for content in (kept, gone):
        store.update(work.connection, content, now=work.now)


def _linked(to: Stored, kind: str) -> dict[str, Any]:
    return {"other": {"reference": f"Patient/{to.logical}"}, "type": kind}


def unmerge(
    connection: db.Connection, identity: UUID, *, reason: str, now: datetime, person: UUID | None = None
) -> Report:
    """Undo a merge: what came from the source goes back to it; what was written since stays where it was written.

    FhirError 404 where there is no such merge, 409 where it was undone or where the survivor has been merged since.
    """
    row = connection.execute(
        "SELECT survivor, source, undone_at FROM cloud.identity_merge WHERE id = %s FOR UPDATE", (identity,)
    ).fetchone()
    if row is None:
        raise not_found("merge")
    survivor, source, undone = cast("tuple[UUID, UUID, datetime | None]", row)
    _undoable(connection, identity, survivor, undone)
    connection.execute(
        "UPDATE cloud.identity_merge SET undone_at = %s, undone_by = %s, undone_reason = %s WHERE id = %s",
        (now, person, reason, identity),
    )
    moved = connection.execute(
        "SELECT place, key, path, was FROM cloud.identity_moved WHERE merge = %s ORDER BY ordinal", (identity,)
    ).fetchall()
    report = Report(identity)
    by_key: dict[tuple[str, str], list[tuple[list[str] | None, str | None]]] = {}
    for place, key, path, was in moved:
        by_key.setdefault((place, key), []).append((path, was))
    for (place, key), changes in by_key.items():
        _back(connection, place, key, changes, (survivor, source), now, report)
    first, second = sorted((survivor, source))
    connection.execute(
        "UPDATE cloud.identity_pair SET decision = 'different', decided_at = %s, decided_by = %s"
        " WHERE first = %s AND second = %s",
        (now, person, first, second),
    )
    return report


def _undoable(connection: db.Connection, identity: UUID, survivor: UUID, undone: datetime | None) -> None:
    if undone is not None:
        raise FhirError(409, "conflict", "this merge has been undone already")
    later = connection.execute(
        "SELECT EXISTS (SELECT FROM cloud.identity_merge WHERE id <> %s AND source = %s AND undone_at IS NULL)",
        (identity, survivor),
    ).fetchone()
    if later == (True,):
        raise FhirError(409, "conflict", "the survivor has been merged into another since; undo that first")


def _back(
    connection: db.Connection,
    place: str,
    key: str,
    changes: list[tuple[list[str] | None, str | None]],
    between: tuple[UUID, UUID],
    now: datetime,
    report: Report,
) -> None:
    survivor, source = between
    if place == "active":
        _unlink(connection, survivor, source, changes[0][1] or "null", now)
    elif place in kinds():
        whole = _resource_back(connection, kinds()[place], UUID(key), changes, between, now)
        report.count(place, left=not whole)
    else:
        done = connection.execute(_ROWS[place][1], {"old": source, "new": survivor, "key": key}).rowcount
        report.count(place, left=not done)


def _resource_back(
    connection: db.Connection,
    of: Kind,
    key: UUID,
    changes: list[tuple[list[str] | None, str | None]],
    between: tuple[UUID, UUID],
    now: datetime,
) -> bool:
    survivor, source = between
    stored = store.find(connection, of.name, key)
    if stored is None:
        return False
    whose = source if stored.patient == survivor and any(path is None for path, _ in changes) else stored.patient
    turned = [Turned(tuple(path), was or "") for path, was in changes if path is not None]
    content = stored.content()
    restored = turn_back(content, turned, survivor)
    if restored:
        store.update(connection, content, now=now, patient=whose)
    elif whose != stored.patient:
        _rehouse(connection, of, key, whose)
    return restored == len(turned)


def _unlink(connection: db.Connection, survivor: UUID, source: UUID, active: str, now: datetime) -> None:
    for key, other, kind in ((survivor, source, "replaces"), (source, survivor, "replaced-by")):
        stored, to = store.read(connection, "Patient", key), store.read(connection, "Patient", other)
        content = stored.content()
        links = [link for link in content.get("link", []) if link != _linked(to, kind)]
        content["link"] = links
        if not links:
            del content["link"]
        if kind == "replaced-by":
            content["active"] = db.loads(active)
            if content["active"] is None:
                del content["active"]
        store.update(connection, content, now=now)


def between(connection: db.Connection, identity: UUID) -> tuple[UUID, UUID]:
    """Return survivor and source of a merge; FhirError 404 where there is none."""
    row = connection.execute("SELECT survivor, source FROM cloud.identity_merge WHERE id = %s", (identity,)).fetchone()
    if row is None:
        raise not_found("merge")
    return row[0], row[1]


def of(connection: db.Connection, patient: UUID) -> list[dict[str, Any]]:
    """Return the merges that a patient took part in, undone ones too, the newest first."""
    names = ("id", "survivor", "source", "reason", "merged_at", "merged_by", "undone_at", "undone_by", "undone_reason")
    rows = connection.execute(
        "SELECT id, survivor, source, reason, merged_at, merged_by, undone_at, undone_by, undone_reason"
        " FROM cloud.identity_merge WHERE survivor = %s OR source = %s ORDER BY merged_at DESC, id DESC",
        (patient, patient),
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]
