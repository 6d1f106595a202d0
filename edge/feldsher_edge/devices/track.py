"""A recording while it runs: samples at their own place, holes left as missing; shown live, settled at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

from feldsher_edge.devices import DeviceClock, EcgResult, LiveChunk
from feldsher_edge.devices.counter import settle
from feldsher_edge.devices.leads import Leads

MAX_SECONDS = 60.0
"""A recording is one message; longer ones are streams, which no driver takes yet."""
OFF_PART = 0.1
"""A lead counts as off where its electrodes were so, or its amplifier at its limit, for at least this part of it."""
LIVE_S = 0.2
"""Seconds in a piece for the live view."""


def _none(_off: int) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Signals:
    """What a device measures: the leads of its channels at `fs` samples per second.

    `round_`: its counter starts over after so many samples, 1: it does not count, 0: it counts without end. `limits`:
    the lowest and highest unit of each channel, none where the device itself tells electrodes that are off;
    `leads_off`: the leads that the bits say are off which come with a sample.
    """

    leads: Leads
    fs: float
    round_: int = 0
    limits: tuple[tuple[int, int], ...] = ()
    leads_off: Callable[[int], Iterable[str]] = _none


Live = Callable[[LiveChunk], None]


class Track:
    """Collects samples. `asked`: samples to take, None where the device itself decides."""

    def __init__(
        self, device: str, signals: Signals, asked: int | None, clock: DeviceClock, live: Live | None = None
    ) -> None:
        self.asked = asked
        self.received = 0
        self.repeated = 0
        self.end = 0
        self.signals = signals
        self._device = device
        self._clock = clock
        self._live = live
        self._live_at = 0
        self._limit = asked if asked is not None else int(MAX_SECONDS * signals.fs)
        self._samples = np.full((len(signals.leads.channels), self._limit), MISSING, dtype=np.int32)
        self._arrived_ns = np.zeros(self._limit, dtype=np.int64)
        self._off_counts: dict[int, int] = {}
        # (place, monotonic time, wall time) of the first and the last sample.
        self._first: tuple[int, int, int] | None = None
        self._last = (0, 0, 0)

    @property
    def full(self) -> bool:
        """Say whether the last place has been filled."""
        return self.end >= self._limit

    @property
    def seconds(self) -> float:
        """How much of the recording there is."""
        return self.end / self.signals.fs

    @property
    def begins_late(self) -> bool:
        """Say whether the first half second or more never came."""
        return self._first is not None and self._first[0] >= self.signals.fs / 2

    @property
    def samples(self) -> NDArray[np.int32]:
        """The channels as they lie now, int32 (channels, asked), MISSING where nothing came."""
        return self._samples

    def put(self, place: int, values: Sequence[int], off: int = 0) -> None:
        """Take one sample of every channel; places beyond what was asked, and repeats, are ignored."""
        if place >= self._limit:
            return
        if self._samples[0, place] != MISSING:
            self.repeated += 1
            return
        self._samples[:, place] = values
        self.received += 1
        self.end = max(self.end, place + 1)
        self._off_counts[off] = self._off_counts.get(off, 0) + 1
        self._last = (place, self._clock.mono_ns(), self._clock.wall_us())
        self._arrived_ns[place] = self._last[1]
        self._first = self._first or self._last
        if self._live is not None and self.end - self._live_at >= LIVE_S * self.signals.fs:
            self._show(self._live)

    def pass_end(self) -> None:
        """Note that the time that was asked for is over: of a device that streams on, the last sample may be lost."""
        self.end = self._limit

    def result(self, *, counted: int | None, errors: int, partial: str | None) -> EcgResult:
        """Return the recording. `counted`: samples the device says it took, None where it does not say.

        A whole recording has its asked length even where its end was lost; a partial one ends with the last sample.
        """
        samples, moved = self._settled()
        last, end = self._last[0] + moved, min(self.end + moved, self._limit)
        n = end if partial is not None else max(end, min(counted or 0, self._limit))
        first, fs, leads = self._first or (0, 0, 0), self.signals.fs, self.signals.leads
        started_us = first[2] - round((first[0] + 1) / fs * 1e6)
        ended_us = self._last[2] + round((n - 1 - last) / fs * 1e6)
        return EcgResult(
            device=self._device,
            leads=leads.names,
            fs=fs,
            samples=leads.of(samples[:, :n]),
            uv_per_bit=leads.scales,
            started_us=started_us,
            ended_us=max(ended_us, started_us),
            lost=n - int((samples[0, :n] != MISSING).sum()),
            crc_errors=errors,
            clock_ratio=self._clock_ratio(last),
            lead_off=self._lead_off(samples[:, :n]),
            partial=partial,
        )

    def _settled(self) -> tuple[NDArray[np.int32], int]:
        """Return the samples at their final places, and by how much the last of them has moved."""
        places = np.flatnonzero(self._samples[0] != MISSING)
        if not self.signals.round_ or not places.size:
            return self._samples, 0
        arrivals = self._arrived_ns[places].astype(np.float64) / 1e9
        moved = settle(places.astype(np.int64), arrivals - arrivals[0], self.signals.fs, self.signals.round_)
        by = int(moved[-1] - places[-1])
        if not by:
            return self._samples, 0
        out = np.full_like(self._samples, MISSING)
        kept = moved < self._limit
        out[:, moved[kept]] = self._samples[:, places[kept]]
        return out, by

    def _clock_ratio(self, last: int) -> float | None:
        """Return the device's seconds per second of the gateway, by first and last sample; None below one second."""
        if self._first is None or self._last[1] <= self._first[1] or last - self._first[0] < self.signals.fs:
            return None
        return (last - self._first[0]) / self.signals.fs / ((self._last[1] - self._first[1]) / 1e9)

    def _lead_off(self, samples: NDArray[np.int32]) -> tuple[str, ...]:
        """Return the leads that were off: by the device's own word, or by an amplifier at its limit."""
        leads = self.signals.leads
        counts: dict[str, int] = dict.fromkeys(leads.names, 0)
        for off, times in self._off_counts.items():
            for lead in self.signals.leads_off(off):
                if lead in counts:
                    counts[lead] += times
        least = OFF_PART * self.received
        clipped = [
            name
            for name, row, (low, high) in zip(leads.channels, samples, self.signals.limits, strict=False)
            if ((row != MISSING) & ((row <= low) | (row >= high))).sum() >= max(least, 1)
        ]
        off = {lead for lead, times in counts.items() if times and times >= least} | set(leads.that_need(clipped))
        return tuple(lead for lead in leads.names if lead in off)

    def _show(self, live: Live) -> None:
        first, self._live_at = self._live_at, self.end
        leads = self.signals.leads
        piece = leads.of(self._samples[:, first : self.end])
        live(LiveChunk(self._device, self.signals.fs, leads.names, leads.scales, first, piece))
