"""The continuous ECG of a belt with Polar's Measurement Data service: started, kept in pieces, started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import BleakError

from feldsher_edge.ble import polar
from feldsher_edge.ble.polar import Response, Setting, Status
from feldsher_edge.devices import DeviceClock, EcgResult, Sink
from feldsher_edge.devices.ecg_pieces import Pieces

SILENT_S = 15.0
"""A stream without a frame for so long has stopped: the session ends, and the next one starts it again."""
_ANSWER_S = 5.0

_log = structlog.get_logger()


class EcgError(BleakError):
    """The belt gives no ECG, or not any more; the text says what the technician may do."""


class BeltEcg:
    """The ECG of one session. `pieces` outlives it; `uncommitted`: what the disk has not yet taken."""

    def __init__(
        self, device: str, clock: DeviceClock, sink: Sink, pieces: Pieces, uncommitted: list[Callable[[], None]]
    ) -> None:
        self._device = device
        self._clock = clock
        self._sink = sink
        self._pieces = pieces
        self._uncommitted = uncommitted
        self._answers: asyncio.Queue[Response] = asyncio.Queue()
        self._heard_ns = 0

    async def start(self, client: BleakClient, heard: asyncio.Event) -> None:
        """Start the stream; each frame sets `heard`. EcgError where the belt has none or refuses it."""
        if client.services.get_characteristic(polar.CONTROL) is None:
            raise EcgError("this belt offers no ECG: leave `ecg` out of its configuration")

        def notified(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            self.take(bytes(data))
            heard.set()

        await client.start_notify(polar.CONTROL, self._answered)
        await client.start_notify(polar.DATA, notified)
        offered = (await self._ask(client, polar.SETTINGS)).parameters
        try:
            settings = polar.parse_settings(offered)
        except ValueError as error:
            raise EcgError(f"the belt's settings cannot be read: {error}") from error
        if polar.RATE not in settings.get(Setting.RATE, ()):
            raise EcgError(f"the belt offers no {polar.RATE} samples a second")
        resolution = settings.get(Setting.RESOLUTION, (polar.RESOLUTION,))[0]
        await self._begin(client, polar.start(polar.RATE, resolution))
        self._heard_ns = self._clock.mono_ns()

    async def _begin(self, client: BleakClient, request: bytes) -> None:
        answer = await self._ask(client, request)
        if answer.status == Status.ALREADY:  # an earlier client has left it running
            await self._ask(client, polar.STOP)
            answer = await self._ask(client, request)
        if answer.status == Status.INVALID_MTU:
            raise EcgError(f"the adapter's packets are smaller than the {polar.LOWEST_MTU} bytes that the ECG needs")
        if answer.status != Status.SUCCESS:
            known = answer.status in {it.value for it in Status}
            raise EcgError(
                f"the belt refuses its ECG: {Status(answer.status).name.lower() if known else answer.status}"
            )

    async def _ask(self, client: BleakClient, request: bytes) -> Response:
        while not self._answers.empty():
            self._answers.get_nowait()
        await client.write_gatt_char(polar.CONTROL, request, response=True)
        try:
            async with asyncio.timeout(_ANSWER_S):
                while True:
                    answer = await self._answers.get()
                    if answer.op == request[0]:
                        return answer
        except TimeoutError as error:
            raise EcgError(f"the belt does not answer (request 0x{request[0]:02x})") from error

    def _answered(self, _characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        try:
            self._answers.put_nowait(polar.parse_response(bytes(data)))
        except ValueError as error:
            _log.warning("belt_answer_unreadable", device=self._device, why=str(error))

    def take(self, raw: bytes) -> None:
        """Take one frame in, committing the piece that it completes; what cannot be read is quarantined."""
        self._heard_ns = self._clock.mono_ns()
        try:
            frame = polar.parse_frame(raw)
        except ValueError as error:
            self._commit(partial(self._sink.unreadable, self._device, raw, str(error)))
            return
        self._keep(self._pieces.add(frame, self._clock.wall_us()))

    def check(self) -> None:
        """Raise EcgError where the stream has stopped while the belt is there."""
        silent_s = (self._clock.mono_ns() - self._heard_ns) / 1e9
        if silent_s > SILENT_S:
            raise EcgError(f"the ECG has stopped for {silent_s:.0f} s")

    async def stop(self, client: BleakClient) -> None:
        """Commit what is held, and stop the stream where the belt is still there."""
        self._keep(self._pieces.end("the connection ended"))
        if client.is_connected:
            try:
                await self._ask(client, polar.STOP)
            except BleakError as error:
                _log.info("belt_ecg_not_stopped", device=self._device, why=str(error))

    def _keep(self, pieces: list[EcgResult]) -> None:
        for piece in pieces:
            self._commit(partial(self._sink.recorded, piece))

    def _commit(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            _log.error("ecg_not_committed", why=str(error))
            self._uncommitted.append(write)
