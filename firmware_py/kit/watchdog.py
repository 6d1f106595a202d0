"""The hardware watchdog hears of us only while every task has been heard of: one hung task restarts the kit.

Which one it was is told after the restart: RTC memory outlives a reset (not a power cut).
"""

import time

import machine

_MARK = b"late"


class Task:
    """A task that promises to beat at least every `limit_ms`."""

    def __init__(self, limit_ms: int) -> None:
        self._limit_ms = limit_ms
        self._beat_ms = time.ticks_ms()

    def beat(self) -> None:
        """Say that it is alive."""
        self._beat_ms = time.ticks_ms()

    def late(self) -> bool:
        """Say whether it has not been heard of in time."""
        return time.ticks_diff(time.ticks_ms(), self._beat_ms) > self._limit_ms


class Watchdog:
    """`late_before`: bits of the tasks, in the order of their entry, that were late before the last restart."""

    def __init__(self, dog: machine.WDT, memory: machine.RTC) -> None:
        self._dog = dog
        self._memory = memory
        self._tasks: list[Task] = []
        kept = memory.memory()
        self.late_before = kept[4] << 8 | kept[5] if len(kept) == 6 and kept[:4] == _MARK else 0
        memory.memory(b"")

    def add(self, limit_ms: int) -> Task:
        """Enter a task; its bit is how many were entered before."""
        task = Task(limit_ms)
        self._tasks.append(task)
        return task

    def late(self) -> int:
        """Return the bits of the tasks that are late."""
        bits = 0
        for number, task in enumerate(self._tasks):
            if task.late():
                bits |= 1 << number
        return bits

    def feed(self) -> bool:
        """Feed the dog unless a task is late; then write down which, and let it bite. Return whether it was fed."""
        late = self.late()
        if late:
            self._memory.memory(_MARK + bytes((late >> 8 & 255, late & 255)))
            return False
        self._dog.feed()
        return True
