"""What speaks against a measured value: what the device itself noticed, and what no living body has.

A doubt never drops a value; it says why somebody should measure again before they act.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from feldsher_ehr_core import units
from feldsher_ehr_core.vitals import (
    DIASTOLIC,
    GLUCOSE,
    GLUCOSE_INTERSTITIAL,
    MEAN,
    OXIMETER_PULSE,
    PERFUSION,
    PULSE,
    SATURATION,
    SYSTOLIC,
    VITALS,
    Absent,
)

Doubt = Literal[
    "impossible", "pulse_pressure", "contradictory", "movement", "cuff", "position", "irregular_pulse", "signal",
    "sensor", "not_measured", "demonstration", "unit", "clock", "owner", "no_link", "cut", "quality",
]  # fmt: skip
"""Why an alert may be none. `impossible`: beyond what a device can measure in a living body; `pulse_pressure`: systolic
not above diastolic; `contradictory`: the mean outside both, or no pulse with a pressure; `movement`, `cuff` (too
loose), `position`, `irregular_pulse`: the cuff's own status; `signal`, `sensor`: the device says that its signal is
poor, or that itself is at fault; `not_measured`: an estimate, or read from storage as invalid; `demonstration`: a demo
or test value; `unit`: the unit cannot be compared with the limit's; `clock`: the time of measurement is not known for
sure; `owner`: it may be somebody else's; `no_link`: the gateway that should bring measurements is off; `cut`: there
were more readings than were looked at; `quality`: the cardiogram was hard to judge."""


class Measured(msgspec.Struct, frozen=True):
    """One value of a reading: `code` MDC, `unit` UCUM, `value` None where `absent` says why, `status` as sent."""

    code: int
    value: Decimal | None
    unit: str
    absent: Absent | None = None
    status: int | None = None


_Bits = tuple[tuple[int, Doubt], ...]
# Bits as the edge's decoders keep them. Cuff: Blood Pressure Measurement Status, bits 3 and 4 (pulse rate out of range)
# are findings, not doubts. Oximeter: measurement status from its bit 5 on in bits 0 to 10, device and sensor status
# from bit 11 on (feldsher_edge.devices.decode). Meter, sensor: their Sensor Status Annunciation. All: Bluetooth GATT
# Specification Supplement.
_CUFF: _Bits = ((0x01, "movement"), (0x02, "cuff"), (0x04, "irregular_pulse"), (0x20, "position"))
_OXIMETER: _Bits = (
    (0x0002 | 0x0100 | 0x0400, "not_measured"),  # early estimate, unavailable, invalid
    (0x0020 | 0x0040, "demonstration"),  # demonstration, testing
    (0x0080, "sensor"),  # being calibrated
    (0x0200, "signal"),  # questionable
    (
        0x05FC << 11,
        "signal",
    ),  # irregular, inadequate, poor, low perfusion, erratic, no pulse, questionable, interference
    (0x2800 << 11, "position"),  # not on the user, displaced
    (0xD002 << 11, "sensor"),  # malfunction of either, unknown, disconnected
)
_METER: _Bits = ((0x079E, "sensor"),)  # malfunction, sample, strip, too warm or cold, interrupted, fault
_SENSOR: _Bits = ((0x382C, "sensor"),)  # type, malfunction, fault, calibration required, too warm or cold
_STATUS: dict[int, _Bits] = {
    **dict.fromkeys((one.mdc for one in GLUCOSE), _METER),
    **dict.fromkeys((one.mdc for one in (SYSTOLIC, DIASTOLIC, MEAN, PULSE)), _CUFF),
    **dict.fromkeys((one.mdc for one in (SATURATION, OXIMETER_PULSE, PERFUSION)), _OXIMETER),
    GLUCOSE_INTERSTITIAL.mdc: _SENSOR,
}
_PRESSURES = frozenset({SYSTOLIC.mdc, DIASTOLIC.mdc, MEAN.mdc})
_NEVER_ZERO = _PRESSURES | {PULSE.mdc, SATURATION.mdc} | {one.mdc for one in GLUCOSE}


def doubts(values: Iterable[Measured], codes: Iterable[int]) -> tuple[Doubt, ...]:
    """Return what speaks against those values of one reading that have some codes, in a fixed order."""
    every = {value.code: value for value in values}
    found: set[Doubt] = set()
    wanted = set(codes)
    for value in every.values():
        if value.code in wanted:
            found |= {why for bits, why in _STATUS.get(value.code, ()) if (value.status or 0) & bits}
            if _impossible(value):
                found.add("impossible")
    if wanted & _PRESSURES:
        found |= _contradictions(every)
    return tuple(sorted(found))


def _impossible(value: Measured) -> bool:
    of = VITALS.get(value.code)
    if of is None or value.value is None or not units.comparable(value.unit, of.unit, value.code):
        return False
    at = units.base(value.value, value.unit, value.code)
    low, high = (units.base(Decimal(str(bound)), of.unit, value.code) for bound in (of.low, of.high))
    return not low <= at <= high or (value.code in _NEVER_ZERO and at == 0)


def _contradictions(every: Mapping[int, Measured]) -> set[Doubt]:
    at = {
        code: units.base(value.value, value.unit, code)
        for code in _PRESSURES
        if (value := every.get(code)) is not None
        and value.value is not None
        and units.comparable(value.unit, VITALS[code].unit, code)
    }
    found: set[Doubt] = set()
    if SYSTOLIC.mdc in at and DIASTOLIC.mdc in at:
        if at[SYSTOLIC.mdc] <= at[DIASTOLIC.mdc]:
            found.add("pulse_pressure")
        elif MEAN.mdc in at and not at[DIASTOLIC.mdc] <= at[MEAN.mdc] <= at[SYSTOLIC.mdc]:
            found.add("contradictory")
    pulse = every.get(PULSE.mdc)
    if pulse is not None and pulse.value == 0:
        found.add("contradictory")
    return found
