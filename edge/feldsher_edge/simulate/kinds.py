"""One virtual device of every kind that the gateway reads, all measured in the same way: for what runs over all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from feldsher_edge.ble import heart_rate, oximeter
from feldsher_edge.ble.heart_rate import HeartRate
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.devices import profiles
from feldsher_edge.devices.profiles import Profile
from feldsher_edge.simulate import worn
from feldsher_edge.simulate.air import Air, Peripheral
from feldsher_edge.simulate.cuff import VirtualCuff
from feldsher_edge.simulate.home import VirtualScale, VirtualSpotOximeter, VirtualThermometer
from feldsher_edge.simulate.meter import RecordKeeper, VirtualMeter, VirtualSensor
from feldsher_edge.simulate.storing import StoringDevice
from feldsher_edge.simulate.worn import StreamingDevice

_LOOK_S = 0.01
Now = Callable[[], datetime]
"""The local time, naive, that a device's clock shows."""


@dataclass(frozen=True, slots=True)
class Example:
    """A virtual device of one kind.

    `take(n)` has measurement `n` (1 to 99) taken and lets the device be found; `shows(n)`: the first value of it.
    `fail`: a measurement that fails (NaN); None where the kind has no word for it.
    """

    device: Peripheral
    take: Callable[[int], Awaitable[None]]
    shows: Callable[[int], Decimal]
    fail: Callable[[], Awaitable[None]] | None = None

    def hang_up_after(self, count: int | None) -> None:
        """Have it break off after so many readings of a session, None: not any more."""
        device = self.device
        if isinstance(device, StoringDevice | RecordKeeper):
            device.faults.hangs_up_after = count
        elif isinstance(device, StreamingDevice):
            device.hangs_up_after = count


def _cuff(air: Air, now: Now) -> Example:
    it = VirtualCuff(air, now)

    async def take(n: int, systolic: Number | None = None) -> None:
        found: Number = Decimal(100 + n) if systolic is None else systolic
        await it.measure(found, Decimal(60), Decimal(70))

    return Example(it, take, lambda n: Decimal(100 + n), lambda: take(0, "nan"))


def _thermometer(air: Air, now: Now) -> Example:
    it = VirtualThermometer(air, now)

    def shows(n: int) -> Decimal:
        return Decimal(350 + n) / 10

    return Example(it, lambda n: it.measure(shows(n)), shows, lambda: it.measure("nan"))


def _oximeter(air: Air, now: Now) -> Example:
    it = VirtualSpotOximeter(air, now)

    def shows(n: int) -> Decimal:
        return Decimal(n)

    return Example(it, lambda n: it.measure(shows(n), Decimal(60)), shows, lambda: it.measure("nan", "nan"))


def _scale(air: Air, now: Now) -> Example:
    it = VirtualScale(air, now)

    def shows(n: int) -> Decimal:
        return 60 + Decimal(n) / 10

    return Example(it, lambda n: it.weigh(shows(n)), shows)


def _glucometer(air: Air, now: Now) -> Example:
    it = VirtualMeter(air, now)

    async def take(n: int) -> None:
        it.measure(n, Decimal(100 + n).scaleb(-5))
        while it.connection is not None:  # noqa: ASYNC110 - nobody presses the button of a meter that is being read
            await asyncio.sleep(_LOOK_S)
        await it.advertise()

    return Example(it, take, lambda n: Decimal(100 + n))


def _glucose_sensor(air: Air, now: Now) -> Example:
    it = VirtualSensor(air, now())

    async def take(n: int) -> None:
        it.measure(n, Decimal(100 + n))
        await it.say(n)
        await it.advertise()

    return Example(it, take, lambda n: Decimal(100 + n))


def _belt(air: Air, _now: Now) -> Example:
    it = StreamingDevice(air, "SIM belt", worn.BELT, 0x180D, 0x2A37, ())
    off_the_skin = heart_rate.encode(HeartRate(72, contact=False))

    async def take(n: int) -> None:
        await it.say(heart_rate.encode(HeartRate(60 + n, contact=True)))

    return Example(it, take, lambda n: Decimal(60 + n), lambda: it.say(off_the_skin))


def _running_oximeter(air: Air, _now: Now) -> Example:
    it = StreamingDevice(air, "SIM running oximeter", worn.OXIMETER, 0x1822, 0x2A5F, ())

    def packet(saturation: Number) -> bytes:
        return oximeter.encode_continuous(oximeter.Continuous(oximeter.Pair(saturation, Decimal(60)), sensor=0))

    return Example(it, lambda n: it.say(packet(Decimal(n))), Decimal, lambda: it.say(packet("nan")))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device: `profile` its driver, `make` a virtual one of it."""

    profile: Profile
    make: Callable[[Air, Now], Example]


KINDS = {
    "cuff": Kind(profiles.CUFF, _cuff),
    "thermometer": Kind(profiles.THERMOMETER, _thermometer),
    "oximeter": Kind(profiles.OXIMETER, _oximeter),
    "running_oximeter": Kind(profiles.OXIMETER, _running_oximeter),
    "scale": Kind(profiles.SCALE, _scale),
    "glucometer": Kind(profiles.GLUCOMETER, _glucometer),
    "glucose_sensor": Kind(profiles.GLUCOSE_SENSOR, _glucose_sensor),
    "belt": Kind(profiles.BELT, _belt),
}
"""Every kind of Bluetooth device, by the word for it on the command line."""
