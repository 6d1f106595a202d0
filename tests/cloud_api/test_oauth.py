"""OAuth 2.1: the whole flow with PKCE, and everything that must not work."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from feldsher_cloud_api.access import Unauthenticated
from feldsher_tools.clinic import REDIRECT, Clinic
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

VERIFIER = "v" * 43
SCOPE = "openid fhirUser offline_access user/*.rs"


def _get(clinic: Clinic, path: str, token: str) -> int:
    return clinic.browser.get(path, headers={"authorization": f"Bearer {token}"}).status_code


def test_whole_flow_of_a_person(clinic: Clinic) -> None:
    answer = clinic.person_token("doctor", SCOPE)
    token = answer["access_token"]
    assert set(answer["scope"].split()) == set(SCOPE.split())
    assert _get(clinic, "/fhir/Patient", token) == 200
    assert _get(clinic, "/fhir/Patient", token + "x") == 401
    keys = KeySet.import_key_set(clinic.browser.get("/oauth/jwks").json())
    claims = jwt.decode(answer["id_token"], keys).claims
    assert claims["aud"] == "demo-app"
    assert str(claims["fhirUser"]).startswith("http://testserver/fhir/Practitioner/")


def test_access_token_is_short_lived(clinic: Clinic) -> None:
    token = clinic.person_token("doctor", "user/*.rs")["access_token"]
    clinic.time.move(minutes=4, seconds=59)
    assert _get(clinic, "/fhir/Patient", token) == 200
    clinic.time.move(seconds=2)
    assert _get(clinic, "/fhir/Patient", token) == 401


def test_scopes_narrow_the_role(clinic: Clinic) -> None:
    token = clinic.person_token("doctor", "user/*.rs")["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    answer = clinic.browser.post("/fhir/ServiceRequest", json={"resourceType": "ServiceRequest"}, headers=headers)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (403, "forbidden")
    patient = clinic.person_token("anna", "patient/*.rs")["access_token"]
    found = clinic.browser.get("/fhir/Patient", headers={"authorization": f"Bearer {patient}"}).json()["entry"]
    assert [e["resource"]["id"] for e in found] == [clinic.patients[0]]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_authorization_that_is_wrong_goes_back_with_an_error(
    clinic: Clinic, changes: dict[str, str], error: str
) -> None:
    answer = clinic.code("doctor", "user/*.rs", VERIFIER, **changes)
    location = urlsplit(answer.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == REDIRECT
    assert parse_qs(location.query)["error"] == [error]


@pytest.mark.parametrize("changes", [{"redirect_uri": "https://evil.example/"}, {"client_id": "nobody"}])
def test_authorization_never_redirects_to_an_unregistered_address(clinic: Clinic, changes: dict[str, str]) -> None:
    answer = clinic.code("doctor", "user/*.rs", VERIFIER, **changes)
    assert answer.status_code in (400, 401)
    assert "location" not in answer.headers


def test_authorization_asks_to_sign_in_first_and_comes_back(clinic: Clinic) -> None:
    answer = clinic.browser.get("/oauth/authorize?client_id=demo-app&state=1", follow_redirects=False)
    assert answer.headers["location"] == "/login"
    assert 'value="/oauth/authorize?client_id=demo-app&amp;state=1"' in clinic.browser.get("/login").text


def _code(clinic: Clinic, scope: str = SCOPE) -> str:
    answer = clinic.code("doctor", scope, VERIFIER)
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == ["s"]
    return query["code"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:1/other"},
        {"client_id": "demo-program"},
        {"code": "guessed"},
    ],
)
def test_exchange_that_is_wrong_is_refused(clinic: Clinic, changes: dict[str, str]) -> None:
    answer = clinic.exchange(**({"code": _code(clinic), "verifier": VERIFIER} | changes))
    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.text


def test_code_is_good_once_and_a_second_use_ends_the_grant(clinic: Clinic) -> None:
    code = _code(clinic)
    first = clinic.exchange(code, VERIFIER).json()
    clinic.sign_out()
    assert _get(clinic, "/fhir/Patient", first["access_token"]) == 200
    assert clinic.exchange(code, VERIFIER).json()["error"] == "invalid_grant"
    assert _get(clinic, "/fhir/Patient", first["access_token"]) == 401
    assert _refresh(clinic, first["refresh_token"])["error"] == "invalid_grant"


def test_code_lapses(clinic: Clinic) -> None:
    code = _code(clinic)
    clinic.time.move(seconds=61)
    assert clinic.exchange(code, VERIFIER).json()["error"] == "invalid_grant"


def _refresh(clinic: Clinic, token: str, **changes: str) -> dict[str, Any]:
    form = {"grant_type": "refresh_token", "client_id": "demo-app", "refresh_token": token} | changes
    return clinic.browser.post("/oauth/token", data=form).json()


def test_refresh_rotates_and_a_stolen_token_ends_the_grant(clinic: Clinic) -> None:
    first = clinic.person_token("doctor", SCOPE)
    clinic.time.move(minutes=6)
    second = _refresh(clinic, first["refresh_token"])
    assert _get(clinic, "/fhir/Patient", second["access_token"]) == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert _refresh(clinic, first["refresh_token"])["error"] == "invalid_grant"
    assert _get(clinic, "/fhir/Patient", second["access_token"]) == 401
    assert _refresh(clinic, second["refresh_token"])["error"] == "invalid_grant"


def test_refresh_cannot_widen_scopes(clinic: Clinic) -> None:
    first = clinic.person_token("doctor", "user/*.rs offline_access")
    assert _refresh(clinic, first["refresh_token"], scope="user/ServiceRequest.c")["error"] == "invalid_scope"


def test_program_with_its_secret(clinic: Clinic) -> None:
    token = clinic.program_token()
    assert _get(clinic, "/fhir/Patient", token) == 200
    form = {"grant_type": "client_credentials"}
    for auth in (("demo-program", "wrong"), ("nobody", "x"), ("demo-app", "")):
        answer = clinic.browser.post("/oauth/token", data=form, auth=auth)
        assert answer.status_code in (400, 401)
    assert clinic.browser.post("/oauth/token", data=form | {"client_id": "demo-app"}).status_code == 401
    assert clinic.browser.post("/oauth/token", data={"grant_type": "password"}).status_code == 400


def test_forged_and_foreign_tokens_are_refused(clinic: Clinic) -> None:
    token = clinic.program_token()
    claims = jwt.decode(token, clinic.context.tokens.key).claims
    foreign = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "typ": "at+jwt"}
    assert _get(clinic, "/fhir/Patient", jwt.encode(header, claims, foreign)) == 401
    none = token.split(".")
    assert _get(clinic, "/fhir/Patient", f"eyJhbGciOiJub25lIn0.{none[1]}.") == 401
    keys = clinic.context.tokens
    identity = keys.identity(
        UUID(str(claims["sub"])),
        "demo-app",
        now=clinic.time(),
        life=clinic.settings.token_life,
        nonce=None,
        fhir_user=None,
    )
    assert _get(clinic, "/fhir/Patient", identity) == 401  # an identity token opens nothing
    with pytest.raises(Unauthenticated):
        keys.check(secrets.token_urlsafe(30), clinic.time())


def test_discovery(clinic: Clinic) -> None:
    smart = clinic.browser.get("/.well-known/smart-configuration").json()
    assert smart["code_challenge_methods_supported"] == ["S256"]
    assert clinic.browser.get("/.well-known/openid-configuration").json()["issuer"] == "http://testserver"
    assert "d" not in clinic.browser.get("/oauth/jwks").json()["keys"][0]
