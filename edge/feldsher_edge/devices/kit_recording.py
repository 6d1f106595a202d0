"""A recording of the kit while it runs: samples at their own place by the kit's counter, holes left as missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import frame
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

from feldsher_edge.devices import DeviceClock, EcgResult
from feldsher_edge.devices.leads import scales, twelve

MAX_SECONDS = 60.0
"""A recording is one message; longer ones are streams, which this driver does not take yet."""
OFF_PART = 0.1
"""A lead counts as off where its electrodes were so for at least this part of the recording."""
LIVE_SAMPLES = 100
"""Samples in a piece for the live view: 0.2 s at 500 per second."""


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """A piece of a running recording for the eye: int32 (12, n) from sample `first` on, MISSING where lost."""

    device: str
    fs: float
    leads: tuple[str, ...]
    uv_per_bit: tuple[float, ...]
    first: int
    samples: NDArray[np.int32]


Live = Callable[[LiveChunk], None]


class KitRecording:
    """Collects DATA frames. `asked`: samples to take, None where the kit itself decides (its START button)."""

    def __init__(
        self, device: str, identity: frame.Identity, asked: int | None, clock: DeviceClock, live: Live | None = None
    ) -> None:
        self.asked = asked
        self.received = 0
        self.repeated = 0
        self.end = 0
        self._device = device
        self._fs = float(identity.rate)
        self._uv_per_bit = identity.uv_per_bit()
        self._clock = clock
        self._live = live
        self._live_at = 0
        self._limit = asked if asked is not None else int(MAX_SECONDS * identity.rate)
        self._eight = np.full((len(frame.CHANNELS), self._limit), MISSING, dtype=np.int32)
        self._off_counts: dict[int, int] = {}
        # (counter, monotonic time, wall time) of the first and the last frame.
        self._first: tuple[int, int, int] | None = None
        self._last = (0, 0, 0)

    @property
    def full(self) -> bool:
        """Say whether the last place has been filled."""
        return self.end >= self._limit

    @property
    def begins_late(self) -> bool:
        """Say whether the first half second or more never came."""
        return self._first is not None and self._first[0] >= self._fs / 2

    def put(self, payload: bytes) -> None:
        """Take one DATA payload; frame.FrameError where it is none. Counters beyond what was asked are ignored."""
        counter, off, channels = frame.parse_data(payload)
        if counter >= self._limit:
            return
        if self._eight[0, counter] != MISSING:
            self.repeated += 1
            return
        self._eight[:, counter] = channels
        self.received += 1
        self.end = max(self.end, counter + 1)
        self._off_counts[off] = self._off_counts.get(off, 0) + 1
        self._last = (counter, self._clock.mono_ns(), self._clock.wall_us())
        self._first = self._first or self._last
        if self._live is not None and self.end - self._live_at >= LIVE_SAMPLES:
            self._show(self._live)

    def result(self, *, counted: int | None, crc_errors: int, partial: str | None) -> EcgResult:
        """Return the recording. `counted`: samples the kit says it took, None where it could not be asked.

        A whole recording has its asked length even where its end was lost; a partial one ends with the last sample.
        """
        n = self.end if partial is not None else max(self.end, min(counted or 0, self._limit))
        first, last = self._first or (0, 0, 0), self._last
        started_us = first[2] - round((first[0] + 1) / self._fs * 1e6)
        ended_us = last[2] + round((n - 1 - last[0]) / self._fs * 1e6)
        return EcgResult(
            device=self._device,
            leads=STANDARD_LEADS,
            fs=self._fs,
            samples=twelve(self._eight[:, :n]),
            uv_per_bit=scales(self._uv_per_bit),
            started_us=started_us,
            ended_us=max(ended_us, started_us),
            lost=n - self.received,
            crc_errors=crc_errors,
            clock_ratio=self._clock_ratio(),
            lead_off=self._lead_off(),
            partial=partial,
        )

    def _clock_ratio(self) -> float | None:
        """Return the kit's seconds per second of the gateway, by first and last frame; None below one second."""
        if self._first is None or self._last[1] <= self._first[1] or self._last[0] - self._first[0] < self._fs:
            return None
        return (self._last[0] - self._first[0]) / self._fs / ((self._last[1] - self._first[1]) / 1e9)

    def _lead_off(self) -> tuple[str, ...]:
        counts: dict[str, int] = dict.fromkeys(STANDARD_LEADS, 0)
        for off, times in self._off_counts.items():
            for lead in frame.leads_off(off):
                counts[lead] += times
        return tuple(lead for lead, times in counts.items() if times and times >= OFF_PART * self.received)

    def _show(self, live: Live) -> None:
        first, self._live_at = self._live_at, self.end
        piece = twelve(self._eight[:, first : self.end])
        live(LiveChunk(self._device, self._fs, STANDARD_LEADS, scales(self._uv_per_bit), first, piece))
