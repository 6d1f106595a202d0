"""What the ECG viewer needs: samples as bytes with their scale, and the interpretation with its fiducial points."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from feldsher_ingest import read
from feldsher_ingest.read import StoredRecording
from feldsher_signal.record import MISSING

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import not_found

router = APIRouter(prefix="/api/ecg")
_queries = db.queries("ecg")
LOST = -(2**15)
"""In int16 samples: not measured."""


def recording_of(connection: db.Connection, who: Principal, report: UUID) -> tuple[StoredRecording, store.Stored]:
    """Return the recording that a report interprets, with the report; FhirError 404 where it is not visible."""
    stored = store.read(connection, "DiagnosticReport", report, access.reach(connection, who))
    shown = _queries.recording_of(connection, report=report)
    found = read.recording(connection, *shown) if shown else None
    if found is None:
        raise not_found("recording")
    return found, stored


def samples(stored: StoredRecording) -> dict[str, Any]:
    """Return samples for a canvas: base64 of little-endian int16, lead after lead; value × uv_per_bit = µV.

    Samples that int16 cannot hold are coarsened per lead by a whole factor, which `uv_per_bit` then contains; LOST
    means not measured.
    """
    record = stored.recording
    measured = np.where(record.samples == MISSING, 0, record.samples).astype(np.int64)
    if record.baseline:
        measured -= np.array(record.baseline, dtype=np.int64)[:, None]
    factor = np.maximum(1, -(-np.abs(measured).max(axis=1) // 32767))
    small = np.rint(measured / factor[:, None]).astype("<i2")
    small[record.samples == MISSING] = LOST
    scale = [float(u) * int(f) for u, f in zip(record.uv_per_bit, factor, strict=True)]
    return {
        "leads": list(record.leads),
        "fs": record.fs,
        "n": record.n,
        "uv_per_bit": scale,
        "lost": LOST,
        "format": "int16-le-base64",
        "samples": base64.b64encode(small.tobytes()).decode(),
        "sha256": stored.sha256.hex(),
    }


@router.get("/{report}/samples")
def get_samples(report: UUID, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the samples of a report's recording, with the interpretation (contract of `./run ecg interpret`)."""
    access.permit(who, "DiagnosticReport", "read")
    with access.asking(of.pool, who) as connection:
        found, stored = recording_of(connection, who, report)
        audit.record(
            connection,
            who,
            interaction="read",
            action="R",
            now=of.settings.clock(),
            resources=[f"DiagnosticReport/{report}"],
            patient=stored.patient,
        )
    content = stored.content()
    body = samples(found) | {
        "report": str(report),
        "status": content["status"],
        "version": stored.version,
        "started": content["effectivePeriod"]["start"],
        "partial": found.partial,
        "lead_off": list(found.lead_off),
        "interpretation": msgspec.to_builtins(found.interpretation),
        "not_interpreted": found.not_interpreted,
    }
    return Response(db.dumps(body), media_type="application/json")
