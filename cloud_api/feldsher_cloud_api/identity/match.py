"""Patient/$match: records that may be of the person described, each with its score and grade, the best first."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from feldsher_ehr_core import identity
from feldsher_ehr_core.identity import GRADES, Traits, Verdict
from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.access import EVERYTHING, Reach
from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.identity import keys, weights
from feldsher_cloud_api.identity.traits import traits

MOST_CANDIDATES = 2000
"""Of a name and year that more people share, those of the fewest differences are not all looked at. Chosen by us."""
GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"


@dataclass(frozen=True, slots=True)
class Match:
    """One record, and how it compares."""

    stored: Stored
    verdict: Verdict


def find(
    connection: db.Connection, asked: Traits, reach: Reach = EVERYTHING, *, but: UUID | None = None
) -> list[Match]:
    """Return the records within reach that may be of the person asked about, the likeliest first.

    Records that were merged into others stand for these and are not found. `but`: a record that is not looked at.
    """
    where, values = reach.predicate("Patient")
    query = sql.SQL(
        "SELECT id, version, updated, patient_id, content::text, logical FROM fhir.patient"
        " WHERE terms && %s::bigint[] AND {} AND id IS DISTINCT FROM %s"
        ' AND NOT content @> \'{{"link": [{{"type": "replaced-by"}}]}}\' LIMIT %s'
    )
    rows = connection.execute(query.format(where), [keys.of_question(asked), *values, but, MOST_CANDIDATES]).fetchall()
    by = weights.load()
    found = [
        Match(stored, identity.judge(asked, traits(stored.content()), by)) for stored in (Stored(*r) for r in rows)
    ]
    near = [m for m in found if m.verdict.grade != "certainly-not"]
    return sorted(near, key=lambda m: (GRADES.index(m.verdict.grade), -m.verdict.probability, m.stored.id))


def certain(found: list[Match]) -> list[Match]:
    """Return the one match that is certain; none where there are several, since then none of them is."""
    sure = [m for m in found if m.verdict.grade == "certain"]
    return sure if len(sure) == 1 else []


def shown(found: Match) -> dict[str, Any]:
    """Return Bundle.entry.search of a match: its score and grade (http://hl7.org/fhir/R4/patient-operation-match.html)."""
    grade = {"url": GRADE, "valueCode": found.verdict.grade}
    return {"extension": [grade], "mode": "match", "score": Decimal(f"{found.verdict.probability:.6f}")}
