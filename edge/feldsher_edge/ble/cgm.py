"""Continuous glucose monitoring: measurement (0x2AA7), session start (0x2AAA), control point (0x2AAC), with E2E-CRC.

Layouts: Bluetooth GATT Specification Supplement, "CGM Measurement", "CGM Session Start Time", "CGM Specific Ops Control
Point". One value of 0x2AA7 holds records one after the other, each with its own size. Concentrations are in mg/dL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, IntFlag
from typing import Final

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.ble.packet import Packet, sfloat, signed, unsigned

UNIT: Final = "mg/dL"
_CRC = 2


class Flag(IntFlag):
    """The second byte of a record. Bits 2 to 4 are reserved and ignored."""

    TREND = 0x01
    QUALITY = 0x02
    WARNING = 0x20
    CALIBRATION = 0x40
    STATUS = 0x80


class Status(IntFlag):
    """Sensor Status Annunciation, its octets in order: status (bits 0-7), calibration (8-15), warning (16-23)."""

    SESSION_STOPPED = 0x00_0001
    BATTERY_LOW = 0x00_0002
    SENSOR_TYPE = 0x00_0004
    MALFUNCTION = 0x00_0008
    ALERT = 0x00_0010
    FAULT = 0x00_0020
    TIME_NOT_SET = 0x00_0100
    CALIBRATION_NOT_ALLOWED = 0x00_0200
    CALIBRATION_RECOMMENDED = 0x00_0400
    CALIBRATION_REQUIRED = 0x00_0800
    TOO_WARM = 0x00_1000
    TOO_COLD = 0x00_2000
    BELOW_LOW = 0x01_0000
    ABOVE_HIGH = 0x02_0000
    BELOW_HYPO = 0x04_0000
    ABOVE_HYPER = 0x08_0000
    FALLING = 0x10_0000
    RISING = 0x20_0000
    TOO_LOW = 0x40_0000
    TOO_HIGH = 0x80_0000


_OCTETS = ((Flag.STATUS, 0), (Flag.CALIBRATION, 8), (Flag.WARNING, 16))


class Op(IntEnum):
    """Procedures of the control point that a gateway may meet; all others are kept as numbers."""

    SET_INTERVAL = 0x01
    GET_INTERVAL = 0x02
    INTERVAL = 0x03
    START = 0x1A
    STOP = 0x1B
    RESPONSE = 0x1C


@dataclass(frozen=True, slots=True)
class Record:
    """One value: `offset_min` since the session's start; `status` None where no octet of it was sent.

    `octets`: which octets of the status were sent (one bit each, status lowest); `crc`: whether it carried a CRC.
    """

    glucose: Number
    offset_min: int
    status: int | None = None
    octets: int = 0
    trend: Number | None = None
    quality: Number | None = None
    crc: bool = False


@dataclass(frozen=True, slots=True)
class SessionStart:
    """When the sensor was started: local time, zone in quarters of an hour (-128: unknown), DST offset as sent."""

    time: DeviceTime
    zone: int
    dst: int
    crc: bool = False

    def at(self, offset_min: int) -> datetime | None:
        """Return the local time of a record; None where a part of the start is unknown."""
        start = self.time.complete()
        try:
            return start + timedelta(minutes=offset_min) if start else None
        except OverflowError:  # the year 9999
            return None


@dataclass(frozen=True, slots=True)
class Procedure:
    """A request or an answer of the control point: `op` and its operand as sent."""

    op: int
    operand: bytes = b""


def crc(data: bytes) -> int:
    """Return the E2E-CRC of bytes: CRC-16 with x^16+x^12+x^5+1, least bit first, from 0xFFFF (CGMS 1.0, §3.11)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value


def parse(data: bytes) -> tuple[Record, ...]:
    """Return the records in the bytes of 0x2AA7; ValueError names the byte that is wrong, a CRC included."""
    records: list[Record] = []
    at = 0
    while at < len(data):
        size = data[at]
        if size < 6 or at + size > len(data):
            raise ValueError(f"byte {at}: a record of {size} in {len(data) - at} left")
        records.append(_record(data, at, at + size))
        at += size
    if not records:
        raise ValueError("byte 0: no record")
    return tuple(records)


