"""One opened board of ProtoCentral's: it streams from the moment it is switched on, one lead and its vital signs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar

from feldsher_ehr_core import vitals
from feldsher_ehr_core.vitals import Vital

from feldsher_edge.devices import DeviceError, Identity, ReadingSet, Status, Value
from feldsher_edge.devices.decode import Measured
from feldsher_edge.devices.intake import Intake, Known
from feldsher_edge.devices.leads import Leads
from feldsher_edge.devices.openview_packet import KINDS, Board, Parser, Vitals, decode
from feldsher_edge.devices.profiles import Channel
from feldsher_edge.devices.serial_session import Opening
from feldsher_edge.devices.stream_session import StreamSession
from feldsher_edge.devices.track import Signals, Track

FIRST_S = 2.0
"""A board that sends nothing for so long is switched off, or another one."""
VITALS_US = 1_000_000
"""Vital signs are taken once a second, whatever the rate of packets."""
_FRAMING = 7


class OpenViewSession(StreamSession):
    """A connection to a board whose electrodes are wired as `lead`. `uv_per_bit`: where its firmware leaves doubt."""

    noun: ClassVar[str] = "board"

    def __init__(self, opening: Opening, board: Board, lead: str, uv_per_bit: float | None) -> None:
        self._board: Board = board
        self._kind = KINDS[board]
        scale = uv_per_bit or self._kind.uv_per_bit
        if scale is None:
            raise DeviceError(f"{opening.path}: the microvolts per unit of a {self._kind.model} must be configured")
        self._leads = Leads((lead,), (scale,))
        self._parser = Parser(self._kind)
        self._breaks = 0
        self._ruins = 0
        self._count = 0
        self._heard = asyncio.Event()
        self._now = Vitals()
        self._off = False
        self._taken_us = 0
        self._uncommitted: list[Callable[[], None]] = []
        of = ReadingSet(opening.device, self._kind.model, ())
        self._intake = Intake(opening.sink, opening.clock, Known(opening.device), of, self._uncommitted)
        super().__init__(opening)

    def close(self) -> None:
        """Close the line, and commit what is held of the vital signs."""
        super().close()
        self._intake.flush()
        self._commit_again()

    async def open(self) -> None:
        """Wait for the board's packets; DeviceError where none of its form comes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                await self._heard.wait()
                return
        said = f", but {self._port.heard} other bytes" if self._port.heard else ""
        raise DeviceError(f"{self.path}: no packet of a {self._kind.model} in {FIRST_S:.0f} s{said}")

    async def identify(self) -> Identity:
        """Return what the configuration and its packets say it is: it tells nothing else."""
        return Identity(self._kind.model)

    async def status(self) -> Status:
        """Say that it is there, as long as packets come."""
        self._commit_again()
        self._heard.clear()
        await self.open()
        return Status(self._of.device, "present", None, None, await self.identify())

    async def prepare(self, wait_s: float) -> None:
        """Wait at most `wait_s` until its electrodes touch, where the board can tell."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while self._off:
            if asyncio.get_running_loop().time() >= deadline:
                raise DeviceError(f"{self.path}: no lead can be measured, an electrode is off")
            await asyncio.sleep(0.1)

    def signals(self) -> Signals:
        """Return what it measures: one lead, uncounted."""
        kind = self._kind
        limits = ((kind.low, kind.high),) if kind.high else ()
        return Signals(self._leads, kind.fs, 1, limits, lambda off: self._leads.names if off else ())

    async def _start(self, track: Track) -> None:
        self._count = 0

    async def _stop(self) -> int | None:
        self._flush()
        return None

    def _errors(self) -> int:
        return self._breaks

    def _take(self, data: bytes) -> None:
        for kind, payload, skipped in self._parser.feed(data):
            self._heard.set()
            sample = decode(self._board, kind, payload)
            self._ruins += skipped
            self._breaks += skipped > 0
            self._note(sample.vitals, payload)
            if sample.ecg:
                self._off = sample.off
                self._count += self._lost_packets(len(payload) + _FRAMING) * len(sample.ecg)
            for value in sample.ecg:
                self._count += 1
                self._sampled(self._count, (value,), int(sample.off))

    def _lost_packets(self, size: int) -> int:
        """Return how many ECG packets of this size were in the ruins since the last one, as their bytes tell."""
        ruins, self._ruins = self._ruins, 0
        # Where packets without ECG come between, small ruins are theirs.
        return round(ruins / size) if len(self._kind.sizes) > 1 else -(-ruins // size)

    def _note(self, found: Vitals, payload: bytes) -> None:
        """Take the vital signs once a second; boards that divide them among packets bring them in turn."""
        before = self._now
        self._now = Vitals(
            found.saturation or before.saturation,
            found.heart_rate or before.heart_rate,
            found.respiration or before.respiration,
            found.temperature or before.temperature,
        )
        now_us = self._of.clock.wall_us()
        if abs(now_us - self._taken_us) >= VITALS_US:
            self._taken_us = now_us
            values, self._now = _values(self._now), Vitals()
            if values:
                self._intake.take(Channel(lambda _: (Measured(values),), continuous=True), payload)

    def _commit_again(self) -> None:
        """Commit what the disk refused."""
        while self._uncommitted:
            try:
                self._uncommitted[0]()
            except OSError:
                return
            del self._uncommitted[0]


def _values(it: Vitals) -> tuple[Value, ...]:
    found: list[tuple[Vital, int | Decimal | None]] = [
        (vitals.SATURATION, it.saturation),
        (vitals.HEART_RATE, it.heart_rate),
        (vitals.RESPIRATION, it.respiration),
        (vitals.SKIN_TEMPERATURE, it.temperature),
    ]
    return tuple(Value(of.mdc, Decimal(value), of.unit) for of, value in found if value is not None)
