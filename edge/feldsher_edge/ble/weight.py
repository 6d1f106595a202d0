"""Weight Measurement (0x2A9D): bytes to a frozen dataclass and back; kilograms or pounds as sent.

Layout and resolutions: Bluetooth GATT Specification Supplement, "Weight Measurement". Flag bits 4 to 7 are reserved and
ignored. A scale that could not weigh sends 0xFFFF, which becomes NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntFlag

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.ble.packet import Packet, scaled, unsigned

KILOGRAM_STEP, POUND_STEP = Decimal("0.005"), Decimal("0.01")
METRE_STEP, INCH_STEP = Decimal("0.001"), Decimal("0.1")
TENTH = Decimal("0.1")


class Flag(IntFlag):
    """The first byte."""

    IMPERIAL = 0x01
    TIME = 0x02
    USER = 0x04
    BMI = 0x08


@dataclass(frozen=True, slots=True)
class Weight:
    """One measurement as sent; `bmi` (kg/m²) and `height` come together; units: kg and m, or pounds and inches."""

    imperial: bool
    weight: Number
    time: DeviceTime | None = None
    user: int | None = None
    bmi: Number | None = None
    height: Number | None = None


def parse(data: bytes) -> Weight:
    """Return the measurement in the bytes of 0x2A9D; ValueError names the byte that is missing, wrong or too many."""
    packet = Packet(data)
    flags = Flag(packet.unsigned(1, "flags") & 0x0F)
    imperial = Flag.IMPERIAL in flags
    it = Weight(
        imperial=imperial,
        weight=packet.scaled(POUND_STEP if imperial else KILOGRAM_STEP, "weight"),
        time=packet.time() if Flag.TIME in flags else None,
        user=packet.unsigned(1, "user") if Flag.USER in flags else None,
        bmi=packet.scaled(TENTH, "body mass index") if Flag.BMI in flags else None,
        height=packet.scaled(INCH_STEP if imperial else METRE_STEP, "height") if Flag.BMI in flags else None,
    )
    packet.end(f"the flags 0x{data[0]:02x}")
    return it


def encode(it: Weight) -> bytes:
    """Return the bytes of 0x2A9D that `parse` reads back as `it`; ValueError where a number is between two steps."""
    if (it.bmi is None) != (it.height is None):
        raise ValueError("bmi, height: one without the other")
    flags = Flag.IMPERIAL if it.imperial else Flag(0)
    body = scaled(it.weight, POUND_STEP if it.imperial else KILOGRAM_STEP, "weight")
    if it.time is not None:
        flags, body = flags | Flag.TIME, body + date_time.encode(it.time)
    if it.user is not None:
        flags, body = flags | Flag.USER, body + unsigned(it.user, 1, "user")
    if it.bmi is not None and it.height is not None:
        flags |= Flag.BMI
        body += scaled(it.bmi, TENTH, "bmi") + scaled(it.height, INCH_STEP if it.imperial else METRE_STEP, "height")
    return bytes([flags]) + body
