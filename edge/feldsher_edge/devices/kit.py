"""Our own electrocardiograph kit on a serial line (docs/kit-protocol.md): identify, configure, check leads, record.

It takes new firmware while nobody needs it: a recording that is wanted meanwhile interrupts the handing over, which
begins anew afterwards. What restarts is kept only once it works.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import structlog
from feldsher_signal import artefact, frame

from feldsher_edge.devices import DeviceClock, DeviceError, EcgResult, kit_update
from feldsher_edge.devices.kit_line import KitLine
from feldsher_edge.devices.kit_session import KitSession
from feldsher_edge.devices.serial_cardiograph import PATIENCE, Patience, SerialCardiograph
from feldsher_edge.devices.serial_session import Opening

RESTART_S = 60.0
"""So long a kit may take to come back with new firmware; after five minutes without a word it falls back by itself."""
IDLE_S = 3600.0
"""So long an update waits for a kit that is in use again and again."""
_LOOK_S = 0.5
_log = structlog.get_logger("kit")


class KitCardiograph(SerialCardiograph):
    """The driver of one kit."""

    def __init__(
        self, device: str, port: str, clock: DeviceClock, rng: random.Random, patience: Patience = PATIENCE
    ) -> None:
        super().__init__(device, port, clock, rng, patience)
        self._handing: asyncio.Task[None] | None = None

    def _connect(self, opening: Opening) -> KitSession:
        return KitSession(opening)

    async def record(self, seconds: float) -> EcgResult:
        """Take a recording; DeviceError where none can start. Firmware that is being handed over gives way."""
        if self._handing is not None:
            self._handing.cancel()
            async with self._turn:
                pass  # the line is free now; the update looks again only in half a second
        return await super().record(seconds)

    async def update(self, data: bytes) -> str:
        """Bring firmware (an artefact) onto the kit and return what it then runs; DeviceError says why it does not."""
        try:
            manifest = artefact.parse_manifest(data[artefact.HEAD : artefact.head_length(data[: artefact.HEAD])])
        except (artefact.ArtefactError, IndexError) as error:
            raise DeviceError(f"{self._device}: no firmware of a kit: {error}") from error
        boots = await self._hand_over(data, manifest.sequence)
        async with self._turn:
            await self._restarted(boots)
            await kit_update.confirm(self._line(), manifest.sequence)
        _log.info("firmware updated", device=self._device, version=manifest.version)
        return f"the kit runs {manifest.version}, sequence {manifest.sequence}"

    def _line(self) -> KitLine:
        session = self._connected()
        if not isinstance(session, KitSession):
            raise TypeError(f"a kit's session is needed, not {type(session).__name__}")
        return session.line

    async def _hand_over(self, data: bytes, sequence: int) -> int:
        """Hand firmware over while the kit is idle; return its count of starts before, -1 where it runs it already."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + IDLE_S
        while loop.time() < deadline:
            async with self._turn:
                if not self._connected().unasked:
                    health = await kit_update.status(self._line())
                    if health.sequence == sequence:
                        return -1
                    if await self._handed_over(data):
                        return health.boots
            await asyncio.sleep(_LOOK_S)
        raise DeviceError(f"{self._port}: the kit was in use again and again for {IDLE_S / 60:.0f} min")

    async def _handed_over(self, data: bytes) -> bool:
        """Return whether it was handed over whole: False where a recording came first."""
        self._handing = handing = asyncio.create_task(kit_update.install(self._line(), data))
        try:
            await asyncio.wait({handing})
        finally:
            self._handing = None
            handing.cancel()
        if handing.cancelled():
            return False
        handing.result()
        return True

    async def _restarted(self, boots: int) -> None:
        """Wait until the kit has started anew, on this line or on another that the driver has opened meanwhile."""
        deadline = asyncio.get_running_loop().time() + RESTART_S
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(DeviceError, frame.FrameError):
                if (await kit_update.status(self._line())).boots != boots:
                    return
            await asyncio.sleep(_LOOK_S)
        raise DeviceError(f"{self._port}: the kit did not start anew within {RESTART_S:.0f} s")
