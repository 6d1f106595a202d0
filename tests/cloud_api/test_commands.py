"""The running worker with a real broker: an order reaches its gateway, and telemetry is visible soon after it came."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import paho.mqtt.client as mqtt
import pytest
from feldsher_cloud_api import commands
from feldsher_cloud_api.worker import Worker
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CLINIC, Clinic
from feldsher_tools.services import Broker
from paho.mqtt.enums import CallbackAPIVersion


@pytest.fixture
def running(clinic: Clinic, mosquitto: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """The worker, connected to database and broker."""
    files = mosquitto.credentials("cloud.worker")
    monkeypatch.setenv("FELDSHER_MQTT_TLS", str(_folder(files.certificate.parent, files.ca)))
    settings = replace(clinic.settings, mqtt_url=mosquitto.url)
    publisher = commands.Mqtt(settings)
    publisher.start()
    worker = Worker(settings, publisher)
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield worker
    worker.stop()
    thread.join(timeout=60)
    publisher.stop()


def _folder(clients: Path, authority: Path) -> Path:
    """Return the clients' folder with the authority's certificate beside their own."""
    (clients / "ca.pem").write_bytes(authority.read_bytes())
    return clients


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


@pytest.fixture
def gateway(clinic: Clinic, mosquitto: Broker) -> Iterator[SimpleQueue[wire.DownMessage]]:
    """What the broker brings to the clinic's gateway."""
    heard: SimpleQueue[wire.DownMessage] = SimpleQueue()
    files, host = mosquitto.credentials(CLINIC), mosquitto.url.removeprefix("mqtts://")
    context = ssl.create_default_context(cafile=str(files.ca))
    context.load_cert_chain(str(files.certificate), str(files.key))
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.tls_set_context(context)  # pyright: ignore[reportUnknownMemberType]

    def hear(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        # No broker may keep an order for longer than it holds.
        assert 0 < getattr(message.properties, "MessageExpiryInterval", 0) <= clinic.settings.order_life.total_seconds()
        heard.put(wire.decode_down(bytes(message.payload)))

    client.on_message = hear
    name, _, port = host.rpartition(":")
    client.connect(name, int(port))
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()  # pyright: ignore
    client.loop_start()
    client.subscribe(wire.down_topic(CLINIC, "+"), qos=1)
    assert subscribed.wait(60)
    yield heard
    client.disconnect()
    client.loop_stop()


@pytest.mark.usefixtures("running")
def test_order_reaches_its_gateway_and_telemetry_the_record(
    clinic: Clinic, gateway: SimpleQueue[wire.DownMessage]
) -> None:
    order = clinic.order()
    command = gateway.get(timeout=60)
    assert isinstance(command, wire.OrderCommand)
    assert command.order == order
    message = clinic.recording(command.order)
    clinic.receive(message)
    path = f"/fhir/DiagnosticReport/{message.env.id}"
    _until(lambda: clinic.browser.get(path).status_code == 200)
    assert clinic.browser.get(path).json()["basedOn"][0]["reference"] == f"ServiceRequest/{order}"
    _until(lambda: clinic.seal() == 0 and _sealed(clinic))


def _sealed(clinic: Clinic) -> bool:
    with clinic.owner() as connection:
        row = connection.execute("SELECT count(*) > 0 FROM cloud.audit_seal").fetchone()
    return row == (True,)
