"""SMART App Launch 2: discovery that is true, launches with their patient, refresh, introspection, revocation."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from feldsher_cloud_api import discovery, scope, tokens
from feldsher_tools.clinic import REDIRECT, Clinic
from httpx2 import Response
from joserfc import jwt
from joserfc.jwk import KeySet

AUD = "http://testserver/fhir"
VERIFIER = "v" * 43


def _query(answer: Response) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def _decide(clinic: Clinic, page: Response, **fields: str) -> Response:
    sealed = re.findall(r'name="sealed" value="([^"]+)"', page.text)[0]
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
    form = {"sealed": sealed, "csrf": csrf} | fields
    return clinic.browser.post("/oauth/authorize", data=form, follow_redirects=False)


def _launch(clinic: Clinic, patient: str) -> str:
    wish = {"client_id": "demo-app", "patient": patient}
    answer = clinic.browser.post("/api/launch", json=wish, headers=clinic.sign_in("doctor"))
    assert answer.status_code == 201, answer.text
    address = urlsplit(str(answer.json()["launch_url"]))
    query = parse_qs(address.query)
    assert query["iss"] == [AUD]
    assert patient not in address.query
    return query["launch"][0]


def test_discovery_is_complete_and_every_named_address_answers(clinic: Clinic) -> None:
    smart = clinic.browser.get("/fhir/.well-known/smart-configuration").json()
    # http://hl7.org/fhir/smart-app-launch/conformance.html: required, and recommended for what is served
    required = {
        "issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "grant_types_supported", "capabilities",
        "code_challenge_methods_supported", "introspection_endpoint", "revocation_endpoint", "registration_endpoint",
        "management_endpoint", "scopes_supported", "response_types_supported",
        "token_endpoint_auth_methods_supported",
    }  # fmt: skip
    assert required <= smart.keys()
    assert smart["code_challenge_methods_supported"] == ["S256"]
    assert set(smart["capabilities"]) == set(discovery.CAPABILITIES)
    assert all(text in scope.OTHER or scope.parse(text) for text in smart["scopes_supported"])
    for name in ("authorization_endpoint", "token_endpoint", "introspection_endpoint", "revocation_endpoint",
                 "registration_endpoint", "jwks_uri"):  # fmt: skip
        assert clinic.browser.request("OPTIONS", smart[name]).status_code != 404, name
    server = clinic.browser.get("/.well-known/oauth-authorization-server").json()
    assert {n: smart[n] for n in server} == server


@pytest.mark.parametrize("aud", ["https://evil.example/fhir", "http://testserver", ""])
def test_a_launch_for_another_server_is_refused(clinic: Clinic, aud: str) -> None:
    answer = _query(clinic.code("doctor", "launch/patient user/*.rs", VERIFIER, aud=aud))
    assert (answer["error"], answer["state"], answer["iss"]) == ("invalid_request", "s", "http://testserver")


def test_a_patients_own_launch_needs_no_page(clinic: Clinic) -> None:
    answer = clinic.code("anna", "launch/patient patient/*.rs openid fhirUser", VERIFIER, aud=AUD)
    token = clinic.exchange(_query(answer)["code"], VERIFIER).json()
    assert (token["patient"], token["need_patient_banner"]) == (clinic.patients[0], True)
    claims = jwt.decode(token["id_token"], KeySet.import_key_set(clinic.browser.get("/oauth/jwks").json())).claims
    assert claims["fhirUser"] == f"{AUD}/Patient/{clinic.patients[0]}"


def test_staff_choose_the_patient_and_the_token_reaches_nobody_else(clinic: Clinic) -> None:
    page = clinic.code("doctor", "launch/patient patient/*.rs", VERIFIER, aud=AUD)
    assert page.status_code == 200
    found = _decide(clinic, page, name="Bravo")
    assert clinic.patients[1] in found.text
    assert clinic.patients[0] not in found.text
    answer = _decide(clinic, found, patient=clinic.patients[1], decision="allow")
    token = clinic.exchange(_query(answer)["code"], VERIFIER).json()
    assert token["patient"] == clinic.patients[1]
    clinic.sign_out()
    bearer = {"authorization": f"Bearer {token['access_token']}"}
    shown = clinic.browser.get("/fhir/Patient", headers=bearer).json()["entry"]
    assert [e["resource"]["id"] for e in shown] == [clinic.patients[1]]
    assert clinic.browser.get(f"/fhir/Patient/{clinic.patients[0]}", headers=bearer).status_code == 404


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"decision": "refuse"}, "access_denied"),
        ({"patient": "00000000-0000-4000-8000-000000000000", "decision": "allow"}, "access_denied"),
        ({"patient": "nonsense", "decision": "allow"}, "access_denied"),
    ],
)
def test_what_is_not_allowed_goes_back_as_an_error(clinic: Clinic, fields: dict[str, str], error: str) -> None:
    page = clinic.code("doctor", "launch/patient patient/*.rs", VERIFIER, aud=AUD)
    assert _query(_decide(clinic, page, **fields))["error"] == error


def test_the_page_is_refused_to_who_forbids_it_forges_it_or_comes_late(clinic: Clinic) -> None:
    quiet = clinic.code("doctor", "launch/patient patient/*.rs", VERIFIER, aud=AUD, prompt="none")
    assert _query(quiet)["error"] == "interaction_required"
    page = clinic.code("doctor", "launch/patient patient/*.rs", VERIFIER, aud=AUD)
    sealed = re.findall(r'name="sealed" value="([^"]+)"', page.text)[0]
    forged = clinic.browser.post("/oauth/authorize", data={"sealed": sealed, "decision": "allow"})
    assert forged.status_code == 403
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
    assert clinic.browser.post("/oauth/authorize", data={"sealed": "x", "csrf": csrf}).status_code == 400


def test_a_programs_own_post_becomes_a_request_by_get(clinic: Clinic) -> None:
    answer = clinic.browser.post(
        "/oauth/authorize", data={"client_id": "demo-app", "state": "1"}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/oauth/authorize?client_id=demo-app&state=1")


def test_the_workstation_starts_a_program_for_a_patient_once(clinic: Clinic) -> None:
    token = _launch(clinic, clinic.patients[2])
    asked = {"aud": AUD, "launch": token}
    stolen = _query(clinic.code("anna", "launch patient/*.rs", VERIFIER, **asked))
    assert stolen["error"] == "invalid_request"
    answer = clinic.code("doctor", "launch patient/*.rs openid", VERIFIER, **asked)
    made = clinic.exchange(_query(answer)["code"], VERIFIER).json()
    assert made["patient"] == clinic.patients[2]
    assert "launch" in made["scope"].split()
    assert _query(clinic.code("doctor", "launch patient/*.rs", VERIFIER, **asked))["error"] == "invalid_request"
    late = _launch(clinic, clinic.patients[2])
    clinic.time.move(minutes=6)
    assert (
        _query(clinic.code("doctor", "launch user/*.rs", VERIFIER, aud=AUD, launch=late))["error"] == "invalid_request"
    )


def test_a_launch_is_for_a_patient_within_reach_and_a_program_that_has_an_address(clinic: Clinic) -> None:
    csrf = clinic.sign_in("anna")
    other = {"client_id": "demo-app", "patient": clinic.patients[1]}
    assert clinic.browser.post("/api/launch", json=other, headers=csrf).status_code == 404
    unknown = {"client_id": "demo-program", "patient": clinic.patients[0]}
    assert clinic.browser.post("/api/launch", json=unknown, headers=csrf).status_code == 404
    bad = {"client_id": "demo-app", "patient": clinic.patients[0], "encounter": "a b"}
    assert clinic.browser.post("/api/launch", json=bad, headers=csrf).status_code == 400
    assert clinic.browser.post("/api/launch", json=other).status_code == 403  # without its CSRF token
    clinic.sign_out()
    bearer = {"authorization": f"Bearer {clinic.program_token()}"}
    assert clinic.browser.post("/api/launch", json=other, headers=bearer).status_code == 403


def test_a_program_of_others_asks_first(clinic: Clinic) -> None:
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.oauth_client SET asks = true WHERE id = 'demo-app'")
    try:
        page = clinic.code("anna", "patient/*.rs offline_access", VERIFIER)
        assert "DEMO app" in page.text
        assert "sha" not in page.headers["content-security-policy"]
        assert f"form-action 'self' {REDIRECT.removesuffix('/callback')}" in page.headers["content-security-policy"]
        assert "code" in _query(_decide(clinic, page, decision="allow"))
    finally:
        with clinic.owner() as connection:
            connection.execute("UPDATE cloud.oauth_client SET asks = false WHERE id = 'demo-app'")


def _refresh(clinic: Clinic, token: str) -> dict[str, Any]:
    form = {"grant_type": "refresh_token", "client_id": "demo-app", "refresh_token": token}
    return clinic.browser.post("/oauth/token", data=form).json()


def test_refresh_tokens_are_given_for_offline_and_online_access_alone(clinic: Clinic) -> None:
    assert "refresh_token" not in clinic.person_token("doctor", "user/*.rs")
    online = clinic.person_token("doctor", "user/*.rs online_access")
    offline = clinic.person_token("anna", "patient/*.rs offline_access")
    online = _refresh(clinic, online["refresh_token"])
    assert "access_token" in online
    clinic.time.move(hours=1)  # nobody has touched the browser: its session is over, and what depended on it
    assert _refresh(clinic, online["refresh_token"])["error"] == "invalid_grant"
    assert "access_token" in _refresh(clinic, offline["refresh_token"])


def test_a_refreshed_token_keeps_the_patient_of_its_launch(clinic: Clinic) -> None:
    answer = clinic.code("anna", "launch/patient patient/*.rs offline_access", VERIFIER, aud=AUD)
    first = clinic.exchange(_query(answer)["code"], VERIFIER).json()
    assert _refresh(clinic, first["refresh_token"])["patient"] == clinic.patients[0]


def _introspect(clinic: Clinic, token: str, client: tuple[str, str] | None) -> Response:
    headers = {} if client is None else {"authorization": "Basic " + b64encode(":".join(client).encode()).decode()}
    return clinic.browser.post("/oauth/introspect", data={"token": token}, headers=headers)


def test_introspection_tells_backend_services_what_a_token_is_worth(clinic: Clinic) -> None:
    made = clinic.made["client"]
    own = (made["id"], made["secret"])
    theirs = clinic.person_token("anna", "patient/*.rs offline_access fhirUser")
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.oauth_client SET kind = 'program' WHERE id = %s", (made["id"],))
    said = _introspect(clinic, theirs["access_token"], own).json()
    assert (said["active"], said["client_id"], said["scope"]) == (True, "demo-app", theirs["scope"])
    assert said["fhirUser"] == f"{AUD}/Patient/{clinic.patients[0]}"
    assert _introspect(clinic, theirs["refresh_token"], own).json()["active"] is True
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.oauth_client SET kind = 'server' WHERE id = %s", (made["id"],))
    assert _introspect(clinic, theirs["access_token"], own).json() == {"active": False}  # not its own
    assert _introspect(clinic, clinic.program_token(), own).json()["active"] is True
    assert _introspect(clinic, "nonsense", own).json() == {"active": False}
    assert _introspect(clinic, theirs["access_token"], None).status_code == 401
    assert _introspect(clinic, theirs["access_token"], (made["id"], "wrong")).status_code == 401
    public = {"token": theirs["access_token"], "client_id": "demo-app"}
    assert clinic.browser.post("/oauth/introspect", data=public).status_code == 401


def test_revoking_ends_the_grant_or_the_programs_token_and_nobody_elses(clinic: Clinic) -> None:
    made = clinic.made["client"]
    own = (made["id"], made["secret"])
    first = clinic.person_token("anna", "patient/*.rs offline_access")
    assert clinic.browser.post("/oauth/revoke", data={"token": first["refresh_token"]}, auth=own).status_code == 200
    bearer = {"authorization": f"Bearer {first['access_token']}"}
    assert clinic.browser.get("/fhir/Patient", headers=bearer).status_code == 200  # it was another's to revoke
    form = {"token": first["refresh_token"], "client_id": "demo-app"}
    assert clinic.browser.post("/oauth/revoke", data=form).status_code == 200
    assert clinic.browser.get("/fhir/Patient", headers=bearer).status_code == 401
    assert _refresh(clinic, first["refresh_token"])["error"] == "invalid_grant"
    token = clinic.program_token()
    bearer = {"authorization": f"Bearer {token}"}
    assert clinic.browser.get("/fhir/Patient", headers=bearer).status_code == 200
    assert clinic.browser.post("/oauth/revoke", data={"token": token}, auth=own).status_code == 200
    assert clinic.browser.get("/fhir/Patient", headers=bearer).status_code == 401
    assert _introspect(clinic, token, own).json() == {"active": False}


def test_keys_rotate_under_a_running_server_and_nothing_signed_is_lost(clinic: Clinic) -> None:
    token = clinic.program_token()
    bearer = {"authorization": f"Bearer {token}"}
    before = {key["kid"] for key in clinic.browser.get("/oauth/jwks").json()["keys"]}
    turned = tokens.rotate(clinic.settings)
    shown = clinic.browser.get("/oauth/jwks").json()["keys"]
    assert before < {key["kid"] for key in shown}
    assert {key["alg"] for key in shown} == {"ES256", "RS256"}
    assert not any("d" in key for key in shown)
    assert clinic.browser.get("/fhir/Patient", headers=bearer).status_code == 200
    assert clinic.context.tokens.key.kid in turned["sign"]
    clinic.time.move(days=3)
    tokens.rotate(clinic.settings)
    clinic.time.move(days=3)
    gone = tokens.rotate(clinic.settings)["gone"]
    assert before <= set(gone) | set(turned["published"])
    assert before & {key["kid"] for key in clinic.browser.get("/oauth/jwks").json()["keys"]} == set()
    assert UUID(str(clinic.context.tokens.check(clinic.program_token(), clinic.time()).id))
