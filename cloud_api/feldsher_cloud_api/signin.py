"""The routes of sign-in: password, second factor, locking for somebody else, /logout, who is signed in."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import structlog
from cryptography.fernet import InvalidToken
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from feldsher_cloud_api import access, audit, auth, external, limits, second_factor, sessions
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal, Form
from feldsher_cloud_api.context import Context

HALF_COOKIE, HALF_LIFE = "feldsher_half", 300
"""Whose password was right and whose second factor is still asked for, sealed, for five minutes."""
JOURNEY_COOKIE, JOURNEY_LIFE = "feldsher_journey", 600
"""What a browser has to bring back from another provider, sealed, for ten minutes."""
router = APIRouter()
_log = structlog.get_logger()


@router.post("/login")
def login(request: Request, of: CurrentContext, form: Form) -> Response:
    """Sign in with `username`, `password`, `code` where there is a second factor, and optionally `next`, a local path.

    A browser is redirected: to `next`, to the page of the second factor, or back to /login with `reason` failed,
    locked or busy. Who accepts JSON gets {csrf} or 401. Neither name nor path is repeated in an address.
    """
    auth.check_origin(request)
    person, reason = auth.sign_in(of, request, form.get("username", ""), form.get("password", ""))
    target = form.get("next", "/")
    if person is None:
        if _wants_json(request):
            busy = reason == "busy"
            return _no(reason, 429 if busy else 401, {"Retry-After": "30"} if busy else None)
        return auth.sign_in_first(of, target, reason)
    return _proceed(request, of, person, target, form.get("code", ""), "password")


def _proceed(request: Request, of: Context, person: UUID, target: str, code: str, factor: str) -> Response:
    """Sign in who has proved themselves by one factor, or ask for the second."""
    with access.nobody(of.pool) as connection:
        who = auth.load_principal(connection, person, "web")
        enrolled = second_factor.has(connection, person)
    if not enrolled and not second_factor.demanded(of, who.role):
        return finish(request, of, person, target, (factor,))
    if not (enrolled and code):
        return _half(request, of, person, target, "second_factor" if enrolled else "enrol")
    if not second_factor.check(of, person, code):
        _note(of, person, success=False)
        return _no("failed", 401) if _wants_json(request) else _half(request, of, person, target, "second_factor")
    return finish(request, of, person, target, (factor, "totp"))


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _no(reason: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status, headers=headers)


def _half(request: Request, of: Context, person: UUID, target: str, needed: str) -> Response:
    response = (
        _no(needed, 401)
        if _wants_json(request)
        else RedirectResponse("/login/code" if needed == "second_factor" else "/login/enrol", 303)
    )
    sealed = of.cursor.encrypt(json.dumps([str(person), auth.local_path(target), needed]).encode()).decode()
    response.set_cookie(
        HALF_COOKIE, sealed, max_age=HALF_LIFE, httponly=True, samesite="lax", secure=not of.settings.loopback,
        path="/login",
    )  # fmt: skip
    return response


def half(of: Context, request: Request, needed: str) -> tuple[UUID, str] | None:
    """Return whose password was right in this browser just now, and where they want to go; None where nobody's."""
    try:
        said = json.loads(of.cursor.decrypt(request.cookies.get(HALF_COOKIE, "").encode(), ttl=HALF_LIFE))
    except (InvalidToken, ValueError):
        return None
    return (UUID(said[0]), auth.local_path(said[1])) if said[2] == needed else None


def finish(request: Request, of: Context, person: UUID, target: str, factors: tuple[str, ...]) -> Response:
    """Return the answer to a sign-in that is whole: the person's locked session of this browser, or a new one."""
    response: Response = RedirectResponse(auth.local_path(target), 303)
    opened = sessions.unlock(of, request, response, person)
    token = opened.token if opened else auth.open_session(of, person, request.headers.get("user-agent", ""), factors)
    if opened and target == "/":
        response.headers["location"] = f"{opened.path}?back"
    if _wants_json(request):
        made = JSONResponse({"csrf": auth.csrf_token(token)})
        made.raw_headers.extend(pair for pair in response.raw_headers if pair[0] == b"set-cookie")
        response = made
    auth.set_cookie(of, response, token)
    response.delete_cookie(auth.NEXT_COOKIE, path="/login")
    response.delete_cookie(HALF_COOKIE, path="/login")
    return response


