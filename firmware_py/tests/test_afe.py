"""The amplifier's driver against the model: what is set, what is read back, and what is found wrong."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import machine
import micropython
from front_end import FrontEnd, Source
from kit import afe
from kit.afe import Afe, AfeError, settings
from same import raises, same
from workbench import bench


def _made(front_end: FrontEnd) -> Afe:
    bench.wire(front_end, 10, 9, 8)
    pin = machine.Pin
    return Afe(machine.SPI(1), pin(10), pin(9), pin(8))


def test_it_is_set_as_it_should_be():
    front_end = FrontEnd(Source())
    it = _made(front_end)
    it.reset()
    it.configure(500, 6, True, False)
    wanted = b"\x92\x86\x00\xcc\x03" + b"\x00" * 8 + b"\x03\x01\xff\x03\x00\x00\x00\x00\x00\x00\x02\x08\xd1"
    same(bytes(front_end.registers), wanted)


def test_rates_gains_and_the_test_signal():
    same(settings(1000, 12, False, True)[0], 0x85)
    same(settings(250, 1, False, False)[0], 0x06)
    same([settings(500, gain, False, False)[4] >> 4 for gain in (1, 2, 3, 4, 6, 8, 12)], [1, 2, 3, 4, 0, 5, 6])
    same(bytes(settings(500, 12, False, True)[1:12]), b"\x10\xcc\x00" + b"\x65" * 8)
    raises(AfeError, "no 333 samples per second at gain 6", lambda: settings(333, 6, True, False))
    raises(AfeError, "at gain 5", lambda: settings(500, 5, True, False))


def test_another_chip_and_none():
    front_end = FrontEnd(Source())
    it = _made(front_end)
    front_end.CHIP = 0x90
    raises(AfeError, "ID: 0x90, not 0x92", it.reset)
    front_end.dead = True
    raises(AfeError, "ID: 0x0, not 0x92", it.reset)


def test_a_chip_that_forgets_is_found():
    front_end = FrontEnd(Source())
    it = _made(front_end)
    it.reset()
    raises(AfeError, "never configured", it.check)
    it.configure(500, 6, True, False)
    it.check()
    front_end.registers[0x12] = 0xFF  # its own to change
    front_end.registers[3] |= 1
    it.check()
    front_end.registers[6] = 0x10
    raises(AfeError, "register 0x6: 0x10, not 0x0", it.check)


def test_samples_come_by_themselves_and_registers_only_without():
    front_end = FrontEnd(Source())
    it = _made(front_end)
    it.reset()
    it.configure(500, 6, True, False)
    it.begin()
    front_end.convert()
    sample = memoryview(bytearray(afe.SAMPLE))
    it.read(sample)
    # Bits of inputs that are not sensed say anything; the sampler masks them.
    same(bytes(sample[:6]), b"\xc0\x0f\xc0" + (-30000 & 0xFFFFFF).to_bytes(3, "big"))
    same(it.registers(0, 1) == b"\x92", False)
    it.end()
    same(it.registers(0, 1), b"\x92")


def test_the_electrodes_and_the_right_leg():
    front_end = FrontEnd(Source())
    it = _made(front_end)
    it.reset()
    it.configure(500, 6, True, False)
    front_end.off = 0b0000011001  # RA, RL, V1
    it.converting(True)
    positive, negative = it.electrodes()
    same((positive, negative & 3), (0b100, 0b11))
    same(it.right_leg_off(), False)
    it.check_right_leg(True)
    same(it.right_leg_off(), True)
    it.check_right_leg(False)
    same(front_end.registers[3] & 0xFE, 0xCC)
    same(afe.off_bits(memoryview(b"\xc0\x40\x30"), 1), 0b0000011001)


class _Wire:
    """A bus and its pins that allocate nothing themselves."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, level: int) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    def readinto(self, into: memoryview, _write: int) -> None:
        into[0] = 0xC0
        self.reads += 1


def test_reading_allocates_nothing():
    wire = _Wire()
    it = Afe(wire, wire, wire, wire)
    sample = memoryview(bytearray(afe.SAMPLE))
    micropython.heap_lock()
    try:
        for _ in range(10):
            it.read(sample)
    finally:
        micropython.heap_unlock()
    same((wire.reads, sample[0]), (10, 0xC0))
