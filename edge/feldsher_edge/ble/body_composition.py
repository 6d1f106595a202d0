"""Body Composition Measurement (0x2A9C): bytes to a frozen dataclass and back; one measurement may be two packets.

Layout and resolutions: Bluetooth GATT Specification Supplement, "Body Composition Measurement". Flag bits 13 to 15 are
reserved and ignored. 0xFFFF ("measurement unsuccessful") becomes NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import IntFlag

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.ble.packet import Packet, scaled, unsigned
from feldsher_edge.ble.weight import INCH_STEP, KILOGRAM_STEP, METRE_STEP, POUND_STEP, TENTH


class Flag(IntFlag):
    """The first two bytes."""

    IMPERIAL = 0x0001
    TIME = 0x0002
    USER = 0x0004
    METABOLISM = 0x0008
    MUSCLE_SHARE = 0x0010
    MUSCLE = 0x0020
    FAT_FREE = 0x0040
    SOFT_LEAN = 0x0080
    WATER = 0x0100
    IMPEDANCE = 0x0200
    WEIGHT = 0x0400
    HEIGHT = 0x0800
    TWO_PACKETS = 0x1000


@dataclass(frozen=True, slots=True)
class BodyComposition:
    """One packet: shares in percent, masses in kg or pounds, impedance in ohm.

    `metabolism`: basal, kJ; `height` in m or inches; `more`: the packet is one of two of a measurement.
    """

    imperial: bool
    fat: Number
    time: DeviceTime | None = None
    user: int | None = None
    metabolism: Number | None = None
    muscle_share: Number | None = None
    muscle: Number | None = None
    fat_free: Number | None = None
    soft_lean: Number | None = None
    water: Number | None = None
    impedance: Number | None = None
    weight: Number | None = None
    height: Number | None = None
    more: bool = False


_ONE = Decimal(1)


def _steps(imperial: bool) -> tuple[tuple[Flag, str, Decimal], ...]:
    """Return the optional numbers in the order of their bytes, with their steps."""
    mass, length = (POUND_STEP, INCH_STEP) if imperial else (KILOGRAM_STEP, METRE_STEP)
    return (
        (Flag.METABOLISM, "metabolism", _ONE),
        (Flag.MUSCLE_SHARE, "muscle_share", TENTH),
        (Flag.MUSCLE, "muscle", mass),
        (Flag.FAT_FREE, "fat_free", mass),
        (Flag.SOFT_LEAN, "soft_lean", mass),
        (Flag.WATER, "water", mass),
        (Flag.IMPEDANCE, "impedance", TENTH),
        (Flag.WEIGHT, "weight", mass),
        (Flag.HEIGHT, "height", length),
    )


def parse(data: bytes) -> BodyComposition:
    """Return the packet in the bytes of 0x2A9C; ValueError names the byte that is missing, wrong or too many."""
    packet = Packet(data)
    flags = Flag(packet.unsigned(2, "flags") & 0x1FFF)
    imperial = Flag.IMPERIAL in flags
    fat = packet.scaled(TENTH, "fat")
    time = packet.time() if Flag.TIME in flags else None
    user = packet.unsigned(1, "user") if Flag.USER in flags else None
    numbers: dict[str, Number] = {}
    for flag, name, step in _steps(imperial):
        if flag in flags:
            numbers[name] = packet.scaled(step, name)
    packet.end(f"the flags 0x{flags:04x}")
    return BodyComposition(imperial, fat, time, user, **numbers, more=Flag.TWO_PACKETS in flags)


def encode(it: BodyComposition) -> bytes:
    """Return the bytes of 0x2A9C that `parse` reads back as `it`; ValueError where a number is between two steps."""
    flags = Flag.IMPERIAL if it.imperial else Flag(0)
    body = scaled(it.fat, TENTH, "fat")
    if it.time is not None:
        flags, body = flags | Flag.TIME, body + date_time.encode(it.time)
    if it.user is not None:
        flags, body = flags | Flag.USER, body + unsigned(it.user, 1, "user")
    for flag, name, step in _steps(it.imperial):
        value: Number | None = getattr(it, name)
        if value is not None:
            flags, body = flags | flag, body + scaled(value, step, name)
    if it.more:
        flags |= Flag.TWO_PACKETS
    return unsigned(flags, 2, "flags") + body


def belonging(first: BodyComposition, second: BodyComposition) -> BodyComposition:
    """Return the second packet of a measurement with the time and the user that only the first one names.

    ValueError where they cannot belong together: other units, or another user.
    """
    if first.imperial != second.imperial:
        raise ValueError("byte 0: the second packet has other units than the first")
    if first.user is not None and second.user is not None and first.user != second.user:
        raise ValueError(f"byte 2: the second packet is of user {second.user}, the first of {first.user}")
    user = first.user if second.user is None else second.user
    return replace(second, time=second.time or first.time, user=user)