def _note(of: Context, person: UUID, *, success: bool) -> None:
    with access.nobody(of.pool) as connection:
        who = auth.load_principal(connection, person, "web")
        audit.sign_in(connection, who, success=success, now=of.settings.clock())


@router.get("/login/with/{name}")
def set_out(name: str, request: Request, of: CurrentContext) -> Response:
    """Send a browser to another provider's sign-in."""
    of.brake.demand(limits.address(request), of.settings.clock())
    provider = external.providers(of.settings.providers).get(name)
    if provider is None:
        return auth.sign_in_first(of, "/", "failed")
    try:
        address, journey = external.set_out(of, provider, auth.wanted(of, request))
    except external.ExternalError as error:
        _log.warning("provider_refused", provider=name, why=str(error))
        return auth.sign_in_first(of, auth.wanted(of, request), "elsewhere")
    response = RedirectResponse(address, 303)
    response.set_cookie(
        JOURNEY_COOKIE, external.seal(of, journey), max_age=JOURNEY_LIFE, httponly=True, samesite="lax",
        secure=not of.settings.loopback, path="/login",
    )  # fmt: skip
    return response


@router.get("/login/back/{name}")
def arrive(name: str, request: Request, of: CurrentContext) -> Response:
    """Take who comes back from another provider; where it demanded an assurance, that counts as both factors."""
    of.brake.demand(limits.address(request), of.settings.clock())
    provider = external.providers(of.settings.providers).get(name)
    try:
        journey = external.unseal(of, request.cookies.get(JOURNEY_COOKIE, ""), JOURNEY_LIFE)
    except InvalidToken:
        return auth.sign_in_first(of, "/", "expired")
    try:
        if provider is None or journey.provider != name:
            raise external.ExternalError("the sign-in was begun with another provider")
        person = external.arrive(of, provider, journey, dict(request.query_params))
        _note(of, person, success=True)
    except (external.ExternalError, access.Unauthenticated) as error:
        _log.warning("provider_refused", provider=name, why=str(error))
        with access.nobody(of.pool) as connection:
            audit.sign_in(connection, None, success=False, now=of.settings.clock())
        response = auth.sign_in_first(of, journey.target, "elsewhere")
    else:
        factor = f"external:{name}"
        response = (
            finish(request, of, person, journey.target, (factor,))
            if provider.assurance
            else _proceed(request, of, person, journey.target, "", factor)
        )
    response.delete_cookie(JOURNEY_COOKIE, path="/login")
    return response


@router.post("/login/code")
def code(request: Request, of: CurrentContext, form: Form) -> Response:
    """Take the code of the second factor of somebody whose password was right."""
    auth.check_origin(request)
    said = half(of, request, "second_factor")
    if said is None:
        return auth.sign_in_first(of, "/", "expired")
    of.brake.demand(f"code {said[0]}", of.settings.clock())
    good = second_factor.check(of, said[0], form.get("code", ""))
    _note(of, said[0], success=good)
    if not good:
        return RedirectResponse("/login/code?wrong", 303)
    return finish(request, of, *said, ("password", "totp"))


@router.post("/lock")
def lock(request: Request, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Lock the browser's session, keep what was typed on `path` (`fields`), and let somebody else sign in."""
    token, path = request.cookies.get(auth.COOKIE), auth.local_path(form.get("path", "/"))
    response = RedirectResponse("/login?reason=away", 303)
    if token and who.client == "web":
        if form.get("fields"):
            sessions.keep_draft(of, token, path, form["fields"][:100_000])
        sessions.lock(of, request, response, token, path)
    return response


@router.post("/api/draft")
def draft(request: Request, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Return what was typed on the page `path` when the session was locked, once; 204 where nothing was."""
    kept = sessions.take_draft(of, request.cookies.get(auth.COOKIE, ""), form.get("path", ""))
    return Response(status_code=204) if kept is None else Response(kept, media_type="application/json")


@router.post("/logout")
def logout(request: Request, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """End the browser's session (needs its CSRF token)."""
    cookie = request.cookies.get(auth.COOKIE)
    if cookie:
        auth.close_session(of, cookie)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(auth.COOKIE, path="/")
    return response


@router.get("/api/me")
def me(request: Request, who: CurrentPrincipal) -> dict[str, Any]:
    """Return who is signed in, and the CSRF token of their session."""
    return {
        "person": str(who.person),
        "role": who.role,
        "display": who.display,
        "reference": who.reference,
        "patients": [str(p) for p in who.patients],
        "csrf": auth.csrf_of(request),
    }
