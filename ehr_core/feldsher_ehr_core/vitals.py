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
    """One kind of vital sign. `unit` is UCUM; a value beyond `low` to `high` makes the frame suspect.

    `name`: the MDC reference id; `loinc` is empty where LOINC has no code for it; `in_units`: LOINC codes of values in
    other units than `unit`; `also`: further LOINC codes that say the same more closely.
    """

    mdc: int
    loinc: str
    display: str
    unit: str
    low: float
    high: float
    name: str = ""
    in_units: tuple[tuple[str, str], ...] = ()
    also: tuple[str, ...] = ()

    def loinc_in(self, unit: str) -> str:
        """Return the LOINC code of a value in a UCUM unit: amounts of substance have another one than masses."""
        return dict(self.in_units).get(unit, self.loinc)


# LOINC codes: FHIR R4 vital-signs profile (http://hl7.org/fhir/R4/observation-vitalsigns.html), the others loinc.org.
# MDC: IEEE 11073-10101, partition * 65536 + term (partition 2: SCADA; 128: disease management), as in HL7's Personal
# Health Device guide (149546 is MDC_PULS_RATE_NON_INV). `low`/`high` are plausibility bounds of measuring
# devices (ISO 81060-2 cuffs show 0 to 300 mmHg), not clinical limits.
SYSTOLIC = Vital(150021, "8480-6", "Systolic blood pressure", "mm[Hg]", 0, 300, "MDC_PRESS_BLD_NONINV_SYS")
DIASTOLIC = Vital(150022, "8462-4", "Diastolic blood pressure", "mm[Hg]", 0, 300, "MDC_PRESS_BLD_NONINV_DIA")
MEAN = Vital(150023, "8478-0", "Mean blood pressure", "mm[Hg]", 0, 300, "MDC_PRESS_BLD_NONINV_MEAN")
PULSE = Vital(149546, "8867-4", "Heart rate", "/min", 0, 300, "MDC_PULS_RATE_NON_INV")
HEART_RATE = Vital(147842, "8867-4", "Heart rate", "/min", 0, 300, "MDC_ECG_HEART_RATE")
OXIMETER_PULSE = Vital(149530, "8867-4", "Heart rate", "/min", 0, 300, "MDC_PULS_OXIM_PULS_RATE")
RR_INTERVAL = Vital(147240, "", "R-R interval", "ms", 0, 64_000, "MDC_ECG_TIME_PD_RR_GL")
SATURATION = Vital(150456, "2708-6", "Oxygen saturation", "%", 0, 100, "MDC_PULS_OXIM_SAT_O2", also=("59408-5",))
PERFUSION = Vital(150448, "61006-3", "Perfusion index", "%", 0, 100, "MDC_PULS_OXIM_PERF_REL")
TEMPERATURE = Vital(150364, "8310-5", "Body temperature", "Cel", 20, 45, "MDC_TEMP_BODY")
# Codes also in the Danish core guide's value set "IEEE basic observation"; LOINC has skin temperature as a word alone.
SKIN_TEMPERATURE = Vital(150388, "", "Skin temperature", "Cel", 0, 50, "MDC_TEMP_SKIN")
RESPIRATION = Vital(151578, "9279-1", "Respiratory rate", "/min", 0, 150, "MDC_TTHOR_RESP_RATE")
WEIGHT = Vital(188736, "29463-7", "Body weight", "kg", 0, 400, "MDC_MASS_BODY_ACTUAL")
HEIGHT = Vital(188740, "8302-2", "Body height", "cm", 20, 260, "MDC_LEN_BODY_ACTUAL")
BMI = Vital(188752, "39156-5", "Body mass index", "kg/m2", 5, 150, "MDC_RATIO_MASS_BODY_LEN_SQ")
FAT = Vital(188748, "41982-0", "Percentage of body fat", "%", 0, 100, "MDC_BODY_FAT")
FAT_FREE = Vital(188756, "", "Fat free mass", "kg", 0, 400, "MDC_MASS_BODY_FAT_FREE")
SOFT_LEAN = Vital(188760, "", "Soft lean mass", "kg", 0, 400, "MDC_MASS_BODY_SOFT_LEAN")
BODY_WATER = Vital(188764, "", "Body water mass", "kg", 0, 400, "MDC_BODY_WATER")
METABOLISM = Vital(188768, "", "Basal metabolism", "kJ", 0, 65_000, "MDC_BASAL_METABOLISM")
MUSCLE_SHARE = Vital(188772, "", "Muscle percentage", "%", 0, 100, "MDC_BODY_MUSCLE")
MUSCLE = Vital(188776, "", "Muscle mass", "kg", 0, 400, "MDC_MASS_BODY_MUSCLE")
IMPEDANCE = Vital(188780, "", "Body impedance", "Ohm", 0, 6_553, "MDC_BODY_ELECTRICAL_IMPEDANCE")
BODY = (
    WEIGHT, HEIGHT, BMI, FAT, FAT_FREE, SOFT_LEAN, BODY_WATER, METABOLISM, MUSCLE_SHARE, MUSCLE, IMPEDANCE,
)  # fmt: skip


def _glucose(mdc: int, mass: str, moles: str, of: str, name: str) -> Vital:
    return Vital(mdc, mass, f"Glucose in {of}", "mg/dL", 0, 1000, f"MDC_CONC_GLU_{name}", in_units=(("mmol/L", moles),))


