"""From the amplifier's interrupt to frames in the ring: nothing is allocated, and every conversion keeps its number.

A hardware counter counts the pulses of DRDY, so a conversion that was overwritten before the interrupt came is known,
and the next one still gets its own number: a hole in the counter is exactly what was lost.
"""

import esp32
import frame
import machine

from kit.afe import SAMPLE, Afe, off_bits
from kit.crc import crc16
from kit.ring import Ring

WRAP = 30000
"""The pulse counter starts anew after so many: a minute at 500 per second, and no gap is that long."""
FRAME = 38
SLOTS = 256
"""Half a second at 500 per second waits at most; 10 kB."""
_COUNTER = 5
_SAMPLE = 9
_CRC = 36


class Sampler:
    """Takes conversions since `begin`. `pulses` counts DRDY; `wanted`: how many to take, 0 for until `end`.

    `counter`: conversions so far; `put`: those in the ring or sent; `torn`: those read while the next one came, or
    that did not look like one.
    """

    def __init__(self, afe: Afe, pulses: esp32.PCNT, slots: int = SLOTS) -> None:
        self.running = False
        self.wanted = 0
        self.counter = 0
        self.put = 0
        self.torn = 0
        self.off = 0
        self.ring = Ring(FRAME, slots)
        self._afe = afe
        self._pulses = pulses
        self._last = 0
        self._mask = 0xFF
        self._right_leg = 0
        self._samples = tuple(slot[_SAMPLE : _SAMPLE + SAMPLE] for slot in self.ring.slots)
        for slot in self.ring.slots:
            slot[0:_COUNTER] = frame.SOF + bytes((frame.EV_DATA, 0, 4 + SAMPLE))

    @property
    def lost(self) -> int:
        """Return the conversions that were taken and never put into the ring."""
        taken = min(self.counter, self.wanted) if self.wanted else self.counter
        return taken - self.put

    def begin(self, wanted: int, lead_off: bool, right_leg_off: bool) -> None:
        """Start anew; without `lead_off` the electrodes' state is not looked at, and says 0."""
        self.ring.clear()
        self.wanted = wanted
        self.counter = self.put = self.torn = self._last = self.off = 0
        self._mask = 0xFF if lead_off else 0
        self._right_leg = 1 if right_leg_off and lead_off else 0
        self._pulses.value(0)
        self.running = True
        self._afe.begin()

    def end(self) -> None:
        """Stop; what waits in the ring stays."""
        self.running = False
        self._afe.end()

    def drdy(self, _pin: machine.Pin) -> None:
        """Take the newest conversion: the handler of DRDY's falling edge."""
        if not self.running:
            return
        pulses = self._pulses.value()
        fresh = pulses - self._last
        if fresh < 0:
            fresh += WRAP
        if fresh == 0:
            return  # a late interrupt: its conversion was overwritten and has been counted
        self._last = pulses
        index = self.counter + fresh - 1
        self.counter = index + 1
        if self.wanted and self.counter >= self.wanted:
            self.running = False
            if self.counter > self.wanted:
                return
        number = self.ring.claim()
        if number < 0:
            return
        sample = self._samples[number]
        self._afe.read(sample)
        if self._pulses.value() != pulses or sample[0] & 0xF0 != 0xC0:
            self.torn += 1
            return
        self._label(self.ring.slots[number], sample, index)
        self.ring.commit()
        self.put += 1

    def _label(self, slot: memoryview, sample: memoryview, index: int) -> None:
        """Write the number before the conversion, and leave of its state what is sensed at all."""
        slot[_COUNTER] = index >> 24 & 255
        slot[_COUNTER + 1] = index >> 16 & 255
        slot[_COUNTER + 2] = index >> 8 & 255
        slot[_COUNTER + 3] = slot[3] = index & 255
        sample[0] = 0xC0 | sample[0] & 0x0F & self._mask
        sample[1] &= 0xF0 & self._mask
        sample[2] = sample[2] & 0x30 & self._mask | self._right_leg
        self.off = off_bits(sample, self._right_leg)

    def next_frame(self) -> memoryview | None:
        """Return the oldest frame, complete with its CRC, None where none waits; it stays until `ring.release()`."""
        number = self.ring.first()
        if number < 0:
            return None
        slot = self.ring.slots[number]
        crc = crc16(slot, 2, _CRC)  # pyright: ignore[reportArgumentType] - viper takes any memory for a ptr8
        slot[_CRC] = crc >> 8
        slot[_CRC + 1] = crc & 255
        return slot
