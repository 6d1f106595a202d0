from decimal import Decimal

import pytest
from feldsher_edge.ble.weight import Weight, encode, parse


def test_kilograms_in_steps_of_five_grams():
    it = parse(bytes.fromhex("0c" + "7837" + "02" + "ea00" + "d606"))
    assert it == Weight(False, Decimal("71.000"), user=2, bmi=Decimal("23.4"), height=Decimal("1.750"))


def test_pounds_stay_pounds():
    assert parse(bytes.fromhex("01983a")) == Weight(True, Decimal("150.00"))


def test_a_scale_that_could_not_weigh_sends_no_number():
    assert parse(bytes.fromhex("00ffff")).weight == "nan"


def test_index_and_height_come_together():
    with pytest.raises(ValueError, match="bmi, height: one without the other"):
        encode(Weight(False, Decimal(70), bmi=Decimal(22)))


@pytest.mark.parametrize(("raw", "byte"), [("", 0), ("0078", 2), ("087837ea00", 5), ("00783700", 3)])
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))
