"""Clients proving themselves by a key of their own: `private_key_jwt` (RFC 7523), as SMART Backend Services has it.

A client signs a short-lived statement about itself for this token endpoint; each is good once. Its public keys are
registered, or fetched from its address and kept for some minutes.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from feldsher_cloud_api import db, outbound
from feldsher_cloud_api.clients import Client
from feldsher_cloud_api.secret import digest

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384")
"""hl7.org/fhir/smart-app-launch/client-confidential-asymmetric: servers support both; weaker ones are refused."""
LIFE = timedelta(minutes=5)
"""How far ahead an assertion may end, by the same page; a clock that differs by as much is borne besides."""
SKEW = timedelta(minutes=1)
KEYS_LIFE = timedelta(minutes=5)
STALE_LIFE = timedelta(hours=1)
"""How long fetched keys count where the client's address does not answer."""
MOST_CLIENTS = 1000
_queries = db.queries("oauth")


class AssertionRefusedError(ValueError):
    """An assertion that does not prove who sent it; the text says why and holds nothing secret."""


@dataclass(slots=True)
class Fetched:
    """Public keys from clients' own addresses, remembered; an unknown key id asks again, at most twice a minute."""

    fetch: Callable[[str], Any] = outbound.fetch_json
    _kept: OrderedDict[str, tuple[datetime, dict[str, Any]]] = field(
        default_factory=OrderedDict[str, tuple[datetime, dict[str, Any]]]
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keys(self, uri: str, key_id: str, now: datetime) -> dict[str, Any]:
        """Return the key set of an address; AssertionRefusedError where it has not answered for long."""
        with self._lock:
            at, kept = self._kept.get(uri, (None, None))
        if at is not None and kept is not None:
            age = now - at
            if age < KEYS_LIFE and (_holds(kept, key_id) or age < timedelta(seconds=30)):
                return kept
        try:
            found = self.fetch(uri)
            if not isinstance(found, dict) or not isinstance(cast("dict[str, Any]", found).get("keys"), list):
                raise outbound.OutboundError("its answer is no JSON Web Key Set")
        except outbound.OutboundError as error:
            if at is not None and kept is not None and now - at < STALE_LIFE:
                return kept
            raise AssertionRefusedError(f"jwks_uri: {error}") from error
        known = cast("dict[str, Any]", found)
        with self._lock:
            self._kept[uri] = (now, known)
            self._kept.move_to_end(uri)
            while len(self._kept) > MOST_CLIENTS:
                self._kept.popitem(last=False)
        return known


def _holds(keys: dict[str, Any], key_id: str) -> bool:
    return bool(_named(keys, key_id))


def _named(keys: dict[str, Any], key_id: str) -> list[dict[str, Any]]:
    found = [cast("dict[str, Any]", key) for key in keys["keys"] if isinstance(key, dict)]
    return [key for key in found if key.get("kid") == key_id]


def sender(assertion: str) -> str:
    """Return the client id that an assertion claims; nothing is proved by it yet."""
    try:
        return str(json.loads(jws.extract_compact(assertion.encode()).payload)["iss"])
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise AssertionRefusedError("client_assertion is not a JSON Web Token with `iss`") from error


def check(client: Client, assertion: str, audience: str, fetched: Fetched, now: datetime) -> tuple[bytes, datetime]:
    """Return the hash of an assertion's id and when it ends; AssertionRefusedError where it proves nothing."""
    try:
        header = jws.extract_compact(assertion.encode()).headers()
        key_id = str(header.get("kid", ""))
        if header.get("alg") not in ALGORITHMS:
            raise AssertionRefusedError(f"alg must be one of {', '.join(ALGORITHMS)}")
        if not key_id:
            raise AssertionRefusedError("kid is missing in the header")
        if "jku" in header and header["jku"] != client.keys_uri:
            raise AssertionRefusedError("jku is not the registered jwks_uri")
        keys = client.keys if client.keys_uri is None else fetched.keys(client.keys_uri, key_id, now)
        claims = jwt.decode(assertion, _key_set(keys, key_id), algorithms=list(ALGORITHMS)).claims
        return _judged(client, claims, audience, now)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, AssertionRefusedError):
            raise
        raise AssertionRefusedError("its signature does not fit the registered keys") from error


def _key_set(keys: dict[str, Any] | None, key_id: str) -> KeySet:
    named = _named(keys or {"keys": []}, key_id)
    if not named:
        raise AssertionRefusedError("kid is not among the registered keys")
    return KeySet.import_key_set(cast("Any", {"keys": named}))


def _judged(client: Client, claims: dict[str, Any], audience: str, now: datetime) -> tuple[bytes, datetime]:
    if claims.get("iss") != client.id or claims.get("sub") != client.id:
        raise AssertionRefusedError("iss and sub must both be the client id")
    named = claims.get("aud")
    if audience not in (named if isinstance(named, list) else [named]):
        raise AssertionRefusedError(f"aud must be {audience}")
    at = now.timestamp()
    ends = float(claims["exp"])
    if not at - SKEW.total_seconds() < ends:
        raise AssertionRefusedError("exp is over")
    if ends > at + (LIFE + SKEW).total_seconds():
        raise AssertionRefusedError("exp is more than five minutes ahead")
    if float(claims.get("nbf", at)) > at + SKEW.total_seconds():
        raise AssertionRefusedError("nbf is ahead")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise AssertionRefusedError("jti is missing")
    return digest(jti), now + timedelta(seconds=ends - at) + SKEW


def use(pool: db.Pool, client: str, hashed: bytes, ends: datetime, now: datetime) -> None:
    """Use an assertion up; AssertionRefusedError where it has been used before."""
    with pool.connection() as connection:
        _queries.forget_assertions(connection, now=now)
        if _queries.use_assertion(connection, client=client, jti_hash=hashed, expires=ends) != 1:
            raise AssertionRefusedError("jti has been used before")
