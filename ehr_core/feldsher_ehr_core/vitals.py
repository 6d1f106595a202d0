"""Vital signs: the codes a device may measure, in IEEE 11073 (MDC), LOINC and UCUM, and why a value may be absent."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

Absent = Literal["nan", "nres", "+inf", "-inf", "reserved"]
"""Why a device sent no number: the special values of IEEE 11073-20601 FLOAT and SFLOAT."""

ABSENT_REASONS: dict[Absent, str] = {
    "nan": "not-a-number",
    "nres": "error",
    "+inf": "positive-infinity",
    "-inf": "negative-infinity",
    "reserved": "unknown",
}
"""FHIR data-absent-reason codes of the special values (NRes, "not at this resolution", has none closer)."""


@dataclass(frozen=True, slots=True)
class Vital:
    """One kind of vital sign. `unit` is UCUM; a value beyond `low` to `high` makes the frame suspect."""

    mdc: int
    loinc: str
    display: str
    unit: str
    low: float
    high: float


# LOINC codes: FHIR R4 vital-signs profile (http://hl7.org/fhir/R4/observation-vitalsigns.html). MDC:
# IEEE 11073-10101 as in HL7's Personal Health Device guide, Observation-bloodPress (149546 is MDC_PULS_RATE_NON_INV).
# `low`/`high` are plausibility bounds of measuring devices (ISO 81060-2 cuffs show 0 to 300 mmHg), not clinical limits.
SYSTOLIC = Vital(150021, "8480-6", "Systolic blood pressure", "mm[Hg]", 0, 300)
DIASTOLIC = Vital(150022, "8462-4", "Diastolic blood pressure", "mm[Hg]", 0, 300)
MEAN = Vital(150023, "8478-0", "Mean blood pressure", "mm[Hg]", 0, 300)
PULSE = Vital(149546, "8867-4", "Heart rate", "/min", 0, 300)

VITALS: dict[int, Vital] = {v.mdc: v for v in (SYSTOLIC, DIASTOLIC, MEAN, PULSE)}
BLOOD_PRESSURE_PANEL = "85354-9"

PASCALS_PER_MMHG = Decimal("133.322387415")
"""The conventional millimetre of mercury, 13 595.1 kg/m³ × 9.806 65 m/s² × 1 mm (ISO 80000-4; NIST SP 811, B.8)."""


def mmhg(kilopascals: Decimal) -> Decimal:
    """Return a pressure in kPa as mmHg, rounded to one decimal place: a step of 0.1 kPa is 0.75 mmHg."""
    return (kilopascals * 1000 / PASCALS_PER_MMHG).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
