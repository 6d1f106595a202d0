"""The page of a continuous ECG: its trace part by part, what happened in it, and what the engine says of all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from feldsher_ehr_core.ambulatory import Ambulatory, Event
from feldsher_ingest.read import StoredStream, StreamAxis, moment
from feldsher_signal import draw
from feldsher_signal.ambulatory_text import ALARMING, clock
from feldsher_signal.draw_page import Layout
from feldsher_signal.draw_sheet import Sheet
from feldsher_signal.record import Recording

from feldsher_cloud_api.care.signature import UNCONFIRMED
from feldsher_cloud_api.web import ecg
from feldsher_cloud_api.web.catalogue import Catalogue
from feldsher_cloud_api.web.ecg import Measured, Said
from feldsher_cloud_api.web.shapes import SIGNED, Person

LENGTHS = (10, 30, 60)
"""Seconds that are drawn at once; of several leads ten."""
BEFORE_S = 4.0
"""So much before an event its part begins."""
MOST = 50
"""Events and holes on one page."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a page is made of: the report's state, the continuous ECG, where its pieces lie, the engine's report."""

    id: UUID
    version: int
    status: str
    patient: Person | None
    stored: StoredStream
    axis: StreamAxis
    conclusion: str | None
    stated: str
    agreed: bool
    signed_by: str | None
    signed_at: datetime | None
    sha256: str
    evaluation: Ambulatory | None
    limits: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """From the first to the last sample."""
        return self.axis.total / self.axis.rate

    @property
    def taken(self) -> datetime:
        """Best known time of the first sample."""
        return self.stored.taken_from


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the trace: `at` seconds from the beginning, its length, its true time; `empty`: nothing is there."""

    at: float
    seconds: int
    start: datetime
    empty: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to look at: when from the beginning, what, and from which second on it is drawn."""

    clock: str
    words: str
    at: float
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Everything the page of a continuous ECG says; what it shares with a short one's has the same names there."""

    source: Source
    part: Part
    places: dict[str, float]
    lengths: tuple[int, ...]
    statements: tuple[Said, ...]
    measurements: tuple[Measured, ...]
    unjudged: tuple[str, ...]
    events: tuple[Mark, ...]
    events_left: int
    holes: tuple[Mark, ...]
    holes_left: int
    draft: str

    @property
    def running(self) -> bool:
        """Whether it may still go on."""
        return self.source.status == "registered"

    @property
    def signed(self) -> bool:
        """Whether a physician stands behind it."""
        return self.source.status in SIGNED

    @property
    def findings(self) -> tuple[Said, ...]:
        """The statements."""
        return self.statements

    @property
    def critical_texts(self) -> tuple[str, ...]:
        """The critical statements, unless a physician has put other words in their place."""
        if self.signed and not self.source.agreed:
            return ()
        return tuple(s.text for s in self.statements if s.critical)

    @property
    def critical(self) -> bool:
        """Whether any statement is critical."""
        return bool(self.critical_texts)


def stream_page(source: Source, at: float, seconds: int, words: Catalogue) -> StreamPage:
    """Return what the page says in one language, with the part of `seconds` that begins `at` seconds from the start."""
    found = source.evaluation
    statements = tuple(ecg.said(s, words) for s in (found.statements if found else ()))
    shown = part(source, at, seconds)
    last = max(source.seconds - shown.seconds, 0.0)
    earlier, later = max(shown.at - shown.seconds, 0.0), min(shown.at + shown.seconds, last)
    events = tuple(_event(e, source, words) for e in (found.events if found else ()))
    holes = _holes(source.axis, words)
    stated = source.stated.removesuffix(UNCONFIRMED).strip()
    texts = "; ".join(s.text for s in statements)
    return StreamPage(
        source=source,
        part=shown,
        places={"first": 0.0, "earlier": earlier, "later": later, "last": last},
        lengths=LENGTHS if len(source.stored.leads) == 1 else LENGTHS[:1],
        statements=statements,
        measurements=_numbers(found, words),
        unjudged=_unjudged(source, holes, words),
        events=events[:MOST],
        events_left=max(len(events) - MOST, 0) + (found.events_left if found else 0),
        holes=holes[:MOST],
        holes_left=max(len(holes) - MOST, 0),
        draft=stated or texts if words.language == "en" else texts or stated,
    )


