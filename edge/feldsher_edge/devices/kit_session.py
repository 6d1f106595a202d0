"""One opened kit: what it says, and its recordings, asked for or begun by its own button."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from feldsher_signal import frame

from feldsher_edge.devices import DeviceError, Identity, Status
from feldsher_edge.devices.kit_line import KitLine
from feldsher_edge.devices.kit_recording import put, signals
from feldsher_edge.devices.serial_session import Opening, SerialSession
from feldsher_edge.devices.track import Signals, Track

MODEL = "feldsher kit"
CONFIG = frame.Config(rate=500, gain=6, flags=frame.CONFIG_LEAD_OFF)
"""500 samples per second: what AHA/ACC/HRS 2007 recommend for a diagnostic recording (Circulation 2007;115:1306)."""
LEAD_OFF_POLL_S = 0.25


class KitSession(SerialSession):
    """A connection to a kit."""

    noun: ClassVar[str] = "kit"

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._bad_frames = 0
        self._idle: frame.Status | None = None
        self._identity = frame.Identity("", "")
        self.line = KitLine(opening.path, self._event, self._lost)

    def close(self) -> None:
        """Close the line."""
        self.line.close()

    async def open(self) -> None:
        """Identify it, and configure it unless it is recording by itself."""
        await self._identify()
        if (await self._ask_status()).state != frame.STATE_SAMPLING:
            await self._configure()

    async def identify(self) -> Identity:
        """Ask what the kit is; DeviceError where it does not answer or is of another protocol."""
        it = await self._identify()
        return Identity(MODEL, serial=it.serial or None, firmware=it.firmware or None)

    async def status(self) -> Status:
        """Ask for battery and state."""
        status = await self._ask_status()
        identity = await self.identify()
        battery = None if status.battery == frame.BATTERY_UNKNOWN else status.battery
        if status.state == frame.STATE_FAULT:
            return Status(self._of.device, "fault", "its amplifier does not answer", battery, identity)
        return Status(self._of.device, "present", None, battery, identity)

    async def prepare(self, wait_s: float) -> None:
        """Configure; wait at most `wait_s` until every electrode touches, which only no lead at all makes an error."""
        await self._configure()
        deadline = asyncio.get_running_loop().time() + wait_s
        while off := (await self._ask_status()).off:
            if asyncio.get_running_loop().time() >= deadline:
                if len(frame.leads_off(off)) == len(frame.LIMB_LEADS) + len(frame.CHANNELS) - 2:
                    raise DeviceError(f"{self.path}: no lead can be measured, electrodes off: {_electrodes(off)}")
                return
            await asyncio.sleep(LEAD_OFF_POLL_S)

    def signals(self) -> Signals:
        """Return what it measures as it last identified itself."""
        return signals(self._identity)

    async def _identify(self) -> frame.Identity:
        try:
            identity = frame.parse_identity(await self.line.command(frame.CMD_ID))
        except frame.FrameError as error:
            raise DeviceError(f"{self.path}: {error}") from error
        if identity.version != frame.VERSION or identity.channels != len(frame.CHANNELS):
            raise DeviceError(
                f"{self.path}: protocol {identity.version} with {identity.channels} channels is not known"
            )
        self._identity = identity
        return identity

    async def _configure(self) -> None:
        """Set rate and gain, and read back what holds; DeviceError where the kit refuses."""
        await self.line.acknowledged(frame.CMD_CONFIG, CONFIG.pack())
        await self._identify()

    async def _ask_status(self) -> frame.Status:
        try:
            return frame.parse_status(await self.line.command(frame.CMD_LEAD_OFF))
        except frame.FrameError as error:
            raise DeviceError(f"{self.path}: {error}") from error

    def _begin(self, asked: int | None) -> Track:
        self._idle = None
        return super()._begin(asked)

    async def _start(self, track: Track) -> None:
        await self.line.acknowledged(frame.CMD_START, frame.pack_start(track.asked or 0))

    async def _stop(self) -> int | None:
        """Stop the kit; return how many samples it counted, None where it cannot be asked."""
        if self.gone is not None:
            return None
        try:
            ack = await self.line.acknowledged(frame.CMD_STOP)
        except (DeviceError, frame.FrameError):
            return self._idle.sent + self._idle.lost if self._idle else None
        return ack.sent + ack.lost

    def _errors(self) -> int:
        return self.line.bad_crc + self._bad_frames

    def _ended(self) -> bool:
        return self._idle is not None

    def _verdict(self, track: Track, why: str | None, counted: int | None) -> str | None:
        if why is None and track.asked is not None and (counted or track.end) < track.asked:
            return "the kit stopped by itself"
        if counted is not None and track.asked is not None and counted >= track.asked:
            return None  # it only fell silent because it was done
        return why

    def _event(self, kind: int, payload: bytes) -> None:
        """Take a frame that answers no command."""
        try:
            if kind == frame.EV_DATA:
                track = self.recording
                if track is None:
                    track = self._begin(None)
                    self.attention.set()
                put(track, payload)
                if track.full or track.received == 1:
                    self._changed.set()
            elif kind == frame.EV_STATUS and (status := frame.parse_status(payload)).state != frame.STATE_SAMPLING:
                self._idle = status
                self._changed.set()
        except frame.FrameError:
            self._bad_frames += 1


def _electrodes(off: int) -> str:
    return ", ".join(name for bit, name in enumerate(frame.ELECTRODES) if off >> bit & 1)
