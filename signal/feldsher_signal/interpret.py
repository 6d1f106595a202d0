"""From a recording to its interpretation: the whole pipeline in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ecg import Beat, BeatKind, BeatReason, Interpretation, LeadMatrix, Quality, Subject, Wave
from numpy.typing import NDArray

from feldsher_signal import (
    beats,
    between,
    chaos,
    contour,
    criteria,
    delineate,
    fibrillation,
    flutter,
    fwaves,
    jit,
    matrix,
    measure,
    median,
    minnesota,
    order,
    pacing,
    ptrain,
    quality,
    registry,
    retrograde,
    rhythm,
    standstill,
    stream,
)
from feldsher_signal.findings import Findings
from feldsher_signal.record import Recording

ENGINE = "feldsher 0.4"
"""What a report says it was judged by: raised whenever findings may differ for the same recording."""
P_MARGIN_S = 0.02
"""How far before its usual onset a median beat's P wave may begin."""
FS_RANGE = (100.0, 2000.0)
"""Samples per second that the engine was made for."""


@dataclass(frozen=True, slots=True)
class Traced:
    """Beats found and marked: R peaks, classes, marks (beats, leads + 1, 9), P evidence and the prevailing beats."""

    r: NDArray[np.int64]
    kinds: tuple[BeatKind, ...]
    marks: NDArray[np.int64]
    p_like: NDArray[np.float64]
    usual: NDArray[np.bool_]
    atria: between.Atria
    paced: pacing.Pacing
    train: ptrain.Train | None
    chaos: tuple[tuple[int, int], ...]
    waves: fwaves.FWaves | None
    because: dict[int, BeatReason]


def interpret(recording: Recording, subject: Subject | None = None, channel: int | None = None) -> Interpretation:
    """Return the interpretation of a recording, of all its leads or of row `channel` alone.

    ValueError where the sampling rate is outside FS_RANGE or nothing was recorded.
    """
    jit.warm()
    if channel is not None:
        recording = recording.only(channel)
    if not FS_RANGE[0] <= recording.fs <= FS_RANGE[1]:
        raise ValueError(f"fs: {recording.fs:g} samples per second is outside {FS_RANGE[0]:g} to {FS_RANGE[1]:g}")
    if not recording.leads or recording.n < 1:
        raise ValueError("samples: the recording is empty")
    subject = (subject or Subject()).whole()
    x = recording.microvolts()
    found = stream.trace(x, recording.leads, recording.fs)
    filled = quality.bridged(x)
    found, filled, spikes = _without_spikes(x, filled, recording, found)
    said = quality.report(found.seen, recording.leads, recording.n)
    traced = trace(filled, recording, found, spikes)
    findings = _measure(filled, recording, traced, said, found.usable, subject)
    return _write(recording, said, traced, findings)


def windows_of(recording: Recording) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return a recording's windows of beats, their fibrillation.FEATURES and its R peaks, for training."""
    jit.warm()
    x = recording.microvolts()
    t = trace(quality.bridged(x), recording, stream.trace(x, recording.leads, recording.fs))
    at = fibrillation.windows(t.r.shape[0])
    return at, fibrillation.features(at, _known(t, recording.fs)), t.r


def _known(t: Traced, fs: float) -> fibrillation.Known:
    """Return what fibrillation is judged by."""
    letters = np.frombuffer("".join(t.kinds).encode(), np.uint8)
    on, p_peak = t.marks[:, -1, delineate.QRS_ON], t.marks[:, -1, delineate.P_PEAK]
    # A beat of unknown class (Q) is where it is for no less reason than a normal one.
    ectopic = (letters != ord("N")) & (letters != ord("Q"))
    unclear = (letters == ord("Q")) & ~t.paced.ventricular
    return fibrillation.Known(fs, t.r, on, ectopic, letters == ord("V"), unclear, t.p_like, p_peak >= 0, t.atria)


def warm() -> int:
    """Compile (or load) every kernel; return how many there are."""
    return jit.warm()


