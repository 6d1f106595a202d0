"""A register-level model of the ADS1298 (SBAS459K) for tests: what comes over SPI and its pins, and nothing kinder.

Like the chip it starts in continuous mode, ignores register commands there, converts only while its START pin is high,
forgets a conversion that nobody read in time, and knows which electrodes touch only where its comparators are on.
"""

FULL_SCALE = 8388607
_GAINS = (6, 1, 2, 3, 4, 8, 12)
_RATES = {0x06: 250, 0x86: 500, 0x85: 1000}
REGISTERS = 26


class Source:
    """What lies at the inputs: 8 codes at gain 6 per conversion. This one counts, so that every value is its own."""

    def codes(self, index: int) -> tuple[int, ...]:
        """Return the inputs of the conversion `index` since START."""
        return tuple((index * 10 + channel - 30000) for channel in range(8))


class FrontEnd:
    """The chip. `off`: electrodes off (bits RA, LA, LL, RL, V1 to V6); `dead`: it answers nothing; `drdy`: called with
    each falling edge. `pace`: its seconds per second."""

    CHIP = 0x92

    def __init__(self, source: Source, pace: int = 1) -> None:
        self.source = source
        self.off = 0
        self.dead = False
        self.pulses = 0
        self.reads = 0
        self.log: list[bytes] = []
        self._pace = pace
        self._reset_registers()
        self._selected = False
        self._converting = False
        self._began_us = 0
        self._index = 0
        self._sample = bytearray(27)
        self._answer = b""

    def _reset_registers(self) -> None:
        self.registers = bytearray(REGISTERS)
        self.registers[0] = self.CHIP
        self.registers[1] = 0x06
        self.registers[3] = 0x40
        self.registers[0x14] = 0x0F
        self.continuous = True

    def reset(self, level: int) -> None:
        """Take the level of the RESET pin."""
        if not level:
            self._reset_registers()
            self._converting = False

    def select(self, level: int) -> None:
        """Take the level of the chip select."""
        self._selected = not level
        self._answer = b""

    def start(self, level: int, now_us: int) -> None:
        """Take the level of the START pin."""
        if level and not self._converting:
            self._began_us = now_us
            self._index = 0
        self._converting = bool(level)

    def rate(self) -> int:
        """Return conversions per second as set; 0 for a setting that this model does not know."""
        return _RATES.get(self.registers[1], 0)

    def mosi(self, data: bytes) -> None:
        """Take what the master writes while the chip is selected."""
        if not self._selected or self.dead:
            return
        self.log.append(bytes(data))
        command = data[0]
        if command == 0x10:
            self.continuous = True
        elif command == 0x11:
            self.continuous = False
        elif self.continuous:
            return
        elif command & 0xE0 == 0x20:
            self._update_state()
            first = command & 31
            self._answer = bytes(self.registers[first : first + data[1] + 1])
        elif command & 0xE0 == 0x40:
            for index in range(data[1] + 1):
                register = (command & 31) + index
                if register not in (0x00, 0x12, 0x13):
                    self.registers[register] = data[2 + index]

    def miso(self, into: bytearray) -> None:
        """Give what the master reads."""
        for at in range(len(into)):
            into[at] = 0
        if not self._selected or self.dead:
            return
        if self._answer:
            into[: len(self._answer)] = self._answer
            self._answer = b""
        elif self.continuous:
            for at in range(min(27, len(into))):  # a slice would allocate, and be taken for the firmware's
                into[at] = self._sample[at]
            self.reads += 1

    def due(self, now_us: int, most: int) -> int:
        """Return how many conversions should have been by now and were not; where they are more, time has slipped."""
        if not self._converting or self.dead:
            return 0
        per_second = self._pace * self.rate()
        due = (now_us - self._began_us) * per_second // 1000000 - self._index
        if due > most:
            self._began_us += (due - most) * 1000000 // per_second
        return min(due, most)

    def convert(self) -> None:
        """Convert once: the sample is there until the next one, and DRDY falls where samples are given."""
        state = self._state()
        codes = self.source.codes(self._index)
        self._index += 1
        sample = self._sample
        sample[0], sample[1], sample[2] = state >> 16 & 255, state >> 8 & 255, state & 255
        for channel in range(8):
            value = self._value(channel, codes[channel])
            at = 3 + 3 * channel
            sample[at], sample[at + 1], sample[at + 2] = value >> 16 & 255, value >> 8 & 255, value & 255
        self.pulses += 1

    def _value(self, channel: int, code: int) -> int:
        setting = self.registers[5 + channel]
        if setting & 7 == 5:
            # The test signal: ±1 mV (at 2.4 V), here one period a second; ±VREF/2400.
            code = 20971 if self._index % max(self.rate(), 1) * 2 < self.rate() else -20971
            if not self.registers[2] & 0x10:
                code = 0
        value = code * _GAINS[setting >> 4 & 7] // 6
        return max(-FULL_SCALE - 1, min(FULL_SCALE, value))

    def _update_state(self) -> None:
        """Set what a master may read of the electrodes."""
        state = self._state()
        if self._converting:
            self.registers[0x12] = state >> 12 & 255
            self.registers[0x13] = state >> 4 & 255
        right_leg = self.off >> 3 & 1 if self.registers[3] & 0x06 == 0x02 else 0
        self.registers[3] = self.registers[3] & 0xFE | right_leg

    def _state(self) -> int:
        """Return the 24 bits before a conversion."""
        on = self.registers[0x17] & 0x02 and self.registers[0x04] & 0x03 == 0x03
        positive = self.off >> 1 & 3 | (self.off >> 4) << 2
        negative = 3 if self.off & 1 else 0
        # What is not sensed shows anything: here ones, which nobody may believe.
        positive = (positive & self.registers[0x0F] | ~self.registers[0x0F]) & 255 if on else 255
        negative = (negative & self.registers[0x10] | ~self.registers[0x10]) & 255 if on else 255
        return 0xC00000 | positive << 12 | negative << 4 | self.registers[0x14] >> 4
