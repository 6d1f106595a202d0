from decimal import Decimal

import pytest
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.oximeter import (
    Continuous,
    Features,
    Pair,
    Sensor,
    Spot,
    Status,
    parse_continuous,
    parse_features,
    parse_spot,
)


def test_a_spot_check_with_all_that_it_can_say():
    it = parse_spot(bytes.fromhex("1f 6100 4800 ea070b17010203 2001 200000 1ef0".replace(" ", "")))
    assert it == Spot(
        Pair(Decimal(97), Decimal(72)),
        DeviceTime(2026, 11, 23, 1, 2, 3),
        Status.ONGOING | Status.FULLY_QUALIFIED,
        Sensor.LOW_PERFUSION,
        Decimal("3.0"),
        clock_not_set=True,
    )


def test_a_finger_that_is_not_there_has_no_saturation():
    it = parse_continuous(bytes.fromhex("08 ff07 ff07 000800".replace(" ", "")))
    assert it == Continuous(Pair("nan", "nan"), sensor=Sensor.NOT_ON_USER)


def test_fast_and_slow_averages_stand_beside_the_normal_one():
    it = parse_continuous(bytes.fromhex("036100480060004a0062004700"))
    assert (it.fast, it.slow) == (Pair(Decimal(96), Decimal(74)), Pair(Decimal(98), Decimal(71)))


def test_features_say_which_status_bits_are_used():
    assert parse_features(bytes.fromhex("0b00e0012000ff")) == Features(0x0B, 0x01E0, 0xFF0020)


@pytest.mark.parametrize(("raw", "byte"), [("", 0), ("006100", 3), ("02610048000a", 6), ("00610048000a", 5)])
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse_spot(bytes.fromhex(raw))
