"""Pictures of ECGs as Binary resources, and the one that a signed report presents: without its "unconfirmed" stamp."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from feldsher_ehr_core.ambulatory import Ambulatory
from feldsher_ehr_core.ecg import Interpretation, Statement
from feldsher_ingest import read
from feldsher_signal import draw

from feldsher_cloud_api import db
from feldsher_cloud_api.care import stream
from feldsher_cloud_api.fhir import store

INTERPRETER_SAID = "urn:feldsher:interpreter-conclusion"
_queries = db.queries("signature")
_Opinion = TypeVar("_Opinion", Interpretation, Ambulatory)


def keep(connection: db.Connection, identity: UUID, svg: str, patient: UUID | None, now: datetime) -> None:
    """Store an SVG picture as a Binary."""
    resource = {"resourceType": "Binary", "id": str(identity), "contentType": "image/svg+xml"}
    store.insert(connection, resource, patient=patient, now=now, extra={"bytes": svg.encode()})


def confirm(
    connection: db.Connection, final: dict[str, Any], words: str, patient: UUID | None, now: datetime, *, demo: bool
) -> None:
    """Draw a report's picture again, confirmed by `words`; the one that was shown stays with the earlier version."""
    row = _queries.recording_of(connection, report=UUID(final["id"]))
    stored = read.recording(connection, *row) if row else None
    if stored is not None:
        found = _as_signed(stored.interpretation, final)
        svg = draw.svg(stored.recording, found, confirmed=words, watermark="DEMO" if demo else None)
        title = "ECG, confirmed"
    else:
        svg, title = _stream(connection, final, words, demo=demo), "Ambulatory ECG, confirmed"
    if svg is not None:
        identity = store.new_id(now)
        keep(connection, identity, svg, patient, now)
        final["presentedForm"] = [{"contentType": "image/svg+xml", "url": f"Binary/{identity}", "title": title}]


def _as_signed(found: _Opinion | None, final: dict[str, Any]) -> _Opinion | None:
    """Return what the page shows of an interpretation: the doctor's own words where they signed others."""
    if found is None or all(e["url"] != INTERPRETER_SAID for e in final.get("extension", [])):
        return found
    own = Statement("physician", final["conclusion"], "definite", ())
    return msgspec.structs.replace(found, conclusion=final["conclusion"], statements=(own,))


def _stream(connection: db.Connection, final: dict[str, Any], words: str, *, demo: bool) -> str | None:
    """Return the page of a continuous ECG; None where it has no evaluation."""
    continuous = stream.of_report(connection, UUID(final["id"]))
    said = _as_signed(stream.evaluation(connection, continuous.id)[0], final) if continuous else None
    if continuous is None or said is None:
        return None
    source = stream.samples(connection, continuous)
    found = stream.evaluate(source)[1]
    return stream.picture(said, found, source, confirmed=words, demo=demo)
