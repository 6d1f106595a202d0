"""From the record to the pages: reports, orders, documents and accesses, always through a desk."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from feldsher_ingest import read
from feldsher_ingest.read import StoredRecording

from feldsher_cloud_api.care import ecg as care_ecg
from feldsher_cloud_api.care import stream as care_stream
from feldsher_cloud_api.care.order import STATE
from feldsher_cloud_api.care.picture import INTERPRETER_SAID
from feldsher_cloud_api.fhir import dates, search
from feldsher_cloud_api.fhir.outcome import not_found
from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.project.ecg import CRITICAL, ENGINE, LIMITS
from feldsher_cloud_api.project.stream import HOLTER
from feldsher_cloud_api.web import alarm, ecg, stream, vitals
from feldsher_cloud_api.web.catalogue import Catalogue
from feldsher_cloud_api.web.desk import Desk
from feldsher_cloud_api.web.people import people
from feldsher_cloud_api.web.shapes import SIGNED, Document, Look, Order, Part, Person, Place, Report, Work

ENDED_FOR = timedelta(hours=12)
"""How long the worklist still shows an order that came to nothing."""
PAGE = 100
"""ECGs on one page of the worklist, of the critical and of the rest."""
_RECENT, _MOST, _LOOKS = 12, 200, 100


def _extensions(content: dict[str, Any], url: str) -> list[Any]:
    """Return the values of a resource's extensions of one url."""
    found = cast("list[dict[str, Any]]", content.get("extension", []))
    return [v for e in found if e.get("url") == url for k, v in e.items() if k.startswith("value")]


def _codes(content: dict[str, Any]) -> list[tuple[str, str]]:
    concepts = cast("list[dict[str, Any]]", content.get("conclusionCode", []))
    return [(c["coding"][0]["code"], c["coding"][0].get("display", "")) for c in concepts]


def _reference(element: dict[str, Any] | None) -> UUID | None:
    return UUID(element["reference"].rsplit("/", 1)[-1]) if element and "reference" in element else None


def report(stored: Stored, patient: Person | None, words: Catalogue) -> Report:
    """Return a DiagnosticReport as lists show it."""
    content = stored.content()
    codes = _codes(content)
    judged = "unread" if not _extensions(content, ENGINE) else "limited" if _extensions(content, LIMITS) else "judged"
    running = content["status"] == "registered"
    said = words.say("stream.running") if running else content.get("conclusion", "")
    return Report(
        stored.id,
        patient,
        dates.parse(content["effectivePeriod"]["start"])[0],
        content["status"],
        ecg.finding(codes, words) if codes else said,
        any(_extensions(content, CRITICAL)) and bool(codes),
        judged,
        "stream" if content["code"]["coding"][0]["code"] == HOLTER else "ecg",
    )


def reports(at: Desk, patient: Person, words: Catalogue) -> Part[Report]:
    """Return a patient's ECG reports, newest first."""
    found, total = at.part("DiagnosticReport", patient=str(patient.id), _sort="-date", _count=str(_MOST))
    return Part(tuple(report(s, patient, words) for s in found), total)


def work(at: Desk, words: Catalogue, after: Place | None = None) -> Work:
    """Return a page of a doctor's worklist: alarms, preliminary reports (critical first, then oldest), and the rest."""
    found, following = _waiting(at, after)
    known = people(at, (s.patient for s in found))
    ecgs = tuple(report(s, known.get(s.patient) if s.patient else None, words) for s in found)
    critical, rest = (_count(at, critical=c) for c in (True, False))
    more = critical + rest - len(ecgs) - (after.before if after else 0)
    readings, alarms = vitals.recent(at, words, _RECENT), alarm.open_alarms(at, words)
    return Work(ecgs, critical + rest, critical, more, following, orders(at), readings, alarms)


def _waiting(at: Desk, after: Place | None) -> tuple[list[Stored], Place | None]:
    """Return the reports of a page and the place after it: all critical ones come before the first of the rest."""
    found: list[Stored] = []
    key = after.key if after else None
    for critical in (True, False) if after is None or after.critical else (False,):
        page, place, _ = at.page(
            "DiagnosticReport", key, status="preliminary", _sort="date", _count=str(PAGE), **_of_kind(critical=critical)
        )
        found += page
        if place is not None:
            return found, Place(critical, tuple(place), len(found) + (after.before if after else 0))
        key = None
    return found, None


