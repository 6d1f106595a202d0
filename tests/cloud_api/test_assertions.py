"""Clients with keys of their own: SMART Backend Services, and everything that must not prove anybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from feldsher_cloud_api import accounts, assertions, outbound
from feldsher_cloud_api.demo import demo_id
from feldsher_tools.clinic import Clinic
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

EC, RSA = ECKey.generate_key("P-384"), RSAKey.generate_key(2048)
AUDIENCE = "http://testserver/oauth/token"
Key = ECKey | RSAKey


def public(*keys: Key) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), "kid": key.thumbprint()} for key in keys]}


def assertion(clinic: Clinic, key: Key, header: dict[str, Any] | None = None, **claims: Any) -> str:
    at = int(clinic.time.now.timestamp())
    said = {"iss": "keyed", "sub": "keyed", "aud": AUDIENCE, "exp": at + 240, "jti": str(uuid4())} | claims
    algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
    kept = {"alg": algorithm, "kid": key.thumbprint(), "typ": "JWT"} | (header or {})
    return jwt.encode(
        {n: v for n, v in kept.items() if v is not None},
        {n: v for n, v in said.items() if v is not None},
        key,
        algorithms=["ES384", "RS384", "RS256"],
    )


def ask(clinic: Clinic, signed: str, **changes: str) -> tuple[int, dict[str, Any]]:
    form = {"grant_type": "client_credentials", "client_assertion_type": assertions.TYPE, "client_assertion": signed}
    answer = clinic.browser.post("/oauth/token", data=form | {"scope": "system/*.rs"} | changes)
    return answer.status_code, answer.json()


@pytest.fixture
def keyed(clinic: Clinic) -> Clinic:
    register(clinic, public(EC, RSA))
    return clinic


def register(clinic: Clinic, keys: dict[str, Any] | None, keys_uri: str | None = None) -> None:
    with clinic.owner() as connection:
        accounts.add_client(
            connection, identity="keyed", name="Keyed", grant_types=["client_credentials"], scopes=["system/*.rs"],
            redirect_uris=[], secret=None, person=demo_id("person/program"), kind="program", keys=keys,
        )  # fmt: skip
        connection.execute("UPDATE cloud.oauth_client SET keys_uri = %s WHERE id = 'keyed'", (keys_uri,))


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES384", "RS384"])
def test_a_key_opens_and_each_assertion_is_good_once(keyed: Clinic, key: Key) -> None:
    signed = assertion(keyed, key)
    status, token = ask(keyed, signed)
    assert (status, token["scope"], token["token_type"]) == (200, "system/*.rs", "Bearer")
    assert token["expires_in"] <= 300
    assert "refresh_token" not in token
    headers = {"authorization": f"Bearer {token['access_token']}"}
    assert keyed.browser.get("/fhir/Patient", headers=headers).status_code == 200
    status, again = ask(keyed, signed)
    assert (status, again["error"]) == (401, "invalid_client")
    keyed.time.move(minutes=10)  # remembered no longer than it could be used
    assert ask(keyed, signed)[0] == 401


WRONG: list[Callable[[Clinic], str]] = [
    lambda c: assertion(c, ECKey.generate_key("P-384")),
    lambda c: assertion(c, EC, iss="demo-program"),
    lambda c: assertion(c, EC, sub="demo-program"),
    lambda c: assertion(c, EC, aud="https://other.example/token"),
    lambda c: assertion(c, EC, aud=None),
    lambda c: assertion(c, EC, exp=None),
    lambda c: assertion(c, EC, exp=int(c.time.now.timestamp()) - 120),
    lambda c: assertion(c, EC, exp=int(c.time.now.timestamp()) + 3600),
    lambda c: assertion(c, EC, exp=float("inf")),
    lambda c: assertion(c, EC, nbf=int(c.time.now.timestamp()) + 600),
    lambda c: assertion(c, EC, jti=None),
    lambda c: assertion(c, EC, {"kid": None}),
    lambda c: assertion(c, EC, {"kid": RSA.thumbprint()}),
    lambda c: assertion(c, EC, {"jku": "https://evil.example/jwks"}),
    lambda c: assertion(c, RSA, {"alg": "RS256"}),
    lambda c: assertion(c, EC)[:-6] + "AAAAAA",
    lambda _: "eyJhbGciOiJub25lIn0.eyJpc3MiOiJrZXllZCJ9.",
    lambda _: "nonsense",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_proves_nobody_is_refused(keyed: Clinic, wrong: Callable[[Clinic], str]) -> None:
    status, answer = ask(keyed, wrong(keyed))
    assert (status, answer["error"]) == (401, "invalid_client")


def test_a_client_with_a_key_has_no_other_way_in(keyed: Clinic) -> None:
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    for auth in (("keyed", "x"), ("keyed", "")):
        assert keyed.browser.post("/oauth/token", data=form, auth=auth).status_code == 401
    assert keyed.browser.post("/oauth/token", data=form | {"client_id": "keyed"}).status_code == 401
    assert ask(keyed, assertion(keyed, EC), client_id="demo-program")[0] == 401
    assert ask(keyed, assertion(keyed, EC), client_assertion_type="other")[0] == 401


def test_keys_at_an_address_are_fetched_remembered_and_followed(clinic: Clinic) -> None:
    asked: list[str] = []
    published: dict[str, list[dict[str, Any]]] = public(EC)

    def fetch(uri: str) -> Any:
        asked.append(uri)
        if published["keys"] == []:
            raise outbound.OutboundError("keys.example does not answer")
        return published

    clinic.context.client_keys.fetch = fetch
    register(clinic, None, "https://keys.example/jwks")
    for _ in range(3):
        assert ask(clinic, assertion(clinic, EC))[0] == 200
    assert asked == ["https://keys.example/jwks"]
    published = public(RSA)  # the client has changed its key
    assert ask(clinic, assertion(clinic, RSA))[0] == 401  # half a minute: strangers cannot make us ask without end
    clinic.time.move(seconds=31)
    assert ask(clinic, assertion(clinic, RSA))[0] == 200
    published = {"keys": []}
    clinic.time.move(minutes=30)
    assert ask(clinic, assertion(clinic, RSA))[0] == 200  # it does not answer: what is known counts for an hour
    clinic.time.move(hours=1)
    assert ask(clinic, assertion(clinic, RSA))[0] == 401


def test_an_address_that_answers_otherwise_gives_no_keys() -> None:
    fetched = assertions.Fetched(fetch=lambda _: ["no key set"])
    with pytest.raises(assertions.AssertionRefusedError, match="jwks_uri"):
        fetched.keys("https://keys.example/jwks", "k", datetime.now(UTC) + timedelta(0))
