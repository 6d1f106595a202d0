"""From samples to marked beats, in chunks of any size: the same bits however a recording is cut, and in one piece.

A recording is worked on in whole seconds. What a beat becomes depends on nothing but:

- the opening: the first LEARN_S of detector.py and the first USABLE_S seconds, which say which leads are usable;
- the past: thresholds, the weights of the leads, whether a lead was usable over the last USABLE_S seconds;
- a little future: the next beats' QRS and T waves (_LOOK of them) for its waves, and presence.CONTEXT beats more for
  whether its P wave is there, or a pause of EPISODE_S.

So a beat is given out final after 25 others (20 s at 75 a minute), and no later than about EPISODE_S after
its rhythm has stopped; memory is bounded by the same. Samples are rounded to 1/16 µV, so that sums of them are exact
and a piece of a recording is summed to the same bits as the whole. Classes of beats, the median beat, the rhythm, the
stretches refused (clarity.py) and the statements are of a finished window (interpret.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import clarity, contour, delineate, detector, fiducial, order, presence, pwave, quality, refine
from feldsher_signal.jit import kernel

USABLE_S = 10
"""A lead is usable while at least half of its last seconds are good: as long as a standard recording."""
EPISODE_S = 10.0
"""Beats further apart are not compared with each other."""
STEADY, STEADY_BEATS = 0.7, 8
"""A beat's P wave stands clear of the T wave before it from this part of the usual interval on; the usual one is the
median of so many."""
PREFERRED = ("II", "MLII", "I", "V5", "V2")
"""Leads whose R peak is reported, best first, among those of like quality."""
GRID = np.float32(16.0)
_ROOM_S, _CHUNK_S = 1.0, 300
_LOOK = pwave.AROUND + 1 + refine.AROUND
"""Beats on each side that a beat's marks depend on: P waves on those around, edges on the edges around."""
_KEPT = presence.CONTEXT + 2 * STEADY_BEATS + _LOOK


@kernel("void(f4[:,::1], f4[::1])")
def hold(x: NDArray[np.float32], last: NDArray[np.float32]) -> None:
    """Replace missing samples (NaN) of (leads, n) by the last one that was there."""
    for lead in range(x.shape[0]):
        before = last[lead]
        for i in range(x.shape[1]):
            if math.isnan(x[lead, i]):
                x[lead, i] = before
            else:
                before = x[lead, i]
        last[lead] = before


