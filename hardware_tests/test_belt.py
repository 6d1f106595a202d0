"""A belt's continuous ECG through bleak's BlueZ backend and a D-Bus: whole, in pieces, with its clock's times."""

from itertools import count

import numpy as np
from feldsher_edge.devices.profiles import BELT
from feldsher_edge.simulate.ble_bench import BleBench, until
from feldsher_edge.simulate.worn import VirtualPolar

PACE = 8.0
"""Belt seconds per second: a machine that emulates another one keeps up."""


async def test_a_belts_ecg_is_whole(air: BleBench):
    device = VirtualPolar(air.air, count(), pace=PACE)
    await device.power_on()
    await device.advertise()
    async with air.driver(BELT, ecg=True):
        await until(lambda: air.clock.advance(0.01 * PACE) or len(air.kept.recordings) >= 2, 120)
    found = air.kept.recordings
    assert {piece.stream for piece in found} == {found[0].stream}
    assert [piece.part for piece in found] == list(range(len(found)))
    samples = np.concatenate([piece.samples[0] for piece in found])
    assert samples.tolist() == list(range(len(samples)))
    assert sum(piece.lost for piece in found) == 0
