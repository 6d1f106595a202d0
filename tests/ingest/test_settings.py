"""Settings come from the environment, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_ingest.settings import ALL_SHARDS, SettingsError, Tls, from_environment, mqtt_address

GOOD = {"FELDSHER_DATABASE_URL": "postgresql://x/y", "FELDSHER_MQTT_URL": "mqtts://broker:8884"}


def test_defaults() -> None:
    found = from_environment(GOOD)
    assert (found.mqtt_host, found.mqtt_port, found.seats) == ("broker", 8884, 1)
    assert found.tls.certificate == Path(".state/secrets/ca/clients/ingest.0.pem")
    assert (found.user, found.shards) == ("ingest.0", ALL_SHARDS)
    assert found.receive_maximum == 3 * found.batch_messages


def test_everything_can_be_said() -> None:
    said = {
        "FELDSHER_STATE": "/s", "FELDSHER_INGEST_SEATS": "4", "FELDSHER_INGEST_METRICS_PORT": "9300",
        "FELDSHER_MQTT_TLS": "/tls",
    }  # fmt: skip
    found = from_environment(GOOD | said)
    assert (found.seats, found.metrics_port, found.state) == (4, 9300, Path("/s"))
    assert found.tls == Tls(Path("/tls/ca.pem"), Path("/tls/ingest.0.pem"), Path("/tls/ingest.0.key"))


@pytest.mark.parametrize("seats", range(1, 17))
def test_seats_divide_the_shards_among_them(seats: int) -> None:
    whole = from_environment(GOOD | {"FELDSHER_INGEST_SEATS": str(seats)})
    each = [whole.for_seat(seat, 100) for seat in range(seats)]
    assert sorted(s for one in each for s in one.shards) == list(ALL_SHARDS)
    assert [one.user for one in each] == [f"ingest.{seat}" for seat in range(seats)]
    assert {one.receive_maximum for one in each} == {100}


@pytest.mark.parametrize("seats", ["17", "0", "-1", "07", "a", "tool", "1 "])
def test_seats_that_the_broker_does_not_know_are_refused(seats: str) -> None:
    with pytest.raises(SettingsError, match=r"FELDSHER_INGEST_SEATS: .* is not a number from 1 to 16"):
        from_environment(GOOD | {"FELDSHER_INGEST_SEATS": seats})


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