@dataclass(frozen=True, slots=True)
class Marked:
    """Beats that are final: R peaks (samples), marks (beats, leads + 1, 9; absent P waves taken out), P likeness."""

    r: NDArray[np.int64]
    marks: NDArray[np.int64]
    p_like: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk has brought: final beats, detections, and the issues and roughness of whole seconds."""

    beats: Marked
    found: detector.Found
    bad: NDArray[np.bool_]
    rough: NDArray[np.float64]


class Stream:
    """The beats of leads that arrive in chunks of any size."""

    def __init__(self, leads: tuple[str, ...], fs: float) -> None:
        count = len(leads)
        self._leads, self._fs, self._width = leads, fs, max(round(fs), 2)
        self._near, self._reach = int(delineate.NEAR_S * fs), round(fiducial.REACH_S * fs)
        self._detector = detector.Detector(count, fs)
        self._waiting = np.empty((count, 0), np.float32)
        self._held = np.zeros(count, np.float32)
        # Samples from number _base on.
        self._x: NDArray[np.float32] = np.empty((count, 0), np.float32)
        self._base: int = 0
        # By second from number _first on: unusable and dark leads; the first of these are decided (_on, _shown).
        self._bad: NDArray[np.bool_] = np.empty((count, 0), np.bool_)
        self._rough: NDArray[np.float64] = np.empty((count, 0))
        self._dark: NDArray[np.bool_] = np.empty((count, 0), np.bool_)
        self._on: NDArray[np.bool_] = np.empty((0, count), np.bool_)
        self._shown: NDArray[np.int64] = np.empty(0, np.int64)
        self._first: int = 0
        self._row = -1
        # Detections not located yet; beats, of which the first are marked (_marks) and fewer given out (_final).
        self._at: NDArray[np.int64] = np.empty(0, np.int64)
        self._r: NDArray[np.int64] = np.empty(0, np.int64)
        self._weight: NDArray[np.bool_] = np.empty((0, count), np.bool_)
        self._marks: NDArray[np.int64] = np.empty((0, count + 1, len(delineate.POINTS)), np.int64)
        self._final: int = 0
        self._settled: int = 0
        self._nothing: Piece | None = None

    def feed(self, x: NDArray[np.float32]) -> Piece:
        """Take µV (leads, n), NaN where missing; return what has become final."""
        every = np.concatenate([self._waiting, _rounded(x)], axis=1) if self._waiting.shape[1] else _rounded(x)
        whole = every.shape[1] // self._width * self._width
        self._waiting = every[:, whole:].copy()
        if not whole:
            self._nothing = self._nothing or self._take(every[:, :0], False)
            return self._nothing
        return self._take(every[:, :whole], False)

    def finish(self, x: NDArray[np.float32] | None = None) -> Piece:
        """Say that nothing follows, or nothing after these µV; return the rest."""
        rest = self._waiting if x is None else np.concatenate([self._waiting, _rounded(x)], axis=1)
        self._waiting = rest[:, :0]
        return self._take(rest, True)

    @property
    def held(self) -> int:
        """Samples of each lead that are kept: bounded."""
        return self._x.shape[1] + self._waiting.shape[1]

    def _take(self, x: NDArray[np.float32], last: bool) -> Piece:
        x = np.ascontiguousarray(x)
        bad, rough = quality.judge(x, self._fs, self._width)
        dark = np.logical_or.reduce(bad[:, :, quality.DARK], axis=2)
        self._bad = np.concatenate([self._bad, np.logical_or.reduce(bad, axis=2)], axis=1)
        self._rough, self._dark = (
            np.concatenate([self._rough, rough], axis=1),
            np.concatenate([self._dark, dark], axis=1),
        )
        feed = self._detector.finish if last else self._detector.feed
        found = feed(x, np.ascontiguousarray(~dark.T))
        hold(x, self._held)
        self._x = np.concatenate([self._x, x], axis=1) if self._x.shape[1] else x
        self._decide(last)
        self._locate(found, last)
        beats = self._mark(last)
        if not last:
            self._forget()
        return Piece(beats, found, bad, rough)

    def _decide(self, last: bool) -> None:
        """Decide for every second that can be which leads are usable and whose R peak is shown."""
        seconds, known = int(self._bad.shape[1]), int(self._on.shape[0])
        if self._first + seconds < USABLE_S and not last:
            return
        sums = np.zeros((len(self._leads), seconds + 1), np.int64)
        np.cumsum(self._bad, axis=1, out=sums[:, 1:])
        to: NDArray[np.int64] = np.minimum(np.maximum(np.arange(known, seconds) + 1, USABLE_S - self._first), seconds)
        since: NDArray[np.int64] = np.maximum(to - USABLE_S, 0)
        share = (sums[:, to] - sums[:, since]) / np.maximum(to - since, 1)
        on = np.ascontiguousarray((1 - share >= quality.USABLE_PART).T)
        if self._row < 0 and seconds:
            self._row = self._preferred(share[:, 0], order.medians(self._rough[:, :USABLE_S]))
        shown = np.full(on.shape[0], self._row, np.int64)
        if on.shape[0] and not on[:, self._row].all():
            for k in range(on.shape[0]):
                if not on[k, self._row] and on[k].any():
                    self._row = self._preferred(np.where(on[k], 0.0, 1.0), self._rough[:, known + k])
                shown[k] = self._row
        self._on, self._shown = np.concatenate([self._on, on]), np.concatenate([self._shown, shown])

    def _preferred(self, bad: NDArray[np.float64], rough: NDArray[np.float64]) -> int:
        """Return the row whose R peaks are shown: fewest bad seconds, then the preferred lead, then the quietest."""
        order = {lead: k for k, lead in enumerate(PREFERRED)}
        best = [(round(float(b), 2), order.get(name, 9)) for b, name in zip(bad, self._leads, strict=True)]
        return min(range(len(best)), key=lambda k: (*best[k], float(rough[k])))

    def _locate(self, found: detector.Found, last: bool) -> None:
        """Find the R peaks of the detections in seconds that are decided."""
        self._at = np.minimum(np.concatenate([self._at, found.at]), self._base + self._x.shape[1] - 1)
        end = self._first + int(self._bad.shape[1])
        second: NDArray[np.int64] = np.minimum(self._at // self._width, end - 1) - self._first
        count = int(np.searchsorted(second, int(self._on.shape[0]))) if self._on.shape[0] else 0
        at, second, self._at = self._at[:count], second[:count], self._at[count:]
        self._settled = int(self._at[0]) if self._at.shape[0] else found.settled
        if last:
            self._settled = self._base + self._x.shape[1] + int((EPISODE_S + 1) * self._fs)
        seen: NDArray[np.bool_] = ~np.logical_and.reduce(self._dark, axis=0)[second]
        at, second = at[seen], second[seen]
        tall = fiducial.standing(self._x, self._fs, at - self._base)
        at, second = at[tall], second[tall]
        if not at.shape[0]:
            return
        r = fiducial.peaks(self._x, self._fs, at - self._base, self._shown[second]) + self._base
        before = self._r[-1:] if self._r.shape[0] else np.array([-1])
        new = r > np.maximum.accumulate(np.concatenate([before, r[:-1]]))
        weight = self._on[second[new]]
        # Where no lead is usable those that show anything are marked all the same.
        none = ~weight.any(axis=1)
        if none.any():
            weight[none] = ~self._dark.T[second[new]][none]
        self._r, self._weight = np.concatenate([self._r, r[new]]), np.concatenate([self._weight, weight])

    def _mark(self, last: bool) -> Marked:
        """Mark the beats whose neighbours are known; return those whose P waves are decided."""
        if not self._final < self._r.shape[0]:
            return self._given([], [])
        sums = contour.prefix_sums(self._x)
        while self._marks.shape[0] < self._r.shape[0]:
            first = self._marks.shape[0]
            begin, stop, ended = self._episode(first)
            until = stop
            if not last and not ended:
                late = self._r[first:stop] + self._near + round(_ROOM_S * self._fs) > self._base + self._x.shape[1]
                late[-1] = True
                until = first + int(np.argmax(late)) - _LOOK
            if until <= first:
                break
            self._marks = np.concatenate([self._marks, self._delineate(sums, begin, first, until, stop)])
        return self._presence(sums, self._marks.shape[0])

    def _episode(self, beat: int) -> tuple[int, int, bool]:
        """Return the first beat of the one's episode, one past its last, and whether it has ended."""
        begin, stop = 0, int(self._r.shape[0])
        breaks = np.flatnonzero(order.steps(self._r) > EPISODE_S * self._fs) + 1
        if breaks.shape[0]:
            begin, stop = int(breaks[breaks <= beat].max(initial=0)), int(breaks[breaks > beat].min(initial=stop))
        return begin, stop, stop < self._r.shape[0] or self._clear() > self._r[-1] + EPISODE_S * self._fs

    def _clear(self) -> int:
        """Return before which sample no further R peak will be found."""
        return self._settled - self._reach

    def _delineate(self, sums: NDArray[np.float64], begin: int, first: int, last: int, stop: int) -> NDArray[np.int64]:
        """Return the marks of beats first … last−1 of the episode begin … stop−1, in samples of the recording."""
        r, near, base = self._r, self._near, self._base
        # The neighbours that a mark depends on are marked with it, again or for the time being.
        a, b = max(first - _LOOK, begin), min(last + _LOOK, stop)
        # At either end of a recording the neighbour that is not there is as far as the other one.
        earlier, later = int(r[a] - near), int(r[-1] + near)
        if a:
            earlier = int(r[a - 1])
        elif r.shape[0] > 1:
            earlier = int(max(2 * r[0] - r[1], earlier))
        if b < r.shape[0]:
            later = int(r[b])
        elif r.shape[0] > 1 and base + self._x.shape[1] <= later:
            later = int(min(2 * r[-1] - r[-2], later))
        t_end = int(self._marks[a - 1, -1, [delineate.T_OFF, delineate.QRS_OFF]].max()) if a else 0
        out = np.full((b - a, len(self._leads) + 1, len(delineate.POINTS)), delineate.ABSENT, np.int64)
        weight, size = self._weight[a:b].astype(np.float64), np.zeros(b - a)
        moved = (r[a:b] - base, earlier - base, later - base)
        delineate.mark(sums, weight, *moved, self._fs, False, t_end - base, out, size)
        refine.correct(sums, *moved, self._fs, refine.coefficients(), out)
        out = out[first - a : last - a]
        out[out >= 0] += base
        return out

    def _presence(self, sums: NDArray[np.float64], count: int) -> Marked:
        """Decide the P waves of the marked beats (`count`) that have enough of them behind, or a pause."""
        marks, likes = list[NDArray[np.int64]](), list[NDArray[np.float64]]()
        while self._final < count:
            first = self._final
            begin, stop, ended = self._episode(first)
            over = ended and stop <= count
            until = stop if over else min(stop, count) - presence.CONTEXT
            if until <= first:
                break
            a = max(begin, first - presence.CONTEXT - STEADY_BEATS)
            like, there = self._compare(sums, a, stop if over else min(stop, count), begin, stop)
            part = self._marks[first:until]
            part[~there[first - a : until - a], :, : delineate.QRS_ON] = delineate.ABSENT
            marks.append(part)
            likes.append(like[first - a : until - a])
            self._final = until
        return self._given(marks, likes)

    def _compare(
        self, sums: NDArray[np.float64], a: int, b: int, begin: int, stop: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the P likeness of beats a … b−1 of the episode begin … stop−1 and whether their P waves are there."""
        on = self._marks[a:b, -1, delineate.QRS_ON]
        rr = order.steps(self._r[begin:stop]).astype(np.float64)
        fit = on >= 0
        if rr.shape[0]:
            size = min(STEADY_BEATS, rr.shape[0])
            usual = order.medians(rr[np.arange(rr.shape[0] - size + 1)[:, None] + np.arange(size)])
            number = np.arange(a, b) - begin
            fit &= (number == 0) | (rr[np.maximum(number - 1, 0)] > STEADY * usual[np.maximum(number - size, 0)])
        inside = np.where(on >= 0, on - self._base, 0)
        like = presence.p_likeness(sums, self._fs, inside, fit, self._weight[a:b])
        return like, presence.p_present(like, self._r[a:b], np.count_nonzero(self._weight[a:b], axis=1))

    def _given(self, marks: list[NDArray[np.int64]], likes: list[NDArray[np.float64]]) -> Marked:
        """Return beats as they are given out."""
        count = sum(like.shape[0] for like in likes)
        r = self._r[self._final - count : self._final].copy()
        none = np.empty((0, *self._marks.shape[1:]), np.int64)
        return Marked(r, np.concatenate([none, *marks]), np.concatenate([np.empty(0), *likes]))

    def _forget(self) -> None:
        """Drop what no later answer can depend on."""
        gone = max(self._final - _KEPT, 0)
        self._r, self._weight, self._marks = self._r[gone:], self._weight[gone:], self._marks[gone:]
        self._final -= gone
        room, near = round(_ROOM_S * self._fs), self._near
        first = max(self._final - presence.CONTEXT - STEADY_BEATS - _LOOK, 0)
        breaks = np.flatnonzero(order.steps(self._r[: self._final + 1]) > EPISODE_S * self._fs) + 1
        first = max(first, int(breaks.max(initial=0)))
        needed = [self._settled - near, *(self._at[:1] - near).tolist()]
        over = self._final == self._r.shape[0] and self._clear() > int(self._r[-1:].sum()) + EPISODE_S * self._fs
        if self._r.shape[0] and not over:
            needed.append(int(self._r[first]) - near)
        cut = max(min(needed) - room - self._base, 0)
        self._x, self._base = self._x[:, cut:], self._base + cut
        seconds = min(self._settled // self._width - self._first - USABLE_S - 1, self._on.shape[0] - USABLE_S)
        if seconds > 0:
            self._bad, self._rough, self._dark = (
                self._bad[:, seconds:],
                self._rough[:, seconds:],
                self._dark[:, seconds:],
            )
            self._on, self._shown, self._first = self._on[seconds:], self._shown[seconds:], self._first + seconds


def _rounded(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return µV on a grid of 1/16 µV."""
    out = x * GRID
    np.rint(out, out=out)
    out /= GRID
    return out


@dataclass(frozen=True, slots=True)
class Traced:
    """A recording in one piece: its final beats, its survey with where beats cannot be told apart, its usable leads."""

    beats: Marked
    seen: quality.Survey
    usable: NDArray[np.bool_]


def trace(x: NDArray[np.float32], leads: tuple[str, ...], fs: float) -> Traced:
    """Return the beats of a whole recording in µV (leads, n), NaN where missing, as a stream of it gives them."""
    stream = Stream(leads, fs)
    size = round(_CHUNK_S * fs)
    last = max(x.shape[1] - 1, 0) // size * size
    pieces = [stream.feed(x[:, a : a + size]) for a in range(0, last, size)]
    return joined([*pieces, stream.finish(x[:, last:])], fs)


def joined(pieces: list[Piece], fs: float) -> Traced:
    """Return all pieces of a finished stream as one recording."""
    width = max(round(fs), 2)
    bad, rough = np.concatenate([p.bad for p in pieces], axis=1), np.concatenate([p.rough for p in pieces], axis=1)
    marked = [p.beats for p in pieces]
    beats = Marked(
        np.concatenate([m.r for m in marked]),
        np.concatenate([m.marks for m in marked]),
        np.concatenate([m.p_like for m in marked]),
    )
    unclear = clarity.unclear(*detector.joined([p.found for p in pieces]).evidence, width, bad.shape[1])
    seen = quality.Survey(bad, rough, width, unclear)
    return Traced(beats, seen, seen.usable)
