"""Artefacts: what speaks against a value, and that nothing is said against a good one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from feldsher_ehr_core.artefact import Measured, doubts
from feldsher_ehr_core.vitals import (
    DIASTOLIC,
    GLUCOSE_CAPILLARY,
    GLUCOSE_INTERSTITIAL,
    MEAN,
    OXIMETER_PULSE,
    PULSE,
    SATURATION,
    SYSTOLIC,
    TEMPERATURE,
    WEIGHT,
    Vital,
)


def one(of: Vital, value: str | None, unit: str | None = None, status: int | None = None) -> Measured:
    return Measured(of.mdc, None if value is None else Decimal(value), unit or of.unit, None, status)


def pressure(systolic: str, diastolic: str, mean: str, pulse: str, status: int = 0) -> list[Measured]:
    numbers = ((SYSTOLIC, systolic), (DIASTOLIC, diastolic), (MEAN, mean), (PULSE, pulse))
    return [one(of, value, status=status) for of, value in numbers]


def test_nothing_is_said_against_a_good_pressure() -> None:
    assert doubts(pressure("180", "110", "133", "72"), [SYSTOLIC.mdc]) == ()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (pressure("110", "110", "110", "72"), "pulse_pressure"),
        (pressure("90", "110", "100", "72"), "pulse_pressure"),
        (pressure("180", "110", "190", "72"), "contradictory"),
        (pressure("180", "110", "133", "0"), "contradictory"),
        (pressure("301", "110", "133", "72"), "impossible"),
        (pressure("180", "110", "133", "72", status=0x01), "movement"),
        (pressure("180", "110", "133", "72", status=0x02), "cuff"),
        (pressure("180", "110", "133", "72", status=0x04), "irregular_pulse"),
        (pressure("180", "110", "133", "72", status=0x20), "position"),
    ],
)
def test_a_pressure_with_an_artefact(values: list[Measured], why: str) -> None:
    assert why in doubts(values, [SYSTOLIC.mdc])


def test_a_pulse_out_of_the_cuffs_range_is_a_finding_not_a_doubt() -> None:
    assert doubts(pressure("180", "110", "133", "72", status=0x08 | 0x10), [PULSE.mdc]) == ()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (one(SATURATION, "80", status=0x8000 >> 5), ("not_measured",)),
        (one(SATURATION, "80", status=0x0400 >> 5), ("demonstration",)),
        (one(SATURATION, "80", status=0x0010 << 11), ("signal",)),  # poor signal
        (one(SATURATION, "80", status=0x0800 << 11), ("position",)),  # not on the user
        (one(SATURATION, "80", status=0x8000 << 11), ("sensor",)),
        (one(SATURATION, "80", status=0x0200 >> 5), ()),  # from storage
        (one(SATURATION, "0"), ("impossible",)),
        (one(OXIMETER_PULSE, "0"), ()),  # what an oximeter shows of a heart that stands still
        (one(WEIGHT, "500"), ("impossible",)),
        (one(WEIGHT, "1200", "[lb_av]"), ("impossible",)),
        (one(WEIGHT, "1200", "furlong"), ()),
        (one(TEMPERATURE, "98.6", "[degF]"), ()),
        (one(TEMPERATURE, "98.6"), ("impossible",)),
        (one(GLUCOSE_CAPILLARY, "30", status=0x0010), ("sensor",)),  # wrong strip
        (one(GLUCOSE_CAPILLARY, "30", status=0x0001), ()),  # battery
        (one(GLUCOSE_INTERSTITIAL, "30", status=0x20), ("sensor",)),
        (one(GLUCOSE_INTERSTITIAL, "30", status=0x040000), ()),  # below the hypo alert: the sensor's own finding
        (one(SATURATION, None), ()),
    ],
)
def test_values_of_other_devices(value: Measured, why: tuple[str, ...]) -> None:
    assert doubts([value], [value.code]) == why


def test_only_what_is_asked_for_is_doubted() -> None:
    values = [one(SATURATION, "92"), one(OXIMETER_PULSE, "400")]
    assert doubts(values, [SATURATION.mdc]) == ()
    assert doubts(values, [OXIMETER_PULSE.mdc]) == ("impossible",)


def test_what_cannot_be_compared_contradicts_nothing() -> None:
    odd, high = Measured(SYSTOLIC.mdc, Decimal(12), "furlong"), Measured(DIASTOLIC.mdc, Decimal(120), "mm[Hg]")
    assert doubts((odd, high), (DIASTOLIC.mdc,)) == ()
