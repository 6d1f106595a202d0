"""Programs register themselves (RFC 7591) and wait: an administrator approves or refuses each; until then it is nobody.

A program is told its id, its secret where it has no key of its own, and a token by which it can ask how its
registration stands (RFC 7592, reading). What it may ask for later is what it registered for.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse, Response
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from psycopg.types.json import Jsonb

from feldsher_cloud_api import access, clients, db, limits, outbound
from feldsher_cloud_api.auth import CurrentContext
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.secret import digest

MOST_WAITING = 1000
"""More registrations than anybody can look at are refused until some are decided."""
MOST_ADDRESSES, MOST_SCOPES, LONGEST = 10, 100, 400
_KEYS = ("RSA", "EC")
_GRANTS = ("authorization_code", "refresh_token", "client_credentials")
_queries = db.queries("clients")
router = APIRouter()


class RegistrationError(ValueError):
    """A registration that cannot be taken; `code` as in RFC 7591 §3.2.2, the text names the field."""

    def __init__(self, code: str, words: str) -> None:
        """Take the code and what is wrong in words."""
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Wish:
    """What a program wants to be registered as, checked."""

    name: str
    kind: str
    method: str
    redirect_uris: list[str]
    grant_types: list[str]
    scopes: list[str]
    keys: dict[str, Any] | None
    keys_uri: str | None
    launch_uri: str | None
    sandbox: bool
    detail: dict[str, Any]


def understand(sent: dict[str, Any]) -> Wish:
    """Return what a program's metadata asks for; RegistrationError names the field that is wrong."""
    name = _text(sent, "client_name")
    if not name:
        raise _wrong("client_name", "is needed: the administrator reads it")
    grants = _grants(sent)
    program = grants == ["client_credentials"]
    keys, keys_uri = _keys(sent)
    method = _method(sent, program, has_keys=keys is not None or keys_uri is not None)
    redirects = _texts(sent, "redirect_uris", MOST_ADDRESSES)
    kind = _kind(program, method, redirects)
    _check_redirects(redirects, kind)
    launch_uri = _text(sent, "initiate_login_uri") or None
    if launch_uri is not None and not outbound.allowed(launch_uri):
        raise _wrong("initiate_login_uri", "must be https://")
    scopes = _scopes(sent, program)
    detail = {n: sent[n] for n in ("contacts", "client_uri", "software_id", "software_version") if n in sent}
    if len(db.dumps(detail)) > 2 * LONGEST:
        raise _wrong("contacts", "is too long")
    sandbox = sent.get("sandbox", False)
    if not isinstance(sandbox, bool):
        raise _wrong("sandbox", "must be true or false")
    return Wish(name, kind, method, redirects, grants, scopes, keys, keys_uri, launch_uri, sandbox, detail)


def _grants(sent: dict[str, Any]) -> list[str]:
    grants = _texts(sent, "grant_types", len(_GRANTS)) or ["authorization_code"]
    if not set(grants) <= set(_GRANTS):
        raise _wrong("grant_types", f"each must be one of {', '.join(_GRANTS)}")
    if "client_credentials" in grants and len(grants) > 1:
        raise _wrong("grant_types", "client_credentials stands alone: a backend service and an app are two clients")
    if _texts(sent, "response_types", 1) not in ([], ["code"]):
        raise _wrong("response_types", "only code is served")
    return grants


def _scopes(sent: dict[str, Any], program: bool) -> list[str]:
    scopes = _text(sent, "scope", 4 * LONGEST).split()
    if not scopes or len(scopes) > MOST_SCOPES or not all(map(access.is_scope, scopes)):
        raise _wrong("scope", "must name scopes of this server: .well-known/smart-configuration lists them")
    if any(s.startswith("system/") != program for s in scopes):
        raise _wrong("scope", "system/ scopes are for client_credentials, and nothing else is")
    return scopes


def _check_redirects(redirects: list[str], kind: str) -> None:
    if kind != "program" and not redirects:
        raise RegistrationError("invalid_redirect_uri", "redirect_uris: at least one is needed for authorization_code")
    for uri in redirects:
        check_redirect(uri, native=kind == "native")


def _wrong(field: str, words: str) -> RegistrationError:
    return RegistrationError("invalid_client_metadata", f"{field} {words}")


def _text(sent: dict[str, Any], field: str, longest: int = LONGEST) -> str:
    value = sent.get(field, "")
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise _wrong(field, f"must be a line of text of at most {longest} characters")
    return value.strip()


def _texts(sent: dict[str, Any], field: str, most: int) -> list[str]:
    value = sent.get(field, [])
    whole = isinstance(value, list) and all(isinstance(v, str) and len(v) <= LONGEST for v in cast("list[Any]", value))
    if not whole or len(cast("list[str]", value)) > most:
        raise _wrong(field, f"must be a list of at most {most} texts")
    return list(dict.fromkeys(cast("list[str]", value)))


