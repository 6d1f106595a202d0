from datetime import UTC, datetime

import pytest
from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from hypothesis import given
from hypothesis import strategies as st

TIMES = st.builds(
    DeviceTime,
    year=st.just(0) | st.integers(1582, 9999),
    month=st.integers(0, 12),
    day=st.integers(0, 31),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    second=st.integers(0, 59),
)


@given(TIMES)
def test_round_trip(time: DeviceTime):
    assert date_time.decode(date_time.encode(time)) == time


def test_by_hand():
    time = date_time.decode(bytes.fromhex("ea070b17010203"))
    assert str(time) == "2026-11-23T01:02:03"
    assert time.complete() == datetime(2026, 11, 23, 1, 2, 3)  # noqa: DTZ001 - local, as sent
    assert date_time.of(datetime(2026, 11, 23, 1, 2, 3, 999, tzinfo=UTC)) == time


@pytest.mark.parametrize("time", [DeviceTime(0, 4, 17, 20, 41, 59), DeviceTime(2026, 2, 31, 0, 0, 0)])
def test_an_unknown_part_or_an_impossible_day_is_no_moment(time: DeviceTime):
    assert time.complete() is None
    assert str(time)[5:7] == f"{time.month:02}"


@pytest.mark.parametrize(
    ("raw", "byte"),
    [("0100010101 0101", 0), ("ea070d01000000", 2), ("ea070120 000000", 3), ("ea070101180000", 4), ("ea0701010000", 6)],
)
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}"):
        date_time.decode(bytes.fromhex(raw))
