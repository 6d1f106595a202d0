"""One opened cardiograph on a serial line, from identifying it to its unplugging, and the recording that may run."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from feldsher_edge.devices import DeviceClock, DeviceError, EcgResult, Identity, Sink, Status
from feldsher_edge.devices.track import Signals, Track


@dataclass(frozen=True, slots=True)
class Opening:
    """What every session is opened with. `silence_s`: no sample for so long, and a recording is broken."""

    path: str
    device: str
    clock: DeviceClock
    sink: Sink
    silence_s: float


class SerialSession(ABC):
    """A connection to the cardiograph at `path`; `gone`: why it is lost, None while it is there."""

    noun: ClassVar[str] = "device"

    def __init__(self, opening: Opening) -> None:
        self.path = opening.path
        self.gone: str | None = None
        # Set when the device has gone or has something to deliver: the owner looks.
        self.attention = asyncio.Event()
        self.recording: Track | None = None
        self._of = opening
        self._errors_before = 0
        # Set when the fate of a running recording may have changed.
        self._changed = asyncio.Event()

    @property
    def unasked(self) -> bool:
        """Say whether a recording runs that the device began by itself."""
        return self.recording is not None and self.recording.asked is None

    @abstractmethod
    async def open(self) -> None:
        """Identify and configure; DeviceError where the device does not answer or is another one."""

    @abstractmethod
    async def identify(self) -> Identity:
        """Return what the device says of itself."""

    @abstractmethod
    async def status(self) -> Status:
        """Return how the device is now."""

    @abstractmethod
    async def prepare(self, wait_s: float) -> None:
        """Make ready to record: configured, and electrodes waited for; DeviceError where no lead can be measured."""

    @abstractmethod
    def signals(self) -> Signals:
        """Return what it measures as configured."""

    @abstractmethod
    def close(self) -> None:
        """Close the line."""

    @abstractmethod
    async def _start(self, track: Track) -> None:
        """Have the device send samples."""

    @abstractmethod
    async def _stop(self) -> int | None:
        """Stop it; return how many samples it counted, None where it does not say or cannot be asked."""

    @abstractmethod
    def _errors(self) -> int:
        """Return the damaged frames since the line was opened."""

    async def record(self, seconds: float) -> EcgResult:
        """Start, collect, stop; `partial` where it broke off, DeviceError where nothing came. Cancelling stops it."""
        track = self._begin(round(seconds * self.signals().fs))
        try:
            await self._start(track)
            result = await self.finish()
            if not result.samples.shape[1]:
                raise DeviceError(f"{self.path}: {result.partial}")
            return result
        except BaseException:
            await self._stop()
            self.recording = None
            raise

    async def finish(self) -> EcgResult:
        """Collect until the recording ends in one way or another, and return it."""
        track = self.recording
        if track is None:
            raise DeviceError(f"{self.path}: nothing is being recorded")
        why = await self._collect(track)
        counted = await self._stop()
        self.recording = None
        why = self._verdict(track, why, counted)
        partial = f"{why} after {track.seconds:.1f} s" if why else None
        if track.asked is None and track.begins_late:
            partial = partial or "its beginning was not received"
        return track.result(counted=counted, errors=self._errors() - self._errors_before, partial=partial)

    def _begin(self, asked: int | None) -> Track:
        self._errors_before = self._errors()
        self.recording = Track(self._of.device, self.signals(), asked, self._of.clock, self._of.sink.live)
        return self.recording

    def _ended(self) -> bool:
        """Say whether the device says that it has ended the recording."""
        return False

    def _verdict(self, track: Track, why: str | None, counted: int | None) -> str | None:
        """Return why the recording is partial, None where it is whole."""
        return why

    async def _collect(self, track: Track) -> str | None:
        """Wait for the end; None where it is complete or the device says that it has ended, else what went wrong."""
        loop = asyncio.get_running_loop()
        progressed = loop.time()
        while True:
            before, repeated = track.received, track.repeated
            self._changed.clear()
            if self.gone is not None:
                return f"the {self.noun} was unplugged"
            if track.full:
                return None if track.asked is not None else "stopped: longer ones are not taken yet,"
            if self._ended():
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._of.silence_s):
                    await self._changed.wait()
            await asyncio.sleep(0)  # what lies in the line already is read first
            if track.received != before:
                progressed = loop.time()
            elif loop.time() - progressed >= self._of.silence_s:
                what = "the same samples again and again" if track.repeated != repeated else "no data"
                return f"{what} for {self._of.silence_s} s"

    def _lost(self, why: str) -> None:
        self.gone = why
        self.attention.set()
        self._changed.set()
