"""Observation/$lastn: the newest observations of each code, of one patient."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import sql

from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.operation.fetch import View, target
from feldsher_cloud_api.fhir.operation.parameters import Asked, wrong
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.store import Stored

PARAMETERS = ("max", "patient", "subject", "category", "code", "status")
MOST_EACH, MOST = 100, 2000
_NEWEST = """
    id IN (SELECT id FROM (
        SELECT id, rank() OVER (
            PARTITION BY coalesce(content #>> '{code,coding,0,system}', ''),
                         coalesce(content #>> '{code,coding,0,code}', content #>> '{code,text}')
            ORDER BY lower(date) DESC NULLS LAST, id DESC) AS place
        FROM fhir.observation WHERE patient_id = %s AND NOT terms && %s::bigint[]"""


def patient(asked: Asked) -> UUID:
    """Return whose observations are asked for; FhirError 400 where nobody is named."""
    text = asked.text("patient") or asked.text("subject")
    if text is None:
        raise FhirError(400, "required", "patient or subject is needed", "Parameters.parameter")
    found = target(text if "/" in text else f"Patient/{text}")
    if found is None or found[0] != "Patient":
        raise wrong("patient", "Patient/[id] is needed")
    return found[1]


def newest(view: View, asked: Asked) -> list[Stored]:
    """Return the newest `max` observations (one if not said) of each code, the newest first; what was wrong is not."""
    each = asked.number("max", MOST_EACH)
    unwanted = [term("status=entered-in-error"), term("status=cancelled")]
    values: list[Any] = [patient(asked), unwanted]
    clause = sql.SQL(_NEWEST)
    for name in ("category", "code", "status"):
        forms = asked.texts(name)
        if forms:
            clause = sql.SQL("{} AND terms && %s::bigint[]").format(clause)
            values.append([term(f"{name}={form}") for form in forms])
    clause = sql.SQL("{}) ranked WHERE place <= %s)").format(clause)
    tail = sql.SQL("ORDER BY lower(date) DESC NULLS LAST, id DESC LIMIT %s")
    return view.select("Observation", clause, [*values, 1 if each is None else max(1, each), MOST], tail)
