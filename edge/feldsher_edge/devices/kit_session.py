"""One opened kit, from identifying it to its unplugging: what it says, and the recording that may be running."""

from __future__ import annotations

import asyncio
import contextlib

from feldsher_signal import frame

from feldsher_edge.devices import DeviceClock, DeviceError, EcgResult
from feldsher_edge.devices.kit_line import KitLine
from feldsher_edge.devices.kit_recording import KitRecording, Live

CONFIG = frame.Config(rate=500, gain=6, flags=frame.CONFIG_LEAD_OFF)
"""500 samples per second: what AHA/ACC/HRS 2007 recommend for a diagnostic recording (Circulation 2007;115:1306)."""
LEAD_OFF_POLL_S = 0.25


class KitSession:
    """A connection to the kit at `path`. `silence_s`: no DATA for so long, and a recording is broken."""

    def __init__(self, path: str, device: str, clock: DeviceClock, live: Live | None, silence_s: float) -> None:
        self.path = path
        self.gone: str | None = None
        # Set when the kit has gone or has begun a recording by itself: the owner looks.
        self.attention = asyncio.Event()
        self.recording: KitRecording | None = None
        self._device = device
        self._clock = clock
        self._live = live
        self._silence_s = silence_s
        self._bad_before = 0
        self._bad_frames = 0
        self._idle: frame.Status | None = None
        self._identity = frame.Identity("", "")
        # Set when the fate of a running recording may have changed.
        self._changed = asyncio.Event()
        self._line = KitLine(path, self._event, self._lost)

    @property
    def unasked(self) -> bool:
        """Say whether a recording runs that the kit began by itself."""
        return self.recording is not None and self.recording.asked is None

    def close(self) -> None:
        """Close the line."""
        self._line.close()

    async def identify(self) -> frame.Identity:
        """Ask what the kit is; DeviceError where it does not answer or is of another protocol."""
        try:
            identity = frame.parse_identity(await self._line.command(frame.CMD_ID))
        except frame.FrameError as error:
            raise DeviceError(f"{self.path}: {error}") from error
        if identity.version != frame.VERSION or identity.channels != len(frame.CHANNELS):
            raise DeviceError(
                f"{self.path}: protocol {identity.version} with {identity.channels} channels is not known"
            )
        self._identity = identity
        return identity

    async def configure(self) -> None:
        """Set rate and gain, and read back what holds; DeviceError where the kit refuses."""
        await self._line.acknowledged(frame.CMD_CONFIG, CONFIG.pack())
        await self.identify()

    async def status(self) -> frame.Status:
        """Ask for electrodes, battery and state."""
        try:
            return frame.parse_status(await self._line.command(frame.CMD_LEAD_OFF))
        except frame.FrameError as error:
            raise DeviceError(f"{self.path}: {error}") from error

    async def wait_for_leads(self, seconds: float) -> None:
        """Wait at most `seconds` until every electrode touches; DeviceError only where no lead can be measured then."""
        deadline = asyncio.get_running_loop().time() + seconds
        while off := (await self.status()).off:
            if asyncio.get_running_loop().time() >= deadline:
                if len(frame.leads_off(off)) == len(frame.LIMB_LEADS) + len(frame.CHANNELS) - 2:
                    raise DeviceError(f"{self.path}: no lead can be measured, electrodes off: {_electrodes(off)}")
                return
            await asyncio.sleep(LEAD_OFF_POLL_S)

    async def record(self, seconds: float) -> EcgResult:
        """Start, collect, stop; `partial` where it broke off, DeviceError where nothing came. Cancelling stops it."""
        asked = round(seconds * self._identity.rate)
        self._begin(asked)
        try:
            await self._line.acknowledged(frame.CMD_START, frame.pack_start(asked))
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
        recording = self.recording
        if recording is None:
            raise DeviceError(f"{self.path}: nothing is being recorded")
        why = await self._collect(recording)
        counted = await self._stop()
        self.recording = None
        if why is None and recording.asked is not None and (counted or recording.end) < recording.asked:
            why = "the kit stopped by itself"
        elif counted is not None and recording.asked is not None and counted >= recording.asked:
            why = None  # it only fell silent because it was done
        partial = f"{why} after {recording.end / self._identity.rate:.1f} s" if why else None
        if recording.asked is None and recording.begins_late:
            partial = partial or "its beginning was not received"
        crc_errors = self._line.bad_crc - self._bad_before + self._bad_frames
        return recording.result(counted=counted, crc_errors=crc_errors, partial=partial)

    def _begin(self, asked: int | None) -> KitRecording:
        self._idle = None
        self._bad_before, self._bad_frames = self._line.bad_crc, 0
        self.recording = KitRecording(self._device, self._identity, asked, self._clock, self._live)
        return self.recording

    async def _collect(self, recording: KitRecording) -> str | None:
        """Wait for the end; None where it is complete or the kit says that it is idle, else what went wrong."""
        while True:
            before = recording.received
            self._changed.clear()
            if self.gone is not None:
                return "the kit was unplugged"
            if recording.full:
                return None if recording.asked is not None else "stopped: longer ones are not taken yet,"
            if self._idle is not None:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._silence_s):
                    await self._changed.wait()
                continue
            await asyncio.sleep(0)  # what lies in the line already is read first
            if recording.received == before and not self._changed.is_set():
                return f"no data for {self._silence_s} s"

    async def _stop(self) -> int | None:
        """Stop the kit; return how many samples it counted, None where it cannot be asked."""
        if self.gone is not None:
            return None
        try:
            ack = await self._line.acknowledged(frame.CMD_STOP)
        except (DeviceError, frame.FrameError):
            return self._idle.sent + self._idle.lost if self._idle else None
        return ack.sent + ack.lost

    def _event(self, kind: int, payload: bytes) -> None:
        """Take a frame that answers no command."""
        try:
            if kind == frame.EV_DATA:
                recording = self.recording
                if recording is None:
                    recording = self._begin(None)
                    self.attention.set()
                recording.put(payload)
                if recording.full or recording.received == 1:
                    self._changed.set()
            elif kind == frame.EV_STATUS and (status := frame.parse_status(payload)).state != frame.STATE_SAMPLING:
                self._idle = status
                self._changed.set()
        except frame.FrameError:
            self._bad_frames += 1

    def _lost(self, why: str) -> None:
        self.gone = why
        self.attention.set()
        self._changed.set()


def _electrodes(off: int) -> str:
    return ", ".join(name for bit, name in enumerate(frame.ELECTRODES) if off >> bit & 1)
