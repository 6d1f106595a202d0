"""Normal limits of the ECG under 16 years, by age and sex; what cannot be judged at an age, by name.

Rijnbeek et al., New normal limits for the paediatric electrocardiogram, Eur Heart J 2001;22:702 (1912 children of 11
days to 16 years): 2nd and 98th percentiles. The paper itself was not at hand: the figures are those on which two (the
voltages) and three (all else) public transcriptions of its tables, made apart from each other, agree number by number.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from feldsher_ehr_core.ecg import Sex, Subject

Range = tuple[float, float]

FIRST_DAY = 11
"""Nobody of the study was younger; the ECG of the first days changes fastest."""
ADULT, TABLES_END = 18, 16
"""Intervals, rate and axis are judged as an adult's from 16 years; voltage only from 18."""
GROUP_FROM_DAYS = (11, 30, 91, 183, 365, 1096, 1826, 2922, 4383)
GROUPS = ("11–30 days", "1–3 months", "3–6 months", "6–12 months", "1–3 y", "3–5 y", "5–8 y", "8–12 y", "12–16 y")

_RATE = {
    "male": ((129, 192), (126, 187), (112, 165), (106, 194), (97, 155), (73, 123), (62, 113), (55, 101), (48, 99)),
    "female": ((136, 216), (126, 200), (122, 191), (106, 187), (95, 178), (78, 124), (68, 115), (58, 110), (54, 107)),
}
_PR = {
    "male": ((77, 120), (85, 120), (87, 134), (82, 141), (86, 151), (98, 152), (99, 160), (105, 174), (107, 178)),
    "female": ((91, 121), (78, 133), (84, 127), (88, 133), (78, 147), (99, 153), (92, 156), (103, 163), (106, 176)),
}
_QRS = {
    "male": ((50, 85), (52, 77), (54, 85), (52, 86), (54, 88), (58, 92), (63, 98), (67, 103), (78, 111)),
    "female": ((54, 79), (48, 77), (50, 78), (52, 80), (54, 85), (58, 88), (59, 95), (66, 99), (72, 106)),
}
_QTC = {
    "male": (
        (378, 448),
        (396, 458),
        (391, 453),
        (379, 449),
        (383, 455),
        (377, 448),
        (371, 443),
        (373, 440),
        (362, 449),
    ),
    "female": (
        (379, 462),
        (381, 454),
        (386, 448),
        (381, 446),
        (381, 447),
        (388, 442),
        (375, 449),
        (365, 447),
        (370, 457),
    ),
}
_AXIS = {
    "male": ((75, 140), (37, 138), (-6, 107), (14, 122), (-4, 118), (7, 112), (-10, 112), (-21, 114), (-9, 112)),
    "female": ((63, 155), (39, 121), (17, 108), (1, 102), (2, 121), (3, 106), (27, 117), (5, 117), (5, 101)),
}
# 98th percentiles in mV.
_R_V1 = {
    "male": (2.05, 2.07, 2.20, 2.14, 2.11, 1.78, 1.48, 1.14, 1.18),
    "female": (2.22, 1.99, 2.04, 1.92, 1.91, 1.38, 1.24, 1.14, 1.10),
}
_S_V1 = {
    "male": (1.41, 1.57, 2.02, 1.88, 2.27, 2.11, 2.29, 2.46, 2.44),
    "female": (1.48, 1.59, 1.64, 1.86, 2.13, 2.11, 2.49, 2.58, 2.05),
}
_R_V6 = {
    "male": (1.78, 2.23, 2.73, 2.79, 2.96, 3.14, 2.98, 3.24, 3.05),
    "female": (1.64, 2.67, 2.80, 2.74, 2.67, 2.91, 3.25, 3.04, 2.52),
}
_S_V6 = {
    "male": (0.77, 1.12, 1.25, 1.21, 0.91, 0.86, 0.89, 0.79, 0.85),
    "female": (1.07, 0.77, 0.97, 0.70, 0.88, 0.61, 0.77, 0.75, 0.67),
}


