"""A recording becomes a preliminary DiagnosticReport: measurements, statements, and the picture stamped unconfirmed."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation, Measurements
from feldsher_ingest import read
from feldsher_ingest.read import StoredRecording
from feldsher_signal import draw

from feldsher_cloud_api import db
from feldsher_cloud_api.care import picture as pictures
from feldsher_cloud_api.care.order import ECG_STUDY, SILENCE_S, STATE
from feldsher_cloud_api.fhir import dates, store
from feldsher_cloud_api.project import common
from feldsher_cloud_api.project.common import Event, ProjectionError, concept

STATEMENTS = "urn:feldsher:ecg-statement"
"""Our registry of statement codes (docs/statements.md): SCP-ECG codes as PTB-XL uses them where one exists."""
CRITICAL, LIMITS, ENGINE = "urn:feldsher:critical", "urn:feldsher:not-judged", "urn:feldsher:engine"
ORIGIN = "urn:feldsher:ecg-origin"
"""How a recording of another cardiograph came: via, format, sha256 and size of its original, device, its own time."""

# LOINC of 12-lead measurements; 8636-3 leaves the method open, 76634-5 and 76635-2 name it (loinc.org/8636-3).
_MEASURED = (
    ("rate", "8867-4", "Heart rate", "/min"),
    ("pr", "8625-6", "P-R interval", "ms"),
    ("qrs", "8633-0", "QRS duration", "ms"),
    ("qt", "8634-8", "Q-T interval", "ms"),
    ("axis_qrs", "8632-2", "QRS axis", "deg"),
)
_QTC = (
    ("qtc_fridericia", common.LOINC, "76634-5", "Q-T interval corrected based on Fridericia formula"),
    ("qtc_bazett", common.LOINC, "76635-2", "Q-T interval corrected based on Bazett formula"),
    ("qtc_framingham", STATEMENTS, "qtc-framingham", "Q-T interval corrected based on Framingham formula"),
    ("qtc_hodges", STATEMENTS, "qtc-hodges", "Q-T interval corrected based on Hodges formula"),
)
_MARGIN = timedelta(minutes=1)
"""Between the clocks of gateway and cloud: a synced gateway counts an order's end by its own."""
_queries = db.queries("project")


def project(connection: db.Connection, event: Event, now: datetime, *, watermark: str | None = None) -> None:
    """Project the recording of an event; a second time changes nothing."""
    stored = read.recording(connection, UUID(event.body["recording"]))
    if stored is None:
        raise ProjectionError("recording: it is not stored")
    if store.find(connection, "DiagnosticReport", stored.id) is not None:
        return
    model = _model(stored.origin)
    device = common.device(connection, stored.gateway, stored.device, now, kind="cardiograph", model=model)
    order, patient, reason = _owner(connection, event.gateway, stored, device)
    links = _links(device, patient, order)
    results = observations(stored, links)
    picture = common.derived_id(stored.started_at, str(stored.id), "picture")
    pictures.keep(connection, picture, drawn(stored, watermark), patient, now)
    report = report_of(stored, links, results, picture, now)
    store.insert(connection, report, patient=patient, now=now, extra={"recording": stored.id})
    for resource in results:
        store.insert(connection, resource, patient=patient, now=now)
    _trail(connection, stored, report, device, patient, now)
    if order is not None:
        _complete(connection, order, now)
    if patient is None:
        common.queue_unassigned(
            connection, identity=stored.id, kind="ecg", resource=f"DiagnosticReport/{stored.id}", device=device,
            gateway=stored.gateway, at=stored.taken_at, reason=reason,
        )  # fmt: skip


def whose(connection: db.Connection, gateway: str, recording: UUID) -> UUID | None:
    """Return whose a recording is, that `gateway` brought: as its report says, or as that will say when it is made."""
    report = store.find(connection, "DiagnosticReport", recording)
    if report is not None:
        return report.patient
    stored = read.recording(connection, recording)
    if stored is None:
        raise ProjectionError("recording: it is not stored")
    return _owner(connection, gateway, stored, common.device_id(stored.gateway, stored.device))[1]


def _owner(
    connection: db.Connection, gateway: str, stored: StoredRecording, device: UUID
) -> tuple[store.Stored | None, UUID | None, str]:
    """Return the order that a recording fulfils, whose it is, and if nobody's, why."""
    order, reason = _order(connection, gateway, stored, device)
    patient = order.patient if order else None
    if stored.order is None:
        patient, _ = common.whose(
            connection, device, stored.gateway, stored.id, at=stored.taken_at, received=stored.received_at
        )
    return order, patient, reason


