"""A revoked gateway is thrown off the real broker and stays out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from feldsher_cloud_api import ca, revocation
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.revocation import RevocationError
from feldsher_ingest.settings import Tls, mqtt_address
from feldsher_ingest.simulate import GatewayClient
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.services import client_files, reload_command

# paho leaves the socket of a failed handshake to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def settings(own_mosquitto: Mosquitto) -> Settings:
    command = reload_command(own_mosquitto.process.pid_file)
    return Settings(database_url="", mqtt_url=own_mosquitto.url, broker_reload=command)


@pytest.fixture
def gateway(settings: Settings, authority: ca.CertificateAuthority) -> Iterator[GatewayClient]:
    client = connect(f"gw-{uuid4().hex[:8]}", settings, authority)
    yield client
    client.close()


def connect(name: str, settings: Settings, authority: ca.CertificateAuthority) -> GatewayClient:
    files = client_files(authority, name)
    client = GatewayClient(name, *mqtt_address(settings.mqtt_url), Tls(files.ca, files.certificate, files.key))
    client.connect(10)
    return client


def serial_of(gateway: GatewayClient, authority: ca.CertificateAuthority) -> int:
    return ca.serial(client_files(authority, gateway.name).certificate.read_bytes())


def wait_until_off(gateway: GatewayClient) -> None:
    deadline = time.monotonic() + 60
    while gateway.connected:
        assert time.monotonic() < deadline, "it is still connected"
        time.sleep(0.01)


def test_a_revoked_gateway_is_thrown_off_and_stays_out(
    settings: Settings, gateway: GatewayClient, authority: ca.CertificateAuthority
) -> None:
    assert gateway.connected
    authority.revoke(serial_of(gateway, authority))
    revocation.enforce(settings, authority, gateway.name)
    wait_until_off(gateway)
    gateway.close()
    with pytest.raises(OSError):  # noqa: PT011 (TLS 1.3 tells of it only with the first reading)
        connect(gateway.name, settings, authority)
    revocation.enforce(settings, authority, gateway.name)  # repeatable


def test_another_gateway_stays_connected(
    settings: Settings, gateway: GatewayClient, authority: ca.CertificateAuthority
) -> None:
    authority.revoke(serial_of(gateway, authority) + 1)
    revocation.enforce(settings, authority, "gw-other")
    assert gateway.connected


def test_without_a_command_it_is_said_what_is_missing(settings: Settings, authority: ca.CertificateAuthority) -> None:
    with pytest.raises(RevocationError, match="FELDSHER_BROKER_RELOAD is not set"):
        revocation.enforce(replace(settings, broker_reload=None), authority, "gw-x")


@pytest.mark.parametrize("command", ["/nowhere/reload", "unbalanced '", f"{sys.executable} -c 'raise SystemExit(3)'"])
def test_a_command_that_fails_is_named(command: str) -> None:
    with pytest.raises(RevocationError, match="FELDSHER_BROKER_RELOAD"):
        revocation.reload_broker(command)


def test_a_broker_that_is_away_is_said_so(
    settings: Settings, own_mosquitto: Mosquitto, authority: ca.CertificateAuthority, tmp_path: Path
) -> None:
    own_mosquitto.stop()
    with pytest.raises(RevocationError, match="could not be ended"):
        revocation.enforce(replace(settings, broker_reload="true"), authority, "gw-x")
    with pytest.raises(RevocationError, match="no broker runs"):
        revocation.reload_broker(reload_command(tmp_path / "mosquitto.pid"))
