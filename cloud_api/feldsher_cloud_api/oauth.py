"""OAuth 2.1 (Authlib): codes with PKCE for people, client credentials for programs, rotating refresh tokens.

PKCE with S256 is demanded of every client; codes and refresh tokens are good once, and a second use revokes the whole
grant with all its tokens (RFC 9700 §4.14). Refresh tokens are given for `offline_access`, and for `online_access` as
long as the browser session lives.
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
from uuid import UUID

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from fastapi import Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from feldsher_cloud_api import access, assertions, auth, clients, db, granting
from feldsher_cloud_api.clients import Client
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir.store import new_id
from feldsher_cloud_api.secret import digest
from feldsher_cloud_api.tokens import Context as LaunchContext

_queries = db.queries("oauth")
_METHODS = list(clients.METHODS)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person allows a program: the scopes, the patient it is about, the session that it may not outlast."""

    person: UUID
    scope: str
    context: LaunchContext
    session: UUID | None = None


@dataclass(frozen=True, slots=True)
class Grantor:
    """A person, and the grant that they made."""

    person: UUID
    grant: UUID
    scope: str
    context: LaunchContext
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


class Asked(OAuth2Request):
    """A request of ours as Authlib knows it."""

    def __init__(self, request: Request, fields: dict[str, str]) -> None:
        """Take a request with its parameters, each given once."""
        # TLS is demanded by the configuration; behind a proxy the scheme seen here says nothing.
        super().__init__(request.method, "https://server" + request.url.path, headers=request.headers)
        self.fields = fields
        self.payload = BasicOAuth2Payload(fields)

    @property
    def args(self) -> dict[str, str]:
        """Its parameters."""
        return self.fields

    @property
    def form(self) -> dict[str, str]:
        """Its parameters."""
        return self.fields


class Server(AuthorizationServer):
    """Authlib's server over our tables."""

    def __init__(self, of: Context) -> None:
        """Serve the grants of an installation."""
        super().__init__()
        self.of = of
        self.register_grant(_CodeGrant, [_Pkce(required=True)])
        self.register_grant(_ProgramGrant)
        self.register_grant(_RefreshGrant)
        self.register_client_auth_method(clients.KEY_METHOD, self._by_assertion)
        self.register_token_generator("default", cast("Any", self.make_token))

    def query_client(self, client_id: str) -> Client | None:
        """Return a registered client."""
        with self.of.pool.connection() as connection:
            return clients.find(connection, client_id)

    def _by_assertion(self, query_client: Any, request: OAuth2Request) -> Client | None:
        fields = cast("Asked", request).fields
        if fields.get("client_assertion_type") != assertions.TYPE or not fields.get("client_assertion"):
            return None
        of, now = self.of, self.of.settings.clock()
        try:
            claimed = assertions.sender(fields["client_assertion"])
            client = self.query_client(claimed)
            if client is None or not client.has_keys or fields.get("client_id", claimed) != claimed:
                raise assertions.AssertionRefusedError("no client of this id has registered keys")
            audience = f"{of.settings.api_url}/oauth/token"
            used = assertions.check(client, fields["client_assertion"], audience, of.client_keys, now)
            assertions.use(of.pool, client.id, *used, now)
        except assertions.AssertionRefusedError as error:
            raise InvalidClientError(f"client_assertion: {error}", status_code=401) from error
        return client

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
        if not allowed:
            raise InvalidScopeError("The client is registered for none of these scopes")
        grant, context = (user.grant, user.context) if user else (None, LaunchContext())
        token: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": int(settings.token_life.total_seconds()),
            "scope": allowed,
            "access_token": self.of.tokens.access(
                person, client.id, allowed, now=now, life=settings.token_life, grant=grant, context=context
            ),
        }
        token |= launched(context)
        named = allowed.split()
        if user is not None and include_refresh_token and any(s in named for s in granting.LASTING):
            token["refresh_token"] = self._refresh(user.grant, now, offline="offline_access" in named)
        if user is not None and "openid" in named:
            fhir_user = user.fhir_user if "fhirUser" in named or "profile" in named else None
            token["id_token"] = self.of.tokens.identity(
                person, client.id, now=now, life=settings.token_life, nonce=user.nonce, fhir_user=fhir_user
            )
        return token

    def _refresh(self, grant: UUID, now: datetime, *, offline: bool) -> str:
        token, settings = secrets.token_urlsafe(32), self.of.settings
        life = settings.offline_life if offline else settings.refresh_life
        with self.of.pool.connection() as connection:
            _queries.add_refresh(connection, token_hash=digest(token), grant_id=grant, expires=now + life)
        return token

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Nothing: access tokens are not kept, refresh tokens already are."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nothing: nobody listens."""

    def create_oauth2_request(self, request: Any) -> OAuth2Request:
        """Return the request as Authlib knows it."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Response:
        """Return an answer of Authlib's as one of ours; a redirect names this server (RFC 9207)."""
        names = dict(headers)
        if status == 302:
            target = add_params_to_uri(names["Location"], [("iss", self.of.settings.api_url)])
            return RedirectResponse(target, 303, headers={"Cache-Control": "no-store"})
        return JSONResponse(body, status, headers=names)


