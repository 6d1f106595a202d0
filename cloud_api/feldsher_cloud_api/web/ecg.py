"""The words and numbers of one ECG page, made of the stored recording and its report; no input or output here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from feldsher_ehr_core.ecg import Beat, Interpretation, Statement, Wave
from feldsher_ehr_core.wire import Origin
from feldsher_signal import draw, registry
from feldsher_signal.draw_sheet import Sheet
from feldsher_signal.record import Recording
from numpy.typing import NDArray

from feldsher_cloud_api.care.signature import UNCONFIRMED
from feldsher_cloud_api.web.catalogue import Catalogue
from feldsher_cloud_api.web.shapes import SIGNED, Person

LIMITS = registry.FIRST + registry.LAST
"""Codes that say what could not be judged: they stand before the findings."""
_BY_LEAD = ("LEADOFF", "NOISE")
"""Limits that the quality of each lead tells more exactly."""
_UNITS = {"rate": "per_min"} | {f"axis_{wave}": "°" for wave in ("p", "qrs", "t")}
_MEASURES = (
    "rate", "pr", "p_dur", "qrs", "qt", "qtc_fridericia", "qtc_bazett", "qtc_framingham", "qtc_hodges",
    "axis_p", "axis_qrs", "axis_t",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """What a page is made of: the report's state and the recording as stored."""

    id: UUID
    version: int
    status: str
    patient: Person | None
    taken: datetime
    device: str | None
    gateway: str | None
    indication: str | None
    pacemaker_known: bool
    conclusion: str | None
    stated: str
    agreed: bool
    signed_by: str | None
    signed_at: datetime | None
    recording: Recording
    sha256: str
    interpretation: Interpretation | None
    not_interpreted: str | None = None
    partial: str | None = None
    lost: int = 0
    lead_off: tuple[str, ...] = ()
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A statement in the reader's language."""

    code: str
    text: str
    certainty: str
    because: tuple[str, ...]
    critical: bool
    rule: str = ""
    source: str = ""

    @property
    def limits(self) -> bool:
        """Whether it tells what could not be judged, rather than a finding."""
        return self.code in LIMITS


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement with its unit; empty `value` where it could not be measured."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class BeatRow:
    """A beat for those who cannot see the trace: seconds and milliseconds."""

    at: float
    kind: str
    rr: int | None
    pr: int | None
    qrs: int | None
    qt: int | None


@dataclass(frozen=True, slots=True)
class EcgPage:
    """Everything the ECG page says."""

    source: Source
    unjudged: tuple[str, ...]
    statements: tuple[Said, ...]
    measurements: tuple[Measured, ...]
    beats: tuple[BeatRow, ...]
    language: str

    @property
    def signed(self) -> bool:
        """Whether a physician stands behind it."""
        return self.source.status in SIGNED

    @property
    def findings(self) -> tuple[Said, ...]:
        """The statements that are findings."""
        return tuple(s for s in self.statements if not s.limits)

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

    @property
    def draft(self) -> str:
        """What the doctor's conclusion starts from: the machine's own text, or the statements in another language."""
        said = "; ".join(s.text for s in self.statements)
        stated = self.source.stated.removesuffix(UNCONFIRMED).strip()
        return stated or said if self.language == "en" else said or stated

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.source.recording.n / self.source.recording.fs

    @property
    def fs(self) -> float:
        """Samples per second."""
        return self.source.recording.fs

    @property
    def leads(self) -> tuple[str, ...]:
        """Lead names."""
        return self.source.recording.leads


def ecg_page(source: Source, words: Catalogue) -> EcgPage:
    """Return what an ECG page says in one language."""
    found = source.interpretation
    return EcgPage(
        source,
        unjudged(source, words),
        tuple(said(s, words) for s in (found.statements if found else ())),
        _measured(found, words),
        _beats(found),
        words.language,
    )


def said(statement: Statement, words: Catalogue) -> Said:
    """Return a statement in the reader's language, with its rule and source."""
    entry = registry.REGISTRY.get(statement.code)
    return Said(
        statement.code,
        words.code("statement", statement.code, statement.text),
        statement.certainty,
        statement.because,
        statement.critical,
        entry.rule if entry else "",
        entry.source if entry else "",
    )


def finding(statements: list[tuple[str, str]], words: Catalogue) -> str:
    """Return one line for lists: findings (code, the engine's own text) in the reader's language; limits only alone."""
    findings = [(code, text) for code, text in statements if code not in LIMITS]
    return "; ".join(words.code("statement", code, text) for code, text in findings or statements)


def unjudged(source: Source, words: Catalogue) -> tuple[str, ...]:
    """Return what could not be judged and what was withheld, in the order in which it matters."""
    said, lines = source.interpretation, list[str]()
    if said is None:
        lines.append(words.say("ecg.not_interpreted", why=source.not_interpreted or words.say("page.unknown")))
    elif not said.quality.usable:
        lines.append(words.say("ecg.unjudged_all"))
    if said is not None:
        lines += [
            f"{lead}: {_issues(quality.issues, words)}"
            for lead, quality in said.quality.leads.items()
            if not quality.usable
        ]
        whole = {lead for lead, quality in said.quality.leads.items() if not quality.usable}
        lines += [_segment(s.start, s.end, s.lead, s.issues, said.fs, words) for s in said.quality.segments
                  if not s.usable and s.lead not in whole]  # fmt: skip
    lines += _limits(said, words) if said else []
    lines += [f"{lead}: {words.code('issue', 'lead_off')}" for lead in source.lead_off if said is None]
    if source.origin:
        lines += [words.say("ecg.doubt", why=doubt) for doubt in source.origin.doubts]
    if source.partial:
        lines.append(words.say("ecg.partial", why=source.partial))
    if source.lost:
        lines.append(words.say("ecg.lost", n=source.lost))
    if not source.pacemaker_known:
        lines.append(words.say("ecg.pacing_unknown"))
    return tuple(lines)


