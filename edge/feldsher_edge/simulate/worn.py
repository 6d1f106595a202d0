"""Devices that send for as long as they are worn: a heart rate belt, a running oximeter, Polar's belt with its ECG."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from itertools import islice

from bumble.core import UUID, BaseBumbleError
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

from feldsher_edge.ble import polar
from feldsher_edge.ble.polar import EcgFrame, Response, Status
from feldsher_edge.simulate.air import Air, Peripheral
from feldsher_edge.simulate.storing import P, R, information, uuid16

BELT, OXIMETER, POLAR = "F0:F1:F2:F3:F4:05", "F0:F1:F2:F3:F4:06", "F0:F1:F2:F3:F4:07"
_FRAME_SAMPLES = 73


class StreamingDevice(Peripheral):
    """A device that notifies one packet after the other to whoever subscribes, every `every_s` seconds.

    `packets` is drawn from as long as it lasts; then the device hangs up where `hangs_up`, else it sends what it is
    told to `say`. `hangs_up_after`: a fault; it breaks off after so many packets of a connection.
    """

    def __init__(
        self,
        air: Air,
        name: str,
        address: str,
        service: int,
        channel: int,
        packets: Iterable[bytes],
        *,
        every_s: float = 0.01,
        hangs_up: bool = False,
    ) -> None:
        super().__init__(air, name, address, [service])
        self.sent: list[bytes] = []
        self.hangs_up_after: int | None = None
        self._packets = iter(packets)
        self._told: asyncio.Queue[bytes] = asyncio.Queue()
        self._every_s = every_s
        self._hangs_up = hangs_up
        self._task: asyncio.Task[None] | None = None
        self._channel = Characteristic[bytes](uuid16(channel), P.NOTIFY, R(0), b"")
        self._channel.on(Characteristic.EVENT_SUBSCRIPTION, self._subscribed)
        self.offer([Service(uuid16(service), [self._channel]), *information("virtual")])

    def _subscribed(self, connection: Connection, notify: bool, _indicate: bool) -> None:
        if notify and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._stream(connection))

    async def _stream(self, connection: Connection) -> None:
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            count = 0
            while count != self.hangs_up_after and (packet := await self._next()) is not None:
                await self.device.notify_subscriber(connection, self._channel, packet)
                self.sent.append(packet)
                count += 1
                await asyncio.sleep(self._every_s)
            # Not as this task, which `disconnected` ends.
            self.start(self.hang_up())

    async def _next(self) -> bytes | None:
        """Return the next packet, None where it hangs up instead."""
        packet = next(self._packets, None)
        return packet if packet is not None or self._hangs_up else await self._told.get()

    async def say(self, packet: bytes) -> None:
        """Send a packet to whoever is connected, or as soon as somebody is; be found."""
        self._told.put_nowait(packet)
        await self.advertise()

    def disconnected(self) -> None:
        """End the stream and let itself be found again."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.start(self.advertise())


class VirtualPolar(Peripheral):
    """Polar's belt with its ECG stream: `samples` in microvolts, 130 a second of its own clock.

    `pace`: device seconds per second; `already_on`: an earlier client has left the stream running; `drops`: indices of
    frames that are lost in the air; `stops_after`: it falls silent after so many frames. `sent`: the samples that its
    clock has counted.
    """

    def __init__(
        self,
        air: Air,
        samples: Iterable[int],
        *,
        pace: float = 1.0,
        already_on: bool = False,
        drops: frozenset[int] = frozenset(),
        stops_after: int | None = None,
        status: Callable[[], int] = lambda: Status.SUCCESS,
    ) -> None:
        super().__init__(air, "Polar H10 SIM", POLAR, [0x180D])
        self.on = already_on
        self.starts = 0
        self._samples = iter(samples)
        self._pace = pace
        self._drops = drops
        self._stops_after = stops_after
        self._status = status
        self.sent = 0
        self._task: asyncio.Task[None] | None = None
        self._control = Characteristic[bytes](
            UUID(polar.CONTROL),
            P.READ | P.WRITE | P.INDICATE,
            R.READABLE | R.WRITEABLE,
            CharacteristicValue(read=lambda _c: polar.encode_features(1), write=self._asked),
        )
        self._data = Characteristic[bytes](UUID(polar.DATA), P.NOTIFY, R(0), b"")
        rate = Characteristic[bytes](uuid16(0x2A37), P.NOTIFY, R(0), b"")
        services = [Service(UUID(polar.SERVICE), [self._control, self._data]), Service(uuid16(0x180D), [rate])]
        self.offer([*services, *information("H10")])

    def _asked(self, connection: Connection, value: bytes) -> None:
        data = bytes(value)
        self.start(self._answer(connection, data))

    async def _answer(self, connection: Connection, data: bytes) -> None:
        status: int = self._status()
        if data == polar.start() and status == Status.SUCCESS:
            self.starts += 1
            status = Status.ALREADY if self.on else Status.SUCCESS
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            offered = polar.encode_settings({polar.Setting.RATE: (130,), polar.Setting.RESOLUTION: (14,)})
            answer = Response(data[0], polar.ECG, status, offered if data == polar.SETTINGS else b"\0")
            await self.device.indicate_subscriber(connection, self._control, polar.encode_response(answer))
        if status == Status.SUCCESS and data == polar.start():
            self.on = True
            self._task = asyncio.get_running_loop().create_task(self._stream(connection))
        elif data == polar.STOP:
            self._stop()

    def pass_over(self, samples: int) -> None:
        """Let the belt's clock go on while nobody listens: what it measures meanwhile is lost."""
        self.sent += len(tuple(islice(self._samples, samples)))

    def _stop(self) -> None:
        self.on = False
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _stream(self, connection: Connection) -> None:
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            while samples := tuple(islice(self._samples, _FRAME_SAMPLES)):
                await asyncio.sleep(len(samples) / polar.RATE / self._pace)
                self.sent += len(samples)
                index = self.sent // _FRAME_SAMPLES - 1
                if self._stops_after is not None and index >= self._stops_after:
                    return
                if index not in self._drops:
                    frame = EcgFrame(self.sent * 1_000_000_000 // polar.RATE, samples)
                    await self.device.notify_subscriber(connection, self._data, polar.encode_frame(frame))

    def disconnected(self) -> None:
        """Stop the stream and let itself be found again."""
        self._stop()
        self.start(self.advertise())
