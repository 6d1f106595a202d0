"""OAuth 2.1 (Authlib): codes with PKCE for people, client credentials for programs, rotating refresh tokens.

PKCE with S256 is demanded of every client; codes and refresh tokens are good once, and a second use revokes the whole
grant with all its tokens (RFC 9700 §4.14). Clients are registered by the clinic, which is their approval.
"""

# Authlib carries no types; what it hands over is narrowed here and goes no further.
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportMissingParameterType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportMissingTypeArgument=false, reportUntypedBaseClass=false, reportIncompatibleMethodOverride=false
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, cast
from urllib.parse import parse_qsl
from uuid import UUID

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from feldsher_cloud_api import access, auth, db
from feldsher_cloud_api.auth import CurrentContext, Form, OptionalPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir.store import new_id

_queries = db.queries("oauth")
_METHODS = ["none", "client_secret_basic", "client_secret_post"]
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):
    """A registered program, as Authlib asks for it."""

    id: str
    name: str
    secret_hash: bytes | None
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    person: UUID | None

    def get_client_id(self) -> str:
        """Return its id."""
        return self.id

    def get_default_redirect_uri(self) -> str | None:
        """Return nothing: OAuth 2.1 wants the address in each request."""
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        """Return the part of the asked scopes that the client is registered for; all of them where none is asked."""
        asked = (scope or " ".join(self.scopes)).split()
        return " ".join(s for s in asked if s in self.scopes and access.is_scope(s))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Return whether an address is registered, to the letter."""
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Return whether a secret is the client's, in constant time."""
        return self.secret_hash is not None and secrets.compare_digest(auth.digest(client_secret), self.secret_hash)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Return whether the client may authenticate so: with its secret where it has one, else not at all."""
        return method in _METHODS and (method == "none") == (self.secret_hash is None)

    def check_response_type(self, response_type: str) -> bool:
        """Return whether it may ask for codes."""
        return response_type == "code" and "authorization_code" in self.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        """Return whether it is registered for a kind of grant."""
        return grant_type in self.grant_types


@dataclass(frozen=True, slots=True)
class Grantor:
    """A person, and the grant that they made."""

    person: UUID
    grant: UUID
    scope: str
    nonce: str | None = None
    fhir_user: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code that is being exchanged."""

    grantor: Grantor
    redirect_uri: str
    code_challenge: str
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        """Return where the code was sent."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Return what was granted."""
        return self.grantor.scope


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token that is being exchanged."""

    grantor: Grantor

    def check_client(self, client: Client) -> bool:
        """Return True: the token was looked up among this client's."""
        return True

    def get_scope(self) -> str:
        """Return what was granted."""
        return self.grantor.scope


class _Request(OAuth2Request):
    def __init__(self, request: Request, fields: dict[str, str]) -> None:
        # TLS is demanded by the configuration; behind a proxy the scheme seen here says nothing.
        super().__init__(request.method, "https://server" + request.url.path, headers=request.headers)
        self.fields = fields
        self.payload = BasicOAuth2Payload(fields)

    @property
    def args(self) -> dict[str, str]:
        return self.fields

    @property
    def form(self) -> dict[str, str]:
        return self.fields


class Server(AuthorizationServer):
    """Authlib's server over our tables."""

    def __init__(self, of: Context) -> None:
        super().__init__()
        self.of = of
        self.register_grant(_CodeGrant, [_Pkce(required=True)])
        self.register_grant(_ProgramGrant)
        self.register_grant(_RefreshGrant)
        self.register_token_generator("default", cast("Any", self.make_token))

    def query_client(self, client_id: str) -> Client | None:
        """Return a registered client."""
        with self.of.pool.connection() as connection:
            row = _queries.client(connection, id=client_id)
        return Client(row[0], row[1], row[2], tuple(row[3]), tuple(row[4]), tuple(row[5]), row[6]) if row else None

    def make_token(
        self,
        *,
        grant_type: str,
        client: Client,
        user: Grantor | None,
        scope: str | None,
        expires_in: int | None,
        include_refresh_token: bool,
    ) -> dict[str, Any]:
        """Return the token response of a grant; a refresh token is stored before it leaves."""
        settings, now = self.of.settings, self.of.settings.clock()
        person = user.person if user else client.person
        if person is None:
            raise InvalidRequestError("This client acts for nobody")
        allowed = client.get_allowed_scope(scope)
        token: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": int(settings.token_life.total_seconds()),
            "scope": allowed,
            "access_token": self.of.tokens.access(
                person, client.id, allowed, now=now, life=settings.token_life, grant=user.grant if user else None
            ),
        }
        if user is not None and include_refresh_token:
            token["refresh_token"] = self._refresh(user.grant, now)
        if user is not None and "openid" in allowed.split():
            token["id_token"] = self.of.tokens.identity(
                person, client.id, now=now, life=settings.token_life, nonce=user.nonce, fhir_user=user.fhir_user
            )
        return token

    def _refresh(self, grant: UUID, now: datetime) -> str:
        token = secrets.token_urlsafe(32)
        with self.of.pool.connection() as connection:
            _queries.add_refresh(
                connection, token_hash=auth.digest(token), grant_id=grant, expires=now + self.of.settings.refresh_life
            )
        return token

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Nothing: access tokens are not kept, refresh tokens already are."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nothing: nobody listens."""

    def create_oauth2_request(self, request: Any) -> OAuth2Request:
        """Return the request as Authlib knows it."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Response:
        """Return an answer of Authlib's as one of ours."""
        names = dict(headers)
        if status == 302:
            return RedirectResponse(names["Location"], 302, headers={"Cache-Control": "no-store"})
        return JSONResponse(body, status, headers=names)


