"""Orders on their way to gateways: published over MQTT at once and again until acknowledged; MQTT keeps nothing."""

from __future__ import annotations

import os
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgspec
import paho.mqtt.client as mqtt
import structlog
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import CLOUD_WORKER
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from feldsher_cloud_api import ca, db
from feldsher_cloud_api.care.order import SILENCE_S
from feldsher_cloud_api.config import Settings, broker
from feldsher_cloud_api.project.order import show

AGAIN_S = 3.0
"""An unacknowledged command is repeated this often; gateways know repeats by the order's id."""
RENEWED_BEFORE = timedelta(days=30)
"""So long before its end a service's certificate is issued anew, where the authority is at hand."""
_queries = db.queries("worker")
_log = structlog.get_logger()


class Publisher(Protocol):
    """Hands a payload to the broker."""

    def publish(self, topic: str, payload: bytes, life_s: int) -> bool:
        """Return whether the payload could be handed over; where not, it is tried again.

        The broker forgets it after `life_s` seconds.
        """
        ...


class Mqtt:
    """A publisher over mutual TLS under the name `cloud.worker`; it reconnects by itself."""

    def __init__(self, settings: Settings) -> None:
        authority, certificate, key = tls_files(settings)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=CLOUD_WORKER, protocol=mqtt.MQTTv5)
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(str(certificate), str(key))
        self._client.tls_set_context(context)  # pyright: ignore[reportUnknownMemberType]
        self._client.reconnect_delay_set(min_delay=1, max_delay=10)
        host, port = broker(settings.mqtt_url)
        self._client.connect_async(host, port, keepalive=20)

    def start(self) -> None:
        """Connect in the background."""
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, life_s: int) -> bool:
        """Publish with QoS 0 and an expiry; False while not connected."""
        if not self._client.is_connected():
            return False
        # Neither this client nor the broker may bring an order later, when its `sent_us` is no longer the present:
        # QoS 0 is queued by neither, what is lost is repeated, and the expiry holds where a broker is set to queue.
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = life_s
        return self._client.publish(topic, payload, qos=0, properties=properties).rc == mqtt.MQTT_ERR_SUCCESS


def tls_files(settings: Settings, name: str = CLOUD_WORKER) -> tuple[Path, Path, Path]:
    """Return the files of authority, certificate and key of a broker user that the worker is.

    They lie in FELDSHER_MQTT_TLS (ca.pem, cloud.worker.pem, cloud.worker.key) or beside the authority, which then
    issues them, anew before they end.
    """
    given = os.environ.get("FELDSHER_MQTT_TLS")
    if given:
        return Path(given) / "ca.pem", *_pair(Path(given), name)
    directory = settings.ca_directory / "clients"
    certificate, key = _pair(directory, name)
    if not (certificate.exists() and key.exists()) or ca.ends(certificate) < settings.clock() + RENEWED_BEFORE:
        ca.load(settings.ca_directory, settings.clock).issue_client(name).write(directory, name)
    return settings.ca_directory / "ca.pem", certificate, key


def _pair(directory: Path, name: str) -> tuple[Path, Path]:
    return directory / f"{name}.pem", directory / f"{name}.key"


def publish_due(connection: db.Connection, publisher: Publisher, now: datetime) -> int:
    """Publish the commands that are due, with the present time in them, and return how many were handed over."""
    sent = 0
    with connection.transaction():
        for order, gateway, payload, expires in list(_queries.due(connection, again=AGAIN_S)):
            command = wire.decode_down(bytes(payload))
            fresh = msgspec.structs.replace(command, sent_us=int(now.timestamp() * 1_000_000))
            life_s = max(1, int((expires - now).total_seconds()))
            if publisher.publish(wire.down_topic(gateway, "order"), wire.encode(fresh), life_s):
                _queries.sent(connection, order=order)
                _log.info("command_published", gateway=gateway, order=str(order))
                sent += 1
    return sent


def lapse(connection: db.Connection, now: datetime) -> list[UUID]:
    """End the orders whose gateway has not answered, or not reported, in time; command and order in one transaction.

    Where events of the gateway still wait to be projected, its word may be among them: then nothing lapses yet.
    """
    with connection.transaction():
        ended = [(row[0], str(row[1])) for row in _queries.lapsed(connection, silence=SILENCE_S)]
        for order, detail in ended:
            show(connection, order, "lapsed", detail, now)
            _log.info("order_lapsed", order=str(order), detail=detail)
    return [order for order, _ in ended]
