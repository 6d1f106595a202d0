"""The packets of the crowd are those of MQTT 5, and whole ones come of bytes that are cut anywhere."""

from __future__ import annotations

import struct

import crowd_session as mqtt
import pytest
from crowd_session import Session


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("size", [0, 5, 127, 128, 20_000])
def test_packets_are_whole_wherever_the_bytes_are_cut(size: int, cut: int) -> None:
    heard: list[tuple[int, bytes]] = []
    session = Session(lambda kind, body: heard.append((kind, body)))
    payload = bytes(i % 251 for i in range(size))
    data = b"\x20\x03\x00\x00\x00" + mqtt.publish("a/b", 7, payload) + b"\xd0\x00"
    for start in range(0, len(data), cut):
        session.data_received(data[start : start + cut])
    assert heard == [(mqtt.CONNACK, b"\x00\x00\x00"), (mqtt.PUBLISH, payload), (0xD0, b"")]


def test_connect_says_what_the_gateway_says() -> None:
    packet = mqtt.connect("gw-a", "t/death", b"gone")
    assert packet[0] == 0x10
    assert packet[1] == len(packet) - 2
    protocol, version, flags, keepalive = struct.unpack_from("!6sBBH", packet, 2)
    assert (protocol, version) == (b"\x00\x04MQTT", 5)
    assert flags == 0b0000_1100  # a will at QoS 1, no clean start
    assert keepalive == mqtt.KEEPALIVE_S
    assert packet[12:18] == b"\x05\x11" + struct.pack("!I", 86_400)  # the session outlives the connection by a day
    assert packet.endswith(b"\x00\x07t/death\x00\x04gone")