def launched(context: LaunchContext) -> dict[str, Any]:
    """Return what a token response says of its launch."""
    if context.patient is None:
        return {}
    told = {"patient": str(context.patient), "need_patient_banner": True}
    return told | ({"encounter": context.encounter} if context.encounter else {})


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
        of, now = self.server.of, self.server.of.settings.clock()
        allowed: Allowed = request.user
        grant = new_id(now)
        with of.pool.connection() as connection:
            _queries.add_grant(
                connection, id=grant, client=request.client.id, person=allowed.person, scope=allowed.scope, now=now,
                patient=allowed.context.patient, encounter=allowed.context.encounter, session=allowed.session,
            )  # fmt: skip
            _queries.add_code(
                connection,
                code_hash=digest(code),
                grant_id=grant,
                redirect_uri=request.payload.redirect_uri,
                challenge=request.payload.data["code_challenge"],
                nonce=request.payload.data.get("nonce"),
                expires=now + of.settings.code_life,
            )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        of, now = self.server.of, self.server.of.settings.clock()
        with of.pool.connection() as connection:
            row = _queries.take_code(connection, code_hash=digest(code), client=client.id, now=now)
            if row is None:
                return None
            grant, person, scope, redirect_uri, challenge, nonce, expires, was_used, revoked, *context = row
            if was_used:
                _queries.revoke_grant(connection, id=grant, now=now)
        if was_used or revoked or expires <= now:
            return None
        return Code(_grantor(of, person, grant, scope, nonce, LaunchContext(*context)), redirect_uri, challenge)

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
                token_hash=digest(refresh_token),
                client=cast("Client", self.request.client).id,
                now=now,
                idle_since=now - of.settings.session_idle,
            )
            if row is None:
                return None
            grant, person, scope, expires, was_used, revoked, patient, encounter, session_stands = row
            if was_used:
                _queries.revoke_grant(connection, id=grant, now=now)
        if was_used or revoked or expires <= now or not session_stands:
            return None
        return Refresh(_grantor(of, person, grant, scope, None, LaunchContext(patient, encounter)))

    def authenticate_user(self, refresh_token: Refresh) -> Grantor:
        return refresh_token.grantor

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        """Nothing: taking it has used it up."""


def _grantor(of: Context, person: UUID, grant: UUID, scope: str, nonce: str | None, context: LaunchContext) -> Grantor:
    return Grantor(person, grant, scope, context, nonce, fhir_user(of, person))


def fhir_user(of: Context, person: UUID) -> str | None:
    """Return the address of a person's own resource, None where they have none; Unauthenticated where disabled."""
    with access.nobody(of.pool) as connection:
        reference = auth.load_principal(connection, person, "").reference
    return f"{of.settings.fhir_base}/{reference}" if reference else None
