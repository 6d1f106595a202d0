"""Settings come from the environment, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_ingest.settings import ALL_SHARDS, TOOL, SettingsError, Tls, from_environment, mqtt_address, parse_shards

GOOD = {"FELDSHER_DATABASE_URL": "postgresql://x/y", "FELDSHER_MQTT_URL": "mqtts://broker:8884"}


def test_defaults() -> None:
    found = from_environment(GOOD)
    assert (found.mqtt_host, found.mqtt_port, found.shards) == ("broker", 8884, ALL_SHARDS)
    assert found.tls.certificate == Path(".state/secrets/ca/clients/ingest.0.pem")
    assert found.client_id == "ingest.0"
    assert found.receive_maximum == 3 * found.batch_messages


def test_everything_can_be_said() -> None:
    said = {
        "FELDSHER_STATE": "/s", "FELDSHER_INGEST_WORKER": "7", "FELDSHER_INGEST_SHARDS": "0-2,9",
        "FELDSHER_INGEST_METRICS_PORT": "9300", "FELDSHER_MQTT_TLS": "/tls",
    }  # fmt: skip
    found = from_environment(GOOD | said)
    assert (found.worker, found.shards, found.metrics_port) == ("7", (0, 1, 2, 9), 9300)
    assert found.tls == Tls(Path("/tls/ca.pem"), Path("/tls/ingest.7.pem"), Path("/tls/ingest.7.key"))
    assert (found.client_id, found.state) == ("ingest.7", Path("/s"))


def test_the_command_line_is_a_broker_user_of_its_own() -> None:
    found = from_environment(GOOD | {"FELDSHER_INGEST_WORKER": "7"}, TOOL)
    assert (found.client_id, found.tls.key.name) == ("ingest.tool", "ingest.tool.key")


@pytest.mark.parametrize("worker", ["16", "-1", "07", "a", "", "tool", "0 "])
def test_a_worker_that_the_broker_does_not_know_is_refused(worker: str) -> None:
    with pytest.raises(SettingsError, match=r"worker: .* is not a number from 0 to 15"):
        from_environment(GOOD | {"FELDSHER_INGEST_WORKER": worker})


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_address_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_environment({k: v for k, v in GOOD.items() if k != name})


@pytest.mark.parametrize("url", ["mqtt://broker", "broker:8883", "mqtts://", "http://broker"])
def test_nothing_travels_unencrypted(url: str) -> None:
    with pytest.raises(SettingsError, match="mqtts"):
        mqtt_address(url)


def test_the_default_port_is_that_of_secure_mqtt() -> None:
    assert mqtt_address("mqtts://broker") == ("broker", 8883)


@pytest.mark.parametrize("text", ["16", "a", "3-", "-3", "5-2", "1,,2", "0-99"])
def test_impossible_shards_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="shards"):
        parse_shards(text)
