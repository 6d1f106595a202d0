"""Signing in with another OpenID provider, by configuration: the clinic's own directory, or a national identity.

A provider is a table in the file of FELDSHER_PROVIDERS (docs/api.md shows one). Who signs in there is the person whom
an administrator has linked (`feldsher-cloud user link`), or whose name a trusted provider's claim gives. A subject is
kept as a keyed hash only, so that a national identity number never lies in the database.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from feldsher_cloud_api import assertions, db, outbound
from feldsher_cloud_api.config import PROVIDERS, ConfigError, Settings
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.secret import keep_secret

ALGORITHMS = ("RS256", "ES256", "PS256")
SKEW_S = 60
_queries = db.queries("external")


class ExternalError(ValueError):
    """A sign-in at another provider that proves nobody; the text says why and holds nothing of the person."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Another OpenID provider. `assurance`: values of `acr` of which one is demanded; none: any is taken."""

    name: str
    label: str
    issuer: str
    client_id: str
    client_secret: str | None = None
    scopes: str = "openid"
    assurance: tuple[str, ...] = ()
    subject_claim: str = "sub"
    username_claim: str | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """What a browser brings back from the provider: all of it random but where it wants to go."""

    provider: str
    state: str
    nonce: str
    verifier: str
    target: str


def providers(path: Path | None) -> dict[str, Provider]:
    """Return the providers of a file by their names; ConfigError names what is wrong."""
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("provider", [])
        found = [_provider(cast("dict[str, Any]", table), path.parent) for table in tables]
    except (OSError, tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise ConfigError(f"{PROVIDERS}: {path}: {error}") from error
    return {one.name: one for one in found}


def _provider(table: dict[str, Any], folder: Path) -> Provider:
    kept = dict(table)
    file = kept.pop("client_secret_file", None)
    if file is not None:
        kept["client_secret"] = (folder / file).read_text(encoding="utf-8").strip()
    fields: Any = kept | {"assurance": tuple(kept.get("assurance", ()))}
    one = Provider(**fields)
    if not outbound.allowed(one.issuer):
        raise ConfigError(f"{PROVIDERS}: provider {one.name!r}: issuer must be https://")
    if not one.name.isidentifier():
        raise ConfigError(f"{PROVIDERS}: provider {one.name!r}: its name must be a plain word")
    return one


def discover(of: Context, provider: Provider) -> dict[str, Any]:
    """Return what a provider publishes of itself, remembered for a while; ExternalError where it is another's."""
    uri = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        found = of.providers.get(uri, of.settings.clock())
    except outbound.OutboundError as error:
        raise ExternalError(str(error)) from error
    known = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if known.get("issuer") != provider.issuer:
        raise ExternalError("the provider calls itself by another name")
    return known


def set_out(of: Context, provider: Provider, target: str) -> tuple[str, Journey]:
    """Return the address of the provider's own sign-in, and what the browser has to bring back."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    journey = Journey(provider.name, state, nonce, verifier, target)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(journey.verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": back(of.settings, provider),
        "scope": provider.scopes,
        "state": journey.state,
        "nonce": journey.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    if provider.assurance:
        asked["acr_values"] = " ".join(provider.assurance)
    return f"{discover(of, provider)['authorization_endpoint']}?{urlencode(asked)}", journey


def back(settings: Settings, provider: Provider) -> str:
    """Return the address to which a provider sends people back: it has to be registered there."""
    return f"{settings.api_url}/login/back/{provider.name}"


def arrive(of: Context, provider: Provider, journey: Journey, answer: dict[str, str]) -> UUID:
    """Return the person whom a provider's answer proves; ExternalError where it proves nobody."""
    if not hmac.compare_digest(answer.get("state", "").encode(), journey.state.encode()):
        raise ExternalError("state is not this browser's")
    if "iss" in answer and answer["iss"] != provider.issuer:
        raise ExternalError("the answer is another provider's")
    if "code" not in answer:
        raise ExternalError("the provider refused")
    found = discover(of, provider)
    token = _exchange(of, provider, journey, answer["code"], str(found["token_endpoint"]))
    claims = _claims(of, token, str(found["jwks_uri"]))
    judge(claims, provider, journey.nonce, of.settings.clock())
    person = _person(of, provider, claims)
    if person is None:
        raise ExternalError("nobody here is linked to this identity")
    return person


def _exchange(of: Context, provider: Provider, journey: Journey, code: str, endpoint: str) -> str:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back(of.settings, provider),
        "client_id": provider.client_id,
        "code_verifier": journey.verifier,
    }
    if provider.client_secret is not None:
        form["client_secret"] = provider.client_secret
    try:
        return str(outbound.fetch_json(endpoint, urlencode(form).encode())["id_token"])
    except (outbound.OutboundError, KeyError, TypeError) as error:
        raise ExternalError("the provider gives no identity token for this code") from error


