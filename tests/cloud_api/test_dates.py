"""FHIR dates as ranges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from feldsher_cloud_api.fhir import dates
from hypothesis import given
from hypothesis import strategies as st

_FIRST, _LAST = (datetime.fromisoformat(f"{year}-01-01") for year in (1900, 2200))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", "2024-01-01T00:00:00+00:00", "2025-01-01T00:00:00+00:00"),
        ("2024-12", "2024-12-01T00:00:00+00:00", "2025-01-01T00:00:00+00:00"),
        ("2024-02-29", "2024-02-29T00:00:00+00:00", "2024-03-01T00:00:00+00:00"),
        ("2024-02-29T10:20", "2024-02-29T10:20:00+00:00", "2024-02-29T10:21:00+00:00"),
        ("2024-02-29T10:20:30Z", "2024-02-29T10:20:30+00:00", "2024-02-29T10:20:31+00:00"),
        ("2024-02-29T10:20:30-03:30", "2024-02-29T13:50:30+00:00", "2024-02-29T13:50:31+00:00"),
        ("2024-02-29T10:20:30.5Z", "2024-02-29T10:20:30.500000+00:00", "2024-02-29T10:20:30.600000+00:00"),
        ("2024-02-29T10:20:30.123456Z", "2024-02-29T10:20:30.123456+00:00", "2024-02-29T10:20:30.123457+00:00"),
    ],
)
def test_precision_makes_a_range(text: str, low: str, high: str) -> None:
    assert dates.parse(text) == (datetime.fromisoformat(low), datetime.fromisoformat(high))


@pytest.mark.parametrize(
    "text", ["", "24", "2024-13", "2023-02-29", "2024-1-1", "2024-01-01T", "now", "2024-01-01 10:00"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        dates.parse(text)


@given(st.datetimes(min_value=_FIRST, max_value=_LAST), st.integers(-12 * 60, 14 * 60))
def test_rendered_moment_reads_back_to_the_microsecond(at: datetime, minutes: int) -> None:
    moment = at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    low, high = dates.parse(dates.render(moment))
    assert low == moment
    assert low.utcoffset() == moment.utcoffset()
    assert high - low == timedelta(microseconds=1)


def test_open_period_is_unbounded() -> None:
    span = dates.spans({"start": "2024-01-01"})
    assert (span.lower, span.upper) == (datetime(2024, 1, 1, tzinfo=UTC), None)
