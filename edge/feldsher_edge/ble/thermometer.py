"""Temperature Measurement (0x2A1C) and Intermediate Temperature (0x2A1E): one layout for both, bytes and back.

Layout: Bluetooth GATT Specification Supplement, "Temperature Measurement"; sites: "Temperature Text Description".
Values stay in the unit as sent. Flag bits 3 to 7 are reserved and ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Literal

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.ble.packet import Packet, float32, unsigned

Unit = Literal["Cel", "[degF]"]
"""UCUM units that the profile knows."""


class Flag(IntFlag):
    """The first byte."""

    FAHRENHEIT = 0x01
    TIME = 0x02
    SITE = 0x04


class Site(IntEnum):
    """Where on the body was measured (Temperature Type, 0x2A1D)."""

    ARMPIT = 1
    BODY = 2
    EAR = 3
    FINGER = 4
    GASTROINTESTINAL = 5
    MOUTH = 6
    RECTUM = 7
    TOE = 8
    TYMPANUM = 9


@dataclass(frozen=True, slots=True)
class Temperature:
    """One measurement as sent; `site` is a `Site` or a reserved number."""

    unit: Unit
    value: Number
    time: DeviceTime | None = None
    site: int | None = None


def parse(data: bytes) -> Temperature:
    """Return the measurement in the bytes of 0x2A1C or 0x2A1E; ValueError names the byte that is wrong."""
    packet = Packet(data)
    flags = Flag(packet.unsigned(1, "flags") & 0x07)
    value = packet.float("temperature")
    time = packet.time() if Flag.TIME in flags else None
    site = packet.unsigned(1, "site") if Flag.SITE in flags else None
    packet.end(f"the flags 0x{data[0]:02x}")
    return Temperature("[degF]" if Flag.FAHRENHEIT in flags else "Cel", value, time, site)


def encode(it: Temperature) -> bytes:
    """Return the bytes that `parse` reads back as `it`."""
    flags = Flag.FAHRENHEIT if it.unit == "[degF]" else Flag(0)
    body = float32(it.value)
    if it.time is not None:
        flags, body = flags | Flag.TIME, body + date_time.encode(it.time)
    if it.site is not None:
        flags, body = flags | Flag.SITE, body + unsigned(it.site, 1, "site")
    return bytes([flags]) + body
