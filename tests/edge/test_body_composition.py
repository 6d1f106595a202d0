from decimal import Decimal

import pytest
from feldsher_edge.ble.body_composition import BodyComposition, belonging, parse
from feldsher_edge.ble.date_time import DeviceTime


def test_fat_water_and_impedance():
    it = parse(bytes.fromhex("0403" + "dc00" + "01" + "e02e" + "8813"))
    assert it == BodyComposition(False, Decimal("22.0"), user=1, water=Decimal("60.000"), impedance=Decimal("500.0"))


def test_the_second_packet_belongs_to_the_user_and_time_of_the_first():
    first = BodyComposition(False, Decimal("22.0"), DeviceTime(2026, 11, 23, 1, 2, 3), user=1, more=True)
    second = BodyComposition(False, "nan", weight=Decimal("71.000"), more=True)
    it = belonging(first, second)
    assert (it.time, it.user, it.weight) == (first.time, 1, Decimal("71.000"))


def test_packets_of_two_people_do_not_belong_together():
    first = BodyComposition(False, Decimal(20), user=1, more=True)
    with pytest.raises(ValueError, match="the second packet is of user 2, the first of 1"):
        belonging(first, BodyComposition(False, "nan", user=2, more=True))
    with pytest.raises(ValueError, match="other units"):
        belonging(first, BodyComposition(True, "nan", more=True))


@pytest.mark.parametrize(("raw", "byte"), [("", 0), ("00", 1), ("0000dc", 3), ("0002dc00", 4), ("0000dc0000", 4)])
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))
