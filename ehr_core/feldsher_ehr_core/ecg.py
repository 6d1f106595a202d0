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

Severity = Literal["normal", "note", "borderline", "abnormal", "urgent"]
"""How much a statement weighs; an alarm is the statement's own `critical`."""


YEAR_DAYS = 365.25


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an interpretation may know of a person: never who they are.

    `age` in years, `age_days` in days where it is known so finely (small children); what depends on a missing age or
    sex is withheld, and that is said.
    """

    age: int | None = None
    sex: Sex = "unknown"
    pacemaker: bool | None = None
    pregnant: bool | None = None
    qt_drugs: bool | None = None
    age_days: int | None = None

    @property
    def days(self) -> int | None:
        """The age in days: as given, or that of the birthday; None for an infant whose age is given in years."""
        if self.age_days is not None:
            return self.age_days
        return int(self.age * YEAR_DAYS) if self.age else None

    def whole(self) -> Subject:
        """Return the subject with the age in years that follows from one in days alone."""
        if self.age is not None or self.age_days is None:
            return self
        return msgspec.structs.replace(self, age=int(self.age_days / YEAR_DAYS))


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


class BeatReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """The numbers by which a beat is not the patient's usual one.

    `interval`: the one before it, as a part of the usual one (premature under 0.87); `likeness`: correlation with the
    usual complex, `p`: of what precedes it with the usual P wave, −1 … 1; QRS widths: None = not measurable.
    """

    interval: float
    likeness: float
    p: float
    qrs_ms: float | None = None
    usual_qrs_ms: float | None = None


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """One heart beat: its R peak (sample), its class, and of an ectopic one (S, V) what speaks for that."""

    r: int
    kind: BeatKind
    because: BeatReason | None = None


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


class LeadMatrix(msgspec.Struct, frozen=True, omit_defaults=True):
    """One lead of the median beat, the measurement matrix of IEC 60601-2-25; 0 where there is no such wave.

    Amplitudes in µV against the QRS onset (P against its own), Q and S negative; durations and times in ms; areas in
    µV·s; `p2`, `t2` (P′, T′): the phase opposite to the main one; `p_end`: depth × duration of P's last negative phase,
    µV·s (terminal force); `peak_ms`, `rpt_ms`: QRS onset to the first R, to R′ where there is one (intrinsicoid
    deflection); `slur_ms`: QRS onset to a slope of 40 % of the steepest (delta wave); `d20`, `d40`: amplitude so many
    ms after QRS onset; `notch`: a second peak on R's way down (J wave); `j`: QRS end, `st20` …: so many ms after;
    `st_slope`: J + 20 to J + 80 ms in mV/s; `t_half_ms`: T's width at half its height; `u`: what stands out after T.
    """

    p: float = 0.0
    p_ms: float = 0.0
    p2: float = 0.0
    p2_ms: float = 0.0
    p_area: float = 0.0
    p_end: float = 0.0
    q: float = 0.0
    q_ms: float = 0.0
    r: float = 0.0
    r_ms: float = 0.0
    s: float = 0.0
    s_ms: float = 0.0
    r2: float = 0.0
    r2_ms: float = 0.0
    s2: float = 0.0
    s2_ms: float = 0.0
    peak_ms: float = 0.0
    rpt_ms: float = 0.0
    slur_ms: float = 0.0
    d20: float = 0.0
    d40: float = 0.0
    notch: float = 0.0
    qrs_area: float = 0.0
    j: float = 0.0
    st20: float = 0.0
    st40: float = 0.0
    st60: float = 0.0
    st80: float = 0.0
    st_slope: float = 0.0
    t: float = 0.0
    t_ms: float = 0.0
    t2: float = 0.0
    t2_ms: float = 0.0
    t_half_ms: float = 0.0
    t_area: float = 0.0
    u: float = 0.0

    @property
    def peak_to_peak(self) -> float:
        """The QRS from its lowest to its highest point, µV."""
        return max(self.r, self.r2, 0.0) - min(self.q, self.s, self.s2, 0.0)


class Statement(msgspec.Struct, frozen=True):
    """One finding with its reasons: the numbers that caused it and the source of the rule.

    `code`: an SCP-ECG (EN 1064) code as PTB-XL uses them where one exists, otherwise from docs/statements.md.
    """

    code: str
    text: str
    certainty: Literal["definite", "probable", "possible"]
    because: tuple[str, ...]
    critical: bool = False


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands behind a statement's code: its kind, its weight, the source of its rule.

    `rule_only`: fewer than 20 recordings with it were there to test the rule, so its score is graded, not calibrated.
    """

    category: str
    severity: Severity
    source: str
    rule_only: bool = False


class Interpretation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A proposal: everything an engine says of one recording, unconfirmed until a doctor signs.

    `engine`: name and version; `fs`: samples per second; `samples`: per lead; `scores`: 0 to 1 for every code that the
    engine judges, stated or not, and the superclasses NORM, MI, STTC, CD, HYP; `matrix`: the usable leads;
    `minnesota`: Minnesota codes such as `7-2-1`; `about`: by code of each statement.
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
    matrix: dict[str, LeadMatrix] = {}
    minnesota: tuple[str, ...] = ()
    about: dict[str, About] = {}


class Change(msgspec.Struct, frozen=True):
    """A measurement that changed by more than repeated recordings of an unchanged heart do (`limit`)."""

    what: str
    before: float | None
    after: float | None
    limit: float
    source: str


class Comparison(msgspec.Struct, frozen=True):
    """A recording beside an earlier one: statements new, resolved and kept (codes), measurements changed.

    `critical`: something new is alarmed; `notes`: what limits the comparison.
    """

    new: tuple[str, ...]
    resolved: tuple[str, ...]
    kept: tuple[str, ...]
    changed: tuple[Change, ...]
    critical: bool
    notes: tuple[str, ...]
    conclusion: str
