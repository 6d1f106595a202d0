"""Sign-in: browser sessions with their CSRF protection, bearer tokens, and the principal of a request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from cryptography.fernet import InvalidToken
from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from feldsher_cloud_api import access, audit, db, limits, passwords
from feldsher_cloud_api.access import Forbidden, Principal, Unauthenticated
from feldsher_cloud_api.context import Context, context
from feldsher_cloud_api.limits import TooFastError
from feldsher_cloud_api.secret import digest

COOKIE = "feldsher_session"
NEXT_COOKIE, NEXT_LIFE = "feldsher_next", 600
"""Where to go after a sign-in, sealed, for ten minutes."""
PURPOSE_HEADER = "x-purpose-of-use"
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf"
_SAFE = ("GET", "HEAD", "OPTIONS")
_queries = db.queries("auth")


def csrf_token(cookie: str) -> str:
    """Return the CSRF token that belongs to a session cookie: pages send it back with every change."""
    mac = hmac.new(cookie.encode(), b"feldsher csrf", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def csrf_of(request: Request) -> str:
    """Return the CSRF token of the request's session, empty where there is none: for templates."""
    cookie = request.cookies.get(COOKIE)
    return csrf_token(cookie) if cookie else ""


async def form_of(request: Request) -> dict[str, str]:
    """Return a request's urlencoded form fields; of a repeated field the last (a FastAPI dependency)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return {}
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def load_principal(
    connection: db.Connection,
    person: UUID,
    client: str,
    scopes: tuple[str, ...] | None = None,
    chosen: UUID | None = None,
) -> Principal:
    """Return what a person is at this moment; Unauthenticated where unknown or disabled."""
    row = _queries.principal(connection, person=person)
    if row is None or row[0] is None:
        raise Unauthenticated("the account does not exist or is disabled")
    return Principal(person, row[0], row[1], row[2], tuple(row[3]), client, scopes, chosen)


def open_session(of: Context, person: UUID, agent: str = "", factors: tuple[str, ...] = ("password",)) -> str:
    """Remember a signed-in browser and return the value of its cookie.

    `agent`: its User-Agent, for its owner to recognise it by; `factors`: how they proved who they are.
    """
    token, now = secrets.token_urlsafe(32), of.settings.clock()
    with of.pool.connection() as connection:
        _queries.open_session(
            connection, token_hash=digest(token), person=person, now=now, expires=now + of.settings.session_life,
            agent=agent[:200], factors=list(factors),
        )  # fmt: skip
    return token


def session_id(of: Context, request: Request) -> UUID | None:
    """Return the public id of a browser's session, None where it has none."""
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        return None
    with of.pool.connection() as connection:
        return _queries.session_id(connection, token_hash=digest(cookie))


def set_cookie(of: Context, response: Response, token: str) -> None:
    """Put the session cookie on a response: HttpOnly, SameSite=Lax, Secure unless plain HTTP on this machine."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(of.settings.session_life.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=not of.settings.loopback,
        path="/",
    )


def close_session(of: Context, token: str) -> None:
    """End a browser's session."""
    with of.pool.connection() as connection:
        _queries.close_session(connection, token_hash=digest(token))


def optional_principal(
    request: Request,
    of: Annotated[Context, Depends(context)],
    form: Annotated[dict[str, str], Depends(form_of)],
) -> Principal | None:
    """Return who is asking, None where nobody says who they are (a FastAPI dependency).

    A bearer token is preferred to the cookie; with a cookie every change needs its CSRF token. A program may say why
    it asks (`X-Purpose-Of-Use`, a code of HL7 v3 PurposeOfUse): grants and consents may depend on it. Unauthenticated
    where a token is given and not valid, Forbidden where the CSRF token is missing.
    """
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        principal = _by_token(of, token.strip())
        purpose = request.headers.get(PURPOSE_HEADER)
        request.state.principal = principal if purpose is None else principal.asks_for(purpose)
        return request.state.principal
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        return None
    request.state.principal = principal = _by_cookie(of, cookie)
    if principal is not None and request.method not in _SAFE:
        check_csrf(request, cookie, form)
    return principal


