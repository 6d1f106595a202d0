"""Clients for foreign test suites: an administrator's and a tester's, over plain HTTP on this machine only.

They reach everything and their secrets are printed, so they exist only where nothing real can be: in a demo
installation (FELDSHER_DEMO=1) that nobody but this machine reaches. Secrets are random per installation, kept in
`.state/secrets/suite.json`; registering again changes nothing.
"""

from __future__ import annotations

import json
from typing import Any

from joserfc.jwk import ECKey

from feldsher_cloud_api import accounts, db
from feldsher_cloud_api.config import API_URL, DEMO, ConfigError, Settings
from feldsher_cloud_api.demo import demo_id
from feldsher_cloud_api.secret import keep_secret

ADMINISTRATOR, TESTER, KEYED, APP = "suite-admin", "suite-client", "suite-keyed", "suite-app"
REDIRECTS = ("http://127.0.0.1:8765/callback", "http://localhost:8765/callback")
_SYSTEM = ("system/*.cruds",)
_USER = (
    "openid",
    "fhirUser",
    "profile",
    "offline_access",
    "online_access",
    "launch",
    "launch/patient",
    "user/*.cruds",
    "patient/*.rs",
)


def register(connection: db.Connection, settings: Settings) -> dict[str, Any]:
    """Register the suites' clients and return what a suite must know; ConfigError outside a demo on this machine."""
    if not settings.demo:
        raise ConfigError(f"{DEMO}: clients for test suites are made in a demo installation only, set it to 1")
    if not settings.loopback:
        raise ConfigError(f"{API_URL}: clients for test suites are made on this machine only, not at another address")
    secret = _secrets(settings)
    with connection.transaction():
        _programs(connection, secret)
        _app(connection, secret)
    return _told(settings, secret)


def _secrets(settings: Settings) -> dict[str, str]:
    def make() -> bytes:
        made = {name: accounts.new_password() for name in (ADMINISTRATOR, TESTER, APP)}
        return json.dumps(made).encode()

    kept: dict[str, str] = json.loads(keep_secret(settings.secrets / "suite.json", make))
    return kept | {KEYED: keep_secret(settings.secrets / "suite.jwk", lambda: _private().encode()).decode()}


def _private() -> str:
    key = ECKey.generate_key("P-384")
    return json.dumps(key.as_dict(private=True) | {"kid": key.thumbprint(), "alg": "ES384", "use": "sig"})


def _public(private: str) -> dict[str, Any]:
    return {"keys": [{name: value for name, value in json.loads(private).items() if name != "d"}]}


def _programs(connection: db.Connection, secret: dict[str, str]) -> None:
    for client in (ADMINISTRATOR, TESTER, KEYED):
        person = demo_id(f"person/{client}")
        name = f"DEMO {client}"
        accounts.add_person(connection, identity=person, username=client, display=name, role="service", password=None)
        accounts.add_client(
            connection,
            identity=client,
            name=name,
            grant_types=["client_credentials"],
            scopes=list(_SYSTEM),
            redirect_uris=[],
            secret=None if client == KEYED else secret[client],
            person=person,
            kind="program",
            keys=_public(secret[KEYED]) if client == KEYED else None,
        )


def _app(connection: db.Connection, secret: dict[str, str]) -> None:
    for client, kept in ((APP, secret[APP]), (f"{APP}-public", None)):
        accounts.add_client(
            connection,
            identity=client,
            name=f"DEMO {client}",
            grant_types=["authorization_code", "refresh_token"],
            scopes=list(_USER),
            redirect_uris=list(REDIRECTS),
            secret=kept,
            kind="browser" if kept is None else "server",
            launch_uri="http://127.0.0.1:8765/launch",
        )


def _told(settings: Settings, secret: dict[str, str]) -> dict[str, Any]:
    api = settings.api_url
    people = {"scope": " ".join(_USER), "redirect_uris": list(REDIRECTS), "grant_type": "authorization_code"}
    program = {"grant_type": "client_credentials", "scope": " ".join(_SYSTEM)}
    return {
        "address": api,
        "fhir_base": settings.fhir_base,
        "transport": "plain HTTP, on loopback only; made for test suites by ./run up --api",
        "token_endpoint": f"{api}/oauth/token",
        "authorization_endpoint": f"{api}/oauth/authorize",
        "smart_configuration": f"{settings.fhir_base}/.well-known/smart-configuration",
        "administrator": {"client_id": ADMINISTRATOR, "client_secret": secret[ADMINISTRATOR], **program},
        "client": {"client_id": TESTER, "client_secret": secret[TESTER], **program},
        "private_key_client": {
            "client_id": KEYED,
            "token_endpoint_auth_method": "private_key_jwt",
            "private_key": json.loads(secret[KEYED]),
            **program,
        },
        "app": {"client_id": APP, "client_secret": secret[APP], **people},
        "public_app": {"client_id": f"{APP}-public", **people},
    }
