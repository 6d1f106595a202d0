"""How a program proves who it is: a secret, or its own private key (SMART Backend Services), for tokens that end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

import httpx2
from joserfc import jwt
from joserfc.jwk import import_key

from feldsher_cloud_api.client.answer import decode

Clock = Callable[[], float]
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE_S = 240
"""Seconds; the server refuses more than five minutes (SMART Backend Services)."""
_EARLY_S = 30
_UNAUTHORIZED = 401


class Proof(Protocol):
    """What a program adds to its request for a token."""

    def fields(self, endpoint: str, now: float) -> dict[str, str]:
        """Return the form's fields that prove who is asking."""
        ...


@dataclass(frozen=True, slots=True)
class Secret:
    """A client id with its secret."""

    client: str
    secret: str

    def fields(self, endpoint: str, now: float) -> dict[str, str]:
        """Return both."""
        return {"client_id": self.client, "client_secret": self.secret}


@dataclass(frozen=True, slots=True)
class Key:
    """A client id with its private key as PEM or JWK, and the key's id in what was registered.

    `algorithm`: ES384 or RS384 (hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html).
    """

    client: str
    private: str
    kid: str
    algorithm: str = "ES384"

    def fields(self, endpoint: str, now: float) -> dict[str, str]:
        """Return an assertion signed for one request."""
        claims = {"iss": self.client, "sub": self.client, "aud": endpoint, "jti": str(uuid.uuid4())}
        key = import_key(self.private, "EC" if self.algorithm.startswith("ES") else "RSA")
        header = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"}
        signed = jwt.encode(header, claims | {"exp": int(now) + _ASSERTION_LIFE_S}, key, algorithms=[self.algorithm])
        return {"client_assertion_type": _ASSERTION, "client_assertion": signed}


class Credentials(httpx2.Auth):
    """Brings a token with every request: fetched when needed, kept until shortly before its end.

    `endpoint`: the server's token endpoint. `clock`: seconds since 1970.
    """

    requires_response_body = True

    def __init__(self, endpoint: str, proof: Proof, scope: str, clock: Clock = time.time) -> None:
        """Keep what is needed to ask for tokens."""
        self._endpoint, self._proof, self._scope, self._clock = endpoint, proof, scope, clock
        self._token, self._ends = "", 0.0

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the token; fetch one where there is none, and once more where the server does not take it any longer."""
        if self._clock() > self._ends - _EARLY_S:
            yield from self._fetch()
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == _UNAUTHORIZED:
            yield from self._fetch()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _fetch(self) -> Generator[httpx2.Request, httpx2.Response, None]:
        now = self._clock()
        form = {"grant_type": "client_credentials", "scope": self._scope, **self._proof.fields(self._endpoint, now)}
        given = decode((yield httpx2.Request("POST", self._endpoint, data=form)))
        self._token, self._ends = given["access_token"], now + float(given.get("expires_in", 0))
