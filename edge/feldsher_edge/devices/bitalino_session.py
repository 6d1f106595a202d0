"""One opened BITalino: stopped, identified, started at its rate, its frames taken."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from feldsher_edge.devices import Identity, Status
from feldsher_edge.devices import bitalino_frame as bitalino
from feldsher_edge.devices.leads import Leads
from feldsher_edge.devices.serial_session import Opening
from feldsher_edge.devices.stream_session import StreamSession
from feldsher_edge.devices.track import Signals, Track
from feldsher_edge.serial_port import PortError

MODEL = "BITalino"
VCC_UV = 3_300_000
"""Range of its converters; the sensor's output is in the middle of it (data sheet "ECG sensor", transfer function)."""
ANSWER_S = 1.0
QUIET_S = 0.1
_VERSION = re.compile(rb"BITalino_v(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Wiring:
    """The lead on A1, A2 … (an empty name: not used), samples per second, and the gain of its ECG sensor."""

    channels: Sequence[str]
    rate: int = 1000
    gain: float = 1100.0


class BitalinoSession(StreamSession):
    """A connection to a BITalino that is wired so."""

    noun: ClassVar[str] = "board"

    def __init__(self, opening: Opening, wiring: Wiring) -> None:
        self._numbers = [n for n, lead in enumerate(wiring.channels, 1) if lead]
        wired = [lead for lead in wiring.channels if lead]
        self._leads = Leads(wired, [VCC_UV / wiring.gain / 2 ** bitalino.bits(n) for n in range(len(wired))])
        self._middle = [bitalino.middle(n) for n in range(len(wired))]
        self._rate = wiring.rate
        self._parser = bitalino.Parser(len(wired))
        self._version: tuple[int, int] = (0, 0)
        super().__init__(opening)

    async def open(self) -> None:
        """Stop it, and ask what it is; DeviceError where it does not answer."""
        await self._hush(bitalino.STOP, QUIET_S)
        self._version = await self._ask(bitalino.VERSION, _version, ANSWER_S)

    async def identify(self) -> Identity:
        """Return what the board said when it was opened."""
        return Identity(MODEL, firmware=f"v{self._version[0]}.{self._version[1]}")

    async def status(self) -> Status:
        """Ask for its battery."""
        wanted = 17 if self._version >= (5, 2) else 16
        raw = await self._ask(bitalino.STATE, lambda heard: heard if len(heard) >= wanted else None, ANSWER_S)
        state = bitalino.parse_state(raw[-wanted:])
        detail = None
        if state is not None:
            detail = f"battery {'low' if state.low else 'good'}, {state.volts:.1f} V"
        return Status(self._of.device, "present", detail, None, await self.identify())

    async def prepare(self, wait_s: float) -> None:
        """Do nothing: it cannot tell electrodes that are off, only amplifiers at their limit once it records."""

    def signals(self) -> Signals:
        """Return what it measures as wired."""
        limits = tuple((-middle, middle - 1) for middle in self._middle)
        return Signals(self._leads, float(self._rate), bitalino.ROUND, limits)

    async def _start(self, track: Track) -> None:
        self._parser = bitalino.Parser(len(self._numbers))
        self._errors_before = 0
        self._port.write(bitalino.rate_command(self._rate))
        self._port.write(bitalino.start_command(self._numbers))

    async def _stop(self) -> int | None:
        with contextlib.suppress(PortError):  # gone: what came is what there is
            await self._hush(bitalino.STOP, QUIET_S)
        self._flush()
        return None

    def _errors(self) -> int:
        return self._parser.errors

    def _take(self, data: bytes) -> None:
        for frame in self._parser.feed(data):
            values = [value - middle for value, middle in zip(frame.channels, self._middle, strict=True)]
            self._sampled(frame.count, values)


def _version(heard: bytes) -> tuple[int, int] | None:
    found = _VERSION.search(heard)
    return (int(found[1]), int(found[2])) if found and heard.endswith((b"\n", b"\r")) else None
