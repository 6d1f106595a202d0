"""Where programs get tokens, ask about them (RFC 7662) and give them up (RFC 7009)."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from authlib.oauth2.rfc6749 import OAuth2Error
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from feldsher_cloud_api import clients, db, limits, oauth
from feldsher_cloud_api.access import Unauthenticated
from feldsher_cloud_api.auth import CurrentContext, Form
from feldsher_cloud_api.clients import Client
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.secret import digest
from feldsher_cloud_api.tokens import Context as LaunchContext

_queries = db.queries("oauth")
_UNCHANGING = {"Cache-Control": "no-store"}
router = APIRouter()


@router.post("/oauth/token")
def token(request: Request, of: CurrentContext, form: Form) -> Response:
    """Exchange a code, a refresh token or a client's credentials for tokens."""
    of.brake.demand(limits.address(request), of.settings.clock())
    try:
        return cast("Response", oauth.Server(of).create_token_response(oauth.Asked(request, form)))
    except Unauthenticated:
        return JSONResponse({"error": "invalid_grant"}, 400)


def _authenticated(request: Request, of: Context, form: dict[str, str], endpoint: str) -> Client | Response:
    server, asked = oauth.Server(of), oauth.Asked(request, form)
    of.brake.demand(limits.address(request), of.settings.clock())
    try:
        return cast("Client", server.authenticate_client(asked, list(clients.METHODS), endpoint))
    except OAuth2Error as error:
        return cast("Response", server.handle_error_response(asked, error))


@router.post("/oauth/introspect")
def introspect(request: Request, of: CurrentContext, form: Form) -> Response:
    """Tell a client about a token of its own, and a backend service of this clinic about everybody's."""
    client = _authenticated(request, of, form, "introspection")
    if isinstance(client, Response):
        return client
    if client.check_endpoint_auth_method("none", "introspection"):
        return JSONResponse({"error": "invalid_client"}, 401, headers=_UNCHANGING)
    given = form.get("token", "")
    said = _access(of, given) or _refresh(of, given)
    theirs = said is not None and (said["client_id"] == client.id or client.kind == "program")
    return JSONResponse(said if said is not None and theirs else {"active": False}, headers=_UNCHANGING)


def _access(of: Context, given: str) -> dict[str, Any] | None:
    try:
        said = of.tokens.check(given, of.settings.clock())
        fhir_user = oauth.fhir_user(of, said.person)
    except Unauthenticated:
        return None
    with of.pool.connection() as connection:
        if _queries.token_stands(connection, client=said.client, grant=said.grant, jti=said.id) is not True:
            return None
    told = {
        "active": True,
        "token_type": "Bearer",
        "iss": of.settings.api_url,
        "aud": of.settings.api_url,
        "sub": str(said.person),
        "client_id": said.client,
        "scope": " ".join(said.scopes),
        "iat": said.issued,
        "exp": said.expires,
        "jti": str(said.id),
    }
    return told | oauth.launched(said.context) | ({"fhirUser": fhir_user} if fhir_user else {})


def _refresh(of: Context, given: str) -> dict[str, Any] | None:
    with of.pool.connection() as connection:
        row = _queries.find_refresh(connection, token_hash=digest(given), now=of.settings.clock())
    if row is None:
        return None
    _, client, person, scope, patient, encounter, expires = row
    told = {"active": True, "client_id": client, "sub": str(person), "scope": scope, "exp": int(expires.timestamp())}
    return told | oauth.launched(LaunchContext(patient, encounter))


@router.post("/oauth/revoke")
def revoke(request: Request, of: CurrentContext, form: Form) -> Response:
    """End a token of the asking client, with the whole grant that it came from; 200 for unknown ones too."""
    client = _authenticated(request, of, form, "revocation")
    if isinstance(client, Response):
        return client
    given, now = form.get("token", ""), of.settings.clock()
    with of.pool.connection() as connection:
        row = _queries.grant_of_refresh(connection, token_hash=digest(given))
        if row is not None and row[1] == client.id:
            _queries.revoke_grant(connection, id=row[0], now=now)
    try:
        said = of.tokens.check(given, now)
    except Unauthenticated:
        return Response(status_code=200, headers=_UNCHANGING)
    if said.client == client.id:
        with of.pool.connection() as connection:
            if said.grant is not None:
                _queries.revoke_grant(connection, id=said.grant, now=now)
            _queries.forget_revoked(connection, now=now)
            _queries.revoke_token(connection, jti=said.id, expires=datetime.fromtimestamp(said.expires, UTC))
    return Response(status_code=200, headers=_UNCHANGING)
