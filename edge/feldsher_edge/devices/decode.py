"""From the bytes of a health profile to measured values in UCUM units: pure functions, one per characteristic.

Values stay as sent; only a profile's own multiples are taken out, exactly (kg/L to mg/dL, mol/L to mmol/L, metres to
centimetres). Where one packet of a device explains another, a decoder object remembers it for the session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from feldsher_ehr_core import vitals
from feldsher_ehr_core.vitals import Vital

from feldsher_edge.ble import blood_pressure, body_composition, cgm, glucose, heart_rate, oximeter, thermometer, weight
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.devices import Value

UNKNOWN_USER = 255
"""The user number of a device that does not know who was measured (all profiles)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a packet says of one moment.

    `time`: the device's time, as sent or computed from what it sent; `sequence`: its record number; `before_us`: how
    long before its arrival it was measured, where the packet itself says so.
    """

    values: tuple[Value, ...]
    time: DeviceTime | datetime | None = None
    user: int | None = None
    status: int | None = None
    sequence: int | None = None
    before_us: int = 0


Decode = Callable[[bytes], tuple[Measured, ...]]
"""The bytes of one notification to what was measured; ValueError names the byte that cannot be read."""


def _user(number: int | None) -> int | None:
    return None if number == UNKNOWN_USER else number


def _values(*pairs: tuple[Vital, Number | None, str]) -> tuple[Value, ...]:
    return tuple(Value(of.mdc, value, unit) for of, value, unit in pairs if value is not None)


def pressure(data: bytes) -> tuple[Measured, ...]:
    """Blood Pressure Measurement (0x2A35)."""
    it = blood_pressure.parse(data)
    values = _values(
        (vitals.SYSTOLIC, it.systolic, it.unit),
        (vitals.DIASTOLIC, it.diastolic, it.unit),
        (vitals.MEAN, it.mean, it.unit),
        (vitals.PULSE, it.pulse, vitals.PULSE.unit),
    )
    return (Measured(values, it.time, _user(it.user), it.status),)


def temperature(data: bytes) -> tuple[Measured, ...]:
    """Temperature Measurement (0x2A1C); the site on the body becomes the status."""
    it = thermometer.parse(data)
    return (Measured(_values((vitals.TEMPERATURE, it.value, it.unit)), it.time, status=it.site),)


def spot_check(data: bytes) -> tuple[Measured, ...]:
    """PLX Spot-Check (0x2A5E). A device that says that its clock is not set has sent no time."""
    it = oximeter.parse_spot(data)
    time = None if it.clock_not_set else it.time
    return (Measured(_oximetry(it.values, it.amplitude), time, status=_oximeter_status(it.status, it.sensor)),)


def saturation(data: bytes) -> tuple[Measured, ...]:
    """PLX Continuous Measurement (0x2A5F): the normal averages; fast and slow ones stay in the raw bytes."""
    it = oximeter.parse_continuous(data)
    return (Measured(_oximetry(it.values, it.amplitude), status=_oximeter_status(it.status, it.sensor)),)


def _oximetry(it: oximeter.Pair, amplitude: Number | None) -> tuple[Value, ...]:
    return _values(
        (vitals.SATURATION, it.saturation, "%"),
        (vitals.OXIMETER_PULSE, it.pulse, "/min"),
        (vitals.PERFUSION, amplitude, "%"),
    )


def _oximeter_status(status: int | None, sensor: int | None) -> int | None:
    """Return both status words in 31 bits: measurement status without its reserved lowest five, sensor from bit 11."""
    if status is None and sensor is None:
        return None
    return (status or 0) >> 5 | ((sensor or 0) & 0xF_FFFF) << 11


def rate(data: bytes) -> tuple[Measured, ...]:
    """Heart Rate Measurement (0x2A37): the rate with the newest RR interval; each older one at its own moment.

    A sensor that says that it has no skin contact measures nothing: the rate becomes NaN.
    """
    it = heart_rate.parse(data)
    bpm: Number = "nan" if it.contact is False else Decimal(it.bpm)
    older: list[Measured] = []
    before = 0
    for i in range(len(it.rr) - 1, 0, -1):
        before += it.rr[i] * 1_000_000 // heart_rate.RR_PER_S
        value = Value(vitals.RR_INTERVAL.mdc, heart_rate.milliseconds(it.rr[i - 1]), "ms")
        older.append(Measured((value,), before_us=before))
    newest = heart_rate.milliseconds(it.rr[-1]) if it.rr else None
    now = _values((vitals.HEART_RATE, bpm, "/min"), (vitals.RR_INTERVAL, newest, "ms"))
    return (*reversed(older), Measured(now))


def scale(data: bytes) -> tuple[Measured, ...]:
    """Weight Measurement (0x2A9D)."""
    it = weight.parse(data)
    mass, height, length = _imperial(it.imperial, it.height)
    values = _values(
        (vitals.WEIGHT, it.weight, mass), (vitals.BMI, it.bmi, vitals.BMI.unit), (vitals.HEIGHT, height, length)
    )
    return (Measured(values, it.time, _user(it.user)),)


def _imperial(imperial: bool, height: Number | None) -> tuple[str, Number | None, str]:
    """Return the unit of mass, the height, and its unit; metres become centimetres."""
    if imperial:
        return "[lb_av]", height, "[in_i]"
    return "kg", _times(height, 2), "cm"


def _times(value: Number | None, power: int) -> Number | None:
    """Return a number times a power of ten, with the digits that were sent."""
    return value.scaleb(power) if isinstance(value, Decimal) else value


class Body:
    """Body Composition Measurement (0x2A9C): the second packet of a measurement belongs to the first one's user."""

    def __init__(self) -> None:
        self._first: body_composition.BodyComposition | None = None

    def __call__(self, data: bytes) -> tuple[Measured, ...]:
        """Return what one packet says."""
        it = body_composition.parse(data)
        first, self._first = self._first, None
        if it.more and first is not None:
            it = body_composition.belonging(first, it)
        elif it.more:
            self._first = it
        mass, height, length = _imperial(it.imperial, it.height)
        second = it.more and first is not None
        values = _values(
            # In the second packet the share of fat is only there because the layout wants it.
            (vitals.FAT, None if second and it.fat == "nan" else it.fat, "%"),
            (vitals.METABOLISM, it.metabolism, "kJ"),
            (vitals.MUSCLE_SHARE, it.muscle_share, "%"),
            (vitals.MUSCLE, it.muscle, mass),
            (vitals.FAT_FREE, it.fat_free, mass),
            (vitals.SOFT_LEAN, it.soft_lean, mass),
            (vitals.BODY_WATER, it.water, mass),
            (vitals.IMPEDANCE, it.impedance, "Ohm"),
            (vitals.WEIGHT, it.weight, mass),
            (vitals.HEIGHT, height, length),
        )
        return (Measured(values, it.time, _user(it.user)),) if values else ()


