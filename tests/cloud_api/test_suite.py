"""Clients for foreign test suites: what they reach, and where they are not made."""

from __future__ import annotations

import dataclasses

import pytest
from feldsher_cloud_api import suite
from feldsher_cloud_api.config import ConfigError
from feldsher_tools.clinic import Clinic


def test_registering_is_repeatable_and_the_secrets_open_the_token_endpoint(clinic: Clinic) -> None:
    with clinic.owner() as connection:
        told = suite.register(connection, clinic.settings)
        assert suite.register(connection, clinic.settings) == told
    for name in ("administrator", "client"):
        one = told[name]
        form = {key: one[key] for key in ("grant_type", "client_id", "client_secret", "scope")}
        answer = clinic.browser.post("/oauth/token", data=form)
        assert answer.json()["scope"] == "system/*.cruds"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"demo": False}, "FELDSHER_DEMO"),
        ({"api_url": "https://record.example"}, "FELDSHER_API_URL"),
        ({"api_url": "http://10.0.0.7:8000"}, "FELDSHER_API_URL"),
    ],
)
def test_they_are_made_in_a_demo_on_this_machine_only(clinic: Clinic, changes: dict[str, object], named: str) -> None:
    with clinic.owner() as connection, pytest.raises(ConfigError, match=named):
        suite.register(connection, dataclasses.replace(clinic.settings, **changes))  # type: ignore[arg-type]