def _keys(sent: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    keys, uri = sent.get("jwks"), _text(sent, "jwks_uri") or None
    if keys is not None and uri is not None:
        raise _wrong("jwks", "and jwks_uri exclude each other")
    if uri is not None and not outbound.allowed(uri):
        raise _wrong("jwks_uri", "must be https://")
    return (None if keys is None else check_keys(keys)), uri


def check_keys(keys: Any) -> dict[str, Any]:
    """Return a JSON Web Key Set of public RSA or EC keys, each with its id; RegistrationError where it is another."""
    sent = cast("dict[str, Any]", keys).get("keys") if isinstance(keys, dict) else None
    some = cast("list[Any]", sent) if isinstance(sent, list) else []
    named = [cast("dict[str, Any]", k) for k in some if isinstance(k, dict)]
    if not 0 < len(named) == len(some) <= MOST_ADDRESSES or not all(
        k.get("kty") in _KEYS and k.get("kid") for k in named
    ):
        raise _wrong("jwks", "must be a JSON Web Key Set of RSA or EC keys, each with kid")
    try:
        imported = KeySet.import_key_set({"keys": named})
        plain = [dict(key.as_dict(private=False)) for key in imported.keys]
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise _wrong("jwks", "holds a key that is none") from error
    if any(key.is_private for key in imported.keys):
        raise _wrong("jwks", "holds a private key: it is burnt, make another and send its public half alone")
    return {"keys": plain}


def _method(sent: dict[str, Any], program: bool, *, has_keys: bool) -> str:
    usual = clients.KEY_METHOD if has_keys else "client_secret_basic"
    method = _text(sent, "token_endpoint_auth_method") or usual
    if method not in clients.METHODS:
        raise _wrong("token_endpoint_auth_method", f"must be one of {', '.join(clients.METHODS)}")
    if (method == clients.KEY_METHOD) != has_keys:
        raise _wrong("token_endpoint_auth_method", "private_key_jwt and jwks or jwks_uri belong together")
    if program and method == "none":
        raise _wrong("token_endpoint_auth_method", "a backend service must prove who it is")
    return method


def _kind(program: bool, method: str, redirects: list[str]) -> str:
    if program:
        return "program"
    if method != "none":
        return "server"
    schemes = {urlsplit(uri).scheme for uri in redirects}
    return "browser" if schemes <= {"https", "http"} else "native"


def check_redirect(uri: str, *, native: bool) -> None:
    """Raise RegistrationError where an address may not receive codes: https, loopback, or an app's own scheme."""
    parts = urlsplit(uri)
    own = native and "." in parts.scheme  # RFC 8252 §7.1: a scheme that is a reversed domain name
    if not (own or outbound.allowed(uri)) or parts.fragment:
        raise RegistrationError(
            "invalid_redirect_uri", "redirect_uris: https://, loopback, or an app's own scheme a.b:/"
        )


def register(connection: db.Connection, settings: Settings, wish: Wish) -> dict[str, Any]:
    """Store a registration that waits, and return what its program is told; RegistrationError where too many wait."""
    identity, secret, token = secrets.token_urlsafe(16), secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    has_secret = wish.method in clients.SECRET_METHODS
    now = settings.clock()
    added = _queries.register(
        connection, id=identity, name=wish.name, kind=wish.kind, secret_hash=digest(secret) if has_secret else None,
        keys=Jsonb(wish.keys) if wish.keys else None, keys_uri=wish.keys_uri, redirect_uris=wish.redirect_uris,
        grant_types=wish.grant_types, scopes=wish.scopes, launch_uri=wish.launch_uri, sandbox=wish.sandbox,
        detail=Jsonb(wish.detail), registration_hash=digest(token), now=now, most=MOST_WAITING,
    )  # fmt: skip
    if added is not True:
        raise RegistrationError("temporarily_unavailable", "too many programs wait for approval; ask the clinic")
    told = {"client_id": identity, "client_id_issued_at": int(now.timestamp())}
    told |= {"client_secret": secret, "client_secret_expires_at": 0} if has_secret else {}
    told |= {"registration_access_token": token}
    return told | _standing(settings, identity, wish, "waiting")


def _standing(settings: Settings, identity: str, wish: Wish, state: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "registration_client_uri": f"{settings.api_url}/oauth/register/{identity}",
        "client_name": wish.name,
        "token_endpoint_auth_method": wish.method,
        "grant_types": wish.grant_types,
        "redirect_uris": wish.redirect_uris,
        "response_types": ["code"] if "authorization_code" in wish.grant_types else [],
        "scope": " ".join(wish.scopes),
        "application_type": "native" if wish.kind == "native" else "web",
        "sandbox": wish.sandbox,
        "state": state,
    }
    optional = {"jwks": wish.keys, "jwks_uri": wish.keys_uri, "initiate_login_uri": wish.launch_uri}
    return told | wish.detail | {name: value for name, value in optional.items() if value is not None}


@router.post("/oauth/register")
def self_register(request: Request, of: CurrentContext, sent: Annotated[dict[str, Any], Body()]) -> Response:
    """Take a program's registration (RFC 7591); it waits for an administrator."""
    of.brake.demand(limits.address(request), of.settings.clock())
    try:
        wish = understand(sent)
        with of.pool.connection() as connection:
            told = register(connection, of.settings, wish)
    except RegistrationError as error:
        status = 503 if error.code == "temporarily_unavailable" else 400
        return JSONResponse({"error": error.code, "error_description": str(error)}, status)
    return JSONResponse(told, 201, headers={"Cache-Control": "no-store"})


@router.get("/oauth/register/{identity}")
def standing(identity: str, request: Request, of: CurrentContext) -> Response:
    """Tell a program, by its registration's token, how its registration stands: waiting, approved or refused."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    with of.pool.connection() as connection:
        row = _queries.registration(connection, id=identity)
    if kind.lower() != "bearer" or row is None or not secrets.compare_digest(digest(token.strip()), bytes(row[0])):
        return JSONResponse({"error": "invalid_token"}, 401, headers={"WWW-Authenticate": "Bearer"})
    _, name, client_kind, has_secret, redirects, grants, scopes, keys, keys_uri, launch_uri, sandbox, detail, state = (
        row
    )
    method = "client_secret_basic" if has_secret else clients.KEY_METHOD if keys or keys_uri else "none"
    wish = Wish(name, client_kind, method, redirects, grants, scopes, keys, keys_uri, launch_uri, sandbox, detail)
    told = {"client_id": identity} | _standing(of.settings, identity, wish, state)
    return JSONResponse(told, headers={"Cache-Control": "no-store"})
