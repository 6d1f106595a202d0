"""The workbench: what the made-up modules share with a test, and the wires between them."""

import time

from front_end import FrontEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO


class Bench:
    """`folder`: what outlives a restart; `stream`: the line; `levels`: of input pins; `outputs`: who hears of others.

    `handlers`: of interrupts; `microvolts`: at the battery's pin; `fed_ms`, `dog_ms`: the dog's last meal and patience,
    which is `haste` times shorter than the board says.
    """

    def __init__(self) -> None:
        self.folder = ""
        self.front_end: FrontEnd | None = None
        self.stream: FileIO | None = None
        self.levels: dict[int, int] = {}
        self.outputs: dict[int, Callable[[int], object]] = {}
        self.handlers: dict[int, Callable[[object], object]] = {}
        self.microvolts = 1950000
        self.feedings = 0
        self.fed_ms = time.ticks_ms()
        self.dog_ms = 0
        self.haste = 1

    def wire(self, front_end: FrontEnd, select: int, start: int, reset: int) -> None:
        """Connect the amplifier's model to the pins of a board."""
        self.front_end = front_end
        self.outputs[select] = front_end.select
        self.outputs[start] = lambda level: front_end.start(level, time.ticks_us())
        self.outputs[reset] = front_end.reset

    def fall(self, pin: int) -> None:
        """Let a pin fall: the interrupt comes."""
        handler = self.handlers.get(pin)
        if handler is not None:
            handler(None)

    def bitten(self) -> bool:
        """Say whether the dog was not fed in time."""
        return bool(self.dog_ms) and time.ticks_diff(time.ticks_ms(), self.fed_ms) > self.dog_ms


bench = Bench()
