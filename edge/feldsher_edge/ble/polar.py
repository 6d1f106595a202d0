"""Polar's Measurement Data service: the ECG stream of chest belts (130 samples a second); bytes to values and back.

Published by Polar ("Polar Measurement Data Specification", polar-ble-sdk): requests are written to the control point,
which answers by indication; data comes by notification. A frame's time is that of its *last* sample, in nanoseconds
since 2000-01-01 by the belt's own clock. A belt that already streams refuses a second start with ALREADY.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from feldsher_edge.ble.packet import Packet, signed, unsigned

SERVICE: Final = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
ECG: Final = 0x00
RATE: Final = 130
RESOLUTION: Final = 14
EPOCH_S: Final = 946_684_800
"""2000-01-01 UTC in seconds since 1970."""
LOWEST_MTU: Final = 232
"""A frame of 73 samples needs it; below, the belt sends nothing (polar-ble-sdk #287)."""

SETTINGS = bytes([0x01, ECG])
STOP = bytes([0x03, ECG])
_START = 0x02
_FEATURES, _RESPONSE, _RAW = 0x0F, 0xF0, 0x00
_SAMPLE = 3


class Status(IntEnum):
    """What the control point answers."""

    SUCCESS = 0
    INVALID_OP = 1
    INVALID_TYPE = 2
    NOT_SUPPORTED = 3
    INVALID_LENGTH = 4
    INVALID_PARAMETER = 5
    ALREADY = 6
    INVALID_RESOLUTION = 7
    INVALID_RATE = 8
    INVALID_RANGE = 9
    INVALID_MTU = 10
    INVALID_CHANNELS = 11
    INVALID_STATE = 12
    CHARGING = 13


class Setting(IntEnum):
    """What a measurement can be set to; each value has `SETTING_BYTES`."""

    RATE = 0
    RESOLUTION = 1
    RANGE = 2
    MILLI_RANGE = 3
    CHANNELS = 4
    FACTOR = 5


SETTING_BYTES: Final = {
    Setting.RATE: 2,
    Setting.RESOLUTION: 2,
    Setting.RANGE: 2,
    Setting.MILLI_RANGE: 4,
    Setting.CHANNELS: 1,
    Setting.FACTOR: 4,
}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: to request `op` about measurement `kind`; `status` is a `Status` or a number not yet known."""

    op: int
    kind: int
    status: int
    parameters: bytes = b""


@dataclass(frozen=True, slots=True)
class EcgFrame:
    """Samples in microvolts; `last_ns`: the belt's time of the last one, nanoseconds since 2000-01-01."""

    last_ns: int
    samples: tuple[int, ...]


def parse_features(data: bytes) -> int:
    """Return the bits of what the belt can measure (bit 0: ECG) from the control point read; ValueError by byte."""
    packet = Packet(data)
    if packet.unsigned(1, "features") != _FEATURES:
        raise ValueError(f"byte 0: 0x{data[0]:02x} where the features begin with 0x{_FEATURES:02x}")
    bits = packet.unsigned(1, "measurements")
    packet.rest()
    return bits


def encode_features(bits: int) -> bytes:
    """Return the value of the control point when read."""
    return bytes([_FEATURES]) + unsigned(bits, 1, "bits")


def parse_response(data: bytes) -> Response:
    """Return an answer of the control point; ValueError names the byte that is missing or wrong."""
    packet = Packet(data)
    if packet.unsigned(1, "response") != _RESPONSE:
        raise ValueError(f"byte 0: 0x{data[0]:02x} where an answer begins with 0x{_RESPONSE:02x}")
    op, kind = packet.unsigned(1, "op code"), packet.unsigned(1, "measurement")
    return Response(op, kind, packet.unsigned(1, "status"), packet.rest())


def encode_response(it: Response) -> bytes:
    """Return the bytes that `parse_response` reads back as `it`."""
    head = unsigned(it.op, 1, "op") + unsigned(it.kind, 1, "kind") + unsigned(it.status, 1, "status")
    return bytes([_RESPONSE]) + head + it.parameters


def parse_settings(parameters: bytes) -> dict[Setting, tuple[int, ...]]:
    """Return what a belt offers, from the parameters of its answer to `SETTINGS`; ValueError names the byte.

    The first byte says whether more follows in another packet; the settings of the ECG never do.
    """
    packet = Packet(parameters)
    packet.unsigned(1, "more")
    found: dict[Setting, tuple[int, ...]] = {}
    while packet.at < len(parameters):
        at = packet.at
        kind = packet.unsigned(1, "setting")
        if kind not in SETTING_BYTES:
            raise ValueError(f"byte {at}: setting 0x{kind:02x} is not known")
        count = packet.unsigned(1, "count")
        found[Setting(kind)] = tuple(packet.unsigned(SETTING_BYTES[Setting(kind)], "value") for _ in range(count))
    return found


def encode_settings(settings: dict[Setting, tuple[int, ...]]) -> bytes:
    """Return the parameters that `parse_settings` reads back."""
    return b"\0" + b"".join(
        bytes([kind, len(values)]) + b"".join(unsigned(value, SETTING_BYTES[kind], "value") for value in values)
        for kind, values in settings.items()
    )


def start(rate: int = RATE, resolution: int = RESOLUTION) -> bytes:
    """Return the request that starts the ECG with one value of each setting."""
    one = {Setting.RATE: (rate,), Setting.RESOLUTION: (resolution,)}
    return bytes([_START, ECG]) + encode_settings(one)[1:]


def parse_frame(data: bytes) -> EcgFrame:
    """Return a frame of the ECG stream; ValueError names the byte that is missing, of another kind, or left over."""
    packet = Packet(data)
    if packet.unsigned(1, "measurement") != ECG:
        raise ValueError(f"byte 0: measurement 0x{data[0]:02x} is no ECG")
    last_ns = packet.unsigned(8, "time")
    if packet.unsigned(1, "frame type") != _RAW:
        raise ValueError(f"byte 9: frame type 0x{data[9]:02x} is not the plain one")
    count, left = divmod(len(data) - packet.at, _SAMPLE)
    if left:
        raise ValueError(f"byte {len(data) - left}: {left} more than whole samples")
    return EcgFrame(last_ns, tuple(packet.signed(_SAMPLE, "sample") for _ in range(count)))


def encode_frame(it: EcgFrame) -> bytes:
    """Return the bytes that `parse_frame` reads back as `it`."""
    body = b"".join(signed(sample, _SAMPLE, "samples") for sample in it.samples)
    return bytes([ECG]) + unsigned(it.last_ns, 8, "last_ns") + bytes([_RAW]) + body