# LOINC of glucose, mass and moles per volume: blood 2339-0, 15074-8; capillary blood by glucometer 41653-7, 14743-9;
# serum or plasma 2345-7, 14749-6; interstitial fluid 99504-3, 105272-9 (loinc.org).
GLUCOSE_CAPILLARY = _glucose(160184, "41653-7", "14743-9", "capillary blood", "CAPILLARY_WHOLEBLOOD")
GLUCOSE_INTERSTITIAL = _glucose(160212, "99504-3", "105272-9", "interstitial fluid", "ISF")
GLUCOSE_UNDETERMINED = _glucose(160364, "2339-0", "15074-8", "blood", "UNDETERMINED_WHOLEBLOOD")
GLUCOSE = (
    GLUCOSE_CAPILLARY,
    _glucose(160188, "2345-7", "14749-6", "capillary plasma", "CAPILLARY_PLASMA"),
    _glucose(160192, "2339-0", "15074-8", "venous blood", "VENOUS_WHOLEBLOOD"),
    _glucose(160196, "2345-7", "14749-6", "venous plasma", "VENOUS_PLASMA"),
    _glucose(160200, "2339-0", "15074-8", "arterial blood", "ARTERIAL_WHOLEBLOOD"),
    _glucose(160204, "2345-7", "14749-6", "arterial plasma", "ARTERIAL_PLASMA"),
    GLUCOSE_UNDETERMINED,
    _glucose(160368, "2345-7", "14749-6", "plasma", "UNDETERMINED_PLASMA"),
    GLUCOSE_INTERSTITIAL,
    _glucose(160208, "", "", "control solution", "CONTROL"),
)
"""In the order in which the Glucose Service numbers the fluids, from 1 on."""
CARBOHYDRATE = Vital(8417764, "", "Carbohydrate intake", "g", 0, 1000, "MDC_CTXT_GLU_CARB")
EXERCISE = Vital(8417760, "", "Exercise intensity", "%", 0, 100, "MDC_CTXT_GLU_EXERCISE")
MEDICATION = Vital(8417796, "", "Diabetes medication", "mg", 0, 100_000, "MDC_CTXT_MEDICATION")
HBA1C = Vital(160220, "4548-4", "Haemoglobin A1c", "%", 0, 30, "MDC_CONC_HBA1C")

_ALL = (
    SYSTOLIC, DIASTOLIC, MEAN, PULSE, HEART_RATE, OXIMETER_PULSE, RR_INTERVAL, SATURATION, PERFUSION, TEMPERATURE,
    SKIN_TEMPERATURE, RESPIRATION, *BODY, *GLUCOSE, CARBOHYDRATE, EXERCISE, MEDICATION, HBA1C,
)  # fmt: skip
VITALS: dict[int, Vital] = {v.mdc: v for v in _ALL}
BLOOD_PRESSURE_PANEL = "85354-9"


@dataclass(frozen=True, slots=True)
class Coded:
    """What a device says by a number that stands for a word: `words` are MDC code, reference id and word of each."""

    mdc: int
    name: str
    display: str
    words: dict[int, tuple[int, str, str]]


# The numbers: Bluetooth GATT Specification Supplement, "Glucose Measurement Context". The MDC terms: IEEE 11073-10101.
MEAL = Coded(
    8417864,
    "MDC_CTXT_GLU_MEAL",
    "Meal",
    {
        1: (8417868, "MDC_CTXT_GLU_MEAL_PREPRANDIAL", "Before a meal"),
        2: (8417872, "MDC_CTXT_GLU_MEAL_POSTPRANDIAL", "After a meal"),
        3: (8417876, "MDC_CTXT_GLU_MEAL_FASTING", "Fasting"),
        4: (8417880, "MDC_CTXT_GLU_MEAL_CASUAL", "Casual"),
        5: (8417908, "MDC_CTXT_GLU_MEAL_BEDTIME", "Bedtime"),
    },
)
HEALTH = Coded(
    8417820,
    "MDC_CTXT_GLU_HEALTH",
    "Health",
    {
        1: (8417824, "MDC_CTXT_GLU_HEALTH_MINOR", "Minor health issues"),
        2: (8417828, "MDC_CTXT_GLU_HEALTH_MAJOR", "Major health issues"),
        3: (8417832, "MDC_CTXT_GLU_HEALTH_MENSES", "During menses"),
        4: (8417836, "MDC_CTXT_GLU_HEALTH_STRESS", "Under stress"),
        5: (8417840, "MDC_CTXT_GLU_HEALTH_NONE", "No health issues"),
    },
)
TESTER = Coded(
    8417884,
    "MDC_CTXT_GLU_TESTER",
    "Tester",
    {
        1: (8417888, "MDC_CTXT_GLU_TESTER_SELF", "Self"),
        2: (8417892, "MDC_CTXT_GLU_TESTER_HCP", "Health care professional"),
        3: (8417896, "MDC_CTXT_GLU_TESTER_LAB", "Laboratory"),
    },
)
CODED: dict[int, Coded] = {one.mdc: one for one in (MEAL, HEALTH, TESTER)}

PASCALS_PER_MMHG = Decimal("133.322387415")
"""The conventional millimetre of mercury, 13 595.1 kg/m³ × 9.806 65 m/s² × 1 mm (ISO 80000-4; NIST SP 811, B.8)."""


def mmhg(kilopascals: Decimal) -> Decimal:
    """Return a pressure in kPa as mmHg, rounded to one decimal place: a step of 0.1 kPa is 0.75 mmHg."""
    return (kilopascals * 1000 / PASCALS_PER_MMHG).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
