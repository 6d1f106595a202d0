"""How canaries' messages reach the broker: as every gateway's, over a connection of their own with mutual TLS."""

from __future__ import annotations

import queue
import ssl
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Self

import paho.mqtt.client as mqtt
from feldsher_ehr_core import wire
from paho.mqtt.enums import CallbackAPIVersion

from feldsher_cloud_api import commands
from feldsher_cloud_api.canary import Seen
from feldsher_cloud_api.config import Settings, broker

PATIENCE_S = 10.0
"""So long receipts are waited for; a trial without one has stopped before ingest's commit."""


def cross(
    settings: Settings, messages: Sequence[wire.VitalsBatch], *, patience_s: float = PATIENCE_S
) -> Generator[Seen]:
    """Send each message under its gateway's name and yield how far each comes, until all have receipts or time is up.

    A broker that cannot be reached is no error: then nothing is yielded.
    """
    told: queue.Queue[Seen] = queue.Queue()
    waiting = {m.env.id for m in messages}
    deadline = time.monotonic() + patience_s
    with ExitStack() as open_connections:
        for one in messages:
            open_connections.enter_context(_Connection(settings, one, told))
        while waiting and (left := deadline - time.monotonic()) > 0:
            try:
                seen = told.get(timeout=left)
            except queue.Empty:
                return
            if seen.leg == "receipted":
                waiting.discard(seen.message)
            yield seen


class _Connection:
    """One canary's connection: subscribes to its receipts, then sends its message. A context manager."""

    def __init__(self, settings: Settings, message: wire.VitalsBatch, told: queue.Queue[Seen]) -> None:
        self._message, self._told = message, told
        name = message.env.gateway
        authority, certificate, key = commands.tls_files(settings, name)
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(str(certificate), str(key))
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self._client.tls_set_context(context)  # pyright: ignore[reportUnknownMemberType]
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_publish = self._published
        self._client.on_message = self._received
        host, port = broker(settings.mqtt_url)
        self._client.connect_async(host, port, keepalive=20)

    def __enter__(self) -> Self:
        """Connect in the background; a broker that is away is asked again."""
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(wire.down_topic(self._message.env.gateway, "receipt"), qos=1)

    def _subscribed(self, client: mqtt.Client, *_: Any) -> None:
        client.publish(wire.up_topic(self._message.env.gateway, "vitals"), wire.encode(self._message), qos=1)

    def _published(self, client: mqtt.Client, userdata: Any, mid: int, reason: Any, *_: Any) -> None:
        if not reason.is_failure:
            self._tell("heard")

    def _received(self, client: mqtt.Client, userdata: Any, got: mqtt.MQTTMessage) -> None:
        try:
            receipt = wire.decode_down(bytes(got.payload))
        except wire.WireError:
            return  # nothing of ours: the receipt stays missing, and that is noticed
        if isinstance(receipt, wire.Receipt):
            states = dict(zip(receipt.ids, receipt.states, strict=True))
            if states.get(self._message.env.id) in ("stored", "duplicate"):
                self._tell("receipted")

    def _tell(self, leg: Literal["heard", "receipted"]) -> None:
        self._told.put(Seen(self._message.env.gateway, self._message.env.id, leg))
