"""Devices that people have at home, virtually: a thermometer, a spot-check oximeter, a scale that knows its users."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from bumble.core import BaseBumbleError
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

from feldsher_edge.ble import body_composition, oximeter, thermometer, user_data, weight
from feldsher_edge.ble.body_composition import BodyComposition
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.ble.user_data import Consent, Op, Response, Result
from feldsher_edge.simulate.air import Air
from feldsher_edge.simulate.storing import Faults, Make, P, R, StoringDevice, uuid16


class VirtualThermometer(StoringDevice):
    """A thermometer that stores readings."""

    def __init__(self, air: Air, now: Callable[[], datetime], faults: Faults | None = None) -> None:
        make = Make("thermometer", "SIM thermometer", "F0:F1:F2:F3:F4:02", 0x1809, (0x2A1C,))
        super().__init__(air, make, now, faults)

    async def measure(self, value: Number, unit: thermometer.Unit = "Cel") -> None:
        """Take one temperature in the mouth."""
        it = thermometer.Temperature(unit, value, self.time(), thermometer.Site.MOUTH)
        await self.store(thermometer.encode(it))


class VirtualSpotOximeter(StoringDevice):
    """A finger oximeter that stores spot-checks."""

    def __init__(self, air: Air, now: Callable[[], datetime], faults: Faults | None = None) -> None:
        make = Make("oximeter", "SIM oximeter", "F0:F1:F2:F3:F4:03", 0x1822, (0x2A5E,))
        super().__init__(air, make, now, faults)

    async def measure(self, saturation: Number, pulse: Number, *, sensor: int | None = None) -> None:
        """Take one spot-check."""
        status = oximeter.Status.FULLY_QUALIFIED
        it = oximeter.Spot(oximeter.Pair(saturation, pulse), self.time(), status, sensor, Decimal("3.1"))
        await self.store(oximeter.encode_spot(it))


class VirtualScale(StoringDevice):
    """A body composition scale. With `codes` (user number: code) it gives readings to a user who consents only."""

    def __init__(
        self,
        air: Air,
        now: Callable[[], datetime],
        faults: Faults | None = None,
        *,
        codes: dict[int, int] | None = None,
    ) -> None:
        self.codes = codes
        self.user: int | None = None
        self._control = Characteristic[bytes](
            uuid16(0x2A9F),
            P.WRITE | P.INDICATE,
            R.WRITEABLE,
            CharacteristicValue(write=self._asked),
        )
        make = Make("scale", "SIM scale", "F0:F1:F2:F3:F4:04", 0x181D, (0x2A9D, 0x2A9C), clock=0x2A2B)
        super().__init__(air, make, now, faults)

    def more_services(self) -> list[Service]:
        """Return the User Data Service, where it has one."""
        return [] if self.codes is None else [Service(uuid16(0x181C), [self._control])]

    def may_bring(self) -> bool:
        """Say whether a user has consented, where one is needed."""
        return self.codes is None or self.user is not None

    def disconnected(self) -> None:
        """Forget who consented."""
        self.user = None
        super().disconnected()

    def _asked(self, connection: Connection, value: bytes) -> None:
        it = user_data.parse(bytes(value))
        if isinstance(it, Consent):
            allowed = (self.codes or {}).get(it.user) == it.code
            self.user = it.user if allowed else None
            result = Result.SUCCESS if allowed else Result.NOT_AUTHORIZED
            self.start(self._answer(connection, Response(Op.CONSENT, result)))

    async def _answer(self, connection: Connection, it: Response) -> None:
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            await self.device.indicate_subscriber(connection, self._control, user_data.encode(it))

    async def weigh(self, kilograms: Number, user: int | None = 1, *, body: tuple[BodyComposition, ...] = ()) -> None:
        """Weigh somebody, and measure what they consist of where `body` says it (one packet or two)."""
        for packet in body:
            self.queue.append((0x2A9C, body_composition.encode(packet)))
        await self.store(weight.encode(weight.Weight(False, kilograms, self.time(), user)))