def _order(
    connection: db.Connection, brought_by: str, stored: StoredRecording, device: UUID
) -> tuple[store.Stored | None, str]:
    """Return the order that a recording fulfils; where it fulfils none, None and why."""
    if stored.order is None:
        return None, "taken without an order"
    command = _queries.command(connection, order=stored.order)
    order = store.find(connection, "ServiceRequest", stored.order)
    if command is None or order is None:
        return None, "its order is not known here"
    gateway, expires = command
    content = order.content()
    if {brought_by, stored.gateway} != {gateway}:
        return None, "its order went to another gateway"
    if [p["reference"] for p in content["performer"]] != [f"Device/{device}"]:
        return None, "its order is for another device"
    if content["status"] != "active" and not _goes_on(connection, stored, order):
        return None, f"its order was {content['status']} already"
    if _late(connection, stored, expires):
        return None, "it was taken after its order had lapsed"
    return order, ""


def _goes_on(connection: db.Connection, stored: StoredRecording, order: store.Stored) -> bool:
    """Return whether a recording is a further part of the one that has fulfilled an order: a long original is cut."""
    if stored.origin is None or stored.origin.part[1] < 2 or order.content()["status"] != "completed":
        return False
    return bool(
        _queries.part_of_order(
            connection, order=order.id, gateway=stored.gateway, recording=stored.id, patient=order.patient,
            sha256=base64.b64encode(stored.origin.sha256).decode(),
        )
    )  # fmt: skip


def _late(connection: db.Connection, stored: StoredRecording, expires: datetime) -> bool:
    """Return whether a recording began after its order's end; by the time of its arrival where only that is certain."""
    if read.clock_trusted(connection, stored.gateway, stored.id):
        return stored.taken_at > expires + _MARGIN
    return stored.received_at > expires + timedelta(seconds=SILENCE_S)


def _links(device: UUID, patient: UUID | None, order: store.Stored | None) -> dict[str, Any]:
    links: dict[str, Any] = {"device": {"reference": f"Device/{device}"}}
    if patient is not None:
        links["subject"] = {"reference": f"Patient/{patient}"}
    if order is not None:
        links["basedOn"] = [{"reference": f"ServiceRequest/{order.id}"}]
    return links


def report_of(
    stored: StoredRecording, links: dict[str, Any], results: list[dict[str, Any]], picture: UUID, now: datetime
) -> dict[str, Any]:
    """Return the preliminary report of a recording with its results; `links`: subject, basedOn and device."""
    found = stored.interpretation
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": str(stored.id),
        "identifier": [{"system": "urn:feldsher:recording", "value": str(stored.id)}],
        "status": "preliminary",
        "category": [concept("http://terminology.hl7.org/CodeSystem/v2-0074", "EC", "Electrocardiac")],
        "code": concept(common.LOINC, ECG_STUDY, "EKG study"),
        **{k: v for k, v in links.items() if k != "device"},
        "effectivePeriod": period(stored),
        "issued": dates.render(now),
        "conclusion": conclusion(stored),
        "presentedForm": [{"contentType": "image/svg+xml", "url": f"Binary/{picture}", "title": "ECG, unconfirmed"}],
    }
    if results:
        report["result"] = [{"reference": f"Observation/{r['id']}"} for r in results]
    if found is not None and found.statements:
        report["conclusionCode"] = [concept(STATEMENTS, s.code, s.text) for s in found.statements]
    extensions = [{"url": LIMITS, "valueString": text} for text in limits(stored)] + as_sent(stored)
    if found is not None:
        critical = any(s.critical for s in found.statements)
        extensions.append({"url": ENGINE, "valueString": found.engine})
        extensions.append({"url": CRITICAL, "valueBoolean": critical})  # pyright: ignore[reportArgumentType]
    if stored.origin is not None:
        extensions.append({"url": ORIGIN, "extension": origin_parts(stored.origin)})  # pyright: ignore[reportArgumentType]
    if extensions:
        report["extension"] = extensions
    return report


def origin_parts(origin: wire.Origin) -> list[dict[str, Any]]:
    """Return what is known of an original as parts of a FHIR extension."""
    parts: list[dict[str, Any]] = [
        {"url": "via", "valueCode": origin.via},
        {"url": "format", "valueString": origin.format},
        {"url": "sha256", "valueString": origin.sha256.hex()},
        {"url": "size", "valueInteger": origin.size},
    ]
    said = (("maker", origin.maker), ("model", origin.model), ("serial", origin.serial))
    parts += [{"url": name, "valueString": text} for name, text in (*said, ("recordedAt", origin.recorded_at)) if text]
    return parts


def _model(origin: wire.Origin | None) -> str | None:
    return " ".join(text for text in (origin.maker, origin.model) if text) or None if origin else None


def period(stored: StoredRecording) -> dict[str, str]:
    """Return from when to when a recording was taken, by the best known time."""
    ended = stored.ended_at + (stored.taken_at - stored.started_at)
    return {"start": dates.render(stored.taken_at), "end": dates.render(ended)}


