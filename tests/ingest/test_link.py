"""Mutual TLS at the broker, and the connection that comes back."""

from __future__ import annotations

import dataclasses
import random
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from feldsher_cloud_api import ca
from feldsher_ehr_core import wire
from feldsher_ingest.consume import Worker
from feldsher_ingest.inbox import Arrived
from feldsher_ingest.link import Backoff, Link
from feldsher_ingest.settings import Settings, Tls, mqtt_address
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.services import Broker, client_files
from paho.mqtt.enums import CallbackAPIVersion

Connect = Callable[[str], GatewayClient]
Run = Callable[[Settings], Worker]


# paho leaves the socket of a failed handshake to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def refused(mosquitto: Broker, tls: Tls) -> None:
    host, port = mqtt_address(mosquitto.url)
    client = GatewayClient("gw-a", host, port, tls)
    with pytest.raises((ssl.SSLError, OSError)):
        client.connect(3)


def files(mosquitto: Broker, credentials: ca.Credentials, directory: Path) -> Tls:
    certificate, key = credentials.write(directory, "gw-a")
    return Tls(mosquitto.authority.directory / "ca.pem", certificate, key)


def test_a_foreign_certificate_is_refused(mosquitto: Broker, tmp_path: Path) -> None:
    foreign = ca.create(tmp_path / "foreign")
    refused(mosquitto, files(mosquitto, foreign.issue_client("gw-a"), tmp_path))


def test_an_expired_certificate_is_refused(mosquitto: Broker, tmp_path: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=10)
    expired = mosquitto.authority.issue_client("gw-a", not_before=past, not_after=past + timedelta(days=1))
    refused(mosquitto, files(mosquitto, expired, tmp_path))


def test_no_certificate_is_refused(mosquitto: Broker) -> None:
    host, port = mqtt_address(mosquitto.url)
    context = ssl.create_default_context(cafile=str(mosquitto.authority.directory / "ca.pem"))
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
    client.tls_set_context(context)  # pyright: ignore[reportUnknownMemberType]
    accepted: list[object] = []

    def on_connect(*arguments: object) -> None:
        accepted.append(arguments)

    client.on_connect = on_connect
    try:
        client.connect(host, port)
        client.loop_forever()  # TLS 1.3 tells of the missing certificate with the first reading
    except OSError:
        pass
    assert accepted == []


def test_a_broker_of_a_foreign_authority_is_not_believed(mosquitto: Broker, tmp_path: Path) -> None:
    foreign = ca.create(tmp_path / "foreign")
    own = mosquitto.credentials("gw-a")
    host, port = mqtt_address(mosquitto.url)
    client = GatewayClient("gw-a", host, port, Tls(foreign.directory / "ca.pem", own.certificate, own.key))
    with pytest.raises(ssl.SSLCertVerificationError):
        client.connect(3)


def test_after_all_refusals_the_service_goes_on(
    settings: Settings, mosquitto: Broker, gateway: Connect, running: Run, tmp_path: Path
) -> None:
    running(settings)
    test_a_foreign_certificate_is_refused(mosquitto, tmp_path)
    test_an_expired_certificate_is_refused(mosquitto, tmp_path)
    client, message = gateway("gw-a"), SimulatedGateway("gw-a", 1).pressure()
    client.send(message)
    assert client.wait_receipts({message.env.id})


def test_the_link_comes_back_after_the_broker_was_killed(
    own_mosquitto: Mosquitto, authority: ca.CertificateAuthority, settings: Settings
) -> None:
    host, port = mqtt_address(own_mosquitto.url)
    got: list[Arrived] = []
    link = Link(dataclasses.replace(settings, mqtt_host=host, mqtt_port=port), got.append, random.Random(1))  # noqa: S311
    link.start()
    assert link.wait_up(60)
    own_mosquitto.kill()
    for _ in range(3000):
        if not link.up:
            break
        link.wait_up(0)
        _sleep()
    assert not link.publish("feldsher/1/gw-a/down/receipt", b"")
    own_mosquitto.start()
    assert link.wait_up(60)
    own = client_files(authority, "gw-a")
    with GatewayClient("gw-a", host, port, Tls(own.ca, own.certificate, own.key)) as client:
        client.send(SimulatedGateway("gw-a", 1).pressure())
        for _ in range(3000):
            if got:
                break
            _sleep()
    link.stop()
    assert got[0].topic == wire.up_topic("gw-a", "vitals")


def _sleep() -> None:
    time.sleep(0.02)


def test_waiting_times_grow_with_jitter_and_are_capped() -> None:
    backoff = Backoff(1.0, 8.0, random.Random(4))  # noqa: S311
    first = [backoff.next() for _ in range(50)]
    assert all(0.5 <= delay <= 8.0 for delay in first)
    assert max(first) > 4.0
    assert len(set(first)) == len(first)
    backoff.reset()
    assert backoff.next() <= 1.0
