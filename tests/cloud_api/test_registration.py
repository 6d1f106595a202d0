"""Programs that register themselves: nothing before approval, refusals that name the field, the sandbox flag."""

from __future__ import annotations

from typing import Any

import pytest
from feldsher_cloud_api import client_cli, registration
from feldsher_tools.clinic import Clinic
from joserfc.jwk import ECKey

APP: dict[str, Any] = {
    "client_name": "Trend viewer",
    "redirect_uris": ["https://viewer.example/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "launch/patient patient/*.rs openid",
    "contacts": ["mail@viewer.example"],
}
PROGRAM: dict[str, Any] = {
    "client_name": "Laboratory",
    "grant_types": ["client_credentials"],
    "scope": "system/Observation.rs",
    "token_endpoint_auth_method": "client_secret_basic",
}


def _key() -> dict[str, Any]:
    key = ECKey.generate_key("P-384")
    return {**key.as_dict(private=True), "kid": "one"}


def _token(clinic: Clinic, told: dict[str, Any]) -> int:
    form = {"grant_type": "client_credentials"}
    auth = (told["client_id"], told["client_secret"])
    return clinic.browser.post("/oauth/token", data=form, auth=auth).status_code


def test_a_backend_service_waits_is_approved_and_is_refused_at_once(clinic: Clinic) -> None:
    answer = clinic.browser.post("/oauth/register", json=PROGRAM)
    told = answer.json()
    assert (answer.status_code, told["state"], told["token_endpoint_auth_method"]) == (
        201,
        "waiting",
        "client_secret_basic",
    )
    assert _token(clinic, told) == 401
    bearer = {"authorization": f"Bearer {told['registration_access_token']}"}
    path = f"/oauth/register/{told['client_id']}"
    assert clinic.browser.get(path, headers=bearer).json()["state"] == "waiting"
    assert clinic.browser.get(path).status_code == 401
    assert clinic.browser.get(path, headers={"authorization": "Bearer guessed"}).status_code == 401
    with clinic.owner() as connection:
        assert client_cli.listed(connection)[0]["name"] == "Laboratory"
        client_cli.approve(connection, told["client_id"], clinic.time(), demo=False)
        with pytest.raises(LookupError, match="waits"):
            client_cli.approve(connection, told["client_id"], clinic.time(), demo=False)
    assert _token(clinic, told) == 200
    shown = clinic.browser.get(path, headers=bearer).json()
    assert (shown["state"], shown["scope"]) == ("approved", "system/Observation.rs")
    assert "client_secret" not in shown
    with clinic.owner() as connection:
        client_cli.refuse(connection, told["client_id"], clinic.time())
    assert _token(clinic, told) == 401
    assert clinic.browser.get(path, headers=bearer).json()["state"] == "refused"


def test_an_app_asks_people_and_gets_what_it_registered_for(clinic: Clinic) -> None:
    told = clinic.browser.post("/oauth/register", json=APP | {"token_endpoint_auth_method": "none"}).json()
    assert "client_secret" not in told
    asked = {"client_id": told["client_id"], "redirect_uri": APP["redirect_uris"][0], "aud": "http://testserver/fhir"}
    assert clinic.code("anna", "patient/*.rs", "v" * 43, **asked).status_code in (400, 401)
    with clinic.owner() as connection:
        client_cli.approve(connection, told["client_id"], clinic.time(), demo=False)
    page = clinic.code("anna", "patient/*.rs user/*.cruds", "v" * 43, **asked)
    assert (page.status_code, "Trend viewer" in page.text) == (200, True)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"client_name": ""}, "client_name"),
    ({"client_name": 7}, "client_name"),
    ({"client_name": "a\nb"}, "client_name"),
    ({"redirect_uris": []}, "redirect_uris"),
    ({"redirect_uris": ["http://viewer.example/cb"]}, "redirect_uris"),
    ({"redirect_uris": ["https://viewer.example/#x"]}, "redirect_uris"),
    ({"redirect_uris": ["javascript:alert(1)"]}, "redirect_uris"),
    ({"redirect_uris": ["javascript:alert(1)"], "token_endpoint_auth_method": "none"}, "redirect_uris"),
    ({"redirect_uris": "https://viewer.example/"}, "redirect_uris"),
    ({"grant_types": ["implicit"]}, "grant_types"),
    ({"grant_types": ["client_credentials", "authorization_code"]}, "grant_types"),
    ({"response_types": ["token"]}, "response_types"),
    ({"scope": ""}, "scope"),
    ({"scope": "all"}, "scope"),
    ({"scope": "system/*.cruds"}, "scope"),
    ({"scope": "patient/*.rs system/*.rs"}, "scope"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "token_endpoint_auth_method"),
    ({"token_endpoint_auth_method": "magic"}, "token_endpoint_auth_method"),
    ({"jwks": {"keys": []}}, "jwks"),
    ({"jwks": "no"}, "jwks"),
    ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}]}}, "jwks"),
    ({"jwks": {"keys": [_key()]}}, "jwks holds a private key"),
    ({"jwks_uri": "http://viewer.example/jwks"}, "jwks_uri"),
    ({"initiate_login_uri": "ftp://viewer.example"}, "initiate_login_uri"),
    ({"sandbox": "yes"}, "sandbox"),
    ({"contacts": ["x" * 1000]}, "contacts"),
]


@pytest.mark.parametrize(("changes", "named"), WRONG)
def test_a_registration_that_is_wrong_is_refused_and_the_field_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(registration.RegistrationError, match=named):
        registration.understand(APP | changes)


RIGHT: list[tuple[dict[str, Any], str, str]] = [
    ({}, "server", "client_secret_basic"),
    ({"token_endpoint_auth_method": "none"}, "browser", "none"),
    ({"token_endpoint_auth_method": "none", "redirect_uris": ["org.example.app:/cb"]}, "native", "none"),
    ({"jwks": {"keys": [{n: v for n, v in _key().items() if n != "d"}]}}, "server", "private_key_jwt"),
    ({"jwks_uri": "https://viewer.example/jwks"}, "server", "private_key_jwt"),
    (PROGRAM | {"redirect_uris": []}, "program", "client_secret_basic"),
]


@pytest.mark.parametrize(("changes", "kind", "method"), RIGHT)
def test_kinds_of_clients(changes: dict[str, Any], kind: str, method: str) -> None:
    wish = registration.understand(APP | changes)
    assert (wish.kind, wish.method) == (kind, method)


def test_only_so_many_may_wait(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MOST_WAITING", 0)
    assert clinic.browser.post("/oauth/register", json=PROGRAM).status_code == 503
    assert clinic.browser.post("/oauth/register", json=PROGRAM | {"scope": "x"}).status_code == 400


def test_a_program_for_a_sandbox_is_approved_in_a_demo_installation_only(clinic: Clinic) -> None:
    told = clinic.browser.post("/oauth/register", json=PROGRAM | {"sandbox": True}).json()
    assert told["sandbox"] is True
    with clinic.owner() as connection:
        with pytest.raises(LookupError, match="sandbox"):
            client_cli.approve(connection, told["client_id"], clinic.time(), demo=False)
        assert _token(clinic, told) == 401
        client_cli.approve(connection, told["client_id"], clinic.time(), demo=True)
    assert _token(clinic, told) == 200
