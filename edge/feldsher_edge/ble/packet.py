"""The bytes of one Bluetooth characteristic, read field by field in order; every error names the byte it met.

The layouts of health characteristics are a byte of flags and then the fields that the flags announce, without gaps. A
reader therefore only ever moves forward, and `end` refuses what nothing has announced.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number, decode_float, decode_sfloat, encode_float, encode_sfloat

UNSUCCESSFUL: Final = 0xFFFF
"""What scales send in the place of a weight or a share: "measurement unsuccessful" (GATT Specification Supplement)."""


class Packet:
    """A value being read: each method returns the next field and moves on; ValueError names a byte that is missing."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def _take(self, size: int, name: str) -> bytes:
        start = self.at
        if len(self.data) < start + size:
            raise ValueError(f"byte {len(self.data)}: the {name} from byte {start} needs {size}")
        self.at += size
        return self.data[start : start + size]

    def unsigned(self, size: int, name: str) -> int:
        """Return an unsigned integer of `size` bytes, little endian."""
        return int.from_bytes(self._take(size, name), "little")

    def signed(self, size: int, name: str) -> int:
        """Return a signed integer of `size` bytes, little endian."""
        return int.from_bytes(self._take(size, name), "little", signed=True)

    def sfloat(self, name: str) -> Number:
        """Return a 16-bit IEEE 11073 number."""
        return decode_sfloat(self._take(2, name))

    def float(self, name: str) -> Number:
        """Return a 32-bit IEEE 11073 number."""
        return decode_float(self._take(4, name))

    def time(self) -> DeviceTime:
        """Return a Date Time of seven bytes."""
        value = date_time.decode(self.data, self.at)
        self.at += date_time.SIZE
        return value

    def scaled(self, step: Decimal, name: str) -> Number:
        """Return a 16-bit unsigned integer times `step`; NaN where the device says that the measurement failed."""
        raw = self.unsigned(2, name)
        return "nan" if raw == UNSUCCESSFUL else raw * step

    def rest(self) -> bytes:
        """Return all that is left."""
        return self._take(len(self.data) - self.at, "rest")

    def end(self, announced: str) -> None:
        """Raise ValueError where bytes are left beyond what `announced` announces."""
        if self.at != len(self.data):
            raise ValueError(f"byte {self.at}: {len(self.data) - self.at} more than {announced} announce")


def unsigned(value: int, size: int, name: str) -> bytes:
    """Return an unsigned integer in `size` bytes, little endian; ValueError where it does not fit."""
    return _integer(value, size, name, signed=False)


def signed(value: int, size: int, name: str) -> bytes:
    """Return a signed integer in `size` bytes, little endian; ValueError where it does not fit."""
    return _integer(value, size, name, signed=True)


def _integer(value: int, size: int, name: str, *, signed: bool) -> bytes:
    try:
        return value.to_bytes(size, "little", signed=signed)
    except OverflowError as error:
        raise ValueError(f"{name}: {value} does not fit {size} bytes") from error


def scaled(value: Number, step: Decimal, name: str) -> bytes:
    """Return a number in steps of `step` as a 16-bit integer; ValueError where it is none of them."""
    if isinstance(value, str):
        return unsigned(UNSUCCESSFUL, 2, name)
    steps = value / step
    if steps != steps.to_integral_value() or steps == UNSUCCESSFUL:
        raise ValueError(f"{name}: {value} is no step of {step}")
    return unsigned(int(steps), 2, name)


sfloat = encode_sfloat
float32 = encode_float
