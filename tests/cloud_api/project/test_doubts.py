"""What a device doubts is said in its own terms: the same bit means another thing to another device."""

from __future__ import annotations

from feldsher_cloud_api.project import doubts
from feldsher_ehr_core.vitals import GLUCOSE_CAPILLARY, GLUCOSE_INTERSTITIAL, PULSE, SATURATION, SYSTOLIC, WEIGHT


def test_the_same_bits_of_several_devices() -> None:
    assert doubts.of([PULSE.mdc, SYSTOLIC.mdc], 0x01) == ["body moved during the measurement"]
    assert doubts.of([GLUCOSE_CAPILLARY.mdc], 0x01) == ["the meter's battery was low"]
    assert doubts.of([GLUCOSE_INTERSTITIAL.mdc], 0x01) == ["sensor session stopped"]
    assert doubts.of([WEIGHT.mdc], 0x01) == []
    assert doubts.of([SYSTOLIC.mdc], None) == []


def test_an_oximeters_two_words() -> None:
    status, sensor = 0x4000, 0x0820  # questionable; low perfusion, not on the patient
    assert doubts.of([SATURATION.mdc], status >> 5 | sensor << 11) == [
        "questionable measurement",
        "low perfusion",
        "the sensor was not on the patient",
    ]
