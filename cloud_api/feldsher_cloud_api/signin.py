"""The routes of sign-in and what clients discover: /login, /logout, /.well-known, the public keys."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from feldsher_cloud_api import access, auth
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal, Form
from feldsher_cloud_api.config import Settings

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
            return JSONResponse({"error": reason}, 401 if reason != "busy" else 429)
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


def _endpoints(settings: Settings) -> dict[str, Any]:
    return {
        "issuer": settings.api_url,
        "authorization_endpoint": f"{settings.api_url}/oauth/authorize",
        "token_endpoint": f"{settings.api_url}/oauth/token",
        "jwks_uri": f"{settings.api_url}/oauth/jwks",
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "scopes_supported": [
            *access.OTHER_SCOPES,
            *(f"{context}/*.rs" for context in ("patient", "user", "system")),
            "user/ServiceRequest.c",
            "system/ServiceRequest.c",
        ],
    }


@router.get("/.well-known/openid-configuration")
def openid_configuration(of: CurrentContext) -> dict[str, Any]:
    """Return OpenID Connect discovery."""
    return _endpoints(of.settings) | {
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser"],
    }


@router.get("/.well-known/smart-configuration")
@router.get("/fhir/.well-known/smart-configuration")
def smart_configuration(of: CurrentContext) -> dict[str, Any]:
    """Return SMART App Launch discovery."""
    capabilities = ["client-public", "client-confidential-symmetric", "permission-user", "permission-patient"]
    return _endpoints(of.settings) | {
        "capabilities": [*capabilities, "permission-v1", "permission-v2", "sso-openid-connect", "permission-offline"]
    }


@router.get("/oauth/jwks")
def jwks(of: CurrentContext) -> dict[str, Any]:
    """Return the public keys that tokens are signed with."""
    return of.tokens.jwks()
