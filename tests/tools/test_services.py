from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
