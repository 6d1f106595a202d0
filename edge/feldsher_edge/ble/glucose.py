"""Glucose Measurement (0x2A18) and Measurement Context (0x2A34): bytes to frozen dataclasses and back.

Layouts: Bluetooth GATT Specification Supplement, "Glucose Measurement" and "Glucose Measurement Context". A meter
counts its records; the context of a record has the same sequence number. Concentrations stay in kg/L or mol/L as sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, IntFlag
from typing import Literal

from feldsher_edge.ble import date_time
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.ble.packet import Packet, sfloat, signed, unsigned

Unit = Literal["kg/L", "mol/L"]
"""Units of a concentration."""


class Flag(IntFlag):
    """The first byte of a measurement. Bits 5 to 7 are reserved and ignored."""

    OFFSET = 0x01
    CONCENTRATION = 0x02
    MOLAR = 0x04
    STATUS = 0x08
    CONTEXT = 0x10


class ContextFlag(IntFlag):
    """The first byte of a context."""

    CARBOHYDRATE = 0x01
    MEAL = 0x02
    TESTER = 0x04
    EXERCISE = 0x08
    MEDICATION = 0x10
    LITRES = 0x20
    HBA1C = 0x40
    EXTENDED = 0x80


class Status(IntFlag):
    """Sensor Status Annunciation: what the meter itself noticed. Bits 12 to 15 are reserved."""

    BATTERY_LOW = 0x0001
    MALFUNCTION = 0x0002
    SAMPLE_TOO_SMALL = 0x0004
    STRIP_INSERTION = 0x0008
    STRIP_TYPE = 0x0010
    TOO_HIGH = 0x0020
    TOO_LOW = 0x0040
    TOO_WARM = 0x0080
    TOO_COLD = 0x0100
    INTERRUPTED = 0x0200
    FAULT = 0x0400
    TIME_FAULT = 0x0800


class Fluid(IntEnum):
    """What was measured: the low nibble of type and sample location."""

    CAPILLARY_WHOLE_BLOOD = 1
    CAPILLARY_PLASMA = 2
    VENOUS_WHOLE_BLOOD = 3
    VENOUS_PLASMA = 4
    ARTERIAL_WHOLE_BLOOD = 5
    ARTERIAL_PLASMA = 6
    UNDETERMINED_WHOLE_BLOOD = 7
    UNDETERMINED_PLASMA = 8
    INTERSTITIAL = 9
    CONTROL_SOLUTION = 10


@dataclass(frozen=True, slots=True)
class Concentration:
    """How much glucose, in what (`Fluid` or a reserved number), from where (1 finger to 4 control, 15 unknown)."""

    value: Number
    unit: Unit
    fluid: int
    location: int


@dataclass(frozen=True, slots=True)
class Glucose:
    """One record. `offset_min`: what its owner has moved the clock by since the meter's base time, minutes."""

    sequence: int
    base: DeviceTime
    offset_min: int | None = None
    concentration: Concentration | None = None
    status: int | None = None
    context_follows: bool = False

    def time(self) -> datetime | None:
        """Return the local time that the meter shows for the record; None where a part of it is unknown."""
        base = self.base.complete()
        try:
            return base + timedelta(minutes=self.offset_min or 0) if base else None
        except OverflowError:  # the year 9999
            return None


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of what `kind` numbers: carbohydrate in kg (kind: the meal), medicine in kg or litres (kind: which)."""

    kind: int
    value: Number
    litres: bool = False


@dataclass(frozen=True, slots=True)
class Exercise:
    """For how many seconds, and how hard in percent."""

    seconds: int
    percent: int


@dataclass(frozen=True, slots=True)
class Context:
    """What belongs to the record of the same sequence number.

    `meal`: 1 before, 2 after, 3 fasting, 4 casual, 5 bedtime. `tester`: 1 self, 2 professional, 3 laboratory,
    15 unknown. `health`: 1 minor, 2 major, 3 menses, 4 stress, 5 no issues, 15 unknown. `hba1c`: percent.
    """

    sequence: int
    extended: int | None = None
    carbohydrate: Amount | None = None
    meal: int | None = None
    tester: int | None = None
    health: int | None = None
    exercise: Exercise | None = None
    medication: Amount | None = None
    hba1c: Number | None = None


def parse(data: bytes) -> Glucose:
    """Return the record in the bytes of 0x2A18; ValueError names the byte that is missing, wrong or too many."""
    packet = Packet(data)
    flags = Flag(packet.unsigned(1, "flags") & 0x1F)
    it = Glucose(
        sequence=packet.unsigned(2, "sequence number"),
        base=packet.time(),
        offset_min=packet.signed(2, "time offset") if Flag.OFFSET in flags else None,
        concentration=_concentration(packet, flags) if Flag.CONCENTRATION in flags else None,
        status=packet.unsigned(2, "status") if Flag.STATUS in flags else None,
        context_follows=Flag.CONTEXT in flags,
    )
    packet.end(f"the flags 0x{data[0]:02x}")
    return it


def _concentration(packet: Packet, flags: Flag) -> Concentration:
    value = packet.sfloat("concentration")
    fluid, location = _nibbles(packet, "type and location")
    return Concentration(value, "mol/L" if Flag.MOLAR in flags else "kg/L", fluid, location)


def _nibbles(packet: Packet, name: str) -> tuple[int, int]:
    both = packet.unsigned(1, name)
    return both & 0x0F, both >> 4


def encode(it: Glucose) -> bytes:
    """Return the bytes of 0x2A18 that `parse` reads back as `it`."""
    flags = Flag.CONTEXT if it.context_follows else Flag(0)
    body = unsigned(it.sequence, 2, "sequence") + date_time.encode(it.base)
    if it.offset_min is not None:
        flags, body = flags | Flag.OFFSET, body + signed(it.offset_min, 2, "offset_min")
    if it.concentration is not None:
        found = it.concentration
        flags |= Flag.CONCENTRATION | (Flag.MOLAR if found.unit == "mol/L" else Flag(0))
        body += sfloat(found.value) + unsigned(found.fluid | found.location << 4, 1, "fluid, location")
    if it.status is not None:
        flags, body = flags | Flag.STATUS, body + unsigned(it.status, 2, "status")
    return bytes([flags]) + body


def parse_context(data: bytes) -> Context:
    """Return the context in the bytes of 0x2A34; ValueError names the byte that is missing or too many."""
    packet = Packet(data)
    flags = ContextFlag(packet.unsigned(1, "flags"))
    sequence = packet.unsigned(2, "sequence number")
    extended = packet.unsigned(1, "extended flags") if ContextFlag.EXTENDED in flags else None
    carbohydrate = _amount(packet, "carbohydrate", litres=False) if ContextFlag.CARBOHYDRATE in flags else None
    meal = packet.unsigned(1, "meal") if ContextFlag.MEAL in flags else None
    tester, health = _nibbles(packet, "tester and health") if ContextFlag.TESTER in flags else (None, None)
    exercise = (
        Exercise(packet.unsigned(2, "exercise duration"), packet.unsigned(1, "exercise intensity"))
        if ContextFlag.EXERCISE in flags
        else None
    )
    litres = ContextFlag.LITRES in flags
    medication = _amount(packet, "medication", litres=litres) if ContextFlag.MEDICATION in flags else None
    hba1c = packet.sfloat("HbA1c") if ContextFlag.HBA1C in flags else None
    packet.end(f"the flags 0x{data[0]:02x}")
    return Context(sequence, extended, carbohydrate, meal, tester, health, exercise, medication, hba1c)


def _amount(packet: Packet, name: str, *, litres: bool) -> Amount:
    return Amount(packet.unsigned(1, f"{name} id"), packet.sfloat(name), litres)


def encode_context(it: Context) -> bytes:
    """Return the bytes of 0x2A34 that `parse_context` reads back as `it`; tester and health come together."""
    if (it.tester is None) != (it.health is None):
        raise ValueError("tester, health: one without the other")
    flags, body = ContextFlag(0), unsigned(it.sequence, 2, "sequence")
    if it.extended is not None:
        flags, body = flags | ContextFlag.EXTENDED, body + unsigned(it.extended, 1, "extended")
    if it.carbohydrate is not None:
        flags, body = flags | ContextFlag.CARBOHYDRATE, body + _amount_bytes(it.carbohydrate)
    if it.meal is not None:
        flags, body = flags | ContextFlag.MEAL, body + unsigned(it.meal, 1, "meal")
    if it.tester is not None and it.health is not None:
        flags, body = flags | ContextFlag.TESTER, body + unsigned(it.tester | it.health << 4, 1, "tester, health")
    if it.exercise is not None:
        flags |= ContextFlag.EXERCISE
        body += unsigned(it.exercise.seconds, 2, "exercise") + unsigned(it.exercise.percent, 1, "exercise")
    if it.medication is not None:
        flags |= ContextFlag.MEDICATION | (ContextFlag.LITRES if it.medication.litres else ContextFlag(0))
        body += _amount_bytes(it.medication)
    if it.hba1c is not None:
        flags, body = flags | ContextFlag.HBA1C, body + sfloat(it.hba1c)
    return bytes([flags]) + body


def _amount_bytes(it: Amount) -> bytes:
    return unsigned(it.kind, 1, "kind") + sfloat(it.value)
