"""A long recording (24 h) of one to three leads: beats, classes and rhythm, piece by piece, without a mark per beat.

The kernels are those of a short recording where they see every sample (quality, QRS, R peak). What is dear per beat is
done once per group of like beats instead: QRS onset and width come from each group's mean beat. Only one piece of the
signal is in memory as µV at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import clarity, detector, fiducial, jit, quality, shapes
from feldsher_signal.record import MISSING, Recording
from feldsher_signal.sliding import medians

PIECE_S, MARGIN_S = 600.0, 20.0
"""A piece, and what is looked at on each side of it, so that thresholds and neighbours are known at its first beat."""
USABLE_PART = 0.2
"""A lead of a piece of which less is good is not looked at."""
UNLIKE, WIDER_MS, WIDE_MS, ALONE = 0.80, 25.0, 120.0, 0.4
"""A ventricular group: likeness to the usual one under this, wider by so much, no P wave of the patient's own."""
EARLY, EARLY_RESTLESS, RESTLESS, USUAL_BEATS = 0.87, 0.6, 0.09, 20
"""Premature is under this part of the usual interval (de Chazal 2004), in restless rhythm under that."""
PREFERRED = ("II", "MLII", "V5", "V2", "I")


class Source(Protocol):
    """A long recording that is read piece by piece."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads."""
        ...

    @property
    def fs(self) -> float:
        """Samples per second."""
        ...

    @property
    def n(self) -> int:
        """Samples per lead."""
        ...

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return µV (leads, stop − start), NaN where missing."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A recording in memory as a source."""

    recording: Recording

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads."""
        return self.recording.leads

    @property
    def fs(self) -> float:
        """Samples per second."""
        return self.recording.fs

    @property
    def n(self) -> int:
        """Samples per lead."""
        return self.recording.n

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return µV (leads, stop − start), NaN where missing."""
        held = self.recording
        piece = held.samples[:, start:stop]
        out = piece.astype(np.float32)
        if held.baseline:
            out -= np.array(held.baseline, np.float32)[:, None]
        out *= np.array(held.uv_per_bit, np.float32)[:, None]
        out[piece == MISSING] = np.nan
        return out


@dataclass(frozen=True, slots=True)
class Lead:
    """One lead of a source alone."""

    source: Source
    row: int

    @property
    def leads(self) -> tuple[str, ...]:
        """Its name."""
        return (self.source.leads[self.row],)

    @property
    def fs(self) -> float:
        """Samples per second."""
        return self.source.fs

    @property
    def n(self) -> int:
        """Samples."""
        return self.source.n

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return µV (1, stop − start), NaN where missing."""
        return self.source.take(start, stop)[self.row : self.row + 1]


@dataclass(frozen=True, slots=True)
class Stored:
    """Integer samples (leads, n) of any kind, perhaps mapped from a file, as a source: only pieces of them are read.

    `uv_per_bit`: microvolts per unit, one per lead; `missing`: the value of a sample that was not measured.
    """

    samples: NDArray[np.integer[Any]]
    leads: tuple[str, ...]
    fs: float
    uv_per_bit: tuple[float, ...]
    missing: int | None = None

    @property
    def n(self) -> int:
        """Samples per lead."""
        return int(self.samples.shape[1])

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return µV (leads, stop − start), NaN where missing."""
        piece = self.samples[:, start:stop]
        out = piece.astype(np.float32) * np.array(self.uv_per_bit, np.float32)[:, None]
        if self.missing is not None:
            out[piece == self.missing] = np.nan
        return out


@dataclass(frozen=True, slots=True)
class Found:
    """Every beat of a long recording: R peaks (samples), classes (bytes of "NSVFQ"), P evidence (−1 … 1).

    `bad`: seconds (of `width` samples) in which no lead could be judged; `usual_ms`: QRS of the prevailing beats.
    """

    fs: float
    n: int
    leads: tuple[str, ...]
    r: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    p_like: NDArray[np.float32]
    bad: NDArray[np.bool_]
    width: int
    usual_ms: float

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Which intervals between neighbouring beats hold no second that could not be judged."""
        before = np.concatenate([[0], np.cumsum(self.bad)])
        second = np.minimum(self.r // self.width, self.bad.shape[0] - 1)
        return before[second[1:] + 1] == before[second[:-1]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one piece gave: its own beats (margins cut off) and its bad seconds."""

    r: NDArray[np.int64]
    label: NDArray[np.int64]
    p_like: NDArray[np.float32]
    bad: NDArray[np.bool_]


def find(source: Source) -> Found:
    """Return the beats of a long recording; ValueError where it is empty or sampled outside 100 to 2,000/s."""
    jit.warm()
    if not source.leads or source.n < 1:
        raise ValueError("samples: the recording is empty")
    if not 100.0 <= source.fs <= 2000.0:
        raise ValueError(f"fs: {source.fs:g} samples per second is outside 100 to 2000")
    groups = shapes.Groups(len(source.leads), source.fs)
    pieces = list(_pieces(source, groups))
    r, label = np.concatenate([p.r for p in pieces]), np.concatenate([p.label for p in pieces])
    p_like, bad = np.concatenate([p.p_like for p in pieces]), np.concatenate([p.bad for p in pieces])
    kinds, usual = classes(r, label, groups.likeness(), groups.width, p_like)
    usual_ms = float(groups.width[usual]) if r.size else float("nan")
    width = _second(source.fs)
    return Found(source.fs, source.n, source.leads, r, kinds, p_like, bad, width, usual_ms)


