"""From a profile's bytes to values: the profile's multiples taken out exactly, nothing else changed."""

from decimal import Decimal

import pytest
from feldsher_edge.ble import glucose, heart_rate, oximeter, weight
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.glucose import Amount, Concentration, Context, Glucose
from feldsher_edge.ble.heart_rate import HeartRate
from feldsher_edge.devices import decode

TIME = DeviceTime(2026, 11, 23, 1, 2, 3)


def said(of: decode.Measured) -> list[tuple[int, str, str]]:
    return [(value.code, str(value.value), value.unit) for value in of.values]


@pytest.mark.parametrize(
    ("value", "unit", "fluid", "expected"),
    [
        ("0.00120", "kg/L", 1, (160184, "120", "mg/dL")),
        ("0.0067", "mol/L", 2, (160188, "6.7", "mmol/L")),
        ("0.00120", "kg/L", 10, (160208, "120", "mg/dL")),
        ("0.00120", "kg/L", 15, (160364, "120", "mg/dL")),  # a reserved fluid: glucose in something
    ],
)
def test_glucose_in_the_units_of_people(value: str, unit: glucose.Unit, fluid: int, expected: tuple[int, str, str]):
    record = Glucose(7, TIME, None, Concentration(Decimal(value), unit, fluid, 1))
    (it,) = decode.Meter().record(glucose.encode(record))
    assert (said(it), it.sequence) == ([expected], 7)


def test_a_record_without_a_concentration_says_that_there_is_none():
    (it,) = decode.Meter().record(glucose.encode(Glucose(7, TIME, status=4)))
    assert (said(it), it.status) == ([(160364, "nan", "mg/dL")], 4)


def test_a_context_has_the_time_of_its_record_only():
    meter = decode.Meter()
    meter.record(glucose.encode(Glucose(7, TIME)))
    own = Context(
        7,
        carbohydrate=Amount(1, Decimal("0.030")),
        meal=2,
        tester=1,
        health=5,
        medication=Amount(1, Decimal("0.0010"), litres=True),
    )
    (it,) = meter.context(glucose.encode_context(own))
    assert said(it) == [
        (8417764, "30", "g"), (8417796, "1.0", "mL"), (8417864, "2", "1"), (8417820, "5", "1"), (8417884, "1", "1"),
    ]  # fmt: skip
    assert it.time == TIME.complete()
    (other,) = meter.context(glucose.encode_context(Context(8, meal=2)))
    assert other.time is None
    with pytest.raises(ValueError, match="byte 0: the flags announce nothing"):
        meter.context(glucose.encode_context(Context(9)))


def test_metres_become_centimetres_and_pounds_stay():
    metric = weight.Weight(False, Decimal("71.005"), bmi=Decimal("23.2"), height=Decimal("1.750"))
    assert said(decode.scale(weight.encode(metric))[0]) == [
        (188736, "71.005", "kg"), (188752, "23.2", "kg/m2"), (188740, "175.0", "cm"),
    ]  # fmt: skip
    imperial = weight.Weight(True, Decimal("150.00"), user=255)
    (it,) = decode.scale(weight.encode(imperial))
    assert (said(it), it.user) == ([(188736, "150.00", "[lb_av]")], None)


def test_intervals_lie_one_after_the_other_before_their_arrival():
    found = decode.rate(heart_rate.encode(HeartRate(60, rr=(1024, 2048, 512))))
    assert [(said(it)[-1][1], it.before_us) for it in found] == [
        ("1000.0", 2_500_000),
        ("2000.0", 500_000),
        ("500.0", 0),
    ]


def test_a_clock_that_is_not_set_has_sent_no_time():
    pair = oximeter.Pair(Decimal(97), Decimal(60))
    (it,) = decode.spot_check(oximeter.encode_spot(oximeter.Spot(pair, TIME, clock_not_set=True)))
    assert (it.time, it.status) == (None, None)


def test_an_oximeters_status_fits_31_bits():
    pair = oximeter.Pair(Decimal(97), Decimal(60))
    (it,) = decode.saturation(oximeter.encode_continuous(oximeter.Continuous(pair, status=0xFFFF, sensor=0xFFFFFF)))
    assert it.status == 2**31 - 1
