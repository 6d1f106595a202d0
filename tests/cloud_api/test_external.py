"""Signing in with another OpenID provider: a real one, served over HTTP, and every answer that must prove nobody."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from feldsher_cloud_api import accounts, auth, external, outbound
from feldsher_cloud_api.config import ConfigError, Settings
from feldsher_cloud_api.demo import demo_id
from feldsher_tools.clinic import Clinic
from feldsher_tools.served import served
from httpx2 import Response

ANNA, NOW = demo_id("person/anna"), datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def provider(clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Another installation of ours is the provider, on a port of its own; this one has it configured."""
    monkeypatch.setattr(outbound, "PATIENCE_S", 60)  # a busy machine is no failure
    with clinic.owner() as connection:
        accounts.add_client(
            connection, identity="record", name="The record", grant_types=["authorization_code"],
            scopes=["openid", "fhirUser"], redirect_uris=["http://testserver/login/back/state"],
            secret="provider secret",
        )  # fmt: skip
        connection.execute("DELETE FROM cloud.external_identity")
    with served(clinic.settings) as other:
        (tmp_path / "secret").write_text("provider secret\n")
        configure(clinic, tmp_path, other.api_url)
        yield other


def configure(clinic: Clinic, folder: Path, issuer: str, more: str = "") -> None:
    (folder / "providers.toml").write_text(
        f'[[provider]]\nname = "state"\nlabel = "State identity"\nissuer = "{issuer}"\nclient_id = "record"\n'
        f'client_secret_file = "secret"\nscopes = "openid"\n{more}'
    )
    clinic.context.settings = dataclasses.replace(clinic.settings, providers=folder / "providers.toml")


def link(clinic: Clinic, issuer: str) -> None:
    with clinic.owner() as connection:
        known = external.Provider("state", "", issuer, "record")
        external.link(connection, clinic.settings, known, str(ANNA), ANNA)


def travel(clinic: Clinic) -> str:
    """Go to the provider, sign in there as Anna, and return the address that leads back."""
    out = clinic.browser.get("/login/with/state", follow_redirects=False)
    address = out.headers["location"]
    assert "code_challenge_method=S256" in address
    cookie = {auth.COOKIE: auth.open_session(clinic.context, ANNA)}
    with httpx2.Client(cookies=cookie, timeout=60) as browser:
        return str(browser.get(address).headers["location"])


def back(clinic: Clinic, address: str) -> Response:
    return clinic.browser.get(address.removeprefix("http://testserver"), follow_redirects=False)


def test_who_is_linked_comes_in_and_nobody_else(clinic: Clinic, provider: Settings) -> None:
    assert "Sign in with State identity" in clinic.browser.get("/login").text
    assert back(clinic, travel(clinic)).headers["location"] == "/login?reason=elsewhere"
    assert clinic.browser.get("/api/me").status_code == 401
    link(clinic, provider.api_url)
    address = travel(clinic)
    assert back(clinic, address).headers["location"] == "/"
    assert clinic.browser.get("/api/me").json()["person"] == str(ANNA)
    clinic.sign_out()
    assert back(clinic, address).headers["location"] == "/login?reason=expired"  # another browser
    with clinic.owner() as connection:
        kept = connection.execute("SELECT e.*::text FROM cloud.external_identity e").fetchall()
        sessions = connection.execute("SELECT factors FROM cloud.session WHERE agent <> ''").fetchall()
    assert len(kept) == 1
    assert sessions == [(["external:state"],)]


def test_an_answer_that_was_changed_or_used_proves_nobody(clinic: Clinic, provider: Settings) -> None:
    link(clinic, provider.api_url)
    for old, new in (("state=", "state=x"), ("code=", "code=x"), ("iss=http", "iss=https")):
        assert back(clinic, travel(clinic).replace(old, new)).headers["location"] == "/login?reason=elsewhere"
    assert clinic.browser.get("/api/me").status_code == 401


def test_an_assurance_that_is_demanded_and_not_given_opens_nothing(
    clinic: Clinic, provider: Settings, tmp_path: Path
) -> None:
    link(clinic, provider.api_url)
    configure(clinic, tmp_path, provider.api_url, 'assurance = ["high"]\n')
    assert back(clinic, travel(clinic)).headers["location"] == "/login?reason=elsewhere"


def test_a_provider_that_does_not_answer_is_said(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    configure(clinic, tmp_path, "http://127.0.0.1:9")
    assert (
        clinic.browser.get("/login/with/state", follow_redirects=False).headers["location"] == "/login?reason=elsewhere"
    )
    assert clinic.browser.get("/login/with/other", follow_redirects=False).headers["location"] == "/login?reason=failed"


WANTED = external.Provider("state", "", "https://id.example", "record", assurance=("high", "higher"))
GOOD: dict[str, Any] = {
    "iss": "https://id.example", "aud": ["other", "record"], "azp": "record", "exp": NOW.timestamp() + 60, "nonce": "n",
    "acr": "high",
}  # fmt: skip


def test_a_good_identity_token_is_taken() -> None:
    external.judge(GOOD, WANTED, "n", NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"}, {"aud": "other"}, {"aud": None}, {"azp": "other"}, {"nonce": "m"},
        {"nonce": None},
        {"exp": NOW.timestamp() - 61}, {"exp": "soon"}, {"acr": "low"}, {"acr": None},
    ],
)  # fmt: skip
def test_an_identity_token_that_is_not_meant_for_us_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(external.ExternalError):
        external.judge(GOOD | wrong, WANTED, "n", NOW)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[provider]]\nname='a'\nlabel='A'\nissuer='http://id.example'\nclient_id='x'", "https"),
        ("[[provider]]\nname='a b'\nlabel='A'\nissuer='https://id.example'\nclient_id='x'", "plain word"),
        ("[[provider]]\nname='a'", "issuer"),
        ("[[provider]]\nname='a'\nlabel='A'\nissuer='https://id.example'\nclient_id='x'\nwrong=1", "wrong"),
        ("nonsense", "providers.toml"),
    ],
)
def test_a_wrong_file_is_said(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "providers.toml").write_text(text)
    with pytest.raises(ConfigError, match=named):
        external.providers(tmp_path / "providers.toml")


def test_subjects_are_hashed_with_a_key_of_the_installation(tmp_path: Path) -> None:
    one, two = (Settings("postgresql://x", state=tmp_path / name) for name in "ab")
    same = external.subject_hash(one, "https://id.example", "112-233-445 95")
    assert same == external.subject_hash(one, "https://id.example", "112-233-445 95")
    assert same != external.subject_hash(two, "https://id.example", "112-233-445 95")
    assert same != external.subject_hash(one, "https://other.example", "112-233-445 95")
