"""Pulse oximeters: spot-check (0x2A5E), continuous (0x2A5F), features (0x2A60); bytes to frozen dataclasses and back.

Layouts: Bluetooth GATT Specification Supplement, "PLX Spot-Check Measurement", "PLX Continuous Measurement", "PLX
Features". Flag bits 5 to 7 are reserved and ignored. Saturation in percent, pulse per minute, amplitude in percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.ble.packet import Packet, sfloat, unsigned


class SpotFlag(IntFlag):
    """The first byte of a spot-check."""

    TIME = 0x01
    STATUS = 0x02
    SENSOR = 0x04
    AMPLITUDE = 0x08
    CLOCK_NOT_SET = 0x10


class ContinuousFlag(IntFlag):
    """The first byte of a continuous measurement."""

    FAST = 0x01
    SLOW = 0x02
    STATUS = 0x04
    SENSOR = 0x08
    AMPLITUDE = 0x10


_OF_SPOT = (SpotFlag.STATUS, SpotFlag.SENSOR, SpotFlag.AMPLITUDE)
_OF_CONTINUOUS = (ContinuousFlag.STATUS, ContinuousFlag.SENSOR, ContinuousFlag.AMPLITUDE)


class Status(IntFlag):
    """Measurement Status: what the device says of the value. Bits 0 to 4 are reserved."""

    ONGOING = 0x0020
    EARLY_ESTIMATE = 0x0040
    VALIDATED = 0x0080
    FULLY_QUALIFIED = 0x0100
    FROM_STORAGE = 0x0200
    DEMONSTRATION = 0x0400
    TESTING = 0x0800
    CALIBRATION = 0x1000
    UNAVAILABLE = 0x2000
    QUESTIONABLE = 0x4000
    INVALID = 0x8000


class Sensor(IntFlag):
    """Device and Sensor Status. Bits 16 to 23 are reserved."""

    EXTENDED_DISPLAY_UPDATE = 0x0001
    MALFUNCTION = 0x0002
    SIGNAL_IRREGULAR = 0x0004
    SIGNAL_INADEQUATE = 0x0008
    SIGNAL_POOR = 0x0010
    LOW_PERFUSION = 0x0020
    SIGNAL_ERRATIC = 0x0040
    NON_PULSATILE = 0x0080
    PULSE_QUESTIONABLE = 0x0100
    ANALYSIS_ONGOING = 0x0200
    INTERFERENCE = 0x0400
    NOT_ON_USER = 0x0800
    UNKNOWN_SENSOR = 0x1000
    DISPLACED = 0x2000
    SENSOR_MALFUNCTION = 0x4000
    DISCONNECTED = 0x8000


@dataclass(frozen=True, slots=True)
class Pair:
    """A saturation and the pulse measured with it."""

    saturation: Number
    pulse: Number


@dataclass(frozen=True, slots=True)
class Spot:
    """One spot-check. `clock_not_set`: the device itself says that its time is not right."""

    values: Pair
    time: DeviceTime | None = None
    status: int | None = None
    sensor: int | None = None
    amplitude: Number | None = None
    clock_not_set: bool = False


@dataclass(frozen=True, slots=True)
class Continuous:
    """One value of a running measurement, averaged normally, and where the device gives them fast and slowly too."""

    values: Pair
    fast: Pair | None = None
    slow: Pair | None = None
    status: int | None = None
    sensor: int | None = None
    amplitude: Number | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """What an oximeter can do: the bits of 0x2A60, and which status bits it uses where it says so."""

    bits: int
    status: int | None = None
    sensor: int | None = None


def parse_spot(data: bytes) -> Spot:
    """Return the spot-check in the bytes of 0x2A5E; ValueError names the byte that is missing or too many."""
    packet = Packet(data)
    flags = SpotFlag(packet.unsigned(1, "flags") & 0x1F)
    values = _pair(packet)
    time = packet.time() if SpotFlag.TIME in flags else None
    it = Spot(values, time, *_state(packet, flags, _OF_SPOT), SpotFlag.CLOCK_NOT_SET in flags)
    packet.end(f"the flags 0x{data[0]:02x}")
    return it


def encode_spot(it: Spot) -> bytes:
    """Return the bytes of 0x2A5E that `parse_spot` reads back as `it`."""
    flags = SpotFlag.CLOCK_NOT_SET if it.clock_not_set else SpotFlag(0)
    body = _pair_bytes(it.values)
    if it.time is not None:
        flags, body = flags | SpotFlag.TIME, body + date_time.encode(it.time)
    more, state = _state_bytes(it, _OF_SPOT)
    return bytes([flags | more]) + body + state


def parse_continuous(data: bytes) -> Continuous:
    """Return the value in the bytes of 0x2A5F; ValueError names the byte that is missing or too many."""
    packet = Packet(data)
    flags = ContinuousFlag(packet.unsigned(1, "flags") & 0x1F)
    values = _pair(packet)
    fast = _pair(packet) if ContinuousFlag.FAST in flags else None
    slow = _pair(packet) if ContinuousFlag.SLOW in flags else None
    it = Continuous(values, fast, slow, *_state(packet, flags, _OF_CONTINUOUS))
    packet.end(f"the flags 0x{data[0]:02x}")
    return it


def encode_continuous(it: Continuous) -> bytes:
    """Return the bytes of 0x2A5F that `parse_continuous` reads back as `it`."""
    flags, body = ContinuousFlag(0), _pair_bytes(it.values)
    for flag, pair in ((ContinuousFlag.FAST, it.fast), (ContinuousFlag.SLOW, it.slow)):
        if pair is not None:
            flags, body = flags | flag, body + _pair_bytes(pair)
    more, state = _state_bytes(it, _OF_CONTINUOUS)
    return bytes([flags | more]) + body + state


def parse_features(data: bytes) -> Features:
    """Return the features in the bytes of 0x2A60; ValueError names the byte that is missing or too many."""
    packet = Packet(data)
    bits = packet.unsigned(2, "features")
    status = packet.unsigned(2, "measurement status support") if bits & 0x01 else None
    sensor = packet.unsigned(3, "sensor status support") if bits & 0x02 else None
    packet.end(f"the features 0x{bits:04x}")
    return Features(bits, status, sensor)


def encode_features(it: Features) -> bytes:
    """Return the bytes of 0x2A60 that `parse_features` reads back as `it`."""
    bits = it.bits & ~0x03 | (it.status is not None) | (it.sensor is not None) << 1
    body = unsigned(bits, 2, "features")
    body += b"" if it.status is None else unsigned(it.status, 2, "status")
    return body + (b"" if it.sensor is None else unsigned(it.sensor, 3, "sensor"))


def _state(packet: Packet, flags: int, bits: tuple[int, int, int]) -> tuple[int | None, int | None, Number | None]:
    """Return status, sensor status and amplitude, which both measurements end with, each where its bit is set."""
    status, sensor, amplitude = (bool(flags & bit) for bit in bits)
    return (
        packet.unsigned(2, "measurement status") if status else None,
        packet.unsigned(3, "sensor status") if sensor else None,
        packet.sfloat("amplitude") if amplitude else None,
    )


def _state_bytes(it: Spot | Continuous, bits: tuple[int, int, int]) -> tuple[int, bytes]:
    """Return the flags of what `_state` reads back, and its bytes."""
    parts = (
        None if it.status is None else unsigned(it.status, 2, "status"),
        None if it.sensor is None else unsigned(it.sensor, 3, "sensor"),
        None if it.amplitude is None else sfloat(it.amplitude),
    )
    flags = sum(bit for bit, part in zip(bits, parts, strict=True) if part is not None)
    return flags, b"".join(part or b"" for part in parts)


def _pair(packet: Packet) -> Pair:
    return Pair(packet.sfloat("saturation"), packet.sfloat("pulse"))


def _pair_bytes(it: Pair) -> bytes:
    return sfloat(it.saturation) + sfloat(it.pulse)