def as_sent(stored: StoredRecording) -> list[dict[str, Any]]:
    """Return the extension that keeps the start as sent, where it was corrected."""
    if stored.taken_at == stored.started_at:
        return []
    return [{"url": common.TIME_AS_SENT, "valueDateTime": dates.render(stored.started_at)}]


def limits(stored: StoredRecording) -> list[str]:
    """Return what could not be judged and why, in words: it stands before any finding."""
    said: list[str] = []
    if stored.not_interpreted is not None or stored.interpretation is None:
        said.append(f"not interpreted: {stored.not_interpreted or 'the gateway sent no interpretation'}")
    if stored.partial is not None:
        said.append(f"recording incomplete: {stored.partial}")
    if stored.lost:
        said.append(f"{stored.lost} samples lost")
    if stored.lead_off:
        said.append(f"electrode off: {', '.join(stored.lead_off)}")
    if stored.origin is not None:
        said.extend(f"not certain: {doubt}" for doubt in stored.origin.doubts)
    if stored.interpretation is not None:
        said.extend(_unusable(stored.interpretation))
    return said


def _unusable(found: Interpretation) -> list[str]:
    said = [] if found.quality.usable else ["signal quality too poor to judge the recording"]
    for lead, quality in found.quality.leads.items():
        if not quality.usable:
            said.append(f"lead {lead} not judged: {', '.join(quality.issues) or 'unusable'}")
    return said


def conclusion(stored: StoredRecording) -> str:
    """Return the interpreter's conclusion, after what could not be judged."""
    lines = [text[0].upper() + text[1:] + "." for text in limits(stored)]
    if stored.interpretation is not None:
        lines.append(stored.interpretation.conclusion)
    return "\n".join(lines)


def observations(stored: StoredRecording, links: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the interpretation measured; each measurement of a recording always has the same id."""
    if stored.interpretation is None:
        return []
    measured = stored.interpretation.measurements
    made: list[dict[str, Any]] = []
    for name, code, display, unit in _MEASURED:
        value: float | None = getattr(measured, name)
        if value is not None:
            made.append(_observation(stored, links, code, display) | {"valueQuantity": _quantity(value, unit)})
    components = _corrected(measured)
    if components:
        made.append(_observation(stored, links, "8636-3", "Q-T interval corrected") | {"component": components})
    return made


def _corrected(measured: Measurements) -> list[dict[str, Any]]:
    components: list[dict[str, Any]] = []
    for name, system, code, display in _QTC:
        value: float | None = getattr(measured, name)
        if value is not None:
            components.append({"code": concept(system, code, display), "valueQuantity": _quantity(value, "ms")})
    return components


def _quantity(value: float, unit: str) -> dict[str, Any]:
    # repr is the shortest text that means this float: the digits that the engine gave.
    return {"value": Decimal(repr(value)), "unit": unit, "system": common.UCUM, "code": unit}


def _observation(stored: StoredRecording, links: dict[str, Any], code: str, display: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "id": str(common.derived_id(stored.started_at, str(stored.id), code)),
        "status": "preliminary",
        "category": [concept(common.OBSERVATION_CATEGORY, "procedure", "Procedure")],
        "code": concept(common.LOINC, code, display),
        **links,
        "effectiveDateTime": dates.render(stored.taken_at),
    }
    sent = as_sent(stored)
    return made | {"extension": sent} if sent else made


def drawn(stored: StoredRecording, watermark: str | None) -> str:
    """Return the picture of a recording with its interpretation as SVG, stamped unconfirmed."""
    return draw.svg(stored.recording, stored.interpretation, watermark=watermark)


def _trail(
    connection: db.Connection, stored: StoredRecording, report: dict[str, Any], device: UUID, patient: UUID | None,
    now: datetime,
) -> None:  # fmt: skip
    targets = [f"DiagnosticReport/{report['id']}", *(r["reference"] for r in report.get("result", []))]
    engine = stored.interpretation.engine if stored.interpretation else "feldsher cloud worker"
    identity = common.derived_id(stored.started_at, str(stored.id), "provenance")
    made_by = common.provenance(identity, targets, device, now, str(stored.id), engine)
    store.insert(connection, made_by, patient=patient, now=now)


def _complete(connection: db.Connection, order: store.Stored, now: datetime) -> None:
    content = order.content()
    if content["status"] == "completed":
        return
    others = [e for e in content.get("extension", []) if e["url"] != STATE]
    done = content | {"status": "completed", "extension": [*others, {"url": STATE, "valueCode": "reported"}]}
    store.update(connection, done, patient=order.patient, now=now)
    _queries.reported(connection, order=order.id, now=now)