def current_principal(principal: Annotated[Principal | None, Depends(optional_principal)]) -> Principal:
    """Return who is asking; Unauthenticated where nobody is signed in (a FastAPI dependency)."""
    if principal is None:
        raise Unauthenticated("sign in first")
    return principal


def check_csrf(request: Request, cookie: str, form: Mapping[str, str]) -> None:
    """Raise Forbidden where a change with a cookie does not carry that cookie's CSRF token."""
    given = request.headers.get(CSRF_HEADER) or form.get(CSRF_FIELD, "")
    if not hmac.compare_digest(given.encode(), csrf_token(cookie).encode()):
        raise Forbidden("the request does not carry the session's CSRF token")
    check_origin(request)


def check_origin(request: Request) -> None:
    """Raise Forbidden where a browser says that the request comes from another site."""
    origin, host = request.headers.get("origin"), request.headers.get("host")
    if origin and origin != "null" and urlsplit(origin).netloc != host:
        raise Forbidden("the request comes from another site")
    if request.headers.get("sec-fetch-site", "same-origin") == "cross-site":
        raise Forbidden("the request comes from another site")


def _by_token(of: Context, token: str) -> Principal:
    now = of.settings.clock()
    said = of.tokens.check(token, now)
    of.askers.demand(f"{said.client} {said.person}", now)
    with of.pool.connection() as connection:
        if _oauth.token_stands(connection, client=said.client, grant=said.grant, jti=said.id) is not True:
            raise Unauthenticated("this token or its grant has been revoked, or its client is not registered any more")
        return load_principal(connection, said.person, said.client, said.scopes, said.context.patient)


def _by_cookie(of: Context, cookie: str) -> Principal | None:
    now, hashed = of.settings.clock(), digest(cookie)
    with of.pool.connection() as connection:
        row = _queries.session_person(connection, token_hash=hashed, now=now, idle_since=now - of.settings.session_idle)
        if row is None:
            return None
        of.askers.demand(str(row[0]), now)
        if now - row[1] > timedelta(minutes=1):
            _queries.touch_session(connection, token_hash=hashed, now=now)
        try:
            return load_principal(connection, row[0], "web")
        except Unauthenticated:
            return None


_oauth = db.queries("oauth")


def sign_in(of: Context, request: Request, username: str, password: str) -> tuple[UUID | None, str]:
    """Return (person, "") or (None, reason), reason being `locked`, `failed` or `busy`; either way it is audited."""
    now = of.settings.clock()
    try:
        of.brake.demand(limits.address(request), now)
        of.names.demand(digest(username.lower()).hex(), now)
        person = passwords.authenticate(of.pool, username, password, now)
    except TooFastError:
        return None, "busy"
    with access.nobody(of.pool) as connection:
        who = load_principal(connection, person, "web") if person is not None else None
        audit.sign_in(connection, who, success=person is not None, now=now)
    if person is not None:
        return person, ""
    return None, "locked" if passwords.is_locked(of.pool, username, now) else "failed"


def local_path(target: str) -> str:
    """Return a path on this server to go to after sign-in; anything else becomes `/`."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not target.startswith("/") or target.startswith(("//", "/\\")):
        return "/"
    return target if "\\" not in target and "\n" not in target and "\r" not in target else "/"


def sign_in_first(of: Context, target: str, reason: str = "") -> Response:
    """Return the redirect to the sign-in page; the wanted path goes in a sealed cookie, never in an address."""
    response = RedirectResponse(f"/login?reason={reason}" if reason else "/login", status_code=303)
    sealed = of.cursor.encrypt(local_path(target).encode()).decode()
    response.set_cookie(
        NEXT_COOKIE, sealed, max_age=NEXT_LIFE, httponly=True, samesite="lax", secure=not of.settings.loopback,
        path="/login",
    )  # fmt: skip
    return response


def wanted(of: Context, request: Request) -> str:
    """Return the local path that was wanted before the sign-in, `/` where there is none."""
    try:
        said = of.cursor.decrypt(request.cookies.get(NEXT_COOKIE, "").encode(), ttl=NEXT_LIFE)
    except InvalidToken:
        return "/"
    return local_path(said.decode())


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
OptionalPrincipal = Annotated[Principal | None, Depends(optional_principal)]
CurrentContext = Annotated[Context, Depends(context)]
Form = Annotated[dict[str, str], Depends(form_of)]
