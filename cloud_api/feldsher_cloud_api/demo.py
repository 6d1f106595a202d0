"""A small clinic of people who do not exist, to try everything with: names and pictures say DEMO. Idempotent."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, TypedDict
from uuid import UUID, uuid5

from feldsher_cloud_api import accounts, assignment, db
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fleet import life
from feldsher_cloud_api.secret import keep_secret


class Names(TypedDict):
    """Names of the demo's gateways and devices: keywords of `seed`."""

    clinic_gateway: str
    cardiograph: str
    home_gateway: str
    cuff: str


NAMES: Names = {
    "clinic_gateway": "demo-clinic",
    "cardiograph": "cardiograph",
    "home_gateway": "demo-home",
    "cuff": "F0:E1:D2:C3:B4:A5",
}
"""What the demo's gateways and devices are called where nothing else is said."""
_SPACE = UUID("0e0f2a44-7c39-4a0d-8f0a-9d2a6c4bde11")
_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST", "display": "test health data"}
_PEOPLE = (
    ("doctor", "DEMO Doctor", "doctor"),
    ("technician", "DEMO Technician", "technician"),
    ("manager", "DEMO Manager", "manager"),
)
_PATIENTS = (
    ("anna", "Demo-Alpha", "Anna", "female", "1958-04-12"),
    ("boris", "Demo-Bravo", "Boris", "male", "1949-11-03"),
    ("clara", "Demo-Charlie", "Clara", "female", "1986-07-21"),
)


def demo_id(name: str) -> UUID:
    """Return the fixed id of something of the demo."""
    return uuid5(_SPACE, name)


def seed(
    connection: db.Connection,
    settings: Settings,
    *,
    clinic_gateway: str,
    cardiograph: str,
    home_gateway: str,
    cuff: str,
    redirect_uris: list[str],
) -> dict[str, Any]:
    """Fill the database with the demo clinic and return its accounts, ids and the program's credentials.

    `cardiograph`: its name in the clinic gateway's configuration; `cuff`: the home cuff's Bluetooth address. Passwords
    are random per installation, kept in `.state/secrets/demo.json`.
    """
    now = settings.clock()
    secret = _secrets(settings)
    with connection.transaction():
        clinic = _put(
            connection, {"resourceType": "Organization", "name": "DEMO Clinic", "active": True}, "clinic", now
        )
        _staff(connection, secret, now)
        patients = [_patient(connection, secret, clinic, *row, now) for row in _PATIENTS]
        heart = life.register(connection, gateway=clinic_gateway, address=cardiograph, kind="cardiograph", now=now)
        band = life.register(connection, gateway=home_gateway, address=cuff, kind="cuff", now=now)
        if not _was_assigned(connection, band):
            assignment.assign(connection, band, patients[0], now - timedelta(days=365))
        _programs(connection, secret, redirect_uris)
    return {
        "accounts": [
            {"username": name, "password": secret[name], "role": role}
            for name, role in [(n, r) for n, _, r in _PEOPLE] + [(p[0], "patient") for p in _PATIENTS]
        ],
        "patients": [str(p) for p in patients],
        "cardiograph": str(heart),
        "cuff": str(band),
        "client": {"id": "demo-program", "secret": secret["demo-program"]},
        "public_client": {"id": "demo-app", "redirect_uris": redirect_uris},
    }


def _secrets(settings: Settings) -> dict[str, str]:
    names = [n for n, _, _ in _PEOPLE] + [p[0] for p in _PATIENTS] + ["demo-program"]

    def make() -> bytes:
        return json.dumps({name: accounts.new_password() for name in names}).encode()

    return json.loads(keep_secret(settings.secrets / "demo.json", make))


def _put(connection: db.Connection, resource: dict[str, Any], name: str, now: datetime) -> UUID:
    identity = demo_id(name)
    tagged = resource | {"id": str(identity), "meta": {"tag": [_TAG]}}
    store.put(connection, tagged, patient=identity if resource["resourceType"] == "Patient" else None, now=now)
    return identity


def _staff(connection: db.Connection, secret: dict[str, str], now: datetime) -> None:
    for username, display, role in _PEOPLE:
        practitioner = {"resourceType": "Practitioner", "active": True, "name": [{"text": display}]}
        identity = _put(connection, practitioner, f"practitioner/{username}", now)
        accounts.add_person(
            connection,
            identity=demo_id(f"person/{username}"),
            username=username,
            display=display,
            role=role,
            password=secret[username],
            practitioner=identity,
        )
    accounts.care_for(connection, demo_id("person/doctor"), None, "demo: the whole clinic")


def _patient(
    connection: db.Connection,
    secret: dict[str, str],
    clinic: UUID,
    username: str,
    family: str,
    given: str,
    gender: str,
    born: str,
    now: datetime,
) -> UUID:
    resource = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:feldsher:demo", "value": f"DEMO-{username.upper()}"}],
        "active": True,
        "name": [{"family": family, "given": [given]}],
        "gender": gender,
        "birthDate": born,
        "managingOrganization": {"reference": f"Organization/{clinic}"},
    }
    identity = _put(connection, resource, f"patient/{username}", now)
    accounts.add_person(
        connection,
        identity=demo_id(f"person/{username}"),
        username=username,
        display=f"{given} {family}",
        role="patient",
        password=secret[username],
        patient=identity,
    )
    return identity


def _was_assigned(connection: db.Connection, device: UUID) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM cloud.device_assignment WHERE device = %s)", (device,)
    ).fetchone()
    return bool(row and row[0])


def _programs(connection: db.Connection, secret: dict[str, str], redirect_uris: list[str]) -> None:
    service = demo_id("person/program")
    accounts.add_person(
        connection, identity=service, username="demo-program", display="DEMO program", role="service", password=None
    )
    accounts.add_client(
        connection,
        identity="demo-program",
        name="DEMO program",
        grant_types=["client_credentials"],
        scopes=["system/*.rs", "system/ServiceRequest.c"],
        redirect_uris=[],
        secret=secret["demo-program"],
        person=service,
    )
    accounts.add_client(
        connection,
        identity="demo-app",
        name="DEMO app",
        grant_types=["authorization_code", "refresh_token"],
        scopes=[
            "openid",
            "fhirUser",
            "offline_access",
            "online_access",
            "launch",
            "launch/patient",
            "user/*.rs",
            "patient/*.rs",
            "user/ServiceRequest.c",
        ],
        redirect_uris=redirect_uris,
        secret=None,
        kind="browser",
        launch_uri="http://127.0.0.1:8765/launch",
    )
