"""Current Time (0x2A2B) and Local Time Information (0x2A0F): bytes to frozen dataclasses and back.

Layouts: Bluetooth GATT Specification Supplement, "Current Time", "Exact Time 256" and "Local Time Information".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.packet import Packet, signed, unsigned

UNKNOWN_ZONE = -128
_ZONES = range(-48, 57)
_DST = (0, 2, 4, 8, 255)


class Reason(IntFlag):
    """Why the device last adjusted its clock. Bits 4 to 7 are reserved and kept as sent."""

    MANUAL = 0x01
    EXTERNAL_REFERENCE = 0x02
    ZONE = 0x04
    DST = 0x08


@dataclass(frozen=True, slots=True)
class CurrentTime:
    """A device's clock: local time, day of the week (1 Monday … 7 Sunday, 0 unknown), 1/256 s, reason of adjusting."""

    time: DeviceTime
    weekday: int = 0
    fraction: int = 0
    reason: int = 0


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Offset of standard time from UTC in quarters of an hour (-128 unknown), and of daylight saving (255 unknown)."""

    zone: int
    dst: int


def parse(data: bytes) -> CurrentTime:
    """Return the clock in the bytes of 0x2A2B; ValueError names the byte that is missing, wrong or too many."""
    packet = Packet(data)
    time = packet.time()
    weekday = packet.unsigned(1, "day of the week")
    if weekday > 7:
        raise ValueError(f"byte 7: day of the week {weekday} is not 0 to 7")
    it = CurrentTime(time, weekday, packet.unsigned(1, "fraction"), packet.unsigned(1, "reason"))
    packet.end("a current time's fields")
    return it


def encode(it: CurrentTime) -> bytes:
    """Return the ten bytes of a clock."""
    tail = unsigned(it.weekday, 1, "weekday") + unsigned(it.fraction, 1, "fraction") + unsigned(it.reason, 1, "reason")
    return date_time.encode(it.time) + tail


def of(moment: datetime, reason: int = Reason.EXTERNAL_REFERENCE) -> CurrentTime:
    """Return what a clock shows at a moment of local time."""
    fraction = moment.microsecond * 256 // 1_000_000
    return CurrentTime(date_time.of(moment), moment.isoweekday(), fraction, reason)


def parse_local(data: bytes) -> LocalTime:
    """Return the offsets in the bytes of 0x2A0F; ValueError names the byte that is missing, wrong or too many."""
    packet = Packet(data)
    zone, dst = packet.signed(1, "time zone"), packet.unsigned(1, "DST offset")
    packet.end("a local time's fields")
    if zone != UNKNOWN_ZONE and zone not in _ZONES:
        raise ValueError(f"byte 0: time zone {zone} is not -48 to 56 quarters of an hour")
    if dst not in _DST:
        raise ValueError(f"byte 1: DST offset {dst} is none of {_DST}")
    return LocalTime(zone, dst)


def encode_local(it: LocalTime) -> bytes:
    """Return the two bytes of the offsets."""
    return signed(it.zone, 1, "zone") + unsigned(it.dst, 1, "dst")
