from datetime import datetime
from decimal import Decimal

import pytest
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.glucose import (
    Amount,
    Concentration,
    Context,
    Exercise,
    Fluid,
    Glucose,
    encode_context,
    parse,
    parse_context,
)


def test_a_record_with_its_offset():
    it = parse(bytes.fromhex("13 0700 ea070b17010203 c4ff 78b0 11".replace(" ", "")))
    assert it == Glucose(
        7,
        DeviceTime(2026, 11, 23, 1, 2, 3),
        -60,
        Concentration(Decimal("0.00120"), "kg/L", Fluid.CAPILLARY_WHOLE_BLOOD, 1),
        context_follows=True,
    )
    assert it.time() == datetime(2026, 11, 23, 0, 2, 3)  # noqa: DTZ001 - the meter's local time


def test_a_meter_whose_clock_was_never_set_has_no_time():
    assert parse(bytes.fromhex("000700" + "00000b17010203")).time() is None
    assert parse(bytes.fromhex("010700" + "0f270c1f173b3b" + "0100")).time() is None  # after the year 9999


def test_a_context_with_all_that_it_can_say():
    it = parse_context(bytes.fromhex("ff 0700 80 01 1ed0 02 51 080740 01 0ac0 34f0".replace(" ", "")))
    assert it == Context(
        sequence=7,
        extended=0x80,
        carbohydrate=Amount(1, Decimal("0.030")),
        meal=2,
        tester=1,
        health=5,
        exercise=Exercise(1800, 64),
        medication=Amount(1, Decimal("0.0010"), litres=True),
        hba1c=Decimal("5.2"),
    )


def test_tester_and_health_share_a_byte():
    with pytest.raises(ValueError, match="tester, health: one without the other"):
        encode_context(Context(1, tester=1))


@pytest.mark.parametrize(("raw", "byte"), [("", 0), ("000700ea070d17010203", 5), ("02" + "00" * 9 + "78b0", 12)])
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))
