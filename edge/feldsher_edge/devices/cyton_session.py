"""One opened Cyton: reset, identified, configured before each recording, its electrodes tested, its packets taken."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from feldsher_edge.devices import DeviceError, Identity, Status
from feldsher_edge.devices import cyton_packet as cyton
from feldsher_edge.devices.impedance import OFF_OHM, SAMPLES, impedances
from feldsher_edge.devices.leads import Leads
from feldsher_edge.devices.serial_session import Opening
from feldsher_edge.devices.stream_session import StreamSession
from feldsher_edge.devices.track import Signals, Track
from feldsher_edge.serial_port import PortError

MODEL = "OpenBCI Cyton"
RATE = 250.0
"""All that its radio carries (docs.openbci.com, "Sample Rate"): below the 500 that a diagnostic ECG is recommended."""
RESET_S = 3.0
ANSWER_S = 1.5
QUIET_S = 0.1
_RATE = re.compile(rb"(\d+) ?Hz")
_Answer = Callable[[bytes], bytes | None]


class CytonSession(StreamSession):
    """A connection to a Cyton whose channels 1, 2 … are wired as `channels` (an empty name: not used) at `gain`."""

    noun: ClassVar[str] = "board"

    def __init__(self, opening: Opening, channels: Sequence[str], gain: int) -> None:
        self._wired = tuple((n, lead) for n, lead in enumerate(channels, 1) if lead)
        self._gain = gain
        self._scale = cyton.uv_per_bit(gain)
        self._leads = Leads([lead for _, lead in self._wired], [self._scale] * len(self._wired))
        self._parser = cyton.Parser()
        self._broken = 0
        self._board = cyton.Board(None, 0, amplifier=False, daisy=False)
        # Bit n: the electrodes of the nth wired channel were off when they were tested.
        self._off = 0
        super().__init__(opening)

    async def open(self) -> None:
        """Reset and identify it; DeviceError where it does not answer or its firmware is too old."""
        await self._hush(b"s", QUIET_S)
        banner = await self._ask(b"v", _text, RESET_S)
        self._board = cyton.parse_banner(banner)
        if self._board.major < 2:
            raise DeviceError(f"{self.path}: firmware before 2.0 does not confirm what it is told: update the board")
        if self._board.daisy:
            # With it, every packet carries the mean of two samples of half the channels: no cardiogram.
            await self._ask(b"c", lambda text: b"daisy removed" in text or None, ANSWER_S)

    async def identify(self) -> Identity:
        """Return what the board said of itself when it was reset."""
        return Identity(MODEL, firmware=self._board.firmware)

    async def status(self) -> Status:
        """Ask for a sign of life; a board whose amplifier did not answer is at fault."""
        await self._ask(b"D", _text, ANSWER_S)
        if not self._board.amplifier:
            return Status(self._of.device, "fault", "its amplifier does not answer", None, await self.identify())
        return Status(self._of.device, "present", None, None, await self.identify())

    async def prepare(self, wait_s: float) -> None:
        """Configure anew (a board that was switched off forgets its gain), and wait for electrodes at most `wait_s`."""
        await self._configure()
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            self._off = await self._test_electrodes()
            if not self._off or asyncio.get_running_loop().time() >= deadline:
                break
        if self._off == (1 << len(self._wired)) - 1:
            raise DeviceError(f"{self.path}: no lead can be measured, every electrode is off")

    def signals(self) -> Signals:
        """Return what it measures as wired."""
        limit = cyton.FULL_SCALE
        return Signals(
            self._leads, RATE, cyton.ROUND, limits=((-limit, limit),) * len(self._wired), leads_off=self._leads_off
        )

    async def _configure(self) -> None:
        await self._ask(b"d", _text, ANSWER_S)
        wired = dict(self._wired)
        every = range(1, cyton.CHANNELS + 1)
        commands = b"".join(cyton.channel_command(n, self._gain if n in wired else None) for n in every)
        await self._ask(commands, _succeeded(b"Channel", every), ANSWER_S)
        if self._board.major >= 3:
            await self._ask(b"~6", _rate, ANSWER_S)

    async def _test_electrodes(self) -> int:
        """Send the test current through all electrodes for a second; return the channels (bits) that are open."""
        numbers = [n for n, _ in self._wired]
        try:
            await self._ask(_tests(numbers, on=True), _succeeded(b"Lead off", numbers), ANSWER_S)
            # Not shown live: it is the test signal, no heart.
            self.recording = Track(self._of.device, self.signals(), SAMPLES, self._of.clock)
            self._listen()
            await self._start(self.recording)
            why = await self._collect(self.recording)
            await self._stop()
            found = impedances(self.recording.samples, self._scale)
        finally:
            self.recording = None
            if self.gone is None:
                await self._ask(_tests(numbers, on=False), _succeeded(b"Lead off", numbers), ANSWER_S)
        if why is not None:
            raise DeviceError(f"{self.path}: {why} while its electrodes were tested")
        return sum(1 << n for n, ohm in enumerate(found) if np.isnan(ohm) or ohm > OFF_OHM)

    def _leads_off(self, off: int) -> tuple[str, ...]:
        return self._leads.that_need([lead for n, (_, lead) in enumerate(self._wired) if off >> n & 1])

    async def _start(self, track: Track) -> None:
        self._port.write(b"b")

    async def _stop(self) -> int | None:
        with contextlib.suppress(PortError):  # gone: what came is what there is
            await self._hush(b"s", QUIET_S)
        self._packets(self._parser.end())
        self._flush()
        return None

    def _errors(self) -> int:
        return self._parser.broken

    def _take(self, data: bytes) -> None:
        self._packets(self._parser.feed(data))

    def _packets(self, packets: list[cyton.Packet]) -> None:
        for packet in packets:
            self._sampled(packet.count, [packet.channels[n - 1] for n, _ in self._wired], self._off)


def _text(heard: bytes) -> bytes | None:
    """Return the answer's text once it is whole; DeviceError where the dongle says that it does not hear the board."""
    if cyton.END not in heard:
        return None
    if b"Failure" in heard:
        said = heard[heard.index(b"Failure") :].split(cyton.END)[0].decode("ascii", "replace")
        raise DeviceError(f"the board does not answer its dongle ({said}): is it switched on?")
    return heard


def _succeeded(of: bytes, channels: Sequence[int]) -> _Answer:
    def answer(heard: bytes) -> bytes | None:
        return _text(heard) if cyton.successes(heard, of, channels) or b"Failure" in heard else None

    return answer


def _rate(heard: bytes) -> bytes | None:
    found = _RATE.search(_text(heard) or b"")
    if found and float(found[1]) != RATE:
        raise DeviceError(f"the board samples at {found[1].decode()} Hz, not {RATE:.0f}")
    return found and found[0]


def _tests(channels: Sequence[int], *, on: bool) -> bytes:
    return b"".join(cyton.lead_off_command(n, on=on) for n in channels)
