"""The connection to the broker: mutual TLS, a session that outlives us, acknowledgement only when told to."""

from __future__ import annotations

import itertools
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from feldsher_ehr_core import wire
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from feldsher_ingest.inbox import Arrived
from feldsher_ingest.settings import ALL_SHARDS, Settings, Tls

RETRY_BASE_S = 0.5
RETRY_CAP_S = 3.0
"""Short: we are at most sixteen, every alarm waits for us, and after a broker's death a whole region comes at once."""
STABLE_S = 10.0
"""A connection that lives shorter does not reset the back-off: a broker that accepts and drops is not well."""
QUEUED_RECEIPTS = 20_000
NOT_ALLOWED_S = 0.2
_connections = itertools.count(1)
"""Numbers of connections, unlike in all of this process: what was delivered is acknowledged where it came from."""

_log = structlog.stdlib.get_logger("feldsher_ingest.link")


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return a context that trusts only our authority and shows our certificate; FileNotFoundError names a file."""
    for path in (tls.ca, tls.certificate, tls.key):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing (`feldsher-cloud ca client` makes certificates)")
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(tls.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(tls.certificate), str(tls.key))
    return context


def send_at_once(client: mqtt.Client, userdata: Any, sock: Any) -> None:
    """Send small packets without waiting for the answer to the previous one (TCP_NODELAY).

    A receipt follows a PUBACK: Nagle's algorithm would hold it back for the peer's delayed ACK, 40 ms (measured).
    """
    del client, userdata
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Backoff:
    """Full-jitter exponential waiting times in seconds (seeded by the caller's generator)."""

    def __init__(self, base_s: float, cap_s: float, generator: random.Random) -> None:
        self._base, self._cap, self._generator = base_s, cap_s, generator
        self._attempt = 0

    def next(self) -> float:
        """Return the next waiting time, longer on average each time up to the cap."""
        ceiling = min(self._cap, self._base * 2**self._attempt)
        self._attempt = min(self._attempt + 1, 30)
        return self._generator.uniform(self._base / 2, ceiling)

    def reset(self) -> None:
        """Begin again with short waiting times."""
        self._attempt = 0


class Link:
    """One MQTT session, kept up by its own thread.

    `deliver`: called in the network thread for every message; it may block, which pauses reading. `generator`:
    randomness of the waiting times. `allowed`: whether we may connect now; asked before each connection.
    """

    def __init__(
        self,
        settings: Settings,
        deliver: Callable[[Arrived], None],
        generator: random.Random,
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._deliver = deliver
        self._allowed = allowed
        self._backoff = Backoff(RETRY_BASE_S, RETRY_CAP_S, generator)
        self._stop = threading.Event()
        self._down = threading.Event()
        self._up = threading.Event()
        self._connection = 0
        self._unconfirmed: deque[mqtt.MQTTMessageInfo] = deque(maxlen=QUEUED_RECEIPTS)
        self._keeper = threading.Thread(target=self._keep, name="ingest-link", daemon=True)
        self._client: mqtt.Client | None = None
        tls_context(settings.tls)  # files that cannot be used are the caller's to hear of, at once

    def _make_client(self) -> mqtt.Client:
        """Return a fresh client: each connection gets its own, so that nothing of a dead one lives on."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.user,
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,  # paho waits without jitter; `_keep` does it
            manual_ack=True,
        )
        client.tls_set_context(tls_context(self._settings.tls))  # pyright: ignore[reportUnknownMemberType]
        client.max_queued_messages_set(QUEUED_RECEIPTS)
        client.on_socket_open = send_at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    @property
    def up(self) -> bool:
        """Whether the broker has accepted our subscriptions."""
        return self._up.is_set()

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection ends."""
        self._keeper.start()

    def wait_up(self, timeout_s: float) -> bool:
        """Wait until the broker has accepted our subscriptions; return whether it has."""
        return self._up.wait(timeout_s)

    def stop(self) -> None:
        """Disconnect in order; the broker keeps the session for our return."""
        self._stop.set()
        client = self._connected_client()
        if client is not None:
            client.disconnect()
        self._down.set()
        self._keeper.join(10)

    def acknowledge(self, batch: Sequence[Arrived]) -> None:
        """Acknowledge messages in the order of their arrival.

        Those of an earlier connection are left out: their packet ids may by now name other messages.
        """
        client, connection = self._connected_client(), self._connection
        if client is None:
            return
        for arrived in batch:
            if arrived.qos and arrived.connection == connection:
                client.ack(arrived.mid, arrived.qos)

    def _connected_client(self) -> mqtt.Client | None:
        client = self._client
        return client if client is not None and client.is_connected() else None

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish at QoS 1 without waiting; False where that is impossible now (the sender will ask again)."""
        client = self._connected_client()
        if client is None:
            return False
        info = client.publish(topic, payload, qos=1)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            return False
        self._forget_confirmed()
        self._unconfirmed.append(info)
        return True

    @property
    def outstanding(self) -> int:
        """Messages that the broker has not confirmed yet."""
        self._forget_confirmed()
        return len(self._unconfirmed)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has confirmed what was published; return whether it has."""
        deadline = time.monotonic() + timeout_s
        while self._unconfirmed and self._connected_client() and time.monotonic() < deadline:
            self._forget_confirmed()
            time.sleep(0.005)
        return not self._unconfirmed

    def _forget_confirmed(self) -> None:
        while self._unconfirmed and self._unconfirmed[0].is_published():
            self._unconfirmed.popleft()

    def _keep(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self._down.clear()
            if not self._allowed():
                self._stop.wait(NOT_ALLOWED_S)
                continue
            try:
                self._serve(self._make_client())
            except (OSError, ValueError) as error:
                _log.warning("broker unreachable", error=str(error))
            if time.monotonic() - began > STABLE_S:
                self._backoff.reset()
            if not self._stop.is_set():
                self._stop.wait(self._backoff.next())

    def _serve(self, client: mqtt.Client) -> None:
        self._connect(client)
        self._client = client
        self._unconfirmed.clear()
        try:
            client.loop_start()
            while not self._down.wait(1.0) and self._network_lives():
                pass
        finally:
            self._client = None
            self._up.clear()
            client.loop_stop()

    def _network_lives(self) -> bool:
        # paho's thread ends without a callback when a packet makes it stumble; it has this name
        name = f"paho-mqtt-client-{self._settings.user}"
        return any(thread.name == name for thread in threading.enumerate())

    def _connect(self, client: mqtt.Client) -> None:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._settings.session_s
        properties.ReceiveMaximum = self._settings.receive_maximum
        client.connect(
            self._settings.mqtt_host,
            self._settings.mqtt_port,
            keepalive=self._settings.keepalive_s,
            clean_start=False,
            properties=properties,
        )

    def _on_connect(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del userdata, properties
        if reason.is_failure:
            _log.error("broker refuses us", reason=str(reason))
            return
        self._connection = next(_connections)
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        if not self._settings.shards:  # one that only publishes
            self._up.set()
            return
        client.subscribe([(wire.up_filter(shard), options) for shard in self._settings.shards])
        if flags.session_present:  # what this session subscribed to when there were other seats
            others = [wire.up_filter(shard) for shard in ALL_SHARDS if shard not in self._settings.shards]
            if others:
                client.unsubscribe(others)
        _log.info("connected", session_present=flags.session_present)

    def _on_subscribe(
        self, client: mqtt.Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        del client, userdata, mid, properties
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            _log.error("broker refuses a subscription", reasons=refused)
            self._down.set()
            return
        self._up.set()
        _log.info("subscribed", shards=len(reasons))

    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata, flags, properties
        self._up.clear()
        self._down.set()
        if not self._stop.is_set():
            _log.warning("connection to the broker ended", reason=str(reason))

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        del client, userdata
        self._deliver(
            Arrived(message.topic, bytes(message.payload), message.mid, message.qos, self._connection, time.monotonic())
        )
