from decimal import Decimal

import pytest
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.thermometer import Site, Temperature, parse


def test_a_fever_with_time_and_site():
    it = parse(bytes.fromhex("06 830100ff ea070b17010203 06".replace(" ", "")))
    assert it == Temperature("Cel", Decimal("38.7"), DeviceTime(2026, 11, 23, 1, 2, 3), Site.MOUTH)


def test_fahrenheit_stays_fahrenheit():
    assert parse(bytes.fromhex("01da0300ff")) == Temperature("[degF]", Decimal("98.6"))


def test_a_failed_measurement_is_no_number():
    assert parse(bytes.fromhex("00ffff7f00")).value == "nan"


@pytest.mark.parametrize(("raw", "byte"), [("", 0), ("008301", 3), ("04830100ff", 5), ("00830100ff00", 5)])
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))
