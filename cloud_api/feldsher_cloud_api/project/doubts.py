"""What a device itself doubts about its reading: the bits of its status as sentences, by what was measured.

Bits: Bluetooth GATT Specification Supplement, "Blood Pressure Measurement", "Glucose Measurement", "CGM Measurement",
"PLX Spot-Check Measurement". An oximeter's two words arrive as one (`feldsher_edge.devices.decode`): measurement status
without its five reserved bits below, sensor status from bit 11 on.
"""

from __future__ import annotations

from collections.abc import Iterable

from feldsher_ehr_core.vitals import GLUCOSE, GLUCOSE_INTERSTITIAL, SATURATION, SYSTOLIC

Doubts = tuple[tuple[int, str], ...]

_CUFF: Doubts = (
    (0x01, "body moved during the measurement"),
    (0x02, "cuff too loose"),
    (0x04, "irregular pulse detected by the cuff"),
    (0x20, "measured in an improper position"),
)
_METER: Doubts = (
    (0x0001, "the meter's battery was low"),
    (0x0002, "the meter's sensor malfunctioned"),
    (0x0004, "sample too small"),
    (0x0008, "strip inserted wrongly"),
    (0x0010, "wrong type of strip"),
    (0x0020, "higher than the meter can measure"),
    (0x0040, "lower than the meter can measure"),
    (0x0080, "the meter was too warm"),
    (0x0100, "the meter was too cold"),
    (0x0200, "strip pulled out too early"),
    (0x0400, "fault of the meter"),
    (0x0800, "the meter's time may be wrong"),
)
_SENSOR: Doubts = (
    (0x00_0001, "sensor session stopped"),
    (0x00_0008, "the sensor malfunctioned"),
    (0x00_0020, "fault of the sensor"),
    (0x00_0100, "the sensor's time is not set"),
    (0x00_0800, "the sensor needs calibration"),
    (0x00_1000, "the sensor was too warm"),
    (0x00_2000, "the sensor was too cold"),
    (0x40_0000, "lower than the sensor can measure"),
    (0x80_0000, "higher than the sensor can measure"),
)
_OXIMETER: Doubts = (
    (0x0400 >> 5, "demonstration data, no measurement"),
    (0x0800 >> 5, "test data, no measurement"),
    (0x1000 >> 5, "calibration was going on"),
    (0x4000 >> 5, "questionable measurement"),
    (0x8000 >> 5, "invalid measurement"),
    (0x0002 << 11, "the oximeter malfunctioned"),
    (0x0008 << 11, "inadequate signal"),
    (0x0010 << 11, "poor signal"),
    (0x0020 << 11, "low perfusion"),
    (0x0040 << 11, "erratic signal"),
    (0x0080 << 11, "no pulse in the signal"),
    (0x0100 << 11, "questionable pulse"),
    (0x0400 << 11, "interference at the sensor"),
    (0x0800 << 11, "the sensor was not on the patient"),
    (0x2000 << 11, "the sensor had slipped"),
    (0x4000 << 11, "the sensor malfunctioned"),
    (0x8000 << 11, "the sensor was disconnected"),
)
_BY_CODE: dict[int, Doubts] = {
    **{one.mdc: _METER for one in GLUCOSE},
    SYSTOLIC.mdc: _CUFF,
    SATURATION.mdc: _OXIMETER,
    GLUCOSE_INTERSTITIAL.mdc: _SENSOR,
}


def of(codes: Iterable[int], status: int | None) -> list[str]:
    """Return the doubts in the status of a reading that holds values of these MDC codes."""
    doubts = next((_BY_CODE[code] for code in codes if code in _BY_CODE), ())
    return [text for bit, text in doubts if (status or 0) & bit]
