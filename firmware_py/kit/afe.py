"""The amplifier: TI ADS1298, 8 channels of 24 bits on SPI (data sheet SBAS459K; sections are named where they rule).

Channel 1 is LA - RA, channel 2 LL - RA, channels 3 to 8 are V1 to V6 against the chip's own Wilson terminal; RL is
driven from RA, LA and LL. No filter of ours runs anywhere.
"""

import time

import frame
import machine

# 9.5.1: commands.
_RDATAC = b"\x10"
_SDATAC = b"\x11"
_RREG = 0x20
_WREG = 0x40

# 9.6: registers.
ID = 0x00
CONFIG1 = 0x01
CONFIG2 = 0x02
CONFIG3 = 0x03
LOFF = 0x04
CH1SET = 0x05
RLD_SENSP = 0x0D
RLD_SENSN = 0x0E
LOFF_SENSP = 0x0F
LOFF_SENSN = 0x10
LOFF_FLIP = 0x11
LOFF_STATP = 0x12
LOFF_STATN = 0x13
GPIO = 0x14
CONFIG4 = 0x17
WCT1 = 0x18
WCT2 = 0x19
LAST = WCT2

CHIP = 0x92
"""ID of an ADS1298 (9.6.1.1): family 100, device 8 channels without respiration."""
RATES = {250: 0x06, 500: 0x86, 1000: 0x85}
"""CONFIG1 (9.6.1.2): 500 and 1,000 in high-resolution mode, 250 only exists in low-power mode."""
_GAIN_BITS = {6: 0x00, 1: 0x10, 2: 0x20, 3: 0x30, 4: 0x40, 8: 0x50, 12: 0x60}
_INPUT_TEST = 0x05
_TEST_SIGNAL = 0x10  # CONFIG2: made inside, ±1 mV · VREF / 2.4, 1 Hz (f_CLK / 2^21)
_CONFIG3_RUN = 0xCC  # reference on, 2.4 V; RL reference inside; RL amplifier on
_CONFIG3_RL_CHECK = 0xCA  # 9.3.1.7.5: RL amplifier off, its current source and comparator on
_RL_OFF = 0x01
_LOFF_DC = 0x03  # direct current, 6 nA, comparators at 95 % and 5 %
_COMPARATORS_ON = 0x02
# Wilson's terminal: A = IN1P (LA), B = IN2P (LL), C = IN1N (RA).
_WCT1 = 0x08
_WCT2 = 0xD1
# Bits that the chip itself changes: RLD_STAT; both lead-off states; the level of GPIO pins.
_OWN_BITS = {CONFIG3: _RL_OFF, LOFF_STATP: 0xFF, LOFF_STATN: 0xFF, GPIO: 0xF0}

SAMPLE = 27
"""Bytes of a conversion: 24 bits of state and 8 × 24 bits."""


class AfeError(Exception):
    """The amplifier does not answer, or not as it was set; the text names the register."""


def settings(rate: int, gain: int, lead_off: bool, test_signal: bool) -> bytes:
    """Return the registers from CONFIG1 to WCT2; AfeError where there is no such rate or gain."""
    if rate not in RATES or gain not in _GAIN_BITS:
        raise AfeError("no " + str(rate) + " samples per second at gain " + str(gain))
    registers = bytearray(LAST + 1)
    registers[CONFIG1] = RATES[rate]
    registers[CONFIG2] = _TEST_SIGNAL if test_signal else 0
    registers[CONFIG3] = _CONFIG3_RUN
    for channel in range(8):
        registers[CH1SET + channel] = _GAIN_BITS[gain] | (_INPUT_TEST if test_signal else 0)
    registers[RLD_SENSP] = 0x03  # LA and LL
    registers[RLD_SENSN] = 0x01  # RA
    if lead_off:
        registers[LOFF] = _LOFF_DC
        registers[LOFF_SENSP] = 0xFF
        registers[LOFF_SENSN] = 0x03  # RA; the others are Wilson's terminal
        registers[CONFIG4] = _COMPARATORS_ON
    registers[WCT1] = _WCT1
    registers[WCT2] = _WCT2
    return bytes(registers[CONFIG1:])


