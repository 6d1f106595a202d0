"""Starting a registered program for a patient from the workstation (SMART EHR launch): a token, good once."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from feldsher_cloud_api import access, audit, clients, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.secret import digest

LIFE = timedelta(minutes=5)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_queries = db.queries("oauth")
router = APIRouter()


class Wish(BaseModel):
    """Which program to start for which patient, during which encounter."""

    client_id: str
    patient: UUID
    encounter: str | None = None


def programs(connection: db.Connection) -> list[tuple[str, str]]:
    """Return id and name of the programs that can be started from the workstation."""
    return [(row[0], row[1]) for row in _queries.launchable(connection)]


def start(of: Context, who: Principal, client_id: str, patient: UUID, encounter: str | None = None) -> str:
    """Return the address that starts a program for a patient; FhirError where there is no such program or patient."""
    if who.scopes is not None:
        raise access.Forbidden("programs are started by a person at the workstation, not by another program")
    if encounter is not None and not _ID.fullmatch(encounter):
        raise FhirError(400, "invalid", "encounter is not an id")
    token, now = secrets.token_urlsafe(32), of.settings.clock()
    access.permit(who, "Patient", "read")
    with access.asking(of.pool, who) as connection:
        client = clients.find(connection, client_id)
        if client is None or client.launch_uri is None:
            raise FhirError(404, "not-found", "there is no such program, or it cannot be started from here")
        store.read(connection, "Patient", patient, access.reach(connection, who))
        _queries.forget_launches(connection, now=now)
        _queries.add_launch(
            connection, token_hash=digest(token), client=client.id, person=who.person, patient=patient,
            encounter=encounter, expires=now + LIFE,
        )  # fmt: skip
        audit.record(connection, who, interaction="launch", action="E", now=now, resources=[], patient=patient)
    joint = "&" if "?" in client.launch_uri else "?"
    return f"{client.launch_uri}{joint}{urlencode({'iss': of.settings.fhir_base, 'launch': token})}"


@router.post("/api/launch")
def launch(of: CurrentContext, who: CurrentPrincipal, wish: Wish) -> Response:
    """Start a program for a patient and return the address to open: {launch_url}."""
    told: dict[str, Any] = {"launch_url": start(of, who, wish.client_id, wish.patient, wish.encounter)}
    return JSONResponse(told, 201)


@router.get("/api/launch")
def launchable(of: CurrentContext, who: CurrentPrincipal) -> dict[str, Any]:
    """Return the programs that can be started from the workstation."""
    with access.asking(of.pool, who) as connection:
        return {"programs": [{"client_id": i, "name": name} for i, name in programs(connection)]}
