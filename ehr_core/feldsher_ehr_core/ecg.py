"""The words of an electrocardiogram: leads, and what an interpretation says of a recording.

The structures are the contract of `./run ecg interpret --json` and travel unchanged in the wire message, so a field is
only ever added. Sample indices are of the original recording; an absent wave is None, never invented; intervals are
milliseconds, axes degrees, rates per minute.
"""

from __future__ import annotations

from typing import Literal

import msgspec

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

BeatKind = Literal["N", "S", "V", "F", "Q"]
"""AAMI EC57 beat classes: normal, supraventricular, ventricular, fusion, unclassified or paced."""

Sex = Literal["male", "female", "unknown"]


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an interpretation may know of a person: never who they are.

    `age` in years; what depends on a missing age or sex is withheld, and that is said.
    """

    age: int | None = None
    sex: Sex = "unknown"
    pacemaker: bool | None = None
    pregnant: bool | None = None
    qt_drugs: bool | None = None


class LeadQuality(msgspec.Struct, frozen=True):
    """Whether a lead can be interpreted, and what is wrong with it."""

    usable: bool
    issues: tuple[str, ...] = ()


class QualitySegment(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """A stretch of one lead (or of `all`) judged on its own: samples `start` to `end`, end excluded."""

    start: int
    end: int
    lead: str
    usable: bool
    issues: tuple[str, ...] = ()


class Quality(msgspec.Struct, frozen=True):
    """What could and could not be judged; said before anything else is."""

    usable: bool
    leads: dict[str, LeadQuality]
    segments: tuple[QualitySegment, ...] = ()


class Beat(msgspec.Struct, frozen=True):
    """One heart beat: its R peak (sample) and its class."""

    r: int
    kind: BeatKind


class Wave(msgspec.Struct, frozen=True):
    """The fiducial points of one beat (index into `beats`) in one lead or `global`; None where a wave is absent."""

    beat: int
    lead: str
    p_on: int | None = None
    p_peak: int | None = None
    p_off: int | None = None
    qrs_on: int | None = None
    r: int | None = None
    qrs_off: int | None = None
    t_on: int | None = None
    t_peak: int | None = None
    t_off: int | None = None


class RhythmSpan(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """A rhythm code that holds from sample `start` to `end`, end excluded."""

    start: int
    end: int
    code: str


class Measurements(msgspec.Struct, frozen=True):
    """Global measurements: rate per minute, intervals in ms, frontal axes in degrees; None = not measurable."""

    rate: float | None = None
    pr: float | None = None
    p_dur: float | None = None
    qrs: float | None = None
    qt: float | None = None
    qtc_bazett: float | None = None
    qtc_fridericia: float | None = None
    qtc_framingham: float | None = None
    qtc_hodges: float | None = None
    axis_p: float | None = None
    axis_qrs: float | None = None
    axis_t: float | None = None


class Statement(msgspec.Struct, frozen=True):
    """One finding with its reasons: the numbers that caused it and the source of the rule.

    `code`: an SCP-ECG (EN 1064) code as PTB-XL uses them where one exists, otherwise from docs/statements.md.
    """

    code: str
    text: str
    certainty: Literal["definite", "probable", "possible"]
    because: tuple[str, ...]
    critical: bool = False


class Interpretation(msgspec.Struct, frozen=True):
    """A proposal: everything an engine says of one recording, unconfirmed until a doctor signs.

    `engine`: name and version; `fs`: samples per second; `samples`: per lead; `scores`: 0 to 1 for every code that the
    engine judges, stated or not, and the superclasses NORM, MI, STTC, CD, HYP.
    """

    engine: str
    fs: float
    leads: tuple[str, ...]
    samples: int
    quality: Quality
    beats: tuple[Beat, ...]
    waves: tuple[Wave, ...]
    rhythm: tuple[RhythmSpan, ...]
    measurements: Measurements
    statements: tuple[Statement, ...]
    scores: dict[str, float]
    conclusion: str
