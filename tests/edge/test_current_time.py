from datetime import datetime

import pytest
from feldsher_edge.ble.current_time import CurrentTime, LocalTime, Reason, encode, of, parse, parse_local
from feldsher_edge.ble.date_time import DeviceTime


def test_a_clock_to_the_256th_of_a_second():
    moment = datetime(2026, 11, 23, 1, 2, 3, 500_000)  # noqa: DTZ001 - a device's local time
    it = of(moment)
    assert it == CurrentTime(DeviceTime(2026, 11, 23, 1, 2, 3), 1, 128, Reason.EXTERNAL_REFERENCE)
    assert encode(it).hex() == "ea070b17010203018002"


def test_offsets_of_zone_and_summer():
    assert parse_local(bytes.fromhex("0c04")) == LocalTime(12, 4)
    assert parse_local(bytes.fromhex("80ff")) == LocalTime(-128, 255)


@pytest.mark.parametrize(
    ("raw", "byte"), [("ea070b17010203", 7), ("ea070b17010203080000", 7), ("ea070b1701020301800200", 10)]
)
def test_what_is_wrong_with_a_clock_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))


@pytest.mark.parametrize(("raw", "byte"), [("0c", 1), ("3904", 0), ("0c03", 1), ("0c0400", 2)])
def test_what_is_wrong_with_offsets_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse_local(bytes.fromhex(raw))
