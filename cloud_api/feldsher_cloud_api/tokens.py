"""Access and identity tokens: short-lived JSON Web Tokens, with the keys in `.state/secrets/token-keys.json`.

Access tokens (RFC 9068) are signed ES256 and read by this server alone; identity tokens RS256, which every OpenID
client understands. `rotate` makes new keys; the former ones stay published until what they signed is over. Every
process looks whether the file has changed, so a rotation needs no restart.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from feldsher_cloud_api.access import Unauthenticated
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.secret import keep_secret, write_secret

ACCESS, IDENTITY = "ES256", "RS256"
KEPT = timedelta(days=2)
"""How long a former key stays published: clients may keep identity tokens for a while and check them later."""
_FILE = "token-keys.json"


@dataclass(frozen=True, slots=True)
class Context:
    """What a grant says besides its scopes: the patient and encounter of its launch."""

    patient: UUID | None = None
    encounter: str | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a valid access token says."""

    person: UUID
    client: str
    scopes: tuple[str, ...]
    grant: UUID | None
    id: UUID
    issued: int
    expires: int
    context: Context = Context()


@dataclass(slots=True)
class TokenKeys:
    """Signs and checks this server's tokens with the newest of the keys in a file."""

    file: Path
    issuer: str
    _read: tuple[int, int] = (0, 0)
    _keys: dict[str, ECKey | RSAKey] = field(default_factory=dict[str, ECKey | RSAKey])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def key(self) -> ECKey:
        """The key that access tokens are signed with now."""
        return cast("ECKey", self._newest(ECKey))

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set, the newest first."""
        algorithm = {"EC": ACCESS, "RSA": IDENTITY}
        shown = [key.as_dict(private=False) for key in self._known().values()]
        return {"keys": [{**key, "use": "sig", "alg": algorithm[str(key["kty"])]} for key in shown]}

    def access(
        self,
        person: UUID,
        client: str,
        scope: str,
        *,
        now: datetime,
        life: timedelta,
        grant: UUID | None,
        context: Context | None = None,
    ) -> str:
        """Return an access token (RFC 9068) for a person through a client."""
        context = context or Context()
        extra = {"grant": grant, "patient": context.patient, "encounter": context.encounter}
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": str(person),
            "client_id": client,
            "scope": scope,
            "iat": int(now.timestamp()),
            "exp": int((now + life).timestamp()),
            "jti": str(uuid4()),
        } | {name: str(value) for name, value in extra.items() if value is not None}
        return _sign("at+jwt", ACCESS, claims, self.key)

    def identity(
        self, person: UUID, client: str, *, now: datetime, life: timedelta, nonce: str | None, fhir_user: str | None
    ) -> str:
        """Return an OpenID Connect identity token."""
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": client,
            "sub": str(person),
            "iat": int(now.timestamp()),
            "exp": int((now + life).timestamp()),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        if fhir_user is not None:
            claims["fhirUser"] = fhir_user
        return _sign("JWT", IDENTITY, claims, self._newest(RSAKey))

    def check(self, token: str, now: datetime) -> AccessToken:
        """Return what an access token of ours says; Unauthenticated where it is forged, foreign or over."""
        try:
            decoded = jwt.decode(token, self._named(token), algorithms=[ACCESS])
            claims = decoded.claims
            if decoded.header.get("typ") != "at+jwt" or claims["iss"] != self.issuer or claims["aud"] != self.issuer:
                raise Unauthenticated("the token is not an access token of this server")
            if int(claims["exp"]) <= now.timestamp():
                raise Unauthenticated("the token is over")
            return _said(claims)
        except (JoseError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated("the token is not valid") from error

    def _named(self, token: str) -> ECKey:
        """Return the key that a token names; KeyError where it is none of ours."""
        key = self._known()[str(jws.extract_compact(token.encode()).headers()["kid"])]
        if not isinstance(key, ECKey):
            raise KeyError("kid")
        return key

    def _newest(self, kind: type[ECKey] | type[RSAKey]) -> ECKey | RSAKey:
        return next(key for key in self._known().values() if isinstance(key, kind))

    def _known(self) -> Mapping[str, ECKey | RSAKey]:
        """Return all keys by their id, newest first, read again where the file is another."""
        status = self.file.stat()
        mark = (status.st_mtime_ns, status.st_ino)
        with self._lock:
            if mark != self._read:
                self._keys = {k["kid"]: _key(k) for k in json.loads(self.file.read_bytes())["keys"]}
                self._read = mark
            return self._keys


def _key(kept: dict[str, str]) -> ECKey | RSAKey:
    form = {name: value for name, value in kept.items() if name != "retired"}
    return ECKey.import_key(cast("Any", form)) if kept["kty"] == "EC" else RSAKey.import_key(cast("Any", form))


def _said(claims: dict[str, Any]) -> AccessToken:
    grant, patient, encounter = (claims.get(name) for name in ("grant", "patient", "encounter"))
    return AccessToken(
        UUID(str(claims["sub"])),
        str(claims["client_id"]),
        tuple(str(claims["scope"]).split()),
        UUID(str(grant)) if grant else None,
        UUID(str(claims["jti"])),
        int(claims["iat"]),
        int(claims["exp"]),
        Context(UUID(str(patient)) if patient else None, str(encounter) if encounter else None),
    )


def _sign(kind: str, algorithm: str, claims: dict[str, Any], key: ECKey | RSAKey) -> str:
    return jwt.encode({"alg": algorithm, "typ": kind, "kid": key.kid}, claims, key)


def _made() -> list[dict[str, Any]]:
    pair: list[dict[str, Any]] = []
    for key in (ECKey.generate_key("P-256"), RSAKey.generate_key(2048)):
        key.ensure_kid()
        pair.append(cast("dict[str, Any]", key.as_dict(private=True)))
    return pair


def open_keys(settings: Settings) -> TokenKeys:
    """Return the token keys of an installation, made at first use; the one of an older version stays."""

    def make() -> bytes:
        former = settings.secrets / "token.jwk"
        keys = _made()
        if former.exists():
            keys.append(json.loads(former.read_bytes()) | {"retired": settings.clock().isoformat()})
        return json.dumps({"keys": keys}).encode()

    keep_secret(settings.secrets / _FILE, make)
    return TokenKeys(settings.secrets / _FILE, settings.api_url)


def rotate(settings: Settings) -> dict[str, list[str]]:
    """Make new keys and return the ids of those that sign, stay published, and went; what is signed stays valid."""
    open_keys(settings)
    file, now = settings.secrets / _FILE, settings.clock()
    kept: list[dict[str, Any]] = []
    gone: list[str] = []
    for key in json.loads(file.read_bytes())["keys"]:
        key.setdefault("retired", now.isoformat())
        if now - datetime.fromisoformat(key["retired"]) > KEPT:
            gone.append(key["kid"])
        else:
            kept.append(key)
    made = _made()
    write_secret(file, json.dumps({"keys": [*made, *kept]}).encode())
    return {"sign": [k["kid"] for k in made], "published": [k["kid"] for k in kept], "gone": gone}
