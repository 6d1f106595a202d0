"""The queue of duplicates: pairs of records that may be one person's, for a person to decide."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from feldsher_cloud_api import db
from feldsher_cloud_api.access import EVERYTHING, Reach
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import not_found
from feldsher_cloud_api.identity import match
from feldsher_cloud_api.identity.traits import traits

_NOTE = """
    INSERT INTO cloud.identity_pair (first, second, probability, grade, levels, found_at)
    VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (first, second) DO UPDATE
    SET probability = excluded.probability, grade = excluded.grade, levels = excluded.levels
    WHERE identity_pair.decision IS NULL
"""
_NEXT = """
    SELECT p.id FROM fhir.patient p WHERE (%(after)s::uuid IS NULL OR p.id > %(after)s) ORDER BY p.id LIMIT %(most)s
"""
_OPEN = """
    SELECT first, second, probability, grade, levels, found_at FROM cloud.identity_pair
    WHERE decision IS NULL AND (%(all)s OR (first = ANY (%(reach)s) AND second = ANY (%(reach)s)))
    ORDER BY probability DESC, first, second LIMIT %(most)s
"""


def look(connection: db.Connection, patient: UUID, now: datetime) -> int:
    """Put the records that may be a patient's too into the queue, and return how many these are."""
    stored = store.find(connection, "Patient", patient)
    if stored is None:
        return 0
    content = stored.content()
    if any(link.get("type") == "replaced-by" for link in content.get("link", [])):
        return 0
    found = match.find(connection, traits(content), EVERYTHING, but=patient)
    for each in found:
        first, second = sorted((patient, each.stored.id))
        verdict = each.verdict
        given = (first, second, verdict.probability, verdict.grade, db.dumps(dict(verdict.levels)).decode(), now)
        connection.execute(_NOTE, given)
    return len(found)


def scan(connection: db.Connection, now: datetime, *, after: UUID | None = None, most: int = 1000) -> UUID | None:
    """Look for duplicates of the next patients in order of ids; return the last one's id, None at the end."""
    rows = connection.execute(_NEXT, {"after": after, "most": most}).fetchall()
    for row in rows:
        look(connection, row[0], now)
    return cast("UUID", rows[-1][0]) if len(rows) == most else None


def waiting(connection: db.Connection, reach: Reach, most: int) -> list[dict[str, Any]]:
    """Return the pairs that nobody has decided, both of whom are within reach, the likeliest first."""
    given = {"all": reach.patients is None and not reach.looked_up, "reach": list(reach.patients or ()), "most": most}
    names = ("first", "second", "probability", "grade", "levels", "found_at")
    return [dict(zip(names, row, strict=True)) for row in connection.execute(_OPEN, given).fetchall()]


def decide(
    connection: db.Connection,
    first: UUID,
    second: UUID,
    decision: Literal["same", "different"],
    *,
    now: datetime,
    person: UUID,
) -> None:
    """Keep what a person decided of a pair; FhirError 404 where it is none."""
    low, high = sorted((first, second))
    done = connection.execute(
        "UPDATE cloud.identity_pair SET decision = %s, decided_at = %s, decided_by = %s"
        " WHERE first = %s AND second = %s",
        (decision, now, person, low, high),
    )
    if not done.rowcount:
        raise not_found("pair")