def place_of(at: Desk, token: str) -> Place | None:
    """Return what the token of a page of the worklist means; FhirError 400 where it is not this person's."""
    if not token:
        return None
    said, key = search.open_cursor(at.of.cursor, at.who.person, "worklist", token)
    given = dict(said)
    return Place(given["critical"] == "1", tuple(key), int(given["before"]))


def token_of(at: Desk, place: Place | None) -> str:
    """Return the token of a page of the worklist, empty where there is none; only its owner can use it."""
    if place is None:
        return ""
    said = [("critical", str(int(place.critical))), ("before", str(place.before))]
    return search.seal_cursor(at.of.cursor, at.who.person, "worklist", said, list(place.key))


def _of_kind(*, critical: bool) -> dict[str, str]:
    return {"critical" if critical else "critical:not": "true"}


def _count(at: Desk, *, critical: bool) -> int:
    kind = _of_kind(critical=critical)
    return at.page("DiagnosticReport", None, status="preliminary", _count="0", _total="accurate", **kind)[2] or 0


def orders(at: Desk) -> Part[Order]:
    """Return orders that wait or are under way, and those that came to nothing lately; newest first."""
    since = dates.render(at.of.settings.clock() - ENDED_FOR)
    found, waiting = at.part("ServiceRequest", status="active", _sort="-authored", _count=str(_MOST))
    over, ended = at.part(
        "ServiceRequest", status="revoked", authored=f"ge{since}", _sort="-authored", _count=str(_MOST)
    )
    left = waiting + ended - len(found) - len(over)
    found += over
    known = people(at, (s.patient for s in found))
    names = _device_names(at, [s.content() for s in found])
    rows = [_order(s, known[s.patient], names) for s in found if s.patient is not None and s.patient in known]
    return Part(tuple(sorted(rows, key=lambda o: o.since, reverse=True)), len(rows) + left)


def _order(stored: Stored, patient: Person, names: dict[UUID, str]) -> Order:
    content = stored.content()
    state, detail = state_of(stored)
    device = _reference(content["performer"][0])
    return Order(
        stored.id,
        patient,
        indication(content),
        names.get(device, "") if device else "",
        state,
        dates.parse(content["authoredOn"])[0],
        detail,
    )


def state_of(order: Stored) -> tuple[str, str]:
    """Return the state of an order, and what was said of it."""
    content = order.content()
    state = str(next(iter(_extensions(content, STATE)), "requested"))
    notes = [n["text"] for n in cast("list[dict[str, Any]]", content.get("note", []))]
    return state, next((n.partition(": ")[2] for n in reversed(notes) if n.startswith(f"{state}: ")), "")


def report_for(at: Desk, order: UUID) -> UUID | None:
    """Return the report of an order's recording, None while there is none."""
    found = at.search("DiagnosticReport", based_on=f"ServiceRequest/{order}", _count="1")
    return found[0].id if found else None


def indication(order: dict[str, Any]) -> str:
    """Return why an order was placed, as its doctor wrote it."""
    reasons = cast("list[dict[str, Any]]", order.get("reasonCode", []))
    return str(reasons[0].get("text", "")) if reasons else ""


def _device_names(at: Desk, contents: list[dict[str, Any]]) -> dict[UUID, str]:
    wanted = {str(i) for c in contents if (i := _reference(c["performer"][0]))}
    if not wanted:
        return {}
    return {
        s.id: _device_name(s.content()) for s in at.search("Device", _id=",".join(sorted(wanted)), _count=str(_MOST))
    }


def _device_name(content: dict[str, Any]) -> str:
    return str(content["identifier"][0]["value"]) if content.get("identifier") else ""


def source(at: Desk, identity: UUID) -> ecg.Source:
    """Return what the page of one ECG is made of; FhirError 404 where it is not there or not within reach."""
    stored = at.read("DiagnosticReport", identity)
    found, _ = care_ecg.recording_of(at.connection, at.who, identity)
    content = stored.content()
    patient = people(at, [stored.patient]).get(stored.patient) if stored.patient else None
    order = _reference(next(iter(cast("list[dict[str, Any]]", content.get("basedOn", []))), None))
    signed = content["status"] in SIGNED
    said = next(iter(_extensions(content, INTERPRETER_SAID)), content.get("conclusion", ""))
    return ecg.Source(
        id=stored.id,
        version=stored.version,
        status=content["status"],
        patient=patient,
        taken=dates.parse(content["effectivePeriod"]["start"])[0],
        indication=indication(at.read("ServiceRequest", order).content()) if order else None,
        conclusion=content.get("conclusion", "") if signed else None,
        agreed="conclusionCode" in content,
        stated=said,
        signed_by=_signer(content) if signed else None,
        signed_at=_instant(content.get("issued")) if signed else None,
        **_facts(found),
    )


