"""The cloud as a gateway sees it: takes messages from the broker, gives receipts, remembers everything in memory."""

from __future__ import annotations

import itertools
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import paho.mqtt.client as mqtt
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import uuid7
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

Verdict = Callable[[wire.UpMessage], wire.ReceiptState | None]
"""What to receipt a message as; None gives no receipt (ingest was killed before its commit)."""

_PRESENCE = ("birth", "heartbeat", "death", "live")


class VirtualCloud:
    """An ingest without a database; use as a context manager.

    `verdict` decides on first arrivals that need a receipt; repeats of what was receipted are `duplicate`. `arrived`
    holds all messages in order, repeats included; `stored` the receipted ones by id.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext, verdict: Verdict = lambda _message: "stored") -> None:
        self.arrived: list[wire.UpMessage] = []
        self.stored: dict[UUID, wire.UpMessage] = {}
        self.verdict = verdict
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.tls_set_context(tls)  # pyright: ignore[reportUnknownMemberType]
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._host = host
        self._port = port
        self._subscribed = threading.Event()

    def __enter__(self) -> VirtualCloud:
        self._client.connect(self._host, self._port)
        self._client.loop_start()
        if not self._subscribed.wait(10):
            raise TimeoutError("the broker did not accept the virtual cloud")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, gateway: str, message: wire.Down) -> None:
        """Send a message down to a gateway."""
        topic = wire.down_topic(gateway, str(message.__struct_config__.tag))
        self._client.publish(topic, wire.encode(message), qos=1)

    def down(self) -> dict[str, Any]:
        """Return the fields that every message down has, new each time."""
        now_us = time.time_ns() // 1000
        return {"id": uuid7(now_us // 1000, next(self._numbers).to_bytes(10, "big")), "sent_us": now_us}

    def wait(self, wanted: Callable[[VirtualCloud], bool], seconds: float = 60.0) -> None:
        """Wait until `wanted` holds; TimeoutError with what has arrived otherwise."""
        with self._changed:
            if not self._changed.wait_for(lambda: wanted(self), seconds):
                kinds = [str(m.__struct_config__.tag) for m in self.arrived]
                raise TimeoutError(f"not within {seconds} s; arrived: {kinds}")

    def of(self, kind: type[wire.Up]) -> list[Any]:
        """Return the arrived messages of one kind, repeats included."""
        return [m for m in self.arrived if isinstance(m, kind)]

    def _on_connect(self, client: mqtt.Client, *_rest: Any) -> None:
        client.subscribe("feldsher/1/+/+/up/#", qos=1)

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _p: Any) -> None:
        if not any(reason.is_failure for reason in reasons):
            self._subscribed.set()

    def _on_message(self, _client: mqtt.Client, _data: Any, incoming: mqtt.MQTTMessage) -> None:
        message = wire.decode_up(bytes(incoming.payload))
        wire.check_topic(incoming.topic, message)
        with self._changed:
            self.arrived.append(message)
            state = None if message.__struct_config__.tag in _PRESENCE else self._decide(message)
            self._changed.notify_all()
        if state is not None:
            receipt = wire.Receipt(**self.down(), ids=(message.env.id,), states=(state,))
            self.send(message.env.gateway, receipt)

    def _decide(self, message: wire.UpMessage) -> wire.ReceiptState | None:
        if message.env.id in self.stored:
            return "duplicate"
        state = self.verdict(message)
        if state is not None:
            self.stored[message.env.id] = message
        return state