class _Pkce(CodeChallenge):
    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar[list[str]] = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE with code_challenge_method=S256 is required")
        super().validate_code_challenge(grant, redirect_uri)


class _CodeGrant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS
    server: Server

    def save_authorization_code(self, code: str, request: Any) -> None:
        of, now, user = self.server.of, self.server.of.settings.clock(), request.user
        grant = new_id(now)
        with of.pool.connection() as connection:
            _queries.add_grant(
                connection, id=grant, client=request.client.id, person=user.person, scope=request.scope, now=now
            )
            _queries.add_code(
                connection,
                code_hash=auth.digest(code),
                grant_id=grant,
                redirect_uri=request.payload.redirect_uri,
                challenge=request.payload.data["code_challenge"],
                nonce=request.payload.data.get("nonce"),
                expires=now + of.settings.code_life,
            )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        of, now = self.server.of, self.server.of.settings.clock()
        with of.pool.connection() as connection:
            row = _queries.take_code(connection, code_hash=auth.digest(code), client=client.id, now=now)
            if row is None:
                return None
            grant, person, scope, redirect_uri, challenge, nonce, expires, was_used, revoked = row
            if was_used:
                _queries.revoke_grant(connection, id=grant, now=now)
        if was_used or revoked or expires <= now:
            return None
        return Code(_grantor(of, person, grant, scope, nonce), redirect_uri, challenge)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Nothing: taking it has used it up, and its row is how a second use is noticed."""

    def authenticate_user(self, authorization_code: Code) -> Grantor:
        return authorization_code.grantor


class _ProgramGrant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS[1:]


class _RefreshGrant(RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True
    server: Server

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        of, now = self.server.of, self.server.of.settings.clock()
        with of.pool.connection() as connection:
            row = _queries.take_refresh(
                connection,
                token_hash=auth.digest(refresh_token),
                client=cast("Client", self.request.client).id,
                now=now,
            )
            if row is None:
                return None
            grant, person, scope, expires, was_used, revoked = row
            if was_used:
                _queries.revoke_grant(connection, id=grant, now=now)
        if was_used or revoked or expires <= now:
            return None
        return Refresh(_grantor(of, person, grant, scope, None))

    def authenticate_user(self, refresh_token: Refresh) -> Grantor:
        return refresh_token.grantor

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        """Nothing: taking it has used it up."""


def _grantor(of: Context, person: UUID, grant: UUID, scope: str, nonce: str | None) -> Grantor:
    with access.nobody(of.pool) as connection:
        reference = auth.load_principal(connection, person, "").reference
    return Grantor(person, grant, scope, nonce, f"{of.settings.fhir_base}/{reference}" if reference else None)


@router.get("/oauth/authorize")
def authorize(request: Request, of: CurrentContext, who: OptionalPrincipal) -> Response:
    """Grant a code to a registered client for the person who is signed in; others are sent to sign in first."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        return JSONResponse({"error": "invalid_request", "error_description": "a parameter is repeated"}, 400)
    if who is None or who.scopes is not None:
        return auth.sign_in_first(of, f"/oauth/authorize?{request.url.query}")
    server, asked = Server(of), _Request(request, fields)
    try:
        grant = server.get_consent_grant(asked, end_user=who)
    except OAuth2Error as error:
        return cast("Response", server.handle_error_response(asked, error))
    return cast("Response", server.create_authorization_response(asked, grant_user=who, grant=grant))


@router.post("/oauth/token")
def token(request: Request, of: CurrentContext, form: Form) -> Response:
    """Exchange a code, a refresh token or a client's credentials for tokens."""
    if not of.brake.allows(request.client.host if request.client else "", of.settings.clock()):
        return JSONResponse({"error": "slow_down"}, 429, headers={"Retry-After": "30"})
    try:
        return cast("Response", Server(of).create_token_response(_Request(request, form)))
    except access.Unauthenticated:
        return JSONResponse({"error": "invalid_grant"}, 400)
