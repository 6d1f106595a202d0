"""Blood Pressure Measurement (0x2A35) and Intermediate Cuff Pressure (0x2A36): bytes to a frozen dataclass and back.

Values stay in the unit as sent: a device that sends kPa is read in kPa, and nothing here converts. Layout: Bluetooth
GATT Specification Supplement, "Blood Pressure Measurement" and "Intermediate Cuff Pressure". Flag bits 5 to 7 are
reserved; real cuffs set them, so they are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number, decode_sfloat, encode_sfloat

Unit = Literal["mm[Hg]", "kPa"]
"""UCUM units that the profile knows."""

UNKNOWN_USER = 255
"""The user number of a device that does not know who was measured."""


class Flag(IntFlag):
    """The first byte of both characteristics."""

    KPA = 0x01
    TIME = 0x02
    PULSE = 0x04
    USER = 0x08
    STATUS = 0x10


class Status(IntFlag):
    """Measurement Status: what the device itself noticed. Bits 6 to 15 are reserved and kept as sent."""

    MOVEMENT = 0x0001
    CUFF_LOOSE = 0x0002
    IRREGULAR_PULSE = 0x0004
    PULSE_HIGH = 0x0008
    PULSE_LOW = 0x0010
    WRONG_POSITION = 0x0020


@dataclass(frozen=True, slots=True)
class BloodPressure:
    """One measurement as sent. `pulse`, `time`, `user` and `status` are None where the device left them out."""

    unit: Unit
    systolic: Number
    diastolic: Number
    mean: Number
    time: DeviceTime | None = None
    pulse: Number | None = None
    user: int | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class CuffPressure:
    """The pressure of a cuff that is still measuring."""

    unit: Unit
    pressure: Number
    time: DeviceTime | None = None
    pulse: Number | None = None
    user: int | None = None
    status: int | None = None


def parse(data: bytes) -> BloodPressure:
    """Return the measurement in the bytes of 0x2A35; ValueError names the byte that is missing, wrong or too many."""
    if not data:
        raise ValueError("byte 0: no flags")
    flags = Flag(data[0] & 0x1F)
    systolic, diastolic, mean = decode_sfloat(data, 1), decode_sfloat(data, 3), decode_sfloat(data, 5)
    at = 7
    time = pulse = user = status = None
    if Flag.TIME in flags:
        time, at = date_time.decode(data, at), at + date_time.SIZE
    if Flag.PULSE in flags:
        pulse, at = decode_sfloat(data, at), at + 2
    if Flag.USER in flags:
        user, at = _integer(data, at, 1, "user"), at + 1
    if Flag.STATUS in flags:
        status, at = _integer(data, at, 2, "status"), at + 2
    if len(data) != at:
        raise ValueError(f"byte {at}: {len(data) - at} more than the flags 0x{data[0]:02x} announce")
    return BloodPressure(
        unit="kPa" if Flag.KPA in flags else "mm[Hg]",
        systolic=systolic,
        diastolic=diastolic,
        mean=mean,
        time=time,
        pulse=pulse,
        user=user,
        status=status,
    )


def parse_cuff_pressure(data: bytes) -> CuffPressure:
    """Return the pressure in the bytes of 0x2A36; ValueError names the byte that is missing, wrong or too many."""
    it = parse(data)
    for at, value in ((3, it.diastolic), (5, it.mean)):
        if value != "nan":
            raise ValueError(f"byte {at}: {value} where an intermediate pressure has NaN")
    return CuffPressure(it.unit, it.systolic, it.time, it.pulse, it.user, it.status)


def encode(it: BloodPressure) -> bytes:
    """Return the bytes of 0x2A35 that `parse` reads back as `it`; ValueError where a number has no exact SFLOAT."""
    flags = Flag.KPA if it.unit == "kPa" else Flag(0)
    tail = b""
    if it.time is not None:
        flags, tail = flags | Flag.TIME, date_time.encode(it.time)
    if it.pulse is not None:
        flags, tail = flags | Flag.PULSE, tail + encode_sfloat(it.pulse)
    if it.user is not None:
        flags, tail = flags | Flag.USER, tail + it.user.to_bytes(1, "little")
    if it.status is not None:
        flags, tail = flags | Flag.STATUS, tail + it.status.to_bytes(2, "little")
    head = encode_sfloat(it.systolic) + encode_sfloat(it.diastolic) + encode_sfloat(it.mean)
    return bytes([flags]) + head + tail


def encode_cuff_pressure(it: CuffPressure) -> bytes:
    """Return the bytes of 0x2A36 that `parse_cuff_pressure` reads back as `it`."""
    return encode(BloodPressure(it.unit, it.pressure, "nan", "nan", it.time, it.pulse, it.user, it.status))


def _integer(data: bytes, at: int, size: int, name: str) -> int:
    if len(data) < at + size:
        raise ValueError(f"byte {len(data)}: the {name} from byte {at} needs {size}")
    return int.from_bytes(data[at : at + size], "little")
