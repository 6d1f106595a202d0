"""The Date Time of Bluetooth health devices (0x2A08, also inside measurements): seven bytes, 0 for an unknown part."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime

SIZE = 7
_FORM = struct.Struct("<HBBBBB")
# Bluetooth GATT Specification Supplement, "Date Time": name, lowest, highest; in the date's parts 0 is unknown.
_RANGES = (
    ("year", 1582, 9999),
    ("month", 1, 12),
    ("day", 1, 31),
    ("hours", 0, 23),
    ("minutes", 0, 59),
    ("seconds", 0, 59),
)
_OFFSETS = (0, 2, 3, 4, 5, 6)
_DATE_PARTS = 3


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """A device's own local time as sent; `year`, `month` and `day` are 0 where the device does not know them."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int

    def __str__(self) -> str:
        """Return the parts as sent in the form of ISO 8601, zeros included: what a reading's id is made of."""
        return f"{self.year:04}-{self.month:02}-{self.day:02}T{self.hour:02}:{self.minute:02}:{self.second:02}"

    def complete(self) -> datetime | None:
        """Return the naive local time, or None where a part is unknown or the day does not exist."""
        try:
            return datetime(self.year, self.month, self.day, self.hour, self.minute, self.second)  # noqa: DTZ001 - local, as sent
        except ValueError:
            return None


def decode(data: bytes, at: int = 0) -> DeviceTime:
    """Return the Date Time at byte `at`; ValueError names the byte that is missing or out of range."""
    if len(data) < at + SIZE:
        raise ValueError(f"byte {len(data)}: the time from byte {at} needs {SIZE} bytes")
    parts = _FORM.unpack_from(data, at)
    for i, (value, (name, low, high)) in enumerate(zip(parts, _RANGES, strict=True)):
        unknown = value == 0 and i < _DATE_PARTS
        if not unknown and not low <= value <= high:
            raise ValueError(f"byte {at + _OFFSETS[i]}: {name} {value} is not {low} to {high}")
    return DeviceTime(*parts)


def encode(time: DeviceTime) -> bytes:
    """Return the seven bytes of a time."""
    return _FORM.pack(time.year, time.month, time.day, time.hour, time.minute, time.second)


def of(moment: datetime) -> DeviceTime:
    """Return a moment's wall time as a device would show it; fractions of a second are cut off."""
    return DeviceTime(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