def part(source: Source, at: float, seconds: int) -> Part:
    """Return a part of the trace within it: the nearest where it would begin outside; of several leads ten seconds."""
    axis, seconds = source.axis, seconds if len(source.stored.leads) == 1 and seconds in LENGTHS else LENGTHS[0]
    latest = max(source.seconds - seconds, 0.0)
    at = min(max(at, 0.0), latest) if math.isfinite(at) else 0.0
    if not axis.total:
        return Part(0.0, seconds, source.stored.taken_from, empty=True)
    low = round(at * axis.rate)
    there = axis.within(low, low + round(seconds * axis.rate))
    return Part(at, seconds, moment(axis.time_us(low)), there.start == there.stop)


def window(shown: Part, axis: StreamAxis) -> tuple[int, int]:
    """Return from which to before which sample a part goes."""
    low = round(shown.at * axis.rate)
    return low, max(min(low + round(shown.seconds * axis.rate), axis.total), low + 1)


def _event(event: Event, source: Source, words: Catalogue) -> Mark:
    fs = source.evaluation.fs if source.evaluation else source.axis.rate
    start = event.start / fs
    said = [words.say(f"stream.event_{event.kind}")]
    if event.kind in ("pause", "fibrillation"):
        said.append(words.say("stream.lasting", s=f"{(event.end - event.start) / fs:.1f}"))
    elif event.kind not in ("fastest", "slowest"):
        said.append(words.say("stream.beats_n", n=event.beats))
    if event.rate is not None:
        said.append(f"{event.rate:.0f} {words.say('ecg.per_min')}")
    return Mark(clock(start), ", ".join(said), max(start - BEFORE_S, 0.0), event.kind in ALARMING)


def _holes(axis: StreamAxis, words: Catalogue) -> tuple[Mark, ...]:
    """Return where nothing was recorded between two pieces, in order of time."""
    ends = axis.first + axis.n
    out: list[Mark] = []
    for k in (axis.first[1:] > ends[:-1]).nonzero()[0].tolist():
        start, missing = int(ends[k]) / axis.rate, int(axis.first[k + 1] - ends[k]) / axis.rate
        at = max(start - BEFORE_S, 0.0)
        out.append(Mark(clock(start), words.say("stream.lasting", s=f"{missing:.1f}"), at))
    return tuple(out)


def _unjudged(source: Source, holes: tuple[Mark, ...], words: Catalogue) -> tuple[str, ...]:
    found, lines = source.evaluation, list[str]()
    if not source.axis.total:
        lines.append(words.say("stream.gone"))
    elif source.status == "registered":
        lines.append(words.say("stream.running_long"))
    elif found is None:
        lines += [words.say("stream.not_evaluated", why=text) for text in source.limits]
    elif found.artefact_s >= 1:
        lines.append(words.say("stream.artefact", s=round(found.artefact_s), all=round(found.samples / found.fs)))
    if holes:
        missing = source.axis.total - int(source.axis.n.sum())
        lines.append(words.say("stream.missing", n=len(holes), s=round(missing / source.axis.rate)))
    return tuple(lines)


def _numbers(found: Ambulatory | None, words: Catalogue) -> tuple[Measured, ...]:
    if found is None:
        return ()

    def number(value: float | None, unit: str = "") -> str:
        return "" if value is None else f"{value:.0f} {words.say(unit)}" if unit else f"{value:.0f}"

    rate, ms = "ecg.per_min", "ecg.ms"
    rows = {
        "judged": clock(found.judged_s),
        "beats": str(found.beats.all),
        "rate_mean": number(found.rate_mean, rate),
        "rate_min": number(found.rate_min, rate),
        "rate_max": number(found.rate_max, rate),
        "pauses": str(found.pauses),
        "af": f"{100 * found.fibrillation.part:.1f} %",
        "v": str(found.ventricular.beats),
        "s": str(found.supraventricular.beats),
        "sdnn": number(found.variability.sdnn, ms),
        "rmssd": number(found.variability.rmssd, ms),
    }
    return tuple(Measured(words.say(f"stream.n_{name}"), value) for name, value in rows.items())


def sheet(recording: Recording, shown: Part, *, demo: bool) -> Sheet:
    """Return ECG paper of a part: nothing is said of it, and it is stamped unconfirmed."""
    title = f"{shown.start:%Y-%m-%d %H:%M:%S} UTC, {clock(shown.at)} + {shown.seconds} s"
    layout: Layout = "single" if len(recording.leads) == 1 else "12x1"
    return draw.paper(recording, None, layout=layout, title=title, watermark="DEMO" if demo else None)
