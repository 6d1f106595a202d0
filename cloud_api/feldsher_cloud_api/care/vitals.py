"""A patient's vital signs as columns, for trends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.fhir import store

router = APIRouter(prefix="/api/patient")
_queries = db.queries("vitals")


def trend(
    connection: db.Connection, patient: UUID, start: datetime | None, end: datetime | None, limit: int
) -> dict[str, list[Any]]:
    """Return a patient's blood pressures (mmHg) and pulses (1/min) as columns in order of time, `limit` newest at most.

    Values keep their decimals and are None where the device gave none; `id` is the panel's Observation. `time` is the
    best known one; where it was corrected, `time_as_sent` is the device's. `as_sent`: "systolic/diastolic[/mean] unit"
    where the device measured in another unit than mmHg.
    """
    names = ("id", "time", "systolic", "diastolic", "mean", "pulse", "device", "note", "time_as_sent", "as_sent")
    rows = list(_queries.trend(connection, patient=patient, start=start, end=end, limit=limit))
    rows.reverse()
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


@router.get("/{patient}/vitals")
def get_vitals(
    patient: UUID,
    request: Request,
    of: CurrentContext,
    who: CurrentPrincipal,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> Response:
    """Return the trend of a patient: JSON of columns, from `start` to before `end`."""
    access.permit(who, "Observation", "search")
    with access.asking(of.pool, who) as connection:
        store.read(connection, "Patient", patient, access.reach(connection, who))
        columns = trend(connection, patient, start, end, limit)
        audit.record(connection, who, interaction="search-type", action="E", now=of.settings.clock(), patient=patient)
    return Response(db.dumps(columns), media_type="application/json")