class Meter:
    """Glucose records (0x2A18) and their contexts (0x2A34), which have the record's number and so its time."""

    def __init__(self) -> None:
        self._latest: Measured | None = None

    def record(self, data: bytes) -> tuple[Measured, ...]:
        """Return what a record says; one without a concentration says only that there was none."""
        it = glucose.parse(data)
        found = it.concentration
        value: Number = "nan" if found is None else found.value
        unit, power = ("mmol/L", 3) if found and found.unit == "mol/L" else ("mg/dL", 5)
        fluid = found.fluid if found is not None else 0
        of = vitals.GLUCOSE[fluid - 1] if 1 <= fluid <= len(vitals.GLUCOSE) else vitals.GLUCOSE_UNDETERMINED
        time = it.time() or it.base
        self._latest = Measured(_values((of, _times(value, power), unit)), time, status=it.status, sequence=it.sequence)
        return (self._latest,)

    def context(self, data: bytes) -> tuple[Measured, ...]:
        """Return what a context says; its extended flags, kinds of meal and of medicine stay in the raw bytes."""
        it = glucose.parse_context(data)
        drug = it.medication
        values = _values(
            (vitals.CARBOHYDRATE, _times(it.carbohydrate and it.carbohydrate.value, 3), "g"),
            (vitals.EXERCISE, it.exercise and Decimal(it.exercise.percent), "%"),
            (
                vitals.MEDICATION,
                drug and _times(drug.value, 3 if drug.litres else 6),
                "mL" if drug and drug.litres else "mg",
            ),
            (vitals.HBA1C, it.hba1c, "%"),
        )
        words = ((vitals.MEAL, it.meal), (vitals.HEALTH, it.health), (vitals.TESTER, it.tester))
        values += tuple(Value(of.mdc, Decimal(word), "1") for of, word in words if word is not None)
        if not values:
            raise ValueError("byte 0: the flags announce nothing of a context")
        latest = self._latest
        time = latest.time if latest is not None and latest.sequence == it.sequence else None
        return (Measured(values, time, sequence=it.sequence),)


class Sensor:
    """Records of a continuous glucose sensor (0x2AA7), placed in time by the start of its session (0x2AAA)."""

    def __init__(self) -> None:
        self.start: cgm.SessionStart | None = None

    def __call__(self, data: bytes) -> tuple[Measured, ...]:
        """Return what one notification says: one or more records."""
        return tuple(self._one(it) for it in cgm.parse(data))

    def _one(self, it: cgm.Record) -> Measured:
        values = _values((vitals.GLUCOSE_INTERSTITIAL, it.glucose, cgm.UNIT))
        time = self.start.at(it.offset_min) if self.start is not None else None
        return Measured(values, time, status=it.status, sequence=it.offset_min)
