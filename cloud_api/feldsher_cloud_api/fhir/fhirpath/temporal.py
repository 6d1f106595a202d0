"""Dates, date-times and times of FHIRPath: partial ones stay partial, and what precision cannot decide is open."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Literal

Kind = Literal["Date", "DateTime", "Time"]
_WRITTEN = re.compile(
    r"(?:(\d{4})(?:-(\d\d)(?:-(\d\d))?)?)?(?:(T)(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?(Z|[+-]\d\d:\d\d)?)?"
)
_CALENDAR = {"year": 0, "month": 1, "week": 2, "day": 2, "hour": 3, "minute": 4, "second": 5, "millisecond": 6}


@dataclass(frozen=True, slots=True)
class Temporal:
    """Year to second as far as they are said; `second` has its fraction; `zone` in minutes, None where not said."""

    kind: Kind
    parts: tuple[int | Decimal, ...]
    zone: int | None = None

    def __str__(self) -> str:
        """Return it as it is written."""
        if self.kind == "Time":
            return _clock(self.parts)
        day = "-".join(f"{part:04d}" if i == 0 else f"{part:02d}" for i, part in enumerate(self.parts[:3]))
        if self.kind == "Date":
            return day
        clock = "T" + _clock(self.parts[3:]) if len(self.parts) > 3 else "T" if len(self.parts) < 3 else ""
        return day + clock + _zone(self.zone if len(self.parts) > 3 else None)


def _clock(parts: tuple[int | Decimal, ...]) -> str:
    return ":".join(f"{part:02d}" if isinstance(part, int) else f"{'0' * (part < 10)}{part}" for part in parts)


def _zone(minutes: int | None) -> str:
    if minutes is None:
        return ""
    return "Z" if minutes == 0 else f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def parse(text: str, kind: Kind | None = None) -> Temporal | None:
    """Return what FHIR or FHIRPath writes as a date, date-time or (`T12:00` or kind Time) time; None if it is none."""
    match = _WRITTEN.fullmatch("T" + text if kind == "Time" and not text.startswith("T") else text)
    if match is None or not text:
        return None
    year, month, day, t, hour, minute, second, fraction, zone = match.groups()
    said = [int(p) for p in (year, month, day) if p is not None]
    clock: list[int | Decimal] = [int(p) for p in (hour, minute) if p is not None]
    if second is not None:
        clock.append(Decimal(f"{int(second)}.{fraction}") if fraction else int(second))
    if clock and said and len(said) < 3:
        return None
    found: Kind = kind or ("Time" if not said else "DateTime" if t else "Date")
    if (found == "Time") != (not said) or (found == "Date" and t):
        return None
    offset = None if zone is None else 0 if zone == "Z" else _minutes(zone)
    made = Temporal(found, (*said, *clock), offset)
    return made if _possible(made) else None


def _minutes(zone: str) -> int:
    return (-1 if zone[0] == "-" else 1) * (int(zone[1:3]) * 60 + int(zone[4:6]))


def _possible(it: Temporal) -> bool:
    parts = it.parts if it.kind != "Time" else (2000, 1, 1, *it.parts)
    limits = ((1, 9999), (1, 12), (1, 31), (0, 23), (0, 59), (0, 59))
    if not all(low <= part < high + 1 for part, (low, high) in zip(parts, limits, strict=False)):
        return False
    return len(parts) < 3 or parts[2] <= monthrange(int(parts[0]), int(parts[1]))[1]


def _moved(it: Temporal) -> tuple[int | Decimal, ...]:
    """Return the parts in UTC, where there is a zone to move from and a time to move."""
    if it.kind != "DateTime" or len(it.parts) < 5 or not it.zone:
        return it.parts
    year, month, day, hour, minute, *rest = it.parts
    zone = timezone(timedelta(minutes=it.zone))
    try:
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=zone).astimezone(UTC)
    except OverflowError:  # the first or last hours of the calendar
        return it.parts
    return (at.year, at.month, at.day, at.hour, at.minute, *rest)


def compare(a: Temporal, b: Temporal) -> int | None:
    """Return -1, 0 or 1 as a is before, at or after b; None where precision, or a zone said once, leaves it open."""
    timed = len(a.parts) > 3 and len(b.parts) > 3 and "Time" not in (a.kind, b.kind)
    if timed and (a.zone is None) != (b.zone is None):
        return None
    left, right = _moved(a), _moved(b)
    for x, y in zip(left, right, strict=False):
        if x != y:
            return -1 if x < y else 1
    return 0 if len(left) == len(right) else None


def plus(it: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """Return a moment so many calendar units later; None where it leaves the calendar or a time has no such unit."""
    place = _CALENDAR[unit]
    whole = int(amount) * (7 if unit == "week" else 1)
    if it.kind == "Time":
        return None if place < 3 else _time_plus(it, amount, unit)
    if place < 2:
        return _months(it, whole * (12 if place == 0 else 1))
    span = _span(amount if unit in ("second", "millisecond") else Decimal(whole), "day" if unit == "week" else unit)
    return _shifted(it, span)


def _months(it: Temporal, months: int) -> Temporal | None:
    if len(it.parts) == 1:
        months = int(months / 12) * 12  # less than a year does not show in a year
    year, month = int(it.parts[0]), int(it.parts[1]) if len(it.parts) > 1 else 1
    total = year * 12 + month - 1 + months
    year, month = total // 12, total % 12 + 1
    if not 1 <= year <= 9999:
        return None
    parts: list[int | Decimal] = [year, month, *it.parts[2:]]
    if len(it.parts) > 2:
        parts[2] = min(int(it.parts[2]), monthrange(year, month)[1])
    return Temporal(it.kind, tuple(parts[: len(it.parts)]), it.zone)


def _span(amount: Decimal, unit: str) -> timedelta:
    seconds = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1, "millisecond": Decimal("0.001")}[unit]
    return timedelta(microseconds=int(amount * seconds * 1_000_000))


def _shifted(it: Temporal, span: timedelta) -> Temporal | None:
    n = len(it.parts)
    if n < 3:  # in whole years or months of 365 and 30 days, as the specification says
        days = span.days if span.days >= 0 else -((-span).days)
        return _months(it, int(days / 365) * 12 if n == 1 else int(days / 30))
    fields = [int(p) for p in it.parts[:6]]
    fraction = Decimal(it.parts[5]) % 1 if n > 5 else Decimal(0)
    try:
        at = datetime(fields[0], fields[1], fields[2], tzinfo=UTC) + span
        for part, name in zip(fields[3:], ("hours", "minutes", "seconds"), strict=False):
            at += timedelta(**{name: part})
        at += timedelta(microseconds=int(fraction * 1_000_000))
    except OverflowError:
        return None
    return Temporal(it.kind, _fields(at, it), it.zone)


def _fields(at: datetime, like: Temporal) -> tuple[int | Decimal, ...]:
    second: int | Decimal = at.second
    digits = -int(Decimal(like.parts[5]).as_tuple().exponent) if len(like.parts) > 5 else 0
    if digits or at.microsecond:
        micro = Decimal(at.microsecond) / 1_000_000
        second = (Decimal(at.second) + micro).quantize(Decimal(1).scaleb(-max(digits, 3)))
    return (at.year, at.month, at.day, at.hour, at.minute, second)[: len(like.parts)]


def _time_plus(it: Temporal, amount: Decimal, unit: str) -> Temporal:
    day = Temporal("DateTime", (2000, 1, 1, *it.parts))
    moved = _shifted(day, _span(amount if unit in ("second", "millisecond") else Decimal(int(amount)), unit))
    assert moved is not None  # noqa: S101 - the year 2000 is far from the calendar's ends
    return Temporal("Time", moved.parts[3:], None)
