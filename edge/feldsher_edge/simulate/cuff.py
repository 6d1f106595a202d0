"""A virtual blood pressure cuff: a real GATT server that stores readings, brings them when found, and hangs up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bumble.core import UUID, BaseBumbleError
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

from feldsher_edge.ble import blood_pressure, date_time
from feldsher_edge.ble.blood_pressure import BloodPressure, Unit
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.simulate.air import Air, Peripheral

NAME = "A&D_UA-651BLE_SIM"
ADDRESS = "F0:F1:F2:F3:F4:01"
BATTERY_PERCENT = 87

Emit = Callable[[str, dict[str, object]], None]
"""Where a virtual device says what happened: event and fields."""

_P = Characteristic.Properties
_R = Characteristic.Permissions
_BEFORE_HANG_UP_S = 0.1


@dataclass(slots=True)
class Faults:
    """How a cuff misbehaves; all of these were seen in real ones.

    `no_clock`: sends no time and has no clock to read; `clock_error`: its clock is so much ahead; `stays_connected`: it
    does not hang up; `resends`: it keeps what was confirmed and brings all of it every time; `hangs_up_after`: it
    breaks off after so many readings (0: while its services are being discovered).
    """

    no_clock: bool = False
    clock_error: timedelta = timedelta()
    stays_connected: bool = False
    resends: bool = False
    hangs_up_after: int | None = None


class VirtualCuff(Peripheral):
    """A cuff that stores what it measures and is found only while it has something to bring, as an A&D UA-651BLE.

    `now`: the local time, naive, that its clock would show were it right.
    """

    def __init__(
        self,
        air: Air,
        now: Callable[[], datetime],
        *,
        name: str = NAME,
        address: str = ADDRESS,
        faults: Faults | None = None,
        emit: Emit | None = None,
    ) -> None:
        super().__init__(air, name, address, [0x1810])
        self.faults = faults or Faults()
        self.queue: list[bytes] = []
        self.confirmed: list[bytes] = []
        self.clock_writes: list[bytes] = []
        self.hung_up = asyncio.Event()
        self._now = now
        self._emit = emit or _silent
        self._tasks: set[asyncio.Task[None]] = set()
        self._measurement = Characteristic[bytes](
            UUID.from_16_bits(0x2A35), _P.INDICATE, _R.READ_REQUIRES_ENCRYPTION, b""
        )
        self._measurement.on(Characteristic.EVENT_SUBSCRIPTION, self._subscribed)
        self.offer(self._services())

    def _services(self) -> list[Service]:
        feature = Characteristic(UUID.from_16_bits(0x2A49), _P.READ, _R.READABLE, b"\x05\x00")
        clock = Characteristic(
            UUID.from_16_bits(0x2A08),
            _P.READ | _P.WRITE,
            _R.READABLE | _R.WRITEABLE,
            CharacteristicValue(read=self._read_clock, write=self._write_clock),
        )
        pressure = [self._measurement, feature] + ([] if self.faults.no_clock else [clock])
        texts = ((0x2A29, b"feldsher"), (0x2A24, b"UA-651BLE virtual"), (0x2A25, b"SIM-0001"), (0x2A26, b"1.0"))
        about = [Characteristic(UUID.from_16_bits(uuid), _P.READ, _R.READABLE, text) for uuid, text in texts]
        battery = Characteristic(UUID.from_16_bits(0x2A19), _P.READ, _R.READABLE, bytes([BATTERY_PERCENT]))
        return [
            Service(UUID.from_16_bits(0x1810), pressure),
            Service(UUID.from_16_bits(0x180A), about),
            Service(UUID.from_16_bits(0x180F), [battery]),
        ]

    async def measure(
        self,
        systolic: Number,
        diastolic: Number,
        pulse: Number,
        *,
        unit: Unit = "mm[Hg]",
        user: int | None = 1,
        status: int | None = 0,
    ) -> BloodPressure:
        """Take one measurement, store it, and let itself be found."""
        mean: Number = "nan"
        if isinstance(systolic, Decimal) and isinstance(diastolic, Decimal):
            mean = _mean(systolic, diastolic)
        time = None if self.faults.no_clock else date_time.of(self._shown())
        it = BloodPressure(unit, systolic, diastolic, mean, time, pulse, user, status)
        await self.store(blood_pressure.encode(it))
        return it

    async def store(self, raw: bytes) -> None:
        """Store a frame as it is and let itself be found."""
        self.queue.append(raw)
        self._emit("cuff_stored", {"waiting": len(self.queue)})
        await self.advertise()

    def connected(self, connection: Connection) -> None:
        """Break off at once, where that is its fault."""
        self.hung_up.clear()
        if self.faults.hangs_up_after == 0:
            self._start(self._break_off(connection))

    def disconnected(self) -> None:
        """Say so, and be found again only while something waits."""
        self.hung_up.set()
        self._emit("cuff_hung_up", {"waiting": len(self.queue)})
        if self.queue:
            self._start(self.advertise())

    def _subscribed(self, connection: Connection, _notify: bool, indicate: bool) -> None:
        if indicate:
            self._start(self._bring(connection))

    async def _bring(self, connection: Connection) -> None:
        """Indicate what is stored, delete what is confirmed, hang up."""
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            for count, raw in enumerate(list(self.queue), 1):
                # Returns after the ATT confirmation.
                await self.device.indicate_subscriber(connection, self._measurement, raw)
                self.confirmed.append(raw)
                self._emit("cuff_confirmed", {"waiting": len(self.queue) - 1})
                if not self.faults.resends:
                    self.queue.remove(raw)
                if count == self.faults.hangs_up_after:
                    break
            if not self.faults.stays_connected:
                await asyncio.sleep(_BEFORE_HANG_UP_S)
                await self.hang_up()

    async def _break_off(self, connection: Connection) -> None:
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            await connection.disconnect()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _shown(self) -> datetime:
        return self._now() + self.faults.clock_error

    def _read_clock(self, _connection: Connection) -> bytes:
        return date_time.encode(date_time.of(self._shown()))

    def _write_clock(self, _connection: Connection, value: bytes) -> None:
        self.clock_writes.append(bytes(value))
        written = date_time.decode(bytes(value)).complete()
        if written is not None:
            self.faults.clock_error = written - self._now().replace(microsecond=0)


def _mean(systolic: Decimal, diastolic: Decimal) -> Decimal:
    """Return the mean pressure as cuffs without one of their own estimate it: diastolic + a third of the difference."""
    return (diastolic + (systolic - diastolic) / 3).quantize(Decimal(1).scaleb(int(systolic.as_tuple().exponent)))


def _silent(_event: str, _fields: dict[str, object]) -> None:
    return None