def _without_spikes(
    x: NDArray[np.float32], filled: NDArray[np.float32], recording: Recording, found: stream.Traced
) -> tuple[stream.Traced, NDArray[np.float32], NDArray[np.int64] | None]:
    """Return beats and signal with pacing spikes bridged, and where they are; as given where they keep no pattern."""
    spikes = pacing.find(filled, recording.fs, found.usable)
    if spikes.shape[0] >= pacing.FEWEST:
        again = stream.trace(pacing.bridged(x, recording.fs, spikes), recording.leads, recording.fs)
        if pacing.steady(spikes, again.beats.r, recording.fs):
            return again, pacing.bridged(filled, recording.fs, spikes), spikes
    return found, filled, None


def trace(
    x: NDArray[np.float32], recording: Recording, found: stream.Traced, spikes: NDArray[np.int64] | None = None
) -> Traced:
    """Return the beats with their marks and classes; where beats cannot be told apart none has a class (Q)."""
    fs, seen, usable = recording.fs, found.seen, found.usable
    r, marks, p_like = found.beats.r, found.beats.marks, found.beats.p_like
    on, off = marks[:, -1, delineate.QRS_ON], marks[:, -1, delineate.QRS_OFF]
    width = np.where(on >= 0, (off - on) * 1000.0 / fs, np.nan)
    classes = beats.unjudged(r.shape[0])
    if usable.any() and r.shape[0] >= beats.FEWEST:
        classes = beats.classify(beats.evidence(x, recording.leads, usable, r, fs, width, p_like))
    unclear = seen.unclear[np.minimum(r // seen.width, seen.unclear.shape[0] - 1)].tolist()
    kinds: tuple[BeatKind, ...] = tuple(
        "Q" if lost else kind for kind, lost in zip(classes.kinds, unclear, strict=True)
    )
    sums = contour.prefix_sums(x)
    atria = between.look(sums, fs, r, np.ascontiguousarray(on), between.chosen(recording.leads, usable))
    paced = pacing.pattern(np.empty(0, np.int64) if spikes is None else spikes, np.where(on >= 0, on, r), fs)
    kinds = beats.paced(kinds, paced.ventricular)
    rows = ptrain.chosen(recording.leads, usable)
    wide = np.array([kind == "V" for kind in kinds], np.bool_)
    early = wide | np.array([kind == "S" for kind in kinds], np.bool_)
    apart = ptrain.wanted(r, fs, x.shape[1], p_like, early)
    train = ptrain.find(sums, fs, rows, r, wide) if apart and rows.shape[0] >= ptrain.FEWEST_LEADS else None
    without = chaos.stretches(sums, fs, rows)
    waves = fwaves.find(sums, fs, fwaves.chosen(recording.leads, usable), r, wide)
    usual, why = classes.usual & (on >= 0), classes.because
    own = width[usual & (on >= 0)]
    if flutter.seen(waves, float(order.median(own)) if own.size else None):
        marks = marks.copy()
        marks[:, :, : delineate.QRS_ON] = delineate.ABSENT
    return Traced(r, kinds, marks, p_like, usual, atria, paced, train, without, waves, why)


def _p_from(t: Traced, chosen: NDArray[np.int64], r: int, fs: float) -> int:
    """Return from where on a median beat's P wave is sought: where the T wave before it ends, near its usual place.

    A single beat's P wave is found by its neighbours; the median has none, and at a fast rate the dent between T and P
    can stand out more than P does.
    """
    later = chosen[chosen > 0]
    ends, onsets = t.marks[later - 1, -1, delineate.T_OFF], t.marks[chosen, -1, delineate.P_ON]
    ended, begun = ends >= 0, onsets >= 0
    first = r + int(order.median(ends[ended] - t.r[later[ended]])) if ended.any() else 0
    usual = r + int(order.median(onsets[begun] - t.r[chosen[begun]]) - P_MARGIN_S * fs) if begun.any() else 0
    return max(first, usual, 0)


def _measure(
    x: NDArray[np.float32], recording: Recording, t: Traced, said: Quality, usable: NDArray[np.bool_], subject: Subject
) -> Findings:
    """Return the findings from the median beat of the prevailing normal beats."""
    fs = recording.fs
    every = np.full((1, len(recording.leads) + 1, len(delineate.POINTS)), delineate.ABSENT, np.int64)
    normal = np.array([kind == "N" for kind in t.kinds], np.bool_) & t.usual
    chosen = np.flatnonzero(normal if normal.any() else t.usual)
    found: dict[str, LeadMatrix] = {}
    behind = 0.0
    p_there = bool(chosen.size) and float((t.marks[chosen, -1, delineate.P_PEAK] >= 0).mean()) >= 0.5
    if chosen.size:
        middle = median.median_beat(x, fs, t.r, t.marks[:, -1, delineate.QRS_ON], chosen)
        sums = contour.prefix_sums(middle.x)
        sought = delineate.Sought(np.array([middle.r]), usable, middle.rr, True, _p_from(t, chosen, middle.r, fs))
        every, _ = delineate.delineate(sums, fs, sought)
        if not p_there:
            every[:, :, : delineate.QRS_ON] = delineate.ABSENT
            behind = retrograde.size(middle.x, fs, recording.leads, int(every[0, -1, delineate.QRS_OFF]))
        found = matrix.lead_matrices(middle.x, every[0], usable, recording.leads, fs)
    # A line that is flat in every lead can hide no beat.
    dark = [s for s in said.segments if s.lead == "all" and s.issues != ("flat",)]
    silent = tuple((s.start, s.end) for s in dark if s.issues != ("unclear",))
    silent += standstill.moving(x, fs, t.r, [(s.start, s.end) for s in dark if s.issues == ("unclear",)])
    silent += standstill.doubtful(x, fs, t.r, usable)
    rate, qt_rate = measure.mean_rate(t.r, fs, silent), measure.rate_before(t.r, chosen, fs, silent)
    measured = measure.measurements(every[0, -1], found, rate, fs, qt_rate)
    alike = float(t.usual.mean()) if t.usual.size else 1.0
    p_seen = t.marks[:, -1, delineate.P_PEAK] >= 0
    return Findings(
        fs,
        recording.n,
        recording.leads,
        said,
        subject,
        t.r,
        t.kinds,
        t.p_like,
        p_seen,
        measured,
        found,
        silent,
        alike,
        fibrillation.chance(_known(t, fs)),
        t.paced,
        t.train,
        t.chaos,
        t.waves,
        behind,
    )


def _beats(t: Traced) -> tuple[Beat, ...]:
    """Return the beats in words; only those that stayed S or V say why."""
    pairs = zip(t.r.tolist(), t.kinds, strict=True)
    return tuple(Beat(r, kind, t.because.get(k) if kind in "SV" else None) for k, (r, kind) in enumerate(pairs))


def _waves(t: Traced, leads: tuple[str, ...], usable: list[bool]) -> tuple[Wave, ...]:
    """Return the marks in words: for each beat `global` and every usable lead."""
    names = (*leads, "global")
    chosen = [len(leads), *(k for k in range(len(leads)) if usable[k])]
    out: list[Wave] = []
    whole: list[list[bool]] = (t.marks.min(axis=2) >= 0).tolist()
    for beat, rows in enumerate(t.marks.tolist()):
        for k in chosen:
            points: list[int] = rows[k]
            if whole[beat][k]:
                out.append(Wave(beat, names[k], *points))
            elif points[delineate.QRS_ON] >= 0:
                out.append(Wave(beat, names[k], *[None if point < 0 else point for point in points]))
    return tuple(out)


def _write(recording: Recording, said: Quality, t: Traced, f: Findings) -> Interpretation:
    """Return everything as the contract wants it."""
    found = criteria.verdicts(f)
    stated = criteria.statements(found)
    usable = [said.leads[lead].usable for lead in recording.leads]
    return Interpretation(
        engine=ENGINE,
        fs=recording.fs,
        leads=recording.leads,
        samples=recording.n,
        quality=said,
        beats=_beats(t),
        waves=_waves(t, recording.leads, usable),
        rhythm=rhythm.spans(f),
        measurements=f.measured,
        statements=stated,
        scores=criteria.scores(found),
        conclusion=criteria.conclusion(stated, said.usable),
        matrix=dict(f.matrix),
        minnesota=minnesota.codes(f, found),
        about={s.code: registry.about(s.code) for s in stated},
    )