def _facts(found: StoredRecording) -> dict[str, Any]:
    return {
        "device": found.device,
        "gateway": found.gateway,
        "pacemaker_known": found.subject is not None and found.subject.pacemaker is not None,
        "recording": found.recording,
        "sha256": found.sha256.hex(),
        "interpretation": found.interpretation,
        "not_interpreted": found.not_interpreted,
        "partial": found.partial,
        "lost": found.lost,
        "lead_off": found.lead_off,
        "origin": found.origin,
    }


def stream_source(at: Desk, identity: UUID) -> stream.Source:
    """Return what the page of one continuous ECG is made of; FhirError 404 where it is not within reach."""
    found = at.read("DiagnosticReport", identity)
    stored = care_stream.of_report(at.connection, identity)
    if stored is None:
        raise not_found("continuous ECG")
    content = found.content()
    said = next(iter(_extensions(content, INTERPRETER_SAID)), content.get("conclusion", ""))
    signed = content["status"] in SIGNED
    return stream.Source(
        id=found.id,
        version=found.version,
        status=content["status"],
        patient=people(at, [found.patient]).get(found.patient) if found.patient else None,
        stored=stored,
        axis=read.stream_axis(at.connection, stored),
        conclusion=content.get("conclusion", "") if signed else None,
        stated=said,
        agreed="conclusionCode" in content,
        signed_by=_signer(content) if signed else None,
        signed_at=_instant(content.get("issued")) if signed else None,
        sha256=read.stream_digest(at.connection, stored).hex(),
        evaluation=care_stream.evaluation(at.connection, stored.id)[0],
        limits=tuple(str(text) for text in _extensions(content, LIMITS)),
    )


def _signer(content: dict[str, Any]) -> str:
    people_named = cast("list[dict[str, Any]]", content.get("resultsInterpreter", []))
    return ", ".join(str(p.get("display", "–")) for p in people_named) or "–"


def _instant(text: str | None) -> datetime | None:
    return dates.parse(text)[0] if text else None


def paper(at: Desk, identity: UUID) -> bytes:
    """Return the picture that a report presents: stamped unconfirmed until it is signed, afterwards the one signed."""
    content = at.read("DiagnosticReport", identity).content()
    return at.picture(UUID(content["presentedForm"][0]["url"].rsplit("/", 1)[-1]))


def documents(at: Desk, patient: Person, words: Catalogue) -> Part[Document]:
    """Return the documents of a patient: the pictures that reports present, newest first."""
    found, total = at.part("DiagnosticReport", patient=str(patient.id), _sort="-date", _count=str(_MOST))
    rows = tuple(
        Document(f"/fhir/{form['url']}", words.say("ecg.paper"), dates.parse(content["effectivePeriod"]["start"])[0])
        for content in (s.content() for s in found)
        for form in cast("list[dict[str, Any]]", content.get("presentedForm", []))
    )
    return Part(rows, len(rows) + total - len(found))  # a report presents one picture


def looks(at: Desk, patient: UUID) -> Part[Look]:
    """Return who has looked at a patient's record, newest first."""
    found, total = at.part("AuditEvent", patient=str(patient), _sort="-date", _count=str(_LOOKS))
    return Part(tuple(_look(s.content()) for s in found), total)


def _look(content: dict[str, Any]) -> Look:
    agent = content["agent"][0]
    entities = cast("list[dict[str, Any]]", content.get("entity", []))
    kinds = dict.fromkeys(str(e["what"]["reference"]).split("/")[0] for e in entities if "reference" in e["what"])
    shown = [k for k in kinds if k != "Patient"] or ["Patient"]
    return Look(
        dates.parse(content["recorded"])[0],
        str(agent.get("name", "–")),
        str(agent.get("type", {}).get("text", "")),
        str(content["subtype"][0]["code"]),
        tuple(shown),
    )
