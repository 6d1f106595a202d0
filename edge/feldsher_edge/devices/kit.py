"""Our own electrocardiograph kit on a serial line (docs/kit-protocol.md): identify, configure, check leads, record.

A recording that somebody starts with the kit's own button is delivered without an order. Nothing is bridged: what was
lost stays missing at its place, and a cable pulled in the middle gives what came, with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import structlog
from feldsher_signal import frame

from feldsher_edge.devices import DeviceClock, DeviceError, EcgResult, Identity, Sink, Status
from feldsher_edge.devices.kit_recording import MAX_SECONDS, Live
from feldsher_edge.devices.kit_session import KitSession

MODEL = "feldsher kit"
LEAD_OFF_WAIT_S = 5.0
SILENCE_S = 0.5
"""docs/kit-protocol.md: no DATA for so long while sampling, and the cardiogram is broken."""
POLL_S = 10.0
REOPEN_S = (0.3, 1.5)
UNASKED_LEAST_S = 1.0
"""Less than this without an order is the end of a recording already delivered, not a cardiogram."""

_log = structlog.get_logger("kit")


class KitCardiograph:
    """The driver of one kit. `device`: the id by which orders name it; `live`: where a running recording is shown."""

    def __init__(
        self,
        device: str,
        port: str,
        clock: DeviceClock,
        rng: random.Random,
        *,
        live: Live | None = None,
        lead_off_wait_s: float = LEAD_OFF_WAIT_S,
        silence_s: float = SILENCE_S,
        poll_s: float = POLL_S,
        reopen_s: tuple[float, float] = REOPEN_S,
    ) -> None:
        self._device = device
        self._port = port
        self._clock = clock
        self._rng = rng
        self._live = live
        self._lead_off_wait_s = lead_off_wait_s
        self._silence_s = silence_s
        self._poll_s = poll_s
        self._reopen_s = reopen_s
        self._session: KitSession | None = None
        # Held by whoever has the kit record: an order, or the delivery of what its button began.
        self._turn = asyncio.Lock()

    @property
    def device(self) -> str:
        """The id by which orders name it."""
        return self._device

    async def run(self, sink: Sink) -> None:
        """Keep the line until cancelled: open, identify, report status, reopen after a loss."""
        while True:
            try:
                await self._serve(sink)
            except DeviceError as error:
                sink.status(Status(self._device, "absent", detail=str(error)))
            await asyncio.sleep(self._rng.uniform(*self._reopen_s))

    async def identify(self) -> Identity:
        """Return what the kit says of itself; DeviceError where it does not answer."""
        return _identity(await self._connected().identify())

    async def record(self, seconds: float) -> EcgResult:
        """Take a recording; DeviceError where none can start.

        A recording that breaks off in the middle is returned with `partial`. Cancelling stops the kit.
        """
        if not 0 < seconds <= MAX_SECONDS:
            raise DeviceError(f"{seconds} s: a recording takes more than 0 and at most {MAX_SECONDS:.0f} s")
        session = self._connected()
        if self._turn.locked() or session.unasked:
            raise DeviceError(f"{self._port}: it is recording")
        async with self._turn:
            await session.configure()
            await session.wait_for_leads(self._lead_off_wait_s)
            result = await session.record(seconds)
        _log.info(
            "recorded",
            device=self._device,
            samples=result.samples.shape[1],
            lost=result.lost,
            crc_errors=result.crc_errors,
            partial=result.partial,
        )
        return result

    def _connected(self) -> KitSession:
        if self._session is None:
            raise DeviceError(f"{self._port}: the kit is not connected")
        return self._session

    async def _serve(self, sink: Sink) -> None:
        """Hold one connection until it is lost; DeviceError says why it was."""
        session = KitSession(self._port, self._device, self._clock, self._live, self._silence_s)
        try:
            await session.identify()
            if (await session.status()).state != frame.STATE_SAMPLING:
                await session.configure()
            self._session = session
            while session.gone is None:
                session.attention.clear()
                if session.unasked:
                    await self._deliver(session, sink)
                elif not self._turn.locked():
                    await self._report(session, sink)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):
                        await session.attention.wait()
            raise DeviceError(session.gone)
        finally:
            self._session = None
            session.close()

    async def _report(self, session: KitSession, sink: Sink) -> None:
        status = await session.status()
        identity = _identity(await session.identify())
        battery = None if status.battery == frame.BATTERY_UNKNOWN else status.battery
        if status.state == frame.STATE_FAULT:
            sink.status(Status(self._device, "fault", "its amplifier does not answer", battery, identity))
        else:
            sink.status(Status(self._device, "present", None, battery, identity))

    async def _deliver(self, session: KitSession, sink: Sink) -> None:
        """Receive to its end what the kit's button began, and commit it; what the disk refuses is tried again."""
        async with self._turn:
            result = await session.finish()
        if result.samples.shape[1] - result.lost < UNASKED_LEAST_S * result.fs:
            _log.info("unasked_too_short", device=self._device, samples=result.samples.shape[1])
            return
        while True:
            try:
                sink.recorded(result)
            except OSError as error:
                _log.error("recording_not_committed", device=self._device, why=str(error))
                await asyncio.sleep(self._rng.uniform(*self._reopen_s))
            else:
                return


def _identity(it: frame.Identity) -> Identity:
    return Identity(MODEL, serial=it.serial or None, firmware=it.firmware or None)