def _record(data: bytes, start: int, end: int) -> Record:
    packet = Packet(data[:end], start + 1)
    flags = Flag(packet.unsigned(1, "flags") & 0xE3)
    glucose, offset_min = packet.sfloat("concentration"), packet.unsigned(2, "time offset")
    status = octets = 0
    for i, (flag, shift) in enumerate(_OCTETS):
        if flag in flags:
            status |= packet.unsigned(1, "status") << shift
            octets |= 1 << i
    trend = packet.sfloat("trend") if Flag.TREND in flags else None
    quality = packet.sfloat("quality") if Flag.QUALITY in flags else None
    protected = end - packet.at == _CRC
    if protected:
        _check(data, start, end - _CRC)
        packet.at = end
    packet.end(f"the flags 0x{data[start + 1]:02x}")
    return Record(glucose, offset_min, status if octets else None, octets, trend, quality, protected)


def _check(data: bytes, start: int, at: int) -> None:
    sent, own = int.from_bytes(data[at : at + _CRC], "little"), crc(data[start:at])
    if sent != own:
        raise ValueError(f"byte {at}: CRC 0x{sent:04x} where the bytes have 0x{own:04x}")


def encode(records: tuple[Record, ...]) -> bytes:
    """Return the bytes of 0x2AA7 that `parse` reads back as `records`."""
    return b"".join(_bytes(it) for it in records)


def _bytes(it: Record) -> bytes:
    flags, tail = Flag(0), b""
    for i, (flag, shift) in enumerate(_OCTETS):
        if it.octets & 1 << i:
            flags, tail = flags | flag, tail + bytes([(it.status or 0) >> shift & 0xFF])
    pairs: tuple[tuple[Flag, Number | None], ...] = ((Flag.TREND, it.trend), (Flag.QUALITY, it.quality))
    for flag, value in pairs:
        if value is not None:
            flags, tail = flags | flag, tail + sfloat(value)
    body = bytes([flags]) + sfloat(it.glucose) + unsigned(it.offset_min, 2, "offset_min") + tail
    return _protected(bytes([1 + len(body) + (_CRC if it.crc else 0)]) + body, it.crc)


def _protected(data: bytes, wanted: bool) -> bytes:
    return data + crc(data).to_bytes(_CRC, "little") if wanted else data


def parse_session_start(data: bytes) -> SessionStart:
    """Return the start in the bytes of 0x2AAA; ValueError names the byte that is wrong, a CRC included."""
    packet = Packet(data)
    time, zone, dst = packet.time(), packet.signed(1, "time zone"), packet.unsigned(1, "DST offset")
    protected = len(data) - packet.at == _CRC
    if protected:
        _check(data, 0, packet.at)
        packet.at = len(data)
    packet.end("a session start and its CRC")
    return SessionStart(time, zone, dst, protected)


def encode_session_start(it: SessionStart) -> bytes:
    """Return the bytes of 0x2AAA that `parse_session_start` reads back as `it`."""
    return _protected(date_time.encode(it.time) + signed(it.zone, 1, "zone") + unsigned(it.dst, 1, "dst"), it.crc)


def parse_procedure(data: bytes, *, protected: bool) -> Procedure:
    """Return what the bytes of 0x2AAC say; `protected`: the sensor's features announce a CRC. ValueError otherwise."""
    end = len(data) - (_CRC if protected else 0)
    if end < 1:
        raise ValueError(f"byte {len(data)}: the op code and its CRC are missing")
    if protected:
        _check(data, 0, end)
    return Procedure(data[0], data[1:end])


def encode_procedure(it: Procedure, *, protected: bool) -> bytes:
    """Return the bytes of 0x2AAC that `parse_procedure` reads back as `it`."""
    return _protected(unsigned(it.op, 1, "op") + it.operand, protected)
