"""Virtual devices that store what they measure: GATT servers that bring it when found, and hang up; with faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bumble.core import UUID, BaseBumbleError
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

from feldsher_edge.ble import current_time, date_time
from feldsher_edge.simulate.air import Air, Peripheral

BATTERY_PERCENT = 87

Emit = Callable[[str, dict[str, object]], None]
"""Where a virtual device says what happened: event and fields."""

P = Characteristic.Properties
R = Characteristic.Permissions
_BEFORE_HANG_UP_S = 0.1


@dataclass(slots=True)
class Faults:
    """How a device misbehaves; all of these were seen in real ones.

    `no_clock`: sends no time and has no clock to read; `clock_error`: its clock is so much ahead; `stays_connected`: it
    does not hang up; `resends`: it keeps what was confirmed and brings all of it every time; `hangs_up_after`: it
    breaks off after so many readings.
    """

    no_clock: bool = False
    clock_error: timedelta = timedelta()
    stays_connected: bool = False
    resends: bool = False
    hangs_up_after: int | None = None


@dataclass(frozen=True, slots=True)
class Make:
    """What kind of device: events are called after `kind`; `channels` its measurement characteristics, all indicated.

    `clock`: the characteristic of its clock (0x2A08 or 0x2A2B).
    """

    kind: str
    name: str
    address: str
    service: int
    channels: tuple[int, ...]
    clock: int = 0x2A08
    model: str = "virtual"


def uuid16(number: int) -> UUID:
    """Return the UUID of an assigned number."""
    return UUID.from_16_bits(number)


def information(model: str) -> list[Service]:
    """Return the device information and battery services of a virtual device."""
    texts = ((0x2A29, b"feldsher"), (0x2A24, model.encode()), (0x2A25, b"SIM-0001"), (0x2A26, b"1.0"))
    about = [Characteristic(uuid16(uuid), P.READ, R.READABLE, text) for uuid, text in texts]
    battery = Characteristic(uuid16(0x2A19), P.READ, R.READABLE, bytes([BATTERY_PERCENT]))
    return [Service(uuid16(0x180A), about), Service(uuid16(0x180F), [battery])]


class StoringDevice(Peripheral):
    """A device that stores what it measures and is found only while it has something to bring, as an A&D UA-651BLE.

    `now`: the local time, naive, that its clock would show were it right.
    """

    def __init__(
        self, air: Air, make: Make, now: Callable[[], datetime], faults: Faults | None = None, emit: Emit | None = None
    ) -> None:
        super().__init__(air, make.name, make.address, [make.service])
        self.make = make
        self.faults = faults or Faults()
        self.queue: list[tuple[int, bytes]] = []
        self.confirmed: list[bytes] = []
        self.clock_writes: list[bytes] = []
        self.hung_up = asyncio.Event()
        self._now = now
        self._emit = emit or _silent
        self._subscribed: set[int] = set()
        self._channels = {uuid: self._channel(uuid) for uuid in make.channels}
        self.offer([Service(uuid16(make.service), self._characteristics()), *information(make.model)])
        self.offer(self.more_services())

    def _channel(self, uuid: int) -> Characteristic[bytes]:
        it = Characteristic[bytes](uuid16(uuid), P.INDICATE, R.READ_REQUIRES_ENCRYPTION, b"")

        def subscribed(connection: Connection, _notify: bool, indicate: bool) -> None:
            if indicate:
                self._subscribed.add(uuid)
                if self._subscribed >= set(self.make.channels):
                    self.start(self._bring(connection))

        it.on(Characteristic.EVENT_SUBSCRIPTION, subscribed)
        return it

    def _characteristics(self) -> list[Characteristic[bytes]]:
        clock = Characteristic[bytes](
            uuid16(self.make.clock),
            P.READ | P.WRITE,
            R.READABLE | R.WRITEABLE,
            CharacteristicValue(read=self._read_clock, write=self._write_clock),
        )
        return [*self._channels.values(), *self.more_characteristics()] + ([] if self.faults.no_clock else [clock])

    def more_characteristics(self) -> Sequence[Characteristic[bytes]]:
        """Return what else its health service has."""
        return []

    def more_services(self) -> list[Service]:
        """Return what else it offers."""
        return []

    async def store(self, raw: bytes, channel: int | None = None) -> None:
        """Store a frame as it is and let itself be found."""
        self.queue.append((self.make.channels[0] if channel is None else channel, raw))
        self._emit(f"{self.make.kind}_stored", {"waiting": len(self.queue)})
        await self.advertise()

    def connected(self, connection: Connection) -> None:
        """Forget what an earlier connection had subscribed."""
        self.hung_up.clear()
        self._subscribed.clear()

    def disconnected(self) -> None:
        """Say so, and be found again only while something waits."""
        self.hung_up.set()
        self._emit(f"{self.make.kind}_hung_up", {"waiting": len(self.queue)})
        if self.queue:
            self.start(self.advertise())

    def may_bring(self) -> bool:
        """Say whether whoever has subscribed may have the readings."""
        return True

    async def _bring(self, connection: Connection) -> None:
        """Indicate what is stored, delete what is confirmed, hang up."""
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            for count, item in enumerate(list(self.queue) if self.may_bring() else [], 1):
                # Returns after the ATT confirmation.
                await self.device.indicate_subscriber(connection, self._channels[item[0]], item[1])
                self.confirmed.append(item[1])
                self._emit(f"{self.make.kind}_confirmed", {"waiting": len(self.queue) - 1})
                if not self.faults.resends:
                    self.queue.remove(item)
                if count == self.faults.hangs_up_after:
                    break
            if not self.faults.stays_connected:
                await asyncio.sleep(_BEFORE_HANG_UP_S)
                await self.hang_up()

    def time(self) -> date_time.DeviceTime | None:
        """Return what its clock shows, None where it has none."""
        return None if self.faults.no_clock else date_time.of(self._shown())

    def _shown(self) -> datetime:
        return self._now() + self.faults.clock_error

    def _read_clock(self, _connection: Connection) -> bytes:
        if self.make.clock == 0x2A2B:
            return current_time.encode(current_time.of(self._shown()))
        return date_time.encode(date_time.of(self._shown()))

    def _write_clock(self, _connection: Connection, value: bytes) -> None:
        self.clock_writes.append(bytes(value))
        written = date_time.decode(bytes(value)).complete()
        if written is not None:
            self.faults.clock_error = written - self._now().replace(microsecond=0)


def _silent(_event: str, _fields: dict[str, object]) -> None:
    return None
