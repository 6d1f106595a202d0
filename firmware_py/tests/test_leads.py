"""Looking at electrodes: all of them, none where it is off, and out of the way of a recording."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import asyncio

import machine
from front_end import FrontEnd, Source
from kit.afe import Afe
from kit.leads import ALL_OFF, Leads
from same import same
from workbench import bench


def _made():
    front_end = FrontEnd(Source())
    bench.wire(front_end, 10, 9, 8)
    pin = machine.Pin
    afe = Afe(machine.SPI(1), pin(10), pin(9), pin(8))
    afe.reset()
    afe.configure(500, 6, True, False)
    return Leads(afe), front_end


def test_what_touches_and_what_does_not():
    it, front_end = _made()
    same((it.off, it.right_leg_off), (ALL_OFF, True))
    for off in (0, 1, 0b1000, 0b1000010110, ALL_OFF):
        front_end.off = off
        asyncio.run(it.look())
        same((it.off, it.right_leg_off, it.fault), (off, bool(off & 8), False))
    same(front_end.registers[3] & 0xFE, 0xCC)  # RL is driven again


def test_not_looked_at():
    it, front_end = _made()
    front_end.off = 5
    it.enabled = False
    asyncio.run(it.look())
    same(it.off, 0)


def test_a_recording_comes_in_between():
    it, front_end = _made()
    front_end.off = 5

    async def both():
        looking = asyncio.create_task(it.look())
        await asyncio.sleep_ms(10)
        it.interrupt()
        await looking

    asyncio.run(both())
    same(it.off, ALL_OFF)


def test_a_chip_that_does_not_answer_is_one_fault():
    it, front_end = _made()
    front_end.dead = True
    asyncio.run(it.look())
    asyncio.run(it.look())
    same((it.fault, it.faults), (True, 1))
    front_end.dead = False
    asyncio.run(it.look())
    same((it.fault, it.faults), (False, 1))
