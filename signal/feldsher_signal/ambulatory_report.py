"""From the beats of a long recording to its report: hours, ectopy, fibrillation, pauses, variability, statements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from feldsher_ehr_core.ambulatory import Ambulatory, Counts, Ectopy, Event, EventKind, Fibrillation, Hour
from feldsher_ehr_core.ecg import RhythmSpan, Statement
from numpy.typing import NDArray

from feldsher_signal import episodes, hrv, long_rhythm, registry
from feldsher_signal.ambulatory import Found, Source, find
from feldsher_signal.episodes import Row
from feldsher_signal.pauses import sure

HOUR_S = 3600.0
MOST_EVENTS = 200
LONG_PAUSE_S = 3.0
"""Alarmed from here: ACC/AHA/HRS 2018 bradycardia guideline."""
SUSTAINED_S = 30.0
"""A ventricular tachycardia that lasts: AHA/ACC/HRS 2017."""
FAST_AF = 150.0
"""Alarmed: house rule, as in rhythm.py."""
_URGENT: tuple[EventKind, ...] = (
    "ventricular_tachycardia", "pause", "ventricular_run", "supraventricular_run", "fibrillation", "couplet",
    "bigeminy", "trigeminy", "fastest", "slowest",
)  # fmt: skip


def report(source: Source, engine: str) -> Ambulatory:
    """Return the report of a long recording; `engine`: name and version of who says so."""
    return describe(find(source), source, engine)


def describe(found: Found, source: Source, engine: str) -> Ambulatory:
    """Return the report of the beats that were found in `source`, those in seconds that can be judged alone."""
    found = _judgeable(found)
    rhythm = long_rhythm.spans(found)
    afib = _within(found, rhythm)
    # Every interval of fibrillation is early or late: there is no supraventricular ectopy in it.
    kinds = np.where(afib & (found.kinds == ord("S")), np.uint8(ord("N")), found.kinds)
    found = replace(found, kinds=kinds)
    row = Row(found.r, found.kinds, found.whole, found.fs)
    long, (first, rates) = episodes.pauses(row), episodes.eights(row)
    pauses = sure(found, source, long)
    hours = _hours(found, row, rhythm, pauses, first, rates)
    fibrillation = _fibrillation(found, rhythm)
    judged = _judged(found)
    ventricular, more_v = _ectopy(row, "V")
    supraventricular, more_s = _ectopy(row, "S")
    extremes = _extremes(row, first, rates)
    flutter = [Event("fibrillation", s.start, s.end) for s in rhythm if s.code == "AFIB"]
    events = sorted([*more_v, *more_s, *pauses, *flutter, *extremes], key=_urgency)
    steady = hrv.normal_intervals(found.r, row.of("N") & ~afib, row.whole, found.fs)
    longest = max((_seconds(found, pause) for pause in pauses), default=None)
    said = _statements(found, fibrillation, ventricular, supraventricular, pauses, longest)
    mean = 60.0 * found.r.shape[0] / judged if judged > 0 and found.r.shape[0] else None
    return Ambulatory(
        engine=engine,
        fs=found.fs,
        leads=found.leads,
        samples=found.n,
        judged_s=judged,
        artefact_s=found.n / found.fs - judged,
        beats=_counts(found.kinds),
        rate_mean=mean,
        rate_min=float(rates.min()) if rates.size else None,
        rate_max=float(rates.max()) if rates.size else None,
        hours=hours,
        rhythm=rhythm,
        fibrillation=fibrillation,
        ventricular=ventricular,
        supraventricular=supraventricular,
        pauses=len(pauses),
        longest_pause_s=longest,
        doubtful_pauses=len(long) - len(pauses),
        events=_kept(events),
        events_left=max(len(events) - MOST_EVENTS, 0),
        variability=hrv.variability(steady, found.r.shape[0]),
        statements=said,
        conclusion=_conclusion(said, judged),
    )


def _judgeable(found: Found) -> Found:
    """Return the beats without those in seconds that cannot be judged: what is counted there would be noise."""
    good = ~found.bad[np.minimum(found.r // found.width, found.bad.shape[0] - 1)]
    return replace(found, r=found.r[good], kinds=found.kinds[good], p_like=found.p_like[good])


def _within(found: Found, rhythm: tuple[RhythmSpan, ...]) -> NDArray[np.bool_]:
    """Return which beats lie in fibrillation or flutter."""
    out = np.zeros(found.r.shape[0], np.bool_)
    for span in rhythm:
        if span.code == "AFIB":
            out[np.searchsorted(found.r, span.start) : np.searchsorted(found.r, span.end)] = True
    return out


def _seconds(found: Found, event: Event) -> float:
    return (event.end - event.start) / found.fs


def _judged(found: Found) -> float:
    """Return the seconds in which at least one lead could be judged."""
    good = np.flatnonzero(~found.bad)
    return float(np.sum(np.minimum((good + 1) * found.width, found.n) - good * found.width)) / found.fs


def _counts(kinds: NDArray[np.uint8]) -> Counts:
    found = np.bincount(kinds, minlength=128)
    return Counts(**{kind: int(found[ord(kind)]) for kind in Counts.__struct_fields__})


def _hours(
    found: Found,
    row: Row,
    rhythm: tuple[RhythmSpan, ...],
    pauses: list[Event],
    first: NDArray[np.int64],
    rates: NDArray[np.float64],
) -> tuple[Hour, ...]:
    """Return the recording hour by hour from its beginning."""
    length = round(HOUR_S * found.fs)
    count = -(-found.n // length)
    edges = np.searchsorted(found.r, np.arange(count + 1) * length)
    among = np.searchsorted(found.r[first], np.arange(count + 1) * length)
    out: list[Hour] = []
    for k in range(count):
        a, b = k * length, min((k + 1) * length, found.n)
        seconds = found.bad[a // found.width : -(-b // found.width)]
        judged = float((~seconds).mean()) * (b - a) / found.fs if seconds.size else 0.0
        kinds, own = found.kinds[edges[k] : edges[k + 1]], rates[among[k] : among[k + 1]]
        af = sum(max(min(s.end, b) - max(s.start, a), 0) for s in rhythm if s.code == "AFIB") / found.fs
        out.append(
            Hour(
                a / found.fs,
                judged,
                _counts(kinds),
                60.0 * kinds.shape[0] / judged if judged > 0 and kinds.shape[0] else None,
                float(own.min()) if own.size else None,
                float(own.max()) if own.size else None,
                af,
                sum(a <= pause.start < b for pause in pauses),
            )
        )
    return tuple(out)


def _ectopy(row: Row, kind: str) -> tuple[Ectopy, list[Event]]:
    """Return what beats of class V or S do, and the events among them."""
    first, length = episodes.runs(row, kind)
    rate = episodes.run_rate(row, first, length)
    long = np.flatnonzero(length >= episodes.RUN_BEATS)
    twos, threes = episodes.geminy(row, kind, 2), episodes.geminy(row, kind, 3)
    events = [*twos, *threes]
    for k in [*np.flatnonzero(length == 2).tolist(), *long.tolist()]:
        last = first[k] + length[k] - 1
        name: EventKind = "couplet"
        if length[k] >= episodes.RUN_BEATS and kind == "V":
            name = "ventricular_tachycardia" if rate[k] > episodes.TACHYCARDIA else "ventricular_run"
        elif length[k] >= episodes.RUN_BEATS:
            name = "supraventricular_run"
        if kind == "V" or name != "couplet":
            events.append(Event(name, int(row.r[first[k]]), int(row.r[last]), int(length[k]), float(rate[k])))
    beats = int(length.sum())
    return Ectopy(
        beats=beats,
        part=beats / row.r.shape[0] if row.r.shape[0] else 0.0,
        isolated=int((length == 1).sum()),
        couplets=int((length == 2).sum()),
        runs=int(long.size),
        longest_run=int(length[long].max()) if long.size else 0,
        fastest_run=float(rate[long].max()) if long.size else None,
        bigeminy=len(twos),
        trigeminy=len(threes),
    ), events


def _extremes(row: Row, first: NDArray[np.int64], rates: NDArray[np.float64]) -> list[Event]:
    """Return the fastest and the slowest eight beats."""
    if not rates.size:
        return []
    names: tuple[tuple[EventKind, int], ...] = (("fastest", int(rates.argmax())), ("slowest", int(rates.argmin())))
    n = episodes.RATE_BEATS
    return [Event(name, int(row.r[first[k]]), int(row.r[first[k] + n]), n + 1, float(rates[k])) for name, k in names]


def _urgency(event: Event) -> tuple[int, float]:
    """Return the order in which events are shown: by kind, the longest or fastest of a kind first."""
    return _URGENT.index(event.kind), -float(event.beats or event.end - event.start)


def _kept(events: list[Event]) -> tuple[Event, ...]:
    """Return the MOST_EVENTS most urgent events, the most urgent of every kind among them."""
    if len(events) <= MOST_EVENTS:
        return tuple(events)
    best = {event.kind: event for event in reversed(events)}
    last = [event for event in best.values() if event not in events[: MOST_EVENTS - len(best)]]
    return (*events[: MOST_EVENTS - len(last)], *sorted(last, key=_urgency))


def _fibrillation(found: Found, rhythm: tuple[RhythmSpan, ...]) -> Fibrillation:
    lengths = [(s.end - s.start) / found.fs for s in rhythm if s.code == "AFIB"]
    judged = _judged(found)
    beats = sum(
        int(np.searchsorted(found.r, s.end) - np.searchsorted(found.r, s.start)) for s in rhythm if s.code == "AFIB"
    )
    return Fibrillation(
        part=min(sum(lengths) / judged, 1.0) if judged > 0 else 0.0,
        seconds=sum(lengths),
        episodes=len(lengths),
        longest_s=max(lengths, default=0.0),
        rate_mean=60.0 * beats / sum(lengths) if lengths else None,
    )


def _statement(code: str, because: tuple[str, ...], critical: bool = False) -> Statement:
    return Statement(code, registry.REGISTRY[code].text, "probable", because, critical)


def _statements(
    found: Found, af: Fibrillation, v: Ectopy, s: Ectopy, pauses: list[Event], longest: float | None
) -> tuple[Statement, ...]:
    """Return what the report states, with its numbers; what alarms comes first."""
    out: list[Statement] = []
    if v.runs and v.fastest_run is not None and v.fastest_run > episodes.TACHYCARDIA:
        because = (f"{v.runs} runs, the longest {v.longest_run} beats", f"up to {v.fastest_run:.0f}/min")
        out.append(_statement("VTAC", because, True))
    if longest is not None:
        because = (f"{len(pauses)} over {episodes.PAUSE_S:.0f} s, the longest {longest:.1f} s",)
        out.append(_statement("PAUSE", because, longest >= LONG_PAUSE_S))
    if af.episodes:
        because = (f"{100 * af.part:.1f} % of the judged time in {af.episodes} episodes",)
        out.append(_statement("AFIB", because, af.rate_mean is not None and af.rate_mean > FAST_AF))
    if s.runs and s.fastest_run is not None and s.fastest_run > episodes.TACHYCARDIA:
        because = (f"{s.runs} runs of early narrow beats, the longest {s.longest_run}, up to {s.fastest_run:.0f}/min",)
        out.append(_statement("SVTAC", because))
    if v.beats:
        out.append(_statement("PVC", (f"{v.beats} beats, {100 * v.part:.1f} %", f"{v.couplets} couplets")))
    if s.beats:
        out.append(_statement("PAC", (f"{s.beats} beats, {100 * s.part:.1f} %",)))
    for code, times in (("BIGU", v.bigeminy + s.bigeminy), ("TRIGU", v.trigeminy + s.trigeminy)):
        if times:
            out.append(_statement(code, (f"{times} stretches",)))
    return tuple(sorted(out, key=lambda each: not each.critical))


def _conclusion(said: tuple[Statement, ...], judged: float) -> str:
    """Return one paragraph; always unconfirmed until a doctor signs."""
    if judged <= 0:
        return "Not interpretable: no usable signal. Unconfirmed."
    words = [f"{each.text}: {'; '.join(each.because)}" for each in said] or ["No ectopy, pauses or fibrillation found"]
    return ". ".join(words) + ". Unconfirmed."
