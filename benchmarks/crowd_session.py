"""One gateway of a crowd: an MQTT 5 session over mutual TLS, as little of it as a crowd of thousands can carry.

The packets are MQTT 5's (OASIS, sections 3.1 to 3.14): CONNECT with a will and a session, SUBSCRIBE to what comes down,
PUBLISH at QoS 1, PINGREQ. What it does and when it does it again is the gateway's own (feldsher_edge.publish, link,
pace): only Python's cost per connection is less.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable

CONNACK, PUBLISH, PUBACK, SUBACK, DISCONNECT = 0x20, 0x30, 0x40, 0x90, 0xE0
_CONNECT, _SUBSCRIBE, _PINGREQ = 0x10, 0x82, b"\xc0\x00"
CONNECT_S = 15.0
HANDSHAKE_S = 30.0
"""As paho waits for TLS: its keep-alive."""
ANSWER_S = 10.0
"""As aiomqtt waits for CONNACK and SUBACK."""
KEEPALIVE_S = 30
_SESSION_S = 86_400


def _text(of: str) -> bytes:
    encoded = of.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _length(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _length(len(body)) + body


def connect(name: str, will_topic: str, will: bytes) -> bytes:
    """Return CONNECT: version 5, keep-alive, a session that lasts, a will at QoS 1."""
    session = b"\x11" + struct.pack("!I", _SESSION_S)
    head = _text("MQTT") + b"\x05" + bytes([0b0000_1100]) + struct.pack("!H", KEEPALIVE_S)
    payload = _text(name) + b"\x00" + _text(will_topic) + struct.pack("!H", len(will)) + will
    return _packet(_CONNECT, head + _length(len(session)) + session + payload)


def subscribe(topic: str) -> bytes:
    """Return SUBSCRIBE to one filter at QoS 1."""
    return _packet(_SUBSCRIBE, struct.pack("!H", 1) + b"\x00" + _text(topic) + b"\x01")


def publish(topic: str, number: int, payload: bytes) -> bytes:
    """Return PUBLISH at QoS 1; `number`: its packet identifier, above 1."""
    return _packet(PUBLISH | 2, _text(topic) + struct.pack("!H", number) + b"\x00" + payload)


class Session(asyncio.Protocol):
    """One connection. `heard`: called with a packet's kind and body, kind 0 where the connection has ended."""

    def __init__(self, heard: Callable[[int, bytes], None]) -> None:
        self._heard = heard
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it has ended."""
        self._transport = None
        self._heard(0, b"")

    def data_received(self, data: bytes) -> None:
        """Take whole packets; acknowledge what came at QoS 1."""
        self._rest += data
        while (packet := self._take()) is not None:
            kind, body = packet
            if kind & 0xF0 == PUBLISH:
                at = 2 + struct.unpack_from("!H", body)[0]
                if kind & 0x06:
                    self.send(_packet(PUBACK, body[at : at + 2]))
                    at += 2
                self._heard(PUBLISH, body[at + 1 + body[at] :])  # properties of ours are shorter than 128 bytes
            else:
                self._heard(kind & 0xF0, body)

    def _take(self) -> tuple[int, bytes] | None:
        size = shift = 0
        for i in range(1, min(5, len(self._rest))):
            size |= (self._rest[i] & 127) << shift
            shift += 7
            if self._rest[i] < 128:
                end = i + 1 + size
                if len(self._rest) < end:
                    return None
                kind, body = self._rest[0], self._rest[i + 1 : end]
                self._rest = self._rest[end:]
                return kind, body
        return None

    def send(self, packet: bytes) -> None:
        """Send, where there is a connection."""
        if self._transport is not None:
            self._transport.write(packet)

    def ping(self) -> None:
        """Say that we live."""
        self.send(_PINGREQ)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()


async def reached(port: int) -> socket.socket:
    """Return a network connection; OSError (also a time-out) where there is none."""
    loop = asyncio.get_running_loop()
    found = socket.socket()
    try:
        found.setblocking(False)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(CONNECT_S):
            await loop.sock_connect(found, ("127.0.0.1", port))
    except BaseException:
        found.close()
        raise
    return found


async def greeted(on: socket.socket, tls: ssl.SSLContext, heard: Callable[[int, bytes], None]) -> Session:
    """Return the session behind the TLS handshake; OSError (also a time-out) where there is none."""
    loop = asyncio.get_running_loop()
    _, session = await loop.create_connection(
        lambda: Session(heard), sock=on, ssl=tls, server_hostname="localhost", ssl_handshake_timeout=HANDSHAKE_S
    )
    return session
