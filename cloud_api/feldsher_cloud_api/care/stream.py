"""Continuous ECGs: their samples, read piece by piece where ingest keeps them, their evaluation, and parts of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import numpy as np
from feldsher_ehr_core.ambulatory import Ambulatory
from feldsher_ingest import read
from feldsher_ingest.read import StoredStream, StreamAxis
from feldsher_signal.record import MISSING, Recording
from numpy.typing import NDArray

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import dates
from feldsher_cloud_api.fhir.outcome import FhirError, not_found

if TYPE_CHECKING:
    from feldsher_signal.ambulatory import Found

SHORTEST_S, LONGEST_S = 60.0, 8 * 86_400.0
"""What is evaluated: less is read as it is drawn, more than a week of wearing is a clock that was set."""
SAMPLED_MOST_S = 60.0
"""Longest part that FHIR gives at once: three leads of it at 500 samples a second are half a megabyte of text."""
_MS = Decimal(1000)
_queries = db.queries("stream")
_report = msgspec.json.Decoder(Ambulatory)


@dataclass(frozen=True, slots=True)
class Samples:
    """A stored continuous ECG as the engine reads it (feldsher_signal.ambulatory.Source): only pieces are in memory."""

    connection: db.Connection
    stored: StoredStream
    axis: StreamAxis

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads."""
        return self.stored.leads

    @property
    def fs(self) -> float:
        """True samples per second."""
        return self.axis.rate

    @property
    def n(self) -> int:
        """Samples per lead, missing ones included."""
        return self.axis.total

    def part(self, start: int, stop: int) -> Recording:
        """Return the samples `start` to before `stop` as they were sent; ValueError where there are too many."""
        return read.stream_samples(self.connection, self.stored, self.axis, start, stop)

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return µV (leads, stop − start), NaN where missing."""
        return self.part(start, stop).microvolts()


def samples(connection: db.Connection, stored: StoredStream) -> Samples:
    """Return a stored continuous ECG as the engine reads it."""
    return Samples(connection, stored, read.stream_axis(connection, stored))


def evaluate(source: Samples) -> tuple[Ambulatory, Found]:
    """Return the engine's report with all beats; ValueError says why a continuous ECG cannot be evaluated."""
    from feldsher_signal import ambulatory_report, interpret  # noqa: PLC0415 - loads Numba
    from feldsher_signal.ambulatory import find  # noqa: PLC0415

    seconds = source.n / source.fs
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise ValueError(f"its {seconds:.0f} s are not {SHORTEST_S:.0f} s to {LONGEST_S / 86400:.0f} days")
    found = find(source)
    return ambulatory_report.describe(found, source, interpret.ENGINE), found


def picture(report: Ambulatory, found: Found, source: Samples, *, confirmed: str | None = None, demo: bool) -> str:
    """Return the report's page as SVG; `confirmed`: who confirmed it and when; `demo`: it says so."""
    from feldsher_signal import draw_ambulatory, draw_svg  # noqa: PLC0415 - loads Numba

    title = "DEMO. Ambulatory electrocardiogram" if demo else ""
    return draw_svg.svg(draw_ambulatory.page(report, found, source, confirmed=confirmed, title=title))


def evaluation(connection: db.Connection, stream: UUID) -> tuple[Ambulatory | None, str]:
    """Return what the engine said when a continuous ECG had ended; None and why where there is nothing (yet)."""
    report, why = _queries.evaluation(connection, stream=stream) or (None, None)
    return None if report is None else _report.decode(report), why or ""


def of_report(connection: db.Connection, report: UUID) -> StoredStream | None:
    """Return the continuous ECG that a report is about; None where it is about none."""
    identity = _queries.stream_of(connection, report=report)
    return read.stream(connection, identity) if identity else None


def verify(connection: db.Connection, report: UUID) -> None:
    """Read all samples of a report's continuous ECG, if it has one; read.DamagedError where one is not as stored."""
    stored = of_report(connection, report)
    if stored is not None:
        source = samples(connection, stored)
        step = int(read.WINDOW_MOST_S * source.fs)
        for start in range(0, source.n, step):
            source.part(start, min(start + step, source.n))


def window(connection: db.Connection, waveform: dict[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """Return the Observation of a continuous ECG with a part of its samples in it; nothing of it is stored.

    `asked`: `start` (instant; the beginning) and `seconds` (10; at most 60). FhirError 400 names what cannot
    be read, 404 where the Observation is of no continuous ECG or nothing was recorded then.
    """
    known = [i["value"] for i in waveform.get("identifier", []) if i.get("system") == "urn:feldsher:stream"]
    stored = read.stream(connection, UUID(known[0])) if known else None
    if stored is None:
        raise not_found("continuous ECG")
    start, seconds = _asked(stored, asked)
    found = read.stream_window(connection, stored, start, start + timedelta(seconds=seconds))
    if found is None:
        raise not_found("part of the continuous ECG: nothing was recorded then")
    end = found.start + timedelta(seconds=found.recording.n / found.recording.fs)
    part = {k: v for k, v in waveform.items() if k not in ("meta", "extension")}
    part["effectivePeriod"] = {"start": dates.render(found.start), "end": dates.render(end)}
    return part | {"component": sampled(found.recording)}


def _asked(stored: StoredStream, asked: Mapping[str, str]) -> tuple[datetime, float]:
    text, length = asked.get("start"), asked.get("seconds", "10")
    try:
        seconds = float(length)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= SAMPLED_MOST_S:
        raise FhirError(400, "invalid", f"seconds: {length[:20]!r} is not a number up to {SAMPLED_MOST_S:.0f}")
    if text is None:
        return stored.taken_from, seconds
    try:
        start, _ = dates.parse(text)
    except ValueError as error:
        raise FhirError(400, "invalid", f"start: {text[:40]!r} is not a FHIR instant") from error
    return start, seconds


def sampled(recording: Recording) -> list[dict[str, Any]]:
    """Return a recording as components with FHIR SampledData, one a lead: units as sampled, "E" where missing.

    value × factor = µV, exactly; https://hl7.org/fhir/R4/datatypes.html#SampledData
    """
    period = _MS / Decimal(repr(recording.fs))
    out: list[dict[str, Any]] = []
    for row, lead in enumerate(recording.leads):
        units = recording.samples[row]
        data = " ".join("E" if unit == MISSING else str(unit) for unit in units.tolist())
        value = {
            "origin": {"value": 0, "unit": "uV", "system": "http://unitsofmeasure.org", "code": "uV"},
            "period": period,
            "factor": Decimal(repr(recording.uv_per_bit[row])),
            "dimensions": 1,
            "data": data,
        }
        out.append({"code": {"text": f"Lead {lead}"}, "valueSampledData": value})
    return out
