"""The routes of sign-in: /login, /logout, who is signed in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from feldsher_cloud_api import auth
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal, Form

router = APIRouter()


@router.post("/login")
def login(request: Request, of: CurrentContext, form: Form) -> Response:
    """Sign in with `username`, `password` and optionally `next`, the local path to go to.

    A browser is redirected: to `next`, or back to /login with `reason` failed, locked or busy. Who accepts JSON gets
    {csrf} or 401. Neither name nor path is repeated in an address.
    """
    auth.check_origin(request)
    person, reason = auth.sign_in(of, request, form.get("username", ""), form.get("password", ""))
    wants_json = "application/json" in request.headers.get("accept", "")
    if person is None:
        if wants_json:
            busy = reason == "busy"
            headers = {"Retry-After": "30"} if busy else None
            return JSONResponse({"error": reason}, 429 if busy else 401, headers=headers)
        return auth.sign_in_first(of, form.get("next", "/"), reason)
    if not wants_json:
        return auth.signed_in_response(of, person, form.get("next", "/"))
    token = auth.open_session(of, person)
    response = JSONResponse({"csrf": auth.csrf_token(token)})
    auth.set_cookie(of, response, token)
    return response


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