def _limits(said: Interpretation, words: Catalogue) -> list[str]:
    return [
        words.say("ecg.limit", text=words.code("statement", s.code, s.text), why="; ".join(s.because))
        for s in said.statements
        if s.code in LIMITS and s.code not in _BY_LEAD
    ]


def _segment(start: int, end: int, lead: str, issues: tuple[str, ...], fs: float, words: Catalogue) -> str:
    name = words.say("ecg.all_leads") if lead == "all" else lead
    when = words.say("ecg.from_to", start=f"{start / fs:.1f}", end=f"{end / fs:.1f}")
    return f"{name}, {when}: {_issues(issues, words)}"


def _issues(codes: tuple[str, ...], words: Catalogue) -> str:
    return ", ".join(words.code("issue", code) for code in codes) or words.say("page.unknown")


def _measured(said: Interpretation | None, words: Catalogue) -> tuple[Measured, ...]:
    if said is None:
        return ()
    rows: list[Measured] = []
    for name in _MEASURES:
        value = getattr(said.measurements, name)
        unit = _UNITS.get(name, "ms")
        shown = unit if unit == "°" else f" {words.say(f'ecg.{unit}')}"
        rows.append(Measured(words.say(f"measurement.{name}"), "" if value is None else f"{value:.0f}{shown}"))
    return tuple(rows)


def _beats(said: Interpretation | None) -> tuple[BeatRow, ...]:
    if said is None:
        return ()
    waves = {w.beat: w for w in said.waves if w.lead == "global"}
    rows: list[BeatRow] = []
    before: Beat | None = None
    for i, beat in enumerate(said.beats):
        w = waves.get(i, Wave(i, "global"))
        rr = None if before is None else round((beat.r - before.r) / said.fs * 1000)
        rows.append(
            BeatRow(beat.r / said.fs, beat.kind, rr, _ms(w.p_on, w.qrs_on, said.fs), _ms(w.qrs_on, w.qrs_off, said.fs),
                    _ms(w.qrs_on, w.t_off, said.fs))
        )  # fmt: skip
        before = beat
    return tuple(rows)


def _ms(start: int | None, end: int | None, fs: float) -> int | None:
    return None if start is None or end is None else round((end - start) / fs * 1000)


def viewer_meta(source: Source, *, demo: bool) -> dict[str, Any]:
    """Return what the canvas viewer needs besides the samples: scale, leads, beats, global waves, quality."""
    said, record = source.interpretation, source.recording
    quality: Any = msgspec.to_builtins(said.quality) if said else {"leads": {}, "segments": []}
    return {
        "fs": record.fs,
        "n": record.n,
        "leads": list(record.leads),
        "uv_per_bit": list(record.uv_per_bit),
        "baseline": list(record.baseline or (0,) * len(record.leads)),
        "beats": [{"r": b.r, "kind": b.kind} for b in said.beats] if said else [],
        "waves": [msgspec.to_builtins(w) for w in said.waves if w.lead == "global"] if said else [],
        "quality": quality,
        "demo": demo,
    }


def viewer_words(words: Catalogue) -> dict[str, Any]:
    """Return the sentences that the canvas viewer writes itself."""
    names = ("unjudged", "calipers_none", "ms", "mv")
    return {name: words.say(f"ecg.{name}") for name in names} | {
        "bpm": words.say("ecg.per_min"),
        "speed": words.say("ecg.mm_s"),
        "gain": words.say("ecg.mm_mv"),
        "filter": words.say("ecg.filter_none"),
        "demo": words.say("page.demo"),
        "issues": words.group("issue"),
    }


def planes(samples: NDArray[np.int32]) -> bytes:
    """Return samples (leads, n) as four byte planes of zigzag-coded differences, as static/ecg_record.js reads them."""
    bits = np.ascontiguousarray(samples, dtype="<i4").view(np.uint32)
    delta = bits.copy()
    delta[:, 1:] -= bits[:, :-1]
    zigzag = (delta << np.uint32(1)) ^ (delta.view(np.int32) >> np.int32(31)).view(np.uint32)
    return np.ascontiguousarray(zigzag.astype("<u4").reshape(-1, 1).view(np.uint8).T).tobytes()


def sheet(source: Source, *, demo: bool) -> Sheet:
    """Return the paper of a report, with the patient's name: a signed one as it was signed (signature.py)."""
    found, confirmed = source.interpretation, None
    if source.status in SIGNED and source.signed_by and source.signed_at:
        confirmed = f"{source.signed_by}, {source.signed_at:%Y-%m-%d %H:%M} UTC"
    if found is not None and confirmed and not source.agreed:
        own = Statement("physician", source.conclusion or "", "definite", ())
        found = msgspec.structs.replace(found, conclusion=source.conclusion or "", statements=(own,))
    who = source.patient
    title = None if who is None else f"{who.name}{f', {who.birth_date:%Y-%m-%d}' if who.birth_date else ''}"
    return draw.paper(source.recording, found, confirmed=confirmed, title=title, watermark="DEMO" if demo else None)
