"""How test alarms reach the broker: as gateways', with certificates of the cloud's making; a broker that is away."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from feldsher_cloud_api import ca, canary, canary_line, commands
from feldsher_cloud_api.canary import Seen, Trial
from feldsher_cloud_api.config import Settings
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import CANARIES, CLOUD_WORKER
from feldsher_ingest.link import tls_context
from feldsher_ingest.settings import Tls
from feldsher_tools.clinic import Time
from feldsher_tools.place import free_port
from feldsher_tools.services import Broker
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


@pytest.fixture
def settings(mosquitto: Broker) -> Settings:
    """The worker's settings beside the authority of the session's broker."""
    state = mosquitto.authority.directory.parent.parent
    (state / "secrets").mkdir(exist_ok=True)
    if not (state / "secrets" / "ca").exists():
        (state / "secrets" / "ca").symlink_to(mosquitto.authority.directory)
    return Settings("", mqtt_url=mosquitto.url, state=state)


class Ingest:
    """Answers every canary's message with a receipt, as the worker of ingest would after its commit."""

    def __init__(self, broker: Broker) -> None:
        files = broker.credentials("ingest.0")
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.tls_set_context(tls_context(Tls(files.ca, files.certificate, files.key)))  # pyright: ignore[reportUnknownMemberType]
        self.client.on_connect = lambda client, *_: client.subscribe("feldsher/1/+/+/up/vitals")  # pyright: ignore
        self.client.on_message = lambda client, _, got: self.answer(client, got)  # pyright: ignore
        host, _, port = broker.url.removeprefix("mqtts://").partition(":")
        self.client.connect(host, int(port))

    def answer(self, client: mqtt.Client, got: mqtt.MQTTMessage) -> None:
        message = wire.decode_up(bytes(got.payload))
        wire.check_topic(got.topic, message)
        receipt = wire.Receipt(id=uuid4(), sent_us=0, ids=(message.env.id,), states=("stored",))
        client.publish(wire.down_topic(message.env.gateway, "receipt"), wire.encode(receipt), qos=1)


def trials(*names: str) -> list[wire.VitalsBatch]:
    now = Time()()
    return [canary.message(Trial(name, uuid4()), now) for name in names]


def test_every_shards_message_is_heard_and_receipted(settings: Settings, mosquitto: Broker) -> None:
    messages = trials(*CANARIES)
    ingest = Ingest(mosquitto)
    ingest.client.loop_start()
    try:
        seen = list(canary_line.cross(settings, messages, patience_s=60))
    finally:
        ingest.client.disconnect()
        ingest.client.loop_stop()
    legs = {leg: {s.message for s in seen if s.leg == leg} for leg in ("heard", "receipted")}
    sent = {m.env.id for m in messages}
    assert legs == {"heard": sent, "receipted": sent}


def test_without_ingest_it_is_heard_alone(settings: Settings) -> None:
    (message,) = trials(CANARIES[0])
    seen = list(canary_line.cross(settings, [message], patience_s=2))
    assert seen == [Seen(CANARIES[0], message.env.id, "heard")]


def test_a_broker_that_is_away_is_no_error(settings: Settings) -> None:
    nowhere = replace(settings, mqtt_url=f"mqtts://127.0.0.1:{free_port()}")
    assert list(canary_line.cross(nowhere, trials(CANARIES[0]), patience_s=0.5)) == []


def test_certificates_are_made_at_first_and_anew_before_they_end(tmp_path: Path) -> None:
    time = Time()
    settings = Settings("", state=tmp_path, clock=time)
    ca.create(settings.ca_directory, time)
    for name in (CANARIES[0], CLOUD_WORKER):
        _, certificate, key = commands.tls_files(settings, name)
        first = certificate.read_bytes()
        assert (key.stat().st_mode & 0o777) == 0o600
        time.move(days=300)
        assert commands.tls_files(settings, name)[1].read_bytes() == first
        time.move(days=80)
        again = commands.tls_files(settings, name)[1]
        assert again.read_bytes() != first
        assert ca.ends(again) > time() + timedelta(days=300)
