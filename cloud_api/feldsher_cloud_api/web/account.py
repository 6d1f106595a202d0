"""Everybody's own page: password, second factor, where they are signed in, which programs act in their name."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

import segno
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup

from feldsher_cloud_api import access, auth, db, password_change, second_factor, sessions, signin
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal, Form
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.web.render import Page
from feldsher_cloud_api.web.routes import CurrentPage, PageRoute

_queries = db.queries("sessions")
router = APIRouter(route_class=PageRoute, include_in_schema=False)


def qr(text: str) -> Markup:
    """Return a QR code as inline SVG without styles, which the pages' policy would not apply."""
    out = io.BytesIO()
    segno.make(text, error="m").save(out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=4, light="#fff")
    return Markup(out.getvalue().decode())  # noqa: S704 - made here, of our own text


def _show(page: Page, of: Context, who: Principal, request: Request, **more: Any) -> Response:
    now, idle = of.settings.clock(), of.settings.session_idle
    with access.asking(of.pool, who) as connection:
        values: dict[str, Any] = {
            "sessions": sessions.of_person(connection, who.person, now, idle),
            "grants": list(_queries.grants(connection, person=who.person, now=now)),
            "enrolled": second_factor.has(connection, who.person),
        }
    values |= {"this": auth.session_id(of, request), "demanded": second_factor.demanded(of, who.role)}
    values |= {"enrolment": None, "codes": None, "drawn": "", "action": "/account/second-factor"}
    return page.show("account.html", **(values | more))


@router.get("/account")
def account(request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show a person their account."""
    return _show(page, of, who, request)


@router.post("/account/password")
def password(request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Change the password; every other browser and every program is signed out."""
    try:
        keep = request.cookies.get(auth.COOKIE)
        changed = password_change.change(of, who, form.get("old", ""), form.get("new", ""), keep)
    except ValueError:
        return _show(page, of, who, request, wrong=page.words.say("account.short"))
    said = {"notice": page.words.say("account.changed")} if changed else {"wrong": page.words.say("account.old_wrong")}
    return _show(page, of, who, request, **said)


@router.post("/account/second-factor")
def enrol(request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Begin, confirm or remove the second factor; removing it needs a code, and that the role lets them."""
    if form.get("act") == "remove":
        if second_factor.demanded(of, who.role) or not second_factor.check(of, who.person, form.get("code", "")):
            return _show(page, of, who, request, wrong=page.words.say("second.wrong"))
        with access.asking(of.pool, who) as connection:
            second_factor.remove(connection, who.person)
        return _show(page, of, who, request, notice=page.words.say("second.removed"))
    return _show(page, of, who, request, **enrolling(page, of, who.person, form.get("code", "")))


def enrolling(page: Page, of: Context, person: UUID, code: str) -> dict[str, Any]:
    """Return what the page shows next to who enrols: the QR code, or the recovery codes after the first right code."""
    with access.nobody(of.pool) as connection:
        display = auth.load_principal(connection, person, "web").display
    codes = second_factor.confirm(of, person, code) if code else None
    if codes is not None:
        return {"codes": codes, "enrolled": True, "notice": page.words.say("second.done")}
    try:
        enrolment = second_factor.begin(of, person, display)
    except ValueError:
        return {}
    wrong = page.words.say("second.wrong") if code else ""
    return {"enrolment": enrolment, "drawn": qr(enrolment.uri), "wrong": wrong}


@router.post("/account/session")
def end_session(of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """End one of the person's own sessions."""
    with access.asking(of.pool, who) as connection:
        sessions.end(connection, who.person, UUID(form.get("session", "")))
    return RedirectResponse("/account", 303)


@router.post("/account/program")
def end_program(of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Take back what a program was granted."""
    with access.asking(of.pool, who) as connection:
        _queries.end_grants_to(connection, person=who.person, client=form.get("client", ""), now=of.settings.clock())
    return RedirectResponse("/account", 303)


@router.get("/login/code")
def ask_code(request: Request, of: CurrentContext) -> Response:
    """Ask for the code of the second factor."""
    if signin.half(of, request, "second_factor") is None:
        return RedirectResponse("/login", 303)
    page = Page(request, of, None)
    return page.show("second.html", wrong=page.words.say("second.wrong") if "wrong" in request.query_params else "")


@router.get("/login/enrol")
def must_enrol(request: Request, of: CurrentContext) -> Response:
    """Show who must have a second factor and has none how to get one."""
    said = signin.half(of, request, "enrol")
    if said is None:
        return RedirectResponse("/login", 303)
    page = Page(request, of, None)
    return page.show("enrol.html", **_enrol_values(enrolling(page, of, said[0], "")))


@router.post("/login/enrol")
def enrolled(request: Request, of: CurrentContext, form: Form) -> Response:
    """Take the first code; who shows it is signed in and sees the recovery codes."""
    auth.check_origin(request)
    said = signin.half(of, request, "enrol")
    if said is None:
        return auth.sign_in_first(of, "/", "expired")
    page = Page(request, of, None)
    values = enrolling(page, of, said[0], form.get("code", "") or "-")
    if not values:
        return auth.sign_in_first(of, said[1])  # enrolled meanwhile, in another browser
    response = page.show("enrol.html", **_enrol_values(values))
    if values.get("codes"):
        done = signin.finish(request, of, *said, ("password", "totp"))
        response.raw_headers.extend(pair for pair in done.raw_headers if pair[0] == b"set-cookie")
    return response


def _enrol_values(values: dict[str, Any]) -> dict[str, Any]:
    return {"enrolment": None, "codes": None, "drawn": "", "action": "/login/enrol", "enrolled": False} | values
