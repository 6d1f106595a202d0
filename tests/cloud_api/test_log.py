"""No secret stands in a log: a journey over every way to sign in, its log searched for all that was secret in it."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
from feldsher_cloud_api import log, second_factor
from feldsher_cloud_api.demo import demo_id
from feldsher_tools.clinic import Clinic


def test_the_log_of_a_journey_holds_no_secret_and_no_name(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    log.configure("DEBUG")
    heard = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    for name in ("httpx2", "httpcore2"):  # the journey's own client, which is no part of the server
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)
    try:
        secrets = _journey(clinic)
    finally:
        root.removeHandler(heard)
        root.setLevel(level)
    said = written.getvalue()
    assert '"route": "/oauth/token"' in said
    assert [name for name, value in secrets.items() if value in said] == []


def _journey(clinic: Clinic) -> dict[str, str]:
    tokens = clinic.person_token("doctor", "user/*.rs openid offline_access")
    form = {"grant_type": "refresh_token", "client_id": "demo-app", "refresh_token": tokens["refresh_token"]}
    second = clinic.browser.post("/oauth/token", data=form).json()
    bearer = {"authorization": f"Bearer {second['access_token']}"}
    clinic.browser.get("/fhir/Patient?name=Demo-Alpha", headers=bearer)
    registered = clinic.browser.post(
        "/oauth/register",
        json={"client_name": "Named program", "grant_types": ["client_credentials"], "scope": "system/*.rs"},
    ).json()
    csrf = clinic.log_in("anna")["x-csrf-token"]
    cookie = str(clinic.browser.cookies["feldsher_session"])
    begun = second_factor.begin(clinic.context, demo_id("person/anna"), "anna")
    clinic.browser.post("/login", data={"username": "boris", "password": "a wrong secret"})
    clinic.browser.get("/oauth/authorize?client_id=x&state=a-secret-state")
    client = clinic.made["client"]
    clinic.browser.post(
        "/oauth/introspect", data={"token": second["access_token"]}, auth=(client["id"], client["secret"])
    )
    return {
        "password": clinic.password("anna"),
        "wrong password": "a wrong secret",
        "access token": tokens["access_token"],
        "refresh token": tokens["refresh_token"],
        "second refresh token": second["refresh_token"],
        "identity token": tokens["id_token"],
        "client secret": client["secret"],
        "registered secret": registered["client_secret"],
        "registration token": registered["registration_access_token"],
        "session": cookie,
        "csrf": csrf,
        "totp": begun.secret,
        "state": "a-secret-state",
        "patient": clinic.patients[0],
        "name": "Demo-Alpha",
        "signing key": str(json.loads((clinic.settings.secrets / "token-keys.json").read_text())["keys"][0]["d"]),
    }