class Afe:
    """The chip on its pins. `start` and `reset` are its pins of these names, `select` its chip select."""

    def __init__(self, spi: machine.SPI, select: machine.Pin, start: machine.Pin, reset: machine.Pin) -> None:
        self._spi = spi
        self._select = select
        self._start = start
        self._reset = reset
        self._settings = b""
        select(1)
        start(0)

    def reset(self) -> None:
        """Reset it and see that it is what it should be; AfeError otherwise. Takes 0.2 s: the reference must settle."""
        self._reset(0)
        time.sleep_us(10)
        self._reset(1)
        time.sleep_us(20)  # 9.4.1.5: 18 periods of its clock (2.048 MHz)
        self._send(_SDATAC)
        chip = self.registers(ID, 1)[0]
        if chip != CHIP:
            raise AfeError("ID: " + hex(chip) + ", not " + hex(CHIP))
        self._settings = b""
        time.sleep_ms(150)

    def configure(self, rate: int, gain: int, lead_off: bool, test_signal: bool) -> None:
        """Set it; AfeError where it cannot, or does not say so when read back."""
        wanted = settings(rate, gain, lead_off, test_signal)
        self._settings = b""
        self._write(CONFIG1, wanted)
        self.check(wanted)
        self._settings = wanted

    def check(self, wanted: bytes = b"") -> None:
        """Read back what was set: a chip that lost its supply forgets. AfeError names the register that differs."""
        wanted = wanted or self._settings
        if not wanted:
            raise AfeError("it was never configured")
        found = self.registers(CONFIG1, LAST)
        for index in range(LAST):
            register = index + CONFIG1
            if (wanted[index] ^ found[index]) & ~_OWN_BITS.get(register, 0):
                raise AfeError("register " + hex(register) + ": " + hex(found[index]) + ", not " + hex(wanted[index]))

    def begin(self) -> None:
        """Convert, and give each conversion to `read`."""
        self._write(CONFIG3, bytes((_CONFIG3_RUN,)))
        # By its pin: after the command of the same name some chips stay still once stopped (TI forum 164841).
        self._start(1)
        self._send(_RDATAC)

    def end(self) -> None:
        """Stop converting; its registers can be read again."""
        self._send(_SDATAC)
        self._start(0)

    def read(self, into: memoryview) -> None:
        """Fetch the newest conversion (SAMPLE bytes); allocates nothing."""
        self._select(0)
        self._spi.readinto(into, 0)
        self._select(1)

    def electrodes(self) -> tuple[int, int]:
        """Return LOFF_STATP and LOFF_STATN of a chip that converts outside of `begin` (see `converting`)."""
        found = self.registers(LOFF_STATP, 2)
        return found[0], found[1]

    def converting(self, on: bool) -> None:
        """Convert without giving data: the electrodes' state follows the conversions."""
        self._start(1 if on else 0)

    def check_right_leg(self, on: bool) -> None:
        """Switch between driving RL and sensing whether it touches: both at once is impossible (9.3.1.7.5)."""
        self._write(CONFIG3, bytes((_CONFIG3_RL_CHECK if on else _CONFIG3_RUN,)))

    def right_leg_off(self) -> bool:
        """Say whether RL does not touch; 50 ms after `check_right_leg(True)`."""
        return bool(self.registers(CONFIG3, 1)[0] & _RL_OFF)

    def registers(self, first: int, count: int) -> bytes:
        """Return registers; only while it gives no data."""
        self._select(0)
        self._spi.write(bytes((_RREG | first, count - 1)))
        found = self._spi.read(count, 0)
        self._select(1)
        return found

    def _write(self, first: int, values: bytes) -> None:
        self._send(bytes((_WREG | first, len(values) - 1)) + values)

    def _send(self, data: bytes) -> None:
        self._select(0)
        self._spi.write(data)
        self._select(1)
        time.sleep_us(3)  # 9.5.1: 4 periods of its clock between commands


def off_bits(sample: memoryview, right_leg: int) -> int:
    """Return the electrodes off (bits as frame.ELECTRODES) by the state in a conversion and what is known of RL."""
    positive = (sample[0] & 15) << 4 | sample[1] >> 4
    negative = (sample[1] & 15) << 4 | sample[2] >> 4
    return frame.electrodes_off(positive, negative, right_leg)