class Limits(NamedTuple):
    """Normal limits of one age group: 2nd and 98th percentile of rate/min, ms (QTc: Bazett), degrees; µV."""

    group: str
    rate: Range
    pr: Range
    qrs: Range
    qtc: Range
    axis: Range
    r_v1: float
    s_v1: float
    r_v6: float
    s_v6: float


@lru_cache(64)
def _limits(group: int, sex: Sex) -> Limits:
    """Return the limits of a group; of both sexes together (the wider) where the sex is unknown."""
    sexes = (sex,) if sex != "unknown" else ("male", "female")

    def span(table: dict[str, tuple[tuple[int, int], ...]]) -> Range:
        rows = [table[s][group] for s in sexes]
        return float(min(low for low, _ in rows)), float(max(high for _, high in rows))

    def top(table: dict[str, tuple[float, ...]]) -> float:
        return 1000.0 * max(table[s][group] for s in sexes)

    rate, pr, qrs, qtc, axis = (span(table) for table in (_RATE, _PR, _QRS, _QTC, _AXIS))
    return Limits(GROUPS[group], rate, pr, qrs, qtc, axis, top(_R_V1), top(_S_V1), top(_R_V6), top(_S_V6))


def limits(subject: Subject) -> Limits | None:
    """Return the limits for a child of 11 days to 16 years; None for anyone else or without an age."""
    days = subject.days
    if days is None or days < FIRST_DAY or is_grown(subject):
        return None
    return _limits(sum(days >= start for start in GROUP_FROM_DAYS) - 1, subject.sex)


class Rates(NamedTuple):
    """Rates per minute: under and over which a sinus rhythm is slow and fast, and what alarms."""

    slow: float
    fast: float
    least: float
    most: float


GROWN_RATES = Rates(50.0, 100.0, 35.0, 150.0)
"""Adults: slow under 50 (ACC/AHA/HRS 2018 bradycardia guideline; 50–60 is healthy: Spodick 1992), fast over 100
(AHA/ACC/HRS 2007 part II, Mason); the alarms are house rules."""
NEWBORN_RATES = Rates(0.0, 1000.0, 60.0, 220.0)
"""Under 11 days no table holds: nothing is slow or fast, and what alarms is a house rule."""
LEAST_PART, MOST_ABOVE = 0.6, 30.0
"""A child's alarms: under this part of the 2nd percentile, so far over the 98th (house rule)."""


def rates(subject: Subject) -> Rates:
    """Return the rates by which a sinus rhythm is judged at an age; an adult's where none is given."""
    table = limits(subject)
    if table is not None:
        low, high = table.rate
        return Rates(low, high, LEAST_PART * low, high + MOST_ABOVE)
    return GROWN_RATES if is_grown(subject) else NEWBORN_RATES


def is_grown(subject: Subject) -> bool:
    """Say whether adult limits of rate, intervals and axis hold: from 16 years, and where no age is given."""
    years = subject.age
    return years >= TABLES_END if years is not None else subject.age_days is None


def is_child(subject: Subject) -> bool:
    """Say whether someone is known to be under 18."""
    return subject.age is not None and subject.age < ADULT


ALWAYS = (
    "infarction by Q waves",
    "T inversion in V1–V3",
    "ST elevation in V2–V3",
    "atrial enlargement",
    "low voltage",
)
"""What no table is there for under 18."""
ORIGIN = "atrial, junctional and escape rhythm"
"""Known by an adult's rates and PR: not judged under 16 (origin.py)."""


def unjudged(subject: Subject) -> tuple[str, ...]:
    """Return what is not judged at a child's age; () for adults and where no age is given."""
    if not is_child(subject):
        return ()
    if is_grown(subject):
        return ("ventricular hypertrophy", *ALWAYS)
    if limits(subject) is None:
        return ("rate", "PR", "QRS axis", "QTc", "ventricular hypertrophy", *ALWAYS, ORIGIN)
    return (*ALWAYS, ORIGIN)
