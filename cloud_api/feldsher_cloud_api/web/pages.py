"""The routes of the web workstation: each asks the record through a desk and renders one template."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from feldsher_signal import picture

from feldsher_cloud_api import access, auth, external, sessions
from feldsher_cloud_api.access import Forbidden, Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal, Form, OptionalPrincipal
from feldsher_cloud_api.care import alarm, order, signature
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fleet import devices
from feldsher_cloud_api.web import account, authorize, ecg, fleet, people, record, review, stream_routes, vitals
from feldsher_cloud_api.web.catalogue import LANGUAGES
from feldsher_cloud_api.web.desk import Desk, desk
from feldsher_cloud_api.web.render import (
    LANGUAGE_COOKIE,
    Page,
    page_headers,
    static_directory,
    static_hash,
)
from feldsher_cloud_api.web.routes import CurrentPage, PageRoute

HOMES = {"doctor": "/worklist", "patient": "/me", "technician": "/fleet", "manager": "/fleet"}
SHOWN_VERSION = "x-shown-version"
INDICATION_LENGTH = 300
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?")
_VERSION = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_REASONS = {"failed": "signin.refused", "locked": "signin.locked", "busy": "error.429", "elsewhere": "signin.elsewhere"}


router = APIRouter(route_class=PageRoute, include_in_schema=False)


def install(app: FastAPI) -> None:
    """Add the workstation to the application: pages, and static files under an address that tells their content."""
    app.include_router(router)
    app.include_router(account.router)
    app.include_router(authorize.router)
    app.include_router(fleet.router)
    app.include_router(review.router)
    app.include_router(stream_routes.router)
    app.mount(f"/static/{static_hash()}", Unchanging(directory=static_directory()), name="static")


class Unchanging(StaticFiles):
    """Static files whose address changes with their content: a browser may keep them for ever."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Answer with a file that never needs asking for again."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


# ---------------------------------------------------------------- sign-in, language


@router.get("/")
def home(who: CurrentPrincipal) -> Response:
    """Lead to the first page of the role."""
    return RedirectResponse(HOMES.get(who.role, "/login"), 303)


@router.get("/login")
def login(request: Request, of: CurrentContext, who: OptionalPrincipal) -> Response:
    """Show the sign-in form; `reason` says why it is shown again."""
    page = Page(request, of, None)
    reason = request.query_params.get("reason", "")
    target = auth.wanted(of, request)
    if who is not None and not reason:
        return RedirectResponse(target, 303)
    wrong = page.words.say(_REASONS[reason]) if reason in _REASONS else ""
    notice = page.words.say(f"signin.{reason}") if reason in ("expired", "away") else ""
    away = sessions.names(of, request)
    return page.show(
        "login.html",
        targets=_client_of(target),
        wrong=wrong,
        notice=notice,
        next=target,
        away=away,
        providers=external.providers(of.settings.providers).values(),
    )


def _client_of(target: str) -> tuple[str, ...]:
    """Return the origin of the program that waits behind a sign-in: browsers apply form-action to redirects too."""
    parts = urlsplit(target)
    if parts.path != "/oauth/authorize":
        return ()
    waiting = urlsplit(dict(parse_qsl(parts.query)).get("redirect_uri", ""))
    known = waiting.scheme in ("http", "https") and _HOST.fullmatch(waiting.netloc)
    return (f"{waiting.scheme}://{waiting.netloc}",) if known else ()


@router.post("/language")
def language(form: Form, of: CurrentContext, who: OptionalPrincipal) -> Response:
    """Remember the reader's language in their browser and go back."""
    response = RedirectResponse(auth.local_path(form.get("back", "/")), 303)
    if form.get("language") in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, form["language"], max_age=31536000, samesite="lax", httponly=True,
            secure=not of.settings.loopback,
        )  # fmt: skip
    return response


# ---------------------------------------------------------------- the doctor's day


