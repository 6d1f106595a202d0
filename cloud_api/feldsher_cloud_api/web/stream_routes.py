"""The routes of a continuous ECG's page: the page, its ECG paper, its report, and the form that signs it."""

from __future__ import annotations

import threading
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from feldsher_ingest.read import DamagedError
from feldsher_signal import picture
from feldsher_signal.ambulatory_text import clock

from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal, Form
from feldsher_cloud_api.care import signature
from feldsher_cloud_api.care import stream as care
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.web import record, stream
from feldsher_cloud_api.web.desk import desk
from feldsher_cloud_api.web.render import Page, page_headers
from feldsher_cloud_api.web.routes import CurrentPage, PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_evaluating = threading.Lock()
"""One evaluation at a time: each is a second of one core."""
_LOOKED_AT = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
"""A picture is looked at, never run."""


def seconds(text: str) -> float:
    """Return a place in a recording as seconds: `3725`, `3725.5`, `62:05` or `1:02:05`; 0 for anything else."""
    total = 0.0
    for word in text.split(":"):
        if not word.replace(".", "", 1).isdecimal() or len(word) > 12:
            return 0.0
        total = total * 60 + float(word)
    return total


def _wanted(request: Request) -> tuple[float, int]:
    """Return what part of the trace an address asks for."""
    length = request.query_params.get("for", "")
    return seconds(request.query_params.get("at", "0")), int(length) if length.isdecimal() and len(length) < 4 else 10


@router.get("/stream/{identity}")
def page(identity: UUID, request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show a continuous ECG with a part of its trace, its report and, for a doctor, the form that signs it."""
    return _page(identity, page, of, who, _wanted(request), "")


def _page(
    identity: UUID, page: Page, of: Context, who: Principal, wanted: tuple[float, int], wrong: str,
    draft: str | None = None,
) -> Response:  # fmt: skip
    with desk(of, who) as at:
        source = record.stream_source(at, identity)
        shown = stream.stream_page(source, *wanted, page.words)
        return page.show(
            "stream.html",
            status=422 if wrong else 200,
            e=shown,
            part_clock=clock(shown.part.at),
            length=clock(source.seconds),
            picture=source.evaluation is not None,
            draft=shown.draft if draft is None else draft,
            may_sign=who.role == "doctor" and source.status == "preliminary" and source.patient is not None,
            sign_wrong=wrong,
        )


@router.get("/stream/{identity}/paper.{kind}")
def paper(identity: UUID, kind: picture.Kind, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return a part of the trace on ECG paper."""
    with desk(of, who) as at:
        source = record.stream_source(at, identity)
        shown = stream.part(source, *_wanted(request))
        if not source.axis.total:
            raise not_found("part of the continuous ECG: its samples are no longer kept")
        samples = care.Samples(at.connection, source.stored, source.axis)
        try:
            recording = samples.part(*stream.window(shown, source.axis))
        except DamagedError as error:
            raise FhirError(500, "exception", "the samples are damaged: an administrator has to look") from error
    data = picture.encoded(stream.sheet(recording, shown, demo=of.settings.demo), kind)
    return Response(data, media_type=picture.MEDIA[kind], headers=page_headers() | _LOOKED_AT)


@router.get("/stream/{identity}/report.svg")
def report(identity: UUID, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the picture of the report: stamped unconfirmed until it is signed."""
    with desk(of, who) as at:
        data = record.paper(at, identity)
    return Response(data, media_type=picture.MEDIA["svg"], headers=page_headers() | _LOOKED_AT)


@router.get("/stream/{identity}/now.svg")
def now(identity: UUID, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Evaluate what there is of a continuous ECG that still runs; nothing of it is kept."""
    if not _evaluating.acquire(timeout=20):
        raise FhirError(429, "throttled", "other recordings are being evaluated: try again soon")
    try:
        with desk(of, who) as at:
            source = record.stream_source(at, identity)
            samples = care.Samples(at.connection, source.stored, source.axis)
            try:
                data = care.picture(*care.evaluate(samples), samples, demo=of.settings.demo)
            except (ValueError, DamagedError) as error:
                raise FhirError(409, "conflict", f"it cannot be evaluated: {error}") from error
    finally:
        _evaluating.release()
    return Response(data, media_type=picture.MEDIA["svg"], headers=page_headers() | _LOOKED_AT)


@router.post("/stream/{identity}/sign")
def sign(identity: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Sign the report in the version that was shown, with the doctor's conclusion and their password again."""
    conclusion, version = form.get("conclusion", "").replace("\r\n", "\n").strip(), form.get("version", "")
    place: tuple[float, int] = (0.0, 10)
    if not conclusion or not version.isdigit():
        return _page(identity, page, of, who, place, page.words.say("sign.empty"), conclusion)
    with desk(of, who) as at:
        shown = stream.stream_page(record.stream_source(at, identity), *place, page.words)
    wish = signature.Asked(form.get("password", ""), int(version), conclusion, conclusion == shown.draft)
    try:
        signature.sign(of, who, identity, wish)
    except FhirError as error:
        if error.status == 404:
            raise
        key = "sign.changed" if error.status in (409, 412) else "sign.refused"
        return _page(identity, page, of, who, place, page.words.say(key), conclusion)
    return RedirectResponse(f"/stream/{identity}", 303)
