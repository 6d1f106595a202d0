"""Access and identity tokens: short-lived JSON Web Tokens, ES256, with the key in `.state/secrets/token.jwk`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from feldsher_cloud_api.access import Unauthenticated
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.secret import keep_secret

_ALGORITHM = "ES256"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a valid access token says."""

    person: UUID
    client: str
    scopes: tuple[str, ...]
    grant: UUID | None


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """Signs and checks this server's tokens."""

    key: ECKey
    issuer: str

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set."""
        return {"keys": [{**self.key.as_dict(private=False), "use": "sig", "alg": _ALGORITHM}]}

    def access(
        self, person: UUID, client: str, scope: str, *, now: datetime, life: timedelta, grant: UUID | None
    ) -> str:
        """Return an access token (RFC 9068) for a person through a client."""
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": str(person),
            "client_id": client,
            "scope": scope,
            "iat": int(now.timestamp()),
            "exp": int((now + life).timestamp()),
            "jti": str(uuid4()),
        }
        if grant is not None:
            claims["grant"] = str(grant)
        return self._sign("at+jwt", claims)

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
        return self._sign("JWT", claims)

    def check(self, token: str, now: datetime) -> AccessToken:
        """Return what an access token of ours says; Unauthenticated where it is forged, foreign or over."""
        try:
            decoded = jwt.decode(token, self.key, algorithms=[_ALGORITHM])
            claims = decoded.claims
            if decoded.header.get("typ") != "at+jwt" or claims["iss"] != self.issuer or claims["aud"] != self.issuer:
                raise Unauthenticated("the token is not an access token of this server")
            if int(claims["exp"]) <= now.timestamp():
                raise Unauthenticated("the token is over")
            grant = claims.get("grant")
            return AccessToken(
                UUID(str(claims["sub"])),
                str(claims["client_id"]),
                tuple(str(claims["scope"]).split()),
                UUID(str(grant)) if grant else None,
            )
        except (JoseError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated("the token is not valid") from error

    def _sign(self, kind: str, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": _ALGORITHM, "typ": kind, "kid": self.key.kid}, claims, self.key)


def open_keys(settings: Settings) -> TokenKeys:
    """Return the token keys of an installation, made at first use."""

    def make() -> bytes:
        key = ECKey.generate_key("P-256")
        key.ensure_kid()
        return json.dumps(key.as_dict(private=True)).encode()

    kept = cast("dict[str, str]", json.loads(keep_secret(settings.secrets / "token.jwk", make)))
    return TokenKeys(ECKey.import_key(cast("Any", kept)), settings.api_url)
