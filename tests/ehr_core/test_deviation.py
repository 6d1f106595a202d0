"""Deviations: what breaks a limit, exactly, against a slow oracle and in cases that people can follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from feldsher_ehr_core.artefact import Measured
from feldsher_ehr_core.deviation import Breach, Reading, breaches, ecg_breach, missed, periods, reach
from feldsher_ehr_core.ecg import Interpretation, Measurements, Quality, Statement
from feldsher_ehr_core.monitoring import Both, Ecg, Missed, Range, Rise, Rule
from feldsher_ehr_core.vitals import DIASTOLIC, GLUCOSE_CAPILLARY, PULSE, SATURATION, SYSTOLIC, TEMPERATURE, WEIGHT
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_deviation import judge

T0 = datetime(2026, 11, 2, 8, tzinfo=UTC)
FAR = timedelta(days=400)


def value(code: int, number: str | None, unit: str, status: int = 0, absent: str | None = None) -> Measured:
    return Measured(code, None if number is None else Decimal(number), unit, absent, status)  # type: ignore[arg-type]


def at(minutes: float, *values: Measured, n: int | None = None) -> Reading:
    when = T0 + timedelta(minutes=minutes)
    return Reading(UUID(int=n if n is not None else int(minutes * 60) + 1), when, values)


def systolic(minutes: float, number: str, unit: str = "mm[Hg]", status: int = 0) -> Reading:
    return at(minutes, value(SYSTOLIC.mdc, number, unit, status))


def broken(rule: Rule, *readings: Reading, zone: str = "UTC") -> list[Breach]:
    return breaches(rule, sorted(readings, key=lambda r: r.order), T0 - FAR, T0 + FAR, ZoneInfo(zone))


HIGH = Range(codes=(SYSTOLIC.mdc,), above=Decimal(160))


def test_a_bound_is_excluded_and_units_are_compared_exactly() -> None:
    assert broken(HIGH, systolic(0, "160"), systolic(1, "160.0")) == []
    # 160 mmHg are 21.331 581 986 4 kPa
    assert broken(HIGH, systolic(0, "21.3315819864", "kPa")) == []
    (found,) = broken(HIGH, systolic(0, "21.3315819865", "kPa"))
    (number,) = found.numbers
    assert (number.value, number.bound, number.unit) == (Decimal("160.000"), Decimal(160), "mm[Hg]")
    assert number.measured == "21.3315819865 kPa"
    assert (number.side, found.doubt, found.about) == ("above", (), str(UUID(int=1)))


def test_a_unit_that_cannot_be_compared_is_a_doubted_breach() -> None:
    (found,) = broken(HIGH, systolic(0, "12", "furlong"))
    assert found.doubt == ("unit",)
    assert [n.measured for n in found.numbers] == ["12 furlong"]
    (number,) = found.numbers
    assert number.side == "unknown"


def test_a_limit_may_be_in_another_unit_than_the_code() -> None:
    low = Range(codes=(GLUCOSE_CAPILLARY.mdc,), below=Decimal("3.9"), unit="mmol/L")
    assert broken(low, at(0, value(GLUCOSE_CAPILLARY.mdc, "71", "mg/dL"))) == []
    (found,) = broken(low, at(0, value(GLUCOSE_CAPILLARY.mdc, "70", "mg/dL")))
    assert found.numbers[0].value == Decimal("3.886")


def test_a_meter_that_says_hi_is_above_every_bound() -> None:
    limit = Range(codes=(GLUCOSE_CAPILLARY.mdc,), above=Decimal(250), below=Decimal(70))
    (high, low) = broken(
        limit,
        at(0, value(GLUCOSE_CAPILLARY.mdc, None, "mg/dL", absent="+inf")),
        at(1, value(GLUCOSE_CAPILLARY.mdc, None, "mg/dL", absent="-inf")),
        at(2, value(GLUCOSE_CAPILLARY.mdc, None, "mg/dL", absent="nan")),
    )
    assert [(b.numbers[0].side, b.numbers[0].value) for b in (high, low)] == [("above", None), ("below", None)]


def test_an_artefact_makes_the_alert_a_doubted_one() -> None:
    (found,) = broken(HIGH, systolic(0, "190", status=0x01))
    assert found.doubt == ("movement",)


def test_so_many_of_the_last() -> None:
    rule = Range(codes=(SATURATION.mdc,), below=Decimal(90), times=2, of=3, within_h=1)
    values = ("89", "95", "88", "95", "96", "87", "86")
    readings = [at(i, value(SATURATION.mdc, v, "%")) for i, v in enumerate(values)]
    found = broken(rule, *readings)
    assert [b.at for b in found] == [T0 + timedelta(minutes=m) for m in (2, 6)]
    assert [str(n.value) for n in found[0].numbers] == ["89", "88"]
    apart = [at(i * 61, value(SATURATION.mdc, "80", "%")) for i in range(4)]
    assert broken(rule, *apart) == []


def test_one_artefact_of_two_needed_doubts_and_one_more_does_not() -> None:
    rule = Range(codes=(SATURATION.mdc,), below=Decimal(90), times=2, of=3)
    poor = 0x0010 << 11
    readings = [at(0, value(SATURATION.mdc, "80", "%", poor)), at(1, value(SATURATION.mdc, "80", "%"))]
    assert [b.doubt for b in broken(rule, *readings)] == [("signal",)]
    more = [*readings, at(2, value(SATURATION.mdc, "80", "%"))]
    assert [b.doubt for b in broken(rule, *more)] == [("signal",), ()]


def test_at_most_one_alert_in_so_many_minutes() -> None:
    rule = Range(codes=(SATURATION.mdc,), below=Decimal(90), every_min=10)
    readings = [at(i / 2, value(SATURATION.mdc, "80", "%")) for i in range(60)]
    assert [b.at for b in broken(rule, *readings)] == [T0 + timedelta(minutes=m) for m in (0, 10, 20)]


def names(found: list[Breach]) -> list[str]:
    return [b.named(doubted=bool(b.doubt)) for b in found]


def test_a_doubted_reading_takes_nothing_from_the_firm_ones_of_its_span() -> None:
    rule = Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), every_min=60)
    found = broken(rule, systolic(0, "190", status=0x01), systolic(5, "191", status=0x01), systolic(10, "185"))
    assert [(b.doubt, b.numbers[0].measured) for b in found] == [(("movement",), "190 mm[Hg]"), ((), "185 mm[Hg]")]
    span = int(T0.timestamp())
    assert names(found) == [f"doubt:span:60:{span}", f"span:60:{span}"]


def test_a_unit_that_cannot_be_compared_takes_nothing_from_what_can() -> None:
    rule = Range(codes=(SYSTOLIC.mdc, DIASTOLIC.mdc), above=Decimal(160))
    odd = at(0, value(SYSTOLIC.mdc, "12", "furlong"), value(DIASTOLIC.mdc, "170", "mm[Hg]"))
    found = broken(rule, odd)
    assert [(n, b.doubt) for n, b in zip(names(found), found, strict=True)] == [
        (f"unit:{odd.id}", ("unit",)), (str(odd.id), ()),
    ]  # fmt: skip
    spans = broken(Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), every_min=60), odd, systolic(5, "170"))
    assert [b.doubt for b in spans] == [("unit",), ()]


@pytest.mark.parametrize("between", [systolic(5, "120", status=0x01), systolic(5, "12", "furlong")])
def test_what_is_doubted_or_incomparable_stands_between_no_two_firm_ones(between: Reading) -> None:
    rule = Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), times=2, of=2)
    found = broken(rule, systolic(0, "170"), between, systolic(10, "171"))
    assert [b.at for b in found if not b.doubt] == [T0 + timedelta(minutes=10)]
    both = Both((HIGH, Range(codes=(PULSE.mdc,), above=Decimal(100))), within_min=30)
    pulse = at(10, value(PULSE.mdc, "110", "/min"))
    assert [b.at for b in broken(both, systolic(0, "170"), between, pulse) if not b.doubt] == [pulse.at]


def test_a_doubted_value_of_a_reading_takes_nothing_from_a_firm_one() -> None:
    rule = Range(codes=(PULSE.mdc, 149530), above=Decimal(100))  # a cuff's and an oximeter's pulse
    found = broken(rule, at(0, value(PULSE.mdc, "150", "/min", 0x01), value(149530, "140", "/min")))
    assert [(b.doubt, [n.measured for n in b.numbers]) for b in found] == [((), ["140 /min"])]


def test_both_in_one_reading_or_within_minutes() -> None:
    ranges = (HIGH, Range(codes=(PULSE.mdc,), above=Decimal(100)))
    both = at(0, value(SYSTOLIC.mdc, "170", "mm[Hg]"), value(PULSE.mdc, "110", "/min"))
    pulse, pressure = at(20, value(PULSE.mdc, "110", "/min")), systolic(25, "170")
    assert [b.at for b in broken(Both(ranges), both, pulse, pressure)] == [both.at]
    assert [b.at for b in broken(Both(ranges, within_min=10), both, pulse, pressure)] == [both.at, pressure.at]
    calm = at(22, value(PULSE.mdc, "80", "/min"))
    assert [b.at for b in broken(Both(ranges, within_min=10), both, pulse, calm, pressure)] == [both.at]


def test_weight_that_rises_is_told_once_a_day() -> None:
    rule = Rise(codes=(WEIGHT.mdc,), by=Decimal(2), days=1, before=3)
    days = [at(i * 1440, value(WEIGHT.mdc, v, "kg")) for i, v in enumerate(("80", "80.5", "81", "82.5"))]
    (found,) = broken(rule, *days, at(3 * 1440 + 5, value(WEIGHT.mdc, "82.6", "kg")))
    (number,) = found.numbers
    assert (found.about, number.value, number.against) == ("rise:2026-11-05", Decimal("82.5"), Decimal("80.500"))
    assert broken(rule, *days[:3], at(3 * 1440, value(WEIGHT.mdc, "82.4", "kg"))) == []
    pounds = at(3 * 1440, value(WEIGHT.mdc, "181.9", "[lb_av]"))  # 82.51 kg
    assert len(broken(rule, *days[:3], pounds)) == 1


def test_somebody_else_on_the_scale_neither_hides_nor_makes_a_rise() -> None:
    rule = Rise(codes=(WEIGHT.mdc,), by=Decimal(2), days=1, before=3)
    days = [at(i * 1440, value(WEIGHT.mdc, v, "kg")) for i, v in enumerate(("80", "80.5", "81", "82.5"))]
    odd = at(1500, value(WEIGHT.mdc, "900", "kg"))  # with it, the mean of the days before is 285 kg
    assert [(b.about[-2:], b.doubt) for b in broken(rule, *days, odd)] == [("03", ("impossible",)), ("05", ())]


def test_a_fall_and_a_difference_in_fahrenheit() -> None:
    rule = Rise(codes=(TEMPERATURE.mdc,), by=Decimal("-1.8"), days=1, before=1, unit="[degF]")
    warm, cool = at(0, value(TEMPERATURE.mdc, "38", "Cel")), at(1440, value(TEMPERATURE.mdc, "37", "Cel"))
    (found,) = broken(rule, warm, cool)
    assert (found.numbers[0].side, found.numbers[0].value) == ("fall", Decimal("98.6"))


def test_days_are_those_of_the_limits_zone() -> None:
    rule = Rise(codes=(WEIGHT.mdc,), by=Decimal(2), days=1, before=1)
    first, second = at(11 * 60, value(WEIGHT.mdc, "80", "kg")), at(13 * 60, value(WEIGHT.mdc, "83", "kg"))
    assert broken(rule, first, second) == []  # 19 and 21 h UTC, one day
    assert broken(rule, first, second, zone="Asia/Irkutsk") == []  # 3 and 5 h of the next day
    (found,) = broken(rule, first, second, zone="Asia/Dubai")  # 23 and 1 h
    assert found.about == "rise:2026-11-03"


def found_in(codes: tuple[str, ...], *, usable: bool = True, certainty: str = "definite") -> Interpretation:
    statements = tuple(Statement(c, c, certainty, (), critical=c == "VF") for c in codes)  # type: ignore[arg-type]
    quality = Quality(usable, {})
    return Interpretation("e", 500.0, ("I",), 5000, quality, (), (), (), Measurements(), statements, {}, "")


def test_critical_statements_of_a_cardiogram() -> None:
    recording = UUID(int=7)
    assert ecg_breach(Ecg(), recording, T0, found_in(("NORM", "AFIB"))) is None
    found = ecg_breach(Ecg(), recording, T0, found_in(("VF", "AFIB")))
    assert found is not None
    assert (found.about, found.doubt, [n.stated for n in found.numbers]) == (str(recording), (), ["VF"])
    own = ecg_breach(
        Ecg(codes=("AFIB",), critical=False), recording, T0, found_in(("VF", "AFIB"), certainty="possible")
    )
    assert own is not None
    assert (own.doubt, [n.stated for n in own.numbers]) == (("quality",), ["AFIB"])
    poor = ecg_breach(Ecg(), recording, T0, found_in(("VF",), usable=False))
    assert poor is not None
    assert poor.doubt == ("quality",)


def test_periods_of_a_day_across_a_clock_change() -> None:
    rule = Missed(codes=(SYSTOLIC.mdc,), start="06:00", end="10:00", grace_h=2)
    zone = ZoneInfo("Europe/Berlin")
    found = list(periods(rule, zone, datetime(2026, 10, 23, 12, tzinfo=UTC), datetime(2026, 10, 26, 23, tzinfo=UTC)))
    assert [p.about for p in found] == [f"missed:2026-10-{d}" for d in (24, 25, 26)]
    assert [p.start.astimezone(UTC).hour for p in found] == [4, 5, 5]  # the 25th is when summer time ends
    assert all(p.due - p.end == timedelta(hours=2) for p in found)


def test_periods_of_weeks_and_of_some_days() -> None:
    zone, start = ZoneInfo("UTC"), datetime(2026, 11, 4, tzinfo=UTC)  # a Wednesday
    weeks = list(periods(Missed(codes=(WEIGHT.mdc,), per="week"), zone, start, start + timedelta(days=21)))
    assert [p.about for p in weeks] == ["missed:2026-W46", "missed:2026-W47"]
    days = list(periods(Missed(codes=(WEIGHT.mdc,), weekdays=(1, 5)), zone, start, start + timedelta(days=8)))
    assert [p.about for p in days] == ["missed:2026-11-06", "missed:2026-11-09"]


def test_too_few_readings_with_a_number_are_missed() -> None:
    rule = Missed(codes=(SYSTOLIC.mdc,), times=2)
    (period,) = periods(rule, ZoneInfo("UTC"), T0 - timedelta(days=1), T0 + timedelta(hours=17))
    one, error, two = systolic(0, "120"), at(1, value(SYSTOLIC.mdc, None, "mm[Hg]", absent="nan")), systolic(2, "121")
    assert missed(rule, period, [one, two]) is None
    found = missed(rule, period, [one, error, systolic(2000, "120")])
    assert found is not None
    assert (found.about, found.reading, found.numbers[0].value) == ("missed:2026-11-02", None, Decimal(1))


VALUES = st.sampled_from(
    [value(SYSTOLIC.mdc, n, "mm[Hg]", status) for n in ("110", "150", "170", "190", "310") for status in (0, 0, 1)]
    + [value(SYSTOLIC.mdc, n, unit) for n in ("20", "22") for unit in ("kPa", "furlong")]
    + [value(SYSTOLIC.mdc, None, "mm[Hg]", absent=why) for why in ("nan", "+inf")]
    + [value(PULSE.mdc, n, "/min") for n in ("60", "99", "101", "130", "0")]
    + [value(DIASTOLIC.mdc, n, "mm[Hg]") for n in ("60", "95", "120")]
    + [value(WEIGHT.mdc, n, "kg") for n in ("80", "81", "82", "83", "84", "500")]
)
RULES: tuple[Rule, ...] = (
    HIGH,
    Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), times=2, of=3, within_h=30),
    Range(codes=(SYSTOLIC.mdc, DIASTOLIC.mdc), above=Decimal(100), below=Decimal(70), every_min=30),
    Both((HIGH, Range(codes=(PULSE.mdc,), above=Decimal(100)))),
    Both((HIGH, Range(codes=(PULSE.mdc,), above=Decimal(100), below=Decimal(50))), within_min=600, every_min=60),
    Rise(codes=(WEIGHT.mdc,), by=Decimal(2), days=1, before=3),
    Rise(codes=(SYSTOLIC.mdc,), by=Decimal(10), days=2, before=2, least=2),
    Rise(codes=(WEIGHT.mdc,), by=Decimal("-1.5"), days=2, before=3),
)
READINGS = st.lists(
    st.tuples(st.integers(0, 9 * 24 * 2), st.lists(VALUES, min_size=1, max_size=3, unique_by=lambda v: v.code)),
    max_size=25,
)  # fmt: skip


@settings(max_examples=120, deadline=None, derandomize=True)
@given(READINGS, st.sampled_from(RULES), st.sampled_from(("UTC", "Asia/Yekaterinburg")))
def test_against_the_oracle(made: list[tuple[int, list[Measured]]], rule: Rule, zone: str) -> None:
    readings = [at(when * 30, *values, n=i + 1) for i, (when, values) in enumerate(made)]
    readings.sort(key=lambda r: r.order)
    low, high = T0 + timedelta(days=1), T0 + timedelta(days=8)
    reached = [r for r in readings if r.at >= low - reach(rule)]
    found = breaches(rule, reached, low, high - timedelta(microseconds=1), ZoneInfo(zone))
    told = [(b.named(doubted=bool(b.doubt)), bool(b.doubt)) for b in found]
    assert len(told) == len(set(told))
    assert set(told) == judge(rule, readings, low, high, zone)


@pytest.mark.parametrize("rule", RULES)
def test_a_reading_changes_nothing_beyond_its_reach(rule: Rule) -> None:
    far = reach(rule)
    later = at(
        9 * 1440,
        *(value(SYSTOLIC.mdc, "190", "mm[Hg]"), value(PULSE.mdc, "130", "/min"), value(WEIGHT.mdc, "84", "kg")),
    )
    before = Reading(UUID(int=5), later.at - far - timedelta(seconds=1), later.values)
    alone = breaches(rule, [later], later.at, later.at)
    assert breaches(rule, [before, later], later.at, later.at) == alone