def _second(fs: float) -> int:
    return max(round(fs), 2)


def _pieces(source: Source, groups: shapes.Groups) -> Iterator[_Piece]:
    width = _second(source.fs)
    core, margin = round(PIECE_S) * width, round(MARGIN_S) * width
    last = -1
    for start in range(0, source.n, core):
        stop = min(start + core, source.n)
        lo, hi = max(start - margin, 0), min(stop + margin, source.n)
        piece = _piece(source.take(lo, hi), lo, start, stop, last, source, groups)
        last = int(piece.r[-1]) if piece.r.size else last
        yield piece


def _piece(
    x: NDArray[np.float32], lo: int, start: int, stop: int, last: int, source: Source, groups: shapes.Groups
) -> _Piece:
    """Return the beats of samples `start` … `stop` from µV x, which begins at sample `lo`; `last`: the beat before."""
    fs, width = source.fs, _second(source.fs)
    seen = quality.look(x, fs)
    everywhere = np.logical_and.reduce(seen.unusable, axis=0)
    first = (start - lo) // width
    bad = everywhere[first : first + -(-(stop - start) // width)]
    on = 1 - seen.unusable.mean(axis=1) >= USABLE_PART
    nothing = np.zeros(0, np.int64)
    if not on.any():
        return _Piece(nothing, nothing, np.zeros(0, np.float32), np.ones_like(bad))
    x = quality.bridged(x)
    found = detector.find(x, fs, on)
    unclear = clarity.unclear(*found.evidence, width, everywhere.shape[0])
    bad = (everywhere | unclear)[first : first + bad.shape[0]]
    at = np.minimum(found.at, x.shape[1] - 1)
    at = at[~seen.blind[np.minimum(at // width, seen.blind.shape[0] - 1)]]
    r = fiducial.peaks(x, fs, at, np.full_like(at, _shown(source.leads, on)))
    r = r[np.concatenate([[True], np.diff(r) > 0])] if r.size else r
    own = (r + lo >= max(start, last + 1)) & (r + lo < stop)
    label = np.zeros(r.shape[0], np.int64)
    label[own] = groups.add(x, on, r[own])
    # A neighbour's beats lend their stretch before the QRS as the prevailing ones have it.
    label[~own] = np.bincount(label[own]).argmax() if own.any() else 0
    return _Piece(r[own] + lo, label[own], groups.p_likeness(x, on, r, label)[own], bad)


def _shown(leads: tuple[str, ...], on: NDArray[np.bool_]) -> int:
    """Return the lead whose R peaks are reported: the preferred one of those that are on."""
    order = {lead: k for k, lead in enumerate(PREFERRED)}
    return min(np.flatnonzero(on).tolist(), key=lambda k: order.get(leads[k], len(order)))


def classes(
    r: NDArray[np.int64],
    label: NDArray[np.int64],
    like: NDArray[np.float64],
    width: NDArray[np.float64],
    p_like: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], int]:
    """Return every beat's class (bytes of "NSV") and the prevailing group: the rules of beats.py for many beats.

    `width`: QRS in ms by group, NaN where unknown; `like`: (groups, groups).
    """
    kinds = np.full(r.shape[0], ord("N"), np.uint8)
    if r.shape[0] < 3:
        return kinds, int(label[0]) if label.size else 0
    rr = np.diff(r).astype(np.float64)
    usual_rr = np.maximum(medians(rr, USUAL_BEATS), 1.0)
    early = np.concatenate([[1.0], rr / usual_rr])
    change = medians(np.abs(np.diff(rr)), USUAL_BEATS) / usual_rr[1:]
    restless = np.concatenate([change[:1], change[:1], change]) > RESTLESS
    order = np.argsort(label, kind="stable")
    edges = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=like.shape[0]))])
    of = [order[edges[g] : edges[g + 1]] for g in range(like.shape[0])]
    known = np.where(np.isnan(width), 90.0, width)
    usual = _prevailing(of, early, known)
    limit = np.where(restless, EARLY_RESTLESS, EARLY)
    kinds[early < limit] = ord("S")
    for g, mine in enumerate(of):
        if mine.size and _ventricular(
            float(like[usual, g]),
            float(np.median(early[mine])),
            float(known[g] - known[usual]),
            float(np.median(p_like[mine])),
        ):
            kinds[mine] = ord("V")
    return kinds, usual


def _ventricular(like: float, early: float, wider: float, p_like: float) -> bool:
    """Return whether a group is ventricular: unlike the usual one, and early or wide without P waves (beats.py)."""
    if like >= UNLIKE:
        return False
    alone = p_like < ALONE
    if early < 0.92:
        return wider > -10.0 and (alone or wider > WIDER_MS)
    return alone and wider > WIDER_MS


def _prevailing(of: list[NDArray[np.int64]], early: NDArray[np.float64], width: NDArray[np.float64]) -> int:
    """Return the group of the usual complexes: many, not early, and narrow where two are about as many (beats.py)."""

    def score(g: int) -> float:
        if not of[g].size:
            return -1.0
        late = float(np.median(early[of[g]])) > EARLY
        return of[g].size * (1.0 if late else 0.3) * (0.6 if width[g] > WIDE_MS else 1.0)

    return max(range(len(of)), key=score)
