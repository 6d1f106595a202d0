"""A cardiograph on a serial line: found, identified, kept; told to record; reopened after a loss.

A recording that somebody starts with the device's own button is delivered without an order. Nothing is bridged: what
was lost stays missing at its place, and a cable pulled in the middle gives what came, with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass

import structlog

from feldsher_edge.devices import DeviceClock, DeviceError, EcgResult, Identity, Sink, Status
from feldsher_edge.devices.serial_session import Opening, SerialSession
from feldsher_edge.devices.track import MAX_SECONDS

UNASKED_LEAST_S = 1.0
"""Less than this without an order is the end of a recording already delivered, not a cardiogram."""

_log = structlog.get_logger("cardiograph")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what is waited for, in seconds: electrodes, samples, the next look at the device, the next opening.

    `silence_s`: no sample for so long while recording, and the cardiogram is broken (docs/kit-protocol.md).
    """

    lead_off_s: float = 5.0
    silence_s: float = 0.5
    poll_s: float = 10.0
    reopen_s: tuple[float, float] = (0.3, 1.5)


PATIENCE = Patience()


class SerialCardiograph(ABC):
    """The driver of one cardiograph. `device`: the id by which orders name it."""

    def __init__(
        self,
        device: str,
        port: str,
        clock: DeviceClock,
        rng: random.Random,
        patience: Patience = PATIENCE,
    ) -> None:
        self._device = device
        self._port = port
        self._clock = clock
        self._rng = rng
        self._patience = patience
        self._session: SerialSession | None = None
        # Held by whoever has the device record: an order, or the delivery of what its button began.
        self._turn = asyncio.Lock()

    @property
    def device(self) -> str:
        """The id by which orders name it."""
        return self._device

    @abstractmethod
    def _connect(self, opening: Opening) -> SerialSession:
        """Open the line; DeviceError where the port cannot be opened."""

    async def run(self, sink: Sink) -> None:
        """Keep the line until cancelled: open, identify, report status, reopen after a loss."""
        while True:
            try:
                await self._serve(sink)
            except DeviceError as error:
                sink.status(Status(self._device, "absent", detail=str(error)))
            await asyncio.sleep(self._rng.uniform(*self._patience.reopen_s))

    async def identify(self) -> Identity:
        """Return what the device says of itself; DeviceError where it does not answer."""
        return await self._connected().identify()

    async def record(self, seconds: float) -> EcgResult:
        """Take a recording; DeviceError where none can start.

        A recording that breaks off in the middle is returned with `partial`. Cancelling stops the device.
        """
        if not 0 < seconds <= MAX_SECONDS:
            raise DeviceError(f"{seconds} s: a recording takes more than 0 and at most {MAX_SECONDS:.0f} s")
        session = self._connected()
        if self._turn.locked() or session.unasked:
            raise DeviceError(f"{self._port}: it is recording")
        async with self._turn:
            await session.prepare(self._patience.lead_off_s)
            result = await session.record(seconds)
        _log.info("recorded", device=self._device, partial=result.partial, **asdict(result.integrity))
        return result

    def _connected(self) -> SerialSession:
        if self._session is None:
            raise DeviceError(f"{self._port}: the device is not connected")
        return self._session

    async def _serve(self, sink: Sink) -> None:
        """Hold one connection until it is lost; DeviceError says why it was."""
        session = self._connect(Opening(self._port, self._device, self._clock, sink, self._patience.silence_s))
        try:
            await session.open()
            self._session = session
            while session.gone is None:
                session.attention.clear()
                if session.unasked:
                    await self._deliver(session, sink)
                elif not self._turn.locked():
                    sink.status(await session.status())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience.poll_s):
                        await session.attention.wait()
            raise DeviceError(session.gone)
        finally:
            self._session = None
            session.close()

    async def _deliver(self, session: SerialSession, sink: Sink) -> None:
        """Receive to its end what the device's button began, and commit it; what the disk refuses is tried again."""
        async with self._turn:
            result = await session.finish()
        if result.integrity.received < UNASKED_LEAST_S * result.fs:
            _log.info("unasked_too_short", device=self._device, samples=result.integrity.expected)
            return
        while True:
            try:
                sink.recorded(result)
            except OSError as error:
                _log.error("recording_not_committed", device=self._device, why=str(error))
                await asyncio.sleep(self._rng.uniform(*self._patience.reopen_s))
            else:
                return
