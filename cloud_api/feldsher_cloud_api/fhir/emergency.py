"""Breaking the glass: who treats people reaches one patient for a while, for a reason that patient and manager read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import Response

from feldsher_cloud_api import access, audit
from feldsher_cloud_api.access import Forbidden
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.fhir import dates, identity, rest
from feldsher_cloud_api.fhir.operation import parameters
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.rights import rights

OPERATION = "break-glass"
LONGEST_REASON = 500
LISTED_DAYS = 90

router = APIRouter()


@router.post("/fhir/Patient/{patient}/$break-glass")
def break_glass(patient: str, request: Request, of: CurrentContext, who: CurrentPrincipal, body: rest.Body) -> Response:
    """Open one patient's record for the asking person for a while: Parameters with `reason`; when it ends comes back.

    Consents and missing care do not stand against it then; what the role may do stays as it is. 404 where there is no
    such patient.
    """
    rest.accepts_json(request)
    access.permit(who, "Patient", "read")
    role = rights().roles[who.role]
    if not role.emergency:
        raise Forbidden(f"the role {who.role} may not break the glass")
    reason = (parameters.asked((), body, ("reason",)).text("reason") or "").strip()
    if not rights().limits.break_glass_reason <= len(reason) <= LONGEST_REASON:
        words = f"reason: {rights().limits.break_glass_reason} to {LONGEST_REASON} letters that say why it must be"
        raise FhirError(422, "business-rule", words, "Parameters.parameter.where(name='reason')")
    if not identity.is_id(patient):
        raise not_found("Patient")
    key, now = identity.key(patient), of.settings.clock()
    with access.asking(of.pool, who) as connection:
        try:
            row = connection.execute("SELECT app.break_glass(%s, %s)", (key, reason)).fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            raise Forbidden(f"the role {who.role} may not break the glass") from error
        if row is None or row[0] is None:
            raise not_found("Patient")
        audit.record(connection, who, interaction=OPERATION, action="E", now=now, patient=key, emergency=reason)
    made = {"resourceType": "Parameters", "parameter": [{"name": "until", "valueInstant": dates.render(row[0])}]}
    return rest.reply(made)


@router.get("/api/emergencies")
def emergencies(of: CurrentContext, who: CurrentPrincipal) -> dict[str, Any]:
    """Return who broke the glass of whom in the last three months and why, the newest first: for managers."""
    access.permit_role(who, "manager")
    now = of.settings.clock()
    with access.asking(of.pool, who) as connection:
        found = connection.execute(
            "SELECT id, at, until, person, role, patient, reason FROM app.emergencies(%s)",
            (now - timedelta(days=LISTED_DAYS),),
        ).fetchall()
        audit.record(connection, who, interaction="emergencies", action="E", now=now)
    return {
        "emergencies": [
            {
                "id": str(row[0]),
                "at": dates.render(row[1]),
                "until": dates.render(row[2]),
                "person": row[3],
                "role": row[4],
                "patient": str(row[5]),
                "reason": row[6],
            }
            for row in found
        ]
    }
