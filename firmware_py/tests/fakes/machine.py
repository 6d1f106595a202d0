"""The `machine` module of a board that is made of software (workbench.py says how its pins are wired)."""

import sys
import time

from workbench import bench

RESET_EXIT = 3
PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3


class Pin:
    """A pin: what is written goes to its wire, what is read comes from `bench.levels`."""

    IN = 1
    OUT = 3
    PULL_UP = 2
    IRQ_FALLING = 2

    def __init__(self, id: int, mode: int = IN, pull: int = -1, value: int | None = None) -> None:
        self.id = id
        if value is not None:
            self(value)

    def __call__(self, level: int | None = None) -> int:
        if level is None:
            return bench.levels.get(self.id, 1)
        wire = bench.outputs.get(self.id)
        if wire is not None:
            wire(level)
        return level

    def irq(self, handler: object, trigger: int) -> None:
        """Let the handler be called by `fall(id)`."""
        bench.handlers[self.id] = handler


class SPI:
    """The bus to the front end."""

    def __init__(self, id: int = 1, baudrate: int = 1000000, **_pins: object) -> None:
        self.baudrate = baudrate

    def write(self, data: bytes) -> None:
        """Write."""
        if bench.front_end is not None:
            bench.front_end.mosi(data)

    def readinto(self, into: bytearray, _write: int = 0) -> None:
        """Read in place."""
        if bench.front_end is not None:
            bench.front_end.miso(into)

    def read(self, count: int, write: int = 0) -> bytes:
        """Read."""
        into = bytearray(count)
        self.readinto(into, write)
        return bytes(into)


class UART:
    """The line: whatever stream the bench was given."""

    def __init__(self, id: int, baudrate: int = 9600, **_settings: object) -> None:
        self.baudrate = baudrate

    def readinto(self, into: bytearray) -> int | None:
        """Read what there is; None where nothing is."""
        try:
            return bench.stream.readinto(into)
        except OSError:  # unplugged: silence
            return None

    def write(self, data: bytes) -> int | None:
        """Write what fits; None where nothing does."""
        try:
            return bench.stream.write(data)
        except OSError:
            return None


class ADC:
    """The battery's voltage behind its divider."""

    ATTN_11DB = 3

    def __init__(self, pin: Pin, atten: int = 0) -> None:
        self.pin = pin

    def read_uv(self) -> int:
        """Measure."""
        return bench.microvolts


class WDT:
    """A dog that can be asked whether it bites (`bench.bitten`)."""

    def __init__(self, timeout: int = 5000) -> None:
        bench.dog_ms = timeout // bench.haste
        bench.fed_ms = time.ticks_ms()

    def feed(self) -> None:
        """Feed it."""
        bench.feedings += 1
        bench.fed_ms = time.ticks_ms()


class RTC:
    """Memory that outlives a restart."""

    def memory(self, data: bytes | None = None) -> bytes:
        """Write it, or read it."""
        path = bench.folder + "/rtc"
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
            return data
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError:
            return b""


def reset(cause: int = HARD_RESET) -> None:
    """Restart: the process ends, and whoever started it does so again."""
    with open(bench.folder + "/cause", "w") as file:
        file.write(str(cause))
    sys.exit(RESET_EXIT)


def reset_cause() -> int:
    """Return why the kit started."""
    try:
        with open(bench.folder + "/cause") as file:
            return int(file.read())
    except OSError:
        return PWRON_RESET