def _claims(of: Context, token: str, keys_uri: str) -> dict[str, Any]:
    try:
        header = jws.extract_compact(token.encode()).headers()
        key_id = str(header.get("kid", ""))
        keys = of.client_keys.keys(keys_uri, key_id, of.settings.clock())
        every = cast("list[dict[str, Any]]", [key for key in keys["keys"] if isinstance(key, dict)])
        known = KeySet.import_key_set(cast("Any", {"keys": [key for key in every if key.get("kid") == key_id]}))
        return dict(jwt.decode(token, known, algorithms=list(ALGORITHMS)).claims)
    except (assertions.AssertionRefusedError, JoseError, ValueError, KeyError, TypeError) as error:
        raise ExternalError("the identity token is not signed by the provider") from error


def judge(claims: dict[str, Any], provider: Provider, nonce: str, now: datetime) -> None:
    """Raise ExternalError where an identity token is not meant for this sign-in (OpenID Connect Core §3.1.3.7)."""
    named = claims.get("aud")
    several = cast("list[Any]", named) if isinstance(named, list) else [named]
    if claims.get("iss") != provider.issuer or provider.client_id not in several:
        raise ExternalError("the identity token is another provider's, or for another program")
    if claims.get("azp", provider.client_id) != provider.client_id:
        raise ExternalError("the identity token is for another program")
    ends = claims.get("exp")
    if not isinstance(ends, int | float) or ends <= now.timestamp() - SKEW_S:
        raise ExternalError("the identity token is over")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise ExternalError("the identity token is not of this sign-in")
    if provider.assurance and claims.get("acr") not in provider.assurance:
        raise ExternalError("the assurance of this identity is too low")


def subject_hash(settings: Settings, issuer: str, subject: str) -> bytes:
    """Return what the database keeps of a subject: an HMAC, so that who steals a copy cannot try all numbers."""
    key = keep_secret(settings.secrets / "subject.key", lambda: secrets.token_bytes(32))
    return hmac.new(key, f"{issuer}\n{subject}".encode(), hashlib.sha256).digest()


def _person(of: Context, provider: Provider, claims: dict[str, Any]) -> UUID | None:
    subject = claims.get(provider.subject_claim)
    if not isinstance(subject, str) or not subject:
        raise ExternalError(f"the identity token has no {provider.subject_claim}")
    hashed = subject_hash(of.settings, provider.issuer, subject)
    with of.pool.connection() as connection:
        person: UUID | None = _queries.linked(connection, issuer=provider.issuer, subject_hash=hashed)
        if person is None and provider.username_claim is not None:
            name = claims.get(provider.username_claim)
            person = _queries.named(connection, username=name) if isinstance(name, str) and name else None
    return person


def link(connection: db.Connection, settings: Settings, provider: Provider, subject: str, person: UUID) -> None:
    """Link a person to who they are at a provider; who was linked to that subject is no more."""
    hashed = subject_hash(settings, provider.issuer, subject)
    _queries.link(connection, issuer=provider.issuer, subject_hash=hashed, person=person)


def seal(of: Context, journey: Journey) -> str:
    """Return a journey for a cookie."""
    kept = [journey.provider, journey.state, journey.nonce, journey.verifier, journey.target]
    return of.cursor.encrypt(json.dumps(kept).encode()).decode()


def unseal(of: Context, cookie: str, life_s: int) -> Journey:
    """Return the journey of a cookie; cryptography's InvalidToken where it is forged or too old."""
    return Journey(*json.loads(of.cursor.decrypt(cookie.encode(), ttl=life_s)))
