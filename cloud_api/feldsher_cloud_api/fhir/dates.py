"""FHIR dates: partial dates are ranges, offsets are kept as sent, microseconds survive."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, cast

from psycopg.types.range import TimestamptzRange

MICROSECOND = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC)
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?")


@lru_cache(1 << 14)
def parse(text: str) -> tuple[datetime, datetime]:
    """Return the first moment of a FHIR date, dateTime or instant and the first one after it; ValueError if it is none.

    Without an offset UTC is meant. Source: http://hl7.org/fhir/R4/search.html#date (precision makes a range).
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a FHIR date")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    zone = _zone(offset)
    start = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), tzinfo=zone)
    if second is not None:
        start = start.replace(second=int(second), microsecond=int((fraction or "0")[:6].ljust(6, "0")))
    try:
        return start, _end(start, match)
    except (ValueError, OverflowError):  # the last year, day or second that there is
        return start, _LAST


def _end(start: datetime, match: re.Match[str]) -> datetime:
    _, month, day, hour, _, second, fraction, _ = match.groups()
    if fraction is not None:
        return start + timedelta(microseconds=10 ** (6 - min(len(fraction), 6)))
    if second is not None:
        return start + timedelta(seconds=1)
    if hour is not None:
        return start + timedelta(minutes=1)
    if day is not None:
        return start + timedelta(days=1)
    if month is not None:
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start.replace(year=start.year + 1)


@lru_cache(256)
def _zone(offset: str | None) -> timezone:
    if offset is None or offset == "Z":
        return UTC
    sign = -1 if offset[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6])))


def spans(value: Any) -> TimestamptzRange:
    """Return a date, dateTime, instant or Period element as a range; an open end of a Period is unbounded."""
    if isinstance(value, str):
        low, high = parse(value)
        return TimestamptzRange(low, high, "[)")
    period = cast("dict[str, str]", value)
    start, end = period.get("start"), period.get("end")
    return TimestamptzRange(parse(start)[0] if start else None, parse(end)[1] if end else None, "[)")


def render(at: datetime) -> str:
    """Return a moment as FHIR dateTime with microseconds and its own offset (`Z` for UTC)."""
    text = at.isoformat(timespec="microseconds")
    return text[:-6] + "Z" if text.endswith("+00:00") else text
