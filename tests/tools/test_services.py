from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import psycopg
import pytest
from feldsher_tools import services
from feldsher_tools.place import ROOT, Place, ServiceError
from feldsher_tools.process import recorded, stop_recorded


@pytest.fixture
def installation(place: Place, server_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.delenv("FELDSHER_DATABASE_URL", raising=False)
    monkeypatch.delenv("FELDSHER_MQTT_URL", raising=False)
    directory = server_directory / "installation"
    yield dataclasses.replace(place, state=directory / "state", base=directory)
    stop_recorded(directory / "state" / "run")
    shutil.rmtree(directory)


def up(place: Place) -> dict[str, str]:
    # a process of its own: the servers outlive it
    script = f"""
import json
from pathlib import PosixPath
from feldsher_tools import services
from feldsher_tools.place import Place
print(json.dumps(services.start_servers({place!r})))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=dict[str, str])


def test_up_is_idempotent_and_down_stops_everything_and_ports_stay(installation: Place) -> None:
    first = up(installation)
    with psycopg.connect(first["FELDSHER_DATABASE_URL"]) as connection:
        assert connection.execute("select current_database()").fetchone() == ("feldsher",)
    assert up(installation) == first
    assert services.database_address(installation.run) == first["FELDSHER_DATABASE_URL"]
    assert sorted(stop_recorded(installation.run)) == ["mosquitto", "postgres"]
    assert recorded(installation.run) == []
    with pytest.raises(ServiceError, match="no database server runs"):
        services.database_address(installation.run)
    assert up(installation) == first


def up_api(place: Place) -> dict[str, Any]:
    # the command itself, in the installation of this test
    script = f"""
from pathlib import PosixPath
from feldsher_tools import services
from feldsher_tools.place import Place
services.find_place = lambda **_: {place!r}
services.up(api=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=dict[str, Any])  # one object and nothing else


@pytest.mark.slow
def test_up_with_the_api_prints_one_object_by_which_a_suite_signs_in(installation: Place) -> None:
    told = up_api(installation)
    administrator = told["administrator"]
    with httpx2.Client(timeout=30) as http:
        bearer = {"authorization": f"Bearer {administrator['access_token']}"}
        patients = http.get(f"{told['fhir_base']}/Patient", headers=bearer).raise_for_status().json()
        assert {entry["resource"]["id"] for entry in patients["entry"]} == set(told["patients"])
        for client in (administrator, told["client"]):
            form = {name: client[name] for name in ("grant_type", "client_id", "client_secret", "scope")}
            token = http.post(told["token_endpoint"], data=form).raise_for_status().json()
            assert token["scope"] == "system/*.cruds"
        found = http.get(told["smart_configuration"]).raise_for_status().json()
        assert found["token_endpoint"] == told["token_endpoint"]
    assert told["address"].startswith("http://127.0.0.1:")
    again = up_api(installation)
    assert again["administrator"]["client_secret"] == administrator["client_secret"]
    stored = sorted((installation.state / "secrets").glob("*.json"))
    assert [path.stat().st_mode & 0o077 for path in stored] == [0] * len(stored)


def test_clients_of_suites_are_made_in_a_demo_on_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FELDSHER_DATABASE_URL", raising=False)
    environment = {"FELDSHER_STATE": str(tmp_path), "FELDSHER_DATABASE_URL": "postgresql://nowhere/x"}
    url = "http://127.0.0.1:8020"
    assert services.api_environment(environment, url)["FELDSHER_DEMO"] == "1"
    monkeypatch.setenv("FELDSHER_DATABASE_URL", environment["FELDSHER_DATABASE_URL"])
    given = services.api_environment(environment, url)
    assert (given["FELDSHER_DEMO"], given["FELDSHER_TOKEN_MINUTES"]) == ("0", "5")
    # nothing is connected to: the database's name does not exist
    assert services.register_suite(given) == {"address": url, "fhir_base": f"{url}/fhir", "demo": False}


def test_existing_servers_are_used_instead(
    installation: Place, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FELDSHER_DATABASE_URL", empty_database)
    monkeypatch.setenv("FELDSHER_MQTT_URL", "mqtts://broker.example:8883")
    installation.run.mkdir(parents=True)
    environment = services.start_servers(installation)
    assert environment["FELDSHER_DATABASE_URL"] == empty_database
    assert environment["FELDSHER_MQTT_URL"] == "mqtts://broker.example:8883"
    assert recorded(installation.run) == []
    assert services.database_address(installation.run) == empty_database


def test_compose_gets_a_configuration_that_mosquitto_accepts_and_no_key_of_the_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FELDSHER_STATE", str(tmp_path))
    services.compose()
    assert f"--env-file {tmp_path}/compose/env" in capsys.readouterr().out
    text = (tmp_path / "compose/mosquitto/mosquitto.conf").read_text()
    assert "cafile /feldsher/secrets/ca.pem\ncertfile /feldsher/secrets/broker/broker.pem" in text
    volumes = (ROOT / "compose.yaml").read_text()
    assert "ca.key" not in volumes
    assert "secrets/ca:" not in volumes
    assert (tmp_path / "secrets/ca/broker/broker.key").stat().st_mode & 0o077 == 0
