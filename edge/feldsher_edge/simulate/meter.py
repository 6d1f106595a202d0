"""A virtual glucose meter and a virtual glucose sensor: they keep their records and report them when asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from bumble.core import BaseBumbleError
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

from feldsher_edge.ble import cgm, date_time, glucose, racp
from feldsher_edge.ble.glucose import Concentration, Context, Fluid, Glucose
from feldsher_edge.ble.racp import Op, Operator, Request, Response, Result
from feldsher_edge.simulate.air import Air, Peripheral
from feldsher_edge.simulate.storing import P, R, information, uuid16

METER, SENSOR = "F0:F1:F2:F3:F4:08", "F0:F1:F2:F3:F4:09"


@dataclass(slots=True)
class MeterFaults:
    """How a meter misbehaves: `hangs_up_after` so many records, `never_answers`, or `refuses` with this result."""

    hangs_up_after: int | None = None
    never_answers: bool = False
    refuses: int | None = None


class RecordKeeper(Peripheral):
    """A device with a Record Access Control Point: `records` by their numbers, each a list of (channel, bytes)."""

    def __init__(self, air: Air, name: str, address: str, service: int, channels: tuple[int, ...]) -> None:
        super().__init__(air, name, address, [service])
        self.records: dict[int, list[tuple[int, bytes]]] = {}
        self.requests: list[Request] = []
        self.reported: list[int] = []
        self.faults = MeterFaults()
        self._channels = {
            uuid: Characteristic[bytes](uuid16(uuid), P.NOTIFY, R.READ_REQUIRES_ENCRYPTION, b"") for uuid in channels
        }
        self._access = Characteristic[bytes](
            uuid16(0x2A52), P.WRITE | P.INDICATE, R.WRITEABLE, CharacteristicValue(write=self._asked)
        )
        more = self.more_characteristics()
        self.offer([Service(uuid16(service), [*self._channels.values(), self._access, *more]), *information("virtual")])

    def more_characteristics(self) -> list[Characteristic[bytes]]:
        """Return what else its service has."""
        return []

    def _asked(self, connection: Connection, value: bytes) -> None:
        request = racp.parse(bytes(value))
        if isinstance(request, Request):
            self.requests.append(request)
            self.start(self._answer(connection, request))

    async def _answer(self, connection: Connection, request: Request) -> None:
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            if self.faults.never_answers:
                return
            result = self.faults.refuses
            if result is None:
                result = await self._report(connection, request)
            answer = racp.encode(Response(request.op, result))
            await self.device.indicate_subscriber(connection, self._access, answer)

    async def _report(self, connection: Connection, request: Request) -> int:
        lowest = request.bounds[0] if request.operator == Operator.AT_LEAST else 0
        wanted = [number for number in sorted(self.records) if number >= lowest]
        if request.op != Op.REPORT or not wanted:
            return Result.NO_RECORDS if request.op == Op.REPORT else Result.OP_NOT_SUPPORTED
        for count, number in enumerate(wanted, 1):
            for channel, raw in self.records[number]:
                await self.device.notify_subscriber(connection, self._channels[channel], raw)
            self.reported.append(number)
            if count == self.faults.hangs_up_after:
                await self.hang_up()
        return Result.SUCCESS

    async def say(self, number: int) -> None:
        """Notify a record at once, as a sensor does while it is listened to."""
        if self.connection is not None:
            for channel, raw in self.records[number]:
                await self.device.notify_subscriber(self.connection, self._channels[channel], raw)


class VirtualMeter(RecordKeeper):
    """A glucose meter; `now`: the local time of its clock."""

    def __init__(self, air: Air, now: Callable[[], datetime]) -> None:
        self._now = now
        super().__init__(air, "SIM meter", METER, 0x1808, (0x2A18, 0x2A34))

    def measure(self, number: int, kilograms_per_litre: Decimal, meal: int | None = None) -> None:
        """Store a record of capillary blood, with its meal in a context where given."""
        found = Concentration(kilograms_per_litre, "kg/L", Fluid.CAPILLARY_WHOLE_BLOOD, 1)
        record = Glucose(number, date_time.of(self._now()), None, found, 0, context_follows=meal is not None)
        self.records[number] = [(0x2A18, glucose.encode(record))]
        if meal is not None:
            self.records[number].append((0x2A34, glucose.encode_context(Context(number, meal=meal))))


class VirtualSensor(RecordKeeper):
    """A continuous glucose sensor with a CRC over all that it sends; `started`: local time of its session's start."""

    def __init__(self, air: Air, started: datetime) -> None:
        self._started = started
        super().__init__(air, "SIM sensor", SENSOR, 0x181F, (0x2AA7,))

    def more_characteristics(self) -> list[Characteristic[bytes]]:
        """Return the session's start."""
        start = cgm.SessionStart(date_time.of(self._started), 0, 0, crc=True)
        return [Characteristic[bytes](uuid16(0x2AAA), P.READ, R.READABLE, cgm.encode_session_start(start))]

    def measure(self, minute: int, milligrams: Decimal, *, flipped: bool = False) -> None:
        """Store the value of a minute of the session; `flipped`: one bit of it is wrong on its way."""
        raw = bytearray(cgm.encode((cgm.Record(milligrams, minute, crc=True),)))
        raw[2] ^= flipped
        self.records[minute] = [(0x2AA7, bytes(raw))]