@router.get("/worklist")
def worklist(request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show what waits for a doctor."""
    access.permit_role(who, "doctor")
    notice = page.words.say("order.done") if "ordered" in request.query_params else ""
    notice = page.words.say("sign.done") if "signed" in request.query_params else notice
    notice = page.words.say("alarm.done") if "answered" in request.query_params else notice
    again = page.words.say("alarm.again") if "again" in request.query_params else ""
    with desk(of, who) as at:
        return page.show("worklist.html", here="worklist", notice=notice, again=again, **_work(at, page, request))


@router.post("/alarm/{task}/answer")
def answer_alarm(task: UUID, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Close an alarm that a doctor has dealt with, as they saw it, and go back to the worklist."""
    access.permit_role(who, "doctor")
    seen = form.get("version", "")
    if not _VERSION.fullmatch(seen):
        raise FhirError(422, "required", "version: the version of the alarm that was seen is needed", "$.version")
    try:
        alarm.close(of, who, task, form.get("note", "").strip(), int(seen))
    except alarm.ChangedError:
        return RedirectResponse("/worklist?again", 303)
    except FhirError as error:
        if error.status != 409:  # somebody else was faster: the worklist shows it
            raise
    return RedirectResponse("/worklist?answered", 303)


@router.get("/worklist/rows")
def worklist_rows(request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the rows of the worklist, or 204 where the reader's version is still right."""
    access.permit_role(who, "doctor")
    with desk(of, who) as at:
        values = _work(at, page, request)
        if request.headers.get(SHOWN_VERSION) == values["version"]:
            at.unshown()
            return Response(status_code=204, headers=page_headers())
        return page.show("worklist_rows.html", **values)


def _work(at: Desk, page: Page, request: Request) -> dict[str, Any]:
    token = request.query_params.get("after", "")
    work = record.work(at, page.words, record.place_of(at, token))
    following = record.token_of(at, work.following)
    reviews = review.open_reviews(at, page.words)
    version = _version(page, (work, reviews))
    return {"work": work, "reviews": reviews, "version": version, "following": following, "place": token}


def _version(page: Page, work: Any) -> str:
    return hashlib.sha256(f"{page.words.language}{work!r}".encode()).hexdigest()[:16]


@router.get("/patients")
def patients(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show the first patients in order of name."""
    return _patients(page, of, who, "")


@router.post("/patients")
def find_patients(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Show the patients whose name holds what was asked for; a form, so that no name stands in an address."""
    return _patients(page, of, who, form.get("name", "")[:100])


def _patients(page: Page, of: Context, who: Principal, name: str) -> Response:
    access.permit_role(who, "doctor")
    with desk(of, who) as at:
        found = people.find(at, name)
        return page.show("patients.html", here="patients", found=found, name=name, most=people.MOST)


@router.get("/patient/{identity}")
def patient(identity: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show a patient's trend, ECGs and documents."""
    access.permit_role(who, "doctor")
    with desk(of, who) as at:
        values = _chart(at, page, identity)
        return page.show("patient.html", documents=record.documents(at, values["patient"], page.words), **values)


def _chart(at: Desk, page: Page, identity: UUID) -> dict[str, Any]:
    person = people.person(at.read("Patient", identity))
    return {
        "patient": person,
        "readings": vitals.of_patient(at, person),
        "limits": None,
        "most": vitals.MOST,
        "reports": record.reports(at, person, page.words),
    }


@router.get("/order")
def order_form(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show the form that orders an ECG."""
    return _order_form(page, of, who, {}, ())


@router.get("/patient/{identity}/order")
def order_for(identity: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show the form that orders an ECG of one patient."""
    return _order_form(page, of, who, {"patient": str(identity)}, ())


def _order_form(page: Page, of: Context, who: Principal, given: dict[str, str], wrong: tuple[str, ...]) -> Response:
    access.permit_role(who, "doctor")
    empty = {"patient": "", "device": "", "indication": "", "pacemaker": "unknown"}
    with desk(of, who) as at:
        patients = people.find(at, "")
        chosen = _uuid(given.get("patient", ""))
        if chosen is not None and chosen not in {p.id for p in patients}:
            patients = [*people.people(at, [chosen]).values(), *patients]
        return page.show(
            "order.html",
            status=422 if wrong else 200,
            here="order",
            patients=patients,
            most=people.MOST,
            devices=devices.cardiographs(at.connection, who),
            form=empty | given,
            wrong=wrong,
            lapse_minutes=int(of.settings.order_life.total_seconds() // 60),
        )


@router.post("/order")
def place_order(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Order an ECG: the ServiceRequest and the command to the gateway in one transaction."""
    access.permit_role(who, "doctor")
    given = {name: form.get(name, "").strip() for name in ("patient", "device", "indication", "pacemaker")}
    wrong = [name for name in ("patient", "device") if _uuid(given[name]) is None]
    if not 0 < len(given["indication"]) <= INDICATION_LENGTH:
        wrong.append("indication")
    if wrong:
        return _order_form(page, of, who, given, tuple(wrong))
    flags = {"pacemaker": given["pacemaker"] == "yes"} if given["pacemaker"] in ("yes", "no") else None
    wanted = order.request(UUID(given["patient"]), UUID(given["device"]), flags=flags)
    wanted["reasonCode"] = [{"text": given["indication"]}]
    try:
        with access.asking(of.pool, who) as connection:
            order.place(connection, who, wanted, now=of.settings.clock(), life=of.settings.order_life)
    except FhirError as error:
        if error.status != 422:
            raise
        return _order_form(page, of, who, given, ("patient", "device"))
    return RedirectResponse("/worklist?ordered", 303)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


# ---------------------------------------------------------------- one ECG


@router.get("/ecg/{identity}")
def ecg_page(identity: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show an ECG with its viewer, opinion and, for a doctor, the form that signs it."""
    return _ecg(identity, page, of, who, "")


def _ecg(identity: UUID, page: Page, of: Context, who: Principal, wrong: str, draft: str | None = None) -> Response:
    with desk(of, who) as at:
        source = record.source(at, identity)
        shown = ecg.ecg_page(source, page.words)
        return page.show(
            "ecg.html",
            status=422 if wrong else 200,
            e=shown,
            draft=shown.draft if draft is None else draft,
            may_sign=who.role == "doctor" and source.status == "preliminary",
            sign_wrong=wrong,
            reviews=review.of_report(at, identity, page.words) if who.role == "doctor" else (),
            meta=ecg.viewer_meta(source, demo=of.settings.demo),
            viewer_words=ecg.viewer_words(page.words),
        )


@router.get("/ecg/{identity}/print")
def ecg_print(identity: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show the ECG as it is printed."""
    with desk(of, who) as at:
        return page.show("ecg_print.html", e=ecg.ecg_page(record.source(at, identity), page.words))


@router.get("/ecg/{identity}/samples")
def ecg_samples(identity: UUID, request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the samples for the viewer, coded as static/ecg_record.js reads them."""
    with desk(of, who) as at:
        data = ecg.planes(record.source(at, identity).recording.samples)
    headers = page_headers()
    if "gzip" in request.headers.get("accept-encoding", ""):
        data = gzip.compress(data, 6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/ecg/{identity}/paper.{kind}")
def ecg_paper(identity: UUID, kind: picture.Kind, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Return the picture of the report, as PDF or PNG drawn anew: stamped unconfirmed until it is signed."""
    with desk(of, who) as at:
        if kind == "svg":
            data = record.paper(at, identity)
        else:
            data = picture.encoded(ecg.sheet(record.source(at, identity), demo=of.settings.demo), kind)
    # A picture is looked at, never run.
    headers = page_headers() | {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
    return Response(data, media_type=picture.MEDIA[kind], headers=headers)


@router.post("/ecg/{identity}/sign")
def ecg_sign(identity: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Sign the report in the version that was shown, with the doctor's conclusion and their password again."""
    conclusion, version = form.get("conclusion", "").replace("\r\n", "\n").strip(), form.get("version", "")
    if not conclusion or not version.isdigit():
        return _ecg(identity, page, of, who, page.words.say("sign.empty"), conclusion)
    with desk(of, who) as at:
        agrees = conclusion == ecg.ecg_page(record.source(at, identity), page.words).draft
    wish = signature.Asked(form.get("password", ""), int(version), conclusion, agrees)
    try:
        signature.sign(of, who, identity, wish)
    except FhirError as error:
        if error.status == 404:
            raise
        key = "sign.changed" if error.status in (409, 412) else "sign.refused"
        return _ecg(identity, page, of, who, page.words.say(key), conclusion)
    return RedirectResponse(f"/ecg/{identity}", 303)


# ---------------------------------------------------------------- the patient


@router.get("/me")
def portal(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show a patient their own record and who has looked at it."""
    access.permit_role(who, "patient")
    if not who.patients:
        raise Forbidden("the account speaks for no patient")
    with desk(of, who) as at:
        values = _chart(at, page, who.patients[0])
        return page.show("portal.html", here="portal", looks=record.looks(at, who.patients[0]), **values)
