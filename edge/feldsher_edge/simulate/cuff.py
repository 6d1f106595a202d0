"""A virtual blood pressure cuff."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from bumble.gatt import Characteristic

from feldsher_edge.ble import blood_pressure
from feldsher_edge.ble.blood_pressure import BloodPressure, Unit
from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.simulate.air import Air
from feldsher_edge.simulate.storing import Emit, Faults, Make, P, R, StoringDevice, uuid16

NAME = "A&D_UA-651BLE_SIM"
ADDRESS = "F0:F1:F2:F3:F4:01"


class VirtualCuff(StoringDevice):
    """A cuff that stores what it measures and is found only while it has something to bring, as an A&D UA-651BLE."""

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
        make = Make("cuff", name, address, 0x1810, (0x2A35,), model="UA-651BLE virtual")
        super().__init__(air, make, now, faults, emit)

    def more_characteristics(self) -> Sequence[Characteristic[bytes]]:
        """Return the features of the service."""
        return [Characteristic[bytes](uuid16(0x2A49), P.READ, R.READABLE, b"\x05\x00")]

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
        it = BloodPressure(unit, systolic, diastolic, mean, self.time(), pulse, user, status)
        await self.store(blood_pressure.encode(it))
        return it


def _mean(systolic: Decimal, diastolic: Decimal) -> Decimal:
    """Return the mean pressure as cuffs without one of their own estimate it: diastolic + a third of the difference."""
    return (diastolic + (systolic - diastolic) / 3).quantize(Decimal(1).scaleb(int(systolic.as_tuple().exponent)))
