"""One connection to the broker: MQTT 5 over mutual TLS, and what aiomqtt hides: PUBACK reasons, the broker's limits."""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessageInfo
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from feldsher_edge import proxy

_CONNECT_S = 15.0
_SESSION_EXPIRY_S = 86_400
"""How long the broker keeps what the cloud sends down while the gateway is away."""

SHOWN_AHEAD = 3
"""Most pieces of a live strip that wait for the line, so that an alarm never waits for more than these."""

REFUSALS = frozenset({0x87, 0x90, 0x99})
"""PUBACK reasons that the same bytes will meet again (MQTT 5 §3.4.2.1): not authorized, topic name invalid, payload
format invalid. Others (quota exceeded, unspecified) are tried again."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to speak to it. `tls` is called at every connection: certificates are renewed.

    `path`: of MQTT over WebSocket, None for MQTT alone.
    """

    host: str
    port: int
    tls: Callable[[], ssl.SSLContext]
    keepalive_s: int = 30
    path: str | None = None


def tls_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context that trusts only `ca` and shows `certificate`; OSError names the file that is absent."""
    for path in (ca, certificate, key):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; claim the gateway, or correct its configuration")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    context.load_cert_chain(certificate, key)
    return context


class Link(aiomqtt.Client):
    """A connection that reports every PUBACK to `on_puback` (message number, reason).

    `largest`: bytes of the largest packet that the broker takes, as it said when connecting. `reached`: whether it (or
    a proxy before it) took the network connection, whatever came of it.
    """

    def __init__(
        self,
        broker: Broker,
        gateway: str,
        window: int,
        will: aiomqtt.Will,
        on_puback: Callable[[int, ReasonCode], None],
    ) -> None:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        self._report = on_puback
        self._shown: deque[MQTTMessageInfo] = deque(maxlen=SHOWN_AHEAD)
        self.largest = 268_435_455  # MQTT 5 §2.1.4: what the length field can say
        super().__init__(
            broker.host,
            broker.port,
            identifier=gateway,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            keepalive=broker.keepalive_s,
            tls_context=broker.tls(),
            will=will,
            max_inflight_messages=window + 8,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            transport="tcp" if broker.path is None else "websockets",
            websocket_path=broker.path,
        )
        self.reached = False
        # paho asks a library of its own for proxies (PySocks); ours knows the one kind that clinics have
        self._client._create_socket_connection = lambda: self._reach(broker)  # pyright: ignore[reportPrivateUsage]

    def _reach(self, broker: Broker) -> socket.socket:
        found = proxy.connect(broker.host, broker.port, _CONNECT_S)
        self.reached = True
        return found

    def send(self, topic: str, payload: bytes, qos: int = 1) -> int:
        """Hand a message to the connection and return its number, which its PUBACK will bear; MqttError where cut."""
        info = self._client.publish(topic, payload, qos)
        if info.rc != 0:
            raise aiomqtt.MqttCodeError(info.rc, "Could not publish message")
        return info.mid

    def show(self, topic: str, payload: bytes) -> bool:
        """Hand over what is only worth seeing now, QoS 0; False where earlier pieces still wait for the line."""
        if len(self._shown) == SHOWN_AHEAD and not self._shown[0].is_published():
            return False
        info = self._client.publish(topic, payload, qos=0)
        if info.rc == 0:
            self._shown.append(info)
        return info.rc == 0

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            # aiomqtt leaves the socket open, and in the event loop, where an error in a callback ended the connection
            if self._client.socket() is not None:
                self._client._sock_close()  # pyright: ignore[reportPrivateUsage]

    def _on_publish(
        self, client: PahoClient, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        super()._on_publish(client, userdata, mid, reason_code, properties)
        self._report(mid, reason_code)

    def _on_disconnect(
        self,
        client: PahoClient,
        userdata: Any,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # seen: asyncio complains where nobody waits for it, or not yet

    def _on_connect(
        self,
        client: PahoClient,
        userdata: Any,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.largest = int(getattr(properties, "MaximumPacketSize", self.largest))
        super()._on_connect(client, userdata, flags, reason_code, properties)
