"""A ring of equal slots, made once: one writer in the interrupt, one reader, and nothing is allocated in between."""


class Ring:
    """`slots`: the memory of each slot, to be written and read in place. `high`: most slots that were ever full."""

    def __init__(self, size: int, count: int) -> None:
        memory = memoryview(bytearray(size * count))
        self.slots = tuple(memory[at * size : at * size + size] for at in range(count))
        self.high = 0
        self._count = count
        self._write = 0
        self._read = 0

    def __len__(self) -> int:
        """Return how many slots wait to be read."""
        return (self._write - self._read) % self._count

    def clear(self) -> None:
        """Forget what waits; the writer must be still."""
        self._read = self._write
        self.high = 0

    def claim(self) -> int:
        """Return the number of the slot to be written next, -1 where none is free."""
        # One slot stays empty, so that a full ring differs from an empty one.
        return -1 if (self._write + 1) % self._count == self._read else self._write

    def commit(self) -> None:
        """Hand the claimed slot to the reader."""
        self._write = (self._write + 1) % self._count
        waiting = (self._write - self._read) % self._count
        if waiting > self.high:
            self.high = waiting

    def first(self) -> int:
        """Return the number of the oldest slot that waits, -1 where none does."""
        return -1 if self._read == self._write else self._read

    def release(self) -> None:
        """Give the oldest slot back to the writer."""
        self._read = (self._read + 1) % self._count
