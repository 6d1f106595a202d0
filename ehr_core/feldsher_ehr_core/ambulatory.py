"""The words of a long (ambulatory) recording: beats by hour, rhythm, ectopy, pauses, heart rate variability.

The structures are the contract of `./run ecg ambulatory --json`; a field is only ever added. Samples are of the
original recording, times in seconds from its beginning, rates per minute, intervals in ms; None = not measurable.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from feldsher_ehr_core.ecg import RhythmSpan, Statement

EventKind = Literal[
    "pause", "ventricular_tachycardia", "ventricular_run", "supraventricular_run", "couplet", "bigeminy", "trigeminy",
    "fibrillation", "fastest", "slowest",
]  # fmt: skip


class Counts(msgspec.Struct, frozen=True):
    """Beats by AAMI class."""

    N: int = 0
    S: int = 0
    V: int = 0
    F: int = 0
    Q: int = 0

    @property
    def all(self) -> int:
        """All beats."""
        return self.N + self.S + self.V + self.F + self.Q


class Event(msgspec.Struct, frozen=True):
    """Something that happened from sample `start` to `end`: its beats, and its rate where it has one."""

    kind: EventKind
    start: int
    end: int
    beats: int = 0
    rate: float | None = None


class Hour(msgspec.Struct, frozen=True):
    """One hour of the recording, from `start` s: least and greatest mean rate over eight beats; AF in seconds."""

    start: float
    judged_s: float
    beats: Counts
    rate_mean: float | None = None
    rate_min: float | None = None
    rate_max: float | None = None
    af_s: float = 0.0
    pauses: int = 0


class Ectopy(msgspec.Struct, frozen=True):
    """Ventricular or supraventricular beats: alone, in pairs and in runs of three and more; stretches of n-geminy."""

    beats: int = 0
    part: float = 0.0
    isolated: int = 0
    couplets: int = 0
    runs: int = 0
    longest_run: int = 0
    fastest_run: float | None = None
    bigeminy: int = 0
    trigeminy: int = 0


class Fibrillation(msgspec.Struct, frozen=True):
    """Atrial fibrillation and flutter: part of the judged time, episodes, the longest (s), mean rate during it."""

    part: float = 0.0
    seconds: float = 0.0
    episodes: int = 0
    longest_s: float = 0.0
    rate_mean: float | None = None


class Variability(msgspec.Struct, frozen=True):
    """Heart rate variability of normal-to-normal intervals (Task Force 1996): ms, %, ms² over 5-minute segments."""

    intervals: int = 0
    part: float = 0.0
    mean_nn: float | None = None
    sdnn: float | None = None
    sdann: float | None = None
    sdnn_index: float | None = None
    rmssd: float | None = None
    pnn50: float | None = None
    triangular: float | None = None
    segments: int = 0
    total: float | None = None
    vlf: float | None = None
    lf: float | None = None
    hf: float | None = None
    lf_hf: float | None = None
    lf_nu: float | None = None
    hf_nu: float | None = None


class Ambulatory(msgspec.Struct, frozen=True):
    """A proposal: the report of a long recording, unconfirmed until a doctor signs.

    `judged_s`: time in which at least one lead could be judged; `artefact_s`: the rest; `rate_min`, `rate_max`: least
    and greatest mean over eight beats; `events`: what is worth a look, most urgent first; `events_left` more there are;
    `doubtful_pauses`: long intervals in which something may be a beat, not counted among `pauses`.
    """

    engine: str
    fs: float
    leads: tuple[str, ...]
    samples: int
    judged_s: float
    artefact_s: float
    beats: Counts
    rate_mean: float | None
    rate_min: float | None
    rate_max: float | None
    hours: tuple[Hour, ...]
    rhythm: tuple[RhythmSpan, ...]
    fibrillation: Fibrillation
    ventricular: Ectopy
    supraventricular: Ectopy
    pauses: int
    longest_pause_s: float | None
    events: tuple[Event, ...]
    events_left: int
    variability: Variability
    statements: tuple[Statement, ...]
    conclusion: str
    doubtful_pauses: int = 0
