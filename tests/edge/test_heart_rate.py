from decimal import Decimal

import pytest
from feldsher_edge.ble.heart_rate import HeartRate, milliseconds, parse


def test_a_belt_with_rr_intervals():
    # Captured from a virtual belt through BlueZ (research/edge.md, tier A): 61 per minute, 1023 and 1014 of 1/1024 s.
    assert parse(bytes.fromhex("163dff03f603")) == HeartRate(61, contact=True, rr=(1023, 1014))


def test_contact_is_known_only_where_the_sensor_can_tell():
    assert [parse(bytes([flags, 60])).contact for flags in (0x00, 0x02, 0x04, 0x06)] == [None, None, False, True]


def test_a_wide_rate_and_the_energy():
    assert parse(bytes.fromhex("092c011027")) == HeartRate(300, energy=10_000)


def test_intervals_in_milliseconds():
    assert [milliseconds(rr) for rr in (1024, 1, 0)] == [Decimal("1000.0"), Decimal("1.0"), Decimal("0.0")]


@pytest.mark.parametrize(
    ("raw", "byte"), [("", 0), ("00", 1), ("01aa", 2), ("0a3c01", 3), ("103c01", 3), ("003c01", 2)]
)
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))
