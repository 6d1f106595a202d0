"""Whose patient a resident is: clinic, district and therapist by periods, shown on the Patient itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store

Reason = Literal["residence", "choice", "birth", "transfer"]
End = Literal["transfer", "moved-away", "error"]


class AttachmentError(ValueError):
    """Why somebody is not attached or appointed; `code` is for reports."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


def district(connection: db.Connection, clinic: UUID, name: str, now: datetime) -> UUID:
    """Return a clinic's district by its name; it is laid out where there is none."""
    row = connection.execute(
        "INSERT INTO cloud.district (id, clinic, name) VALUES (%s, %s, %s)"
        " ON CONFLICT (clinic, name) DO UPDATE SET closed_at = NULL RETURNING id",
        (store.new_id(now), clinic, name),
    ).fetchone()
    assert row is not None  # noqa: S101 - an insert or an update returns a row
    return row[0]


def appoint(
    connection: db.Connection,
    of: UUID,
    practitioner: UUID,
    start: datetime,
    until: datetime | None = None,
    *,
    acting: bool = False,
) -> int:
    """Give a district to a practitioner from a time on (`acting`: instead of its holder); return how many residents.

    Who held it so ends then. AttachmentError where a later period is in the way.
    """
    _end_posts(connection, of, start, acting=acting)
    try:
        with connection.transaction():
            connection.execute(
                "INSERT INTO cloud.district_post (id, district, practitioner, acting, during)"
                " VALUES (%s, %s, %s, %s, tstzrange(%s, %s))",
                (store.new_id(start), of, practitioner, acting, start, until),
            )
    except psycopg.errors.ExclusionViolation as error:
        raise AttachmentError("later", "the district is given to somebody for a later time; end that first") from error
    return show_residents(connection, of, start)


def vacate(connection: db.Connection, of: UUID, at: datetime, *, acting: bool = False) -> int:
    """End who holds a district (or stands in) at a time; return how many residents it concerns."""
    _end_posts(connection, of, at, acting=acting)
    return show_residents(connection, of, at)


def _end_posts(connection: db.Connection, of: UUID, at: datetime, *, acting: bool) -> None:
    connection.execute(
        "UPDATE cloud.district_post SET during = tstzrange(lower(during), %(at)s)"
        " WHERE district = %(of)s AND acting = %(acting)s AND during @> %(at)s AND lower(during) < %(at)s",
        {"of": of, "at": at, "acting": acting},
    )


def show_residents(connection: db.Connection, of: UUID, at: datetime) -> int:
    """Bring the Patients of a district up to date with who is in charge of it, and return how many there are."""
    rows = connection.execute(
        "SELECT patient FROM cloud.attachment WHERE district = %s AND during @> %s ORDER BY patient", (of, at)
    ).fetchall()
    for row in rows:
        show(connection, row[0], at)
    return len(rows)


def attach(
    connection: db.Connection,
    patient: UUID,
    clinic: UUID,
    of: UUID | None,
    start: datetime,
    *,
    reason: Reason,
    person: UUID | None = None,
) -> bool:
    """Attach a resident from a time on, ending what held; False where they are attached so already.

    AttachmentError where they have died or a later attachment is in the way.
    """
    if connection.execute("SELECT EXISTS (SELECT FROM cloud.death WHERE patient = %s)", (patient,)).fetchone() == (
        True,
    ):
        raise AttachmentError("dead", "the resident has died")
    present = connection.execute(
        "SELECT clinic, district FROM cloud.attachment WHERE patient = %s AND during @> %s", (patient, start)
    ).fetchone()
    if present == (clinic, of):
        return False
    end(connection, patient, start, "transfer")
    try:
        with connection.transaction():
            connection.execute(
                "INSERT INTO cloud.attachment (id, patient, clinic, district, reason, during, attached_by)"
                " VALUES (%s, %s, %s, %s, %s, tstzrange(%s, NULL), %s)",
                (store.new_id(start), patient, clinic, of, reason, start, person),
            )
    except psycopg.errors.ExclusionViolation as error:
        raise AttachmentError("later", "the resident is attached for another time already; end that first") from error
    show(connection, patient, start)
    return True


def end(connection: db.Connection, patient: UUID, at: datetime, reason: End) -> bool:
    """End a resident's attachment at a time; False where there is none then."""
    done = connection.execute(
        "UPDATE cloud.attachment SET during = tstzrange(lower(during), %(at)s), ended_reason = %(reason)s"
        " WHERE patient = %(patient)s AND during @> %(at)s AND lower(during) < %(at)s",
        {"patient": patient, "at": at, "reason": reason},
    )
    if done.rowcount and reason != "transfer":
        show(connection, patient, at)
    return bool(done.rowcount)


def show(connection: db.Connection, patient: UUID, at: datetime) -> None:
    """Say on the Patient which clinic they belong to and who is in charge of them at a time."""
    row = connection.execute(
        "SELECT app.clinic_of(%(p)s, %(at)s), app.therapist_of(%(p)s, %(at)s)", {"p": patient, "at": at}
    )
    clinic, therapist = row.fetchone() or (None, None)
    stored = store.find(connection, "Patient", patient)
    if stored is None:
        return
    content: dict[str, Any] = stored.content()
    content.pop("managingOrganization", None)
    content.pop("generalPractitioner", None)
    if clinic is not None:
        content["managingOrganization"] = {"reference": f"Organization/{clinic}"}
    if therapist is not None:
        content["generalPractitioner"] = [{"reference": f"Practitioner/{therapist}"}]
    store.update(connection, content, now=at)


def vacancies(connection: db.Connection, at: datetime) -> list[dict[str, Any]]:
    """Return the districts that nobody holds at a time, who stands in, and how many residents they have."""
    rows = connection.execute(
        "SELECT d.id, d.clinic, d.name, (SELECT s.practitioner FROM cloud.district_post s WHERE s.district = d.id"
        " AND s.acting AND s.during @> %(at)s),"
        " (SELECT count(*) FROM cloud.attachment a WHERE a.district = d.id AND a.during @> %(at)s)"
        " FROM cloud.district d WHERE (d.closed_at IS NULL OR d.closed_at > %(at)s) AND NOT EXISTS (SELECT"
        " FROM cloud.district_post p WHERE p.district = d.id AND NOT p.acting AND p.during @> %(at)s)"
        " ORDER BY d.clinic, d.name",
        {"at": at},
    ).fetchall()
    names = ("district", "clinic", "name", "acting", "residents")
    return [dict(zip(names, row, strict=True)) for row in rows]
