"""Places of samples by a small counter that starts over: what it says, whether it can be believed, what it hides.

A counter of 8 or 4 bits hides the loss of a whole round, and one flipped bit in it would move everything behind it. So
a count that does not follow is believed only when the next one follows it, and whole rounds are found by the time in
which nothing came.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

JITTER_S = 0.05
"""USB and Bluetooth hand bytes over up to some tens of milliseconds late, and in heaps (measured: edge.md §3)."""
_WINDOW_S = 1.0
_LEAST_S = 0.3

T = TypeVar("T")


class Counter(Generic[T]):
    """Gives items their places. `damaged`: counts that were believed by nothing; `repeated`: items that came twice."""

    def __init__(self, modulus: int) -> None:
        self.damaged = 0
        self.repeated = 0
        self._modulus = modulus
        self._place = -1
        self._count: int | None = None
        self._held: tuple[int, T] | None = None

    def put(self, count: int, item: T) -> list[tuple[int, T]]:
        """Take an item with its count; return the items whose places are known now, with them."""
        if self._count is None:
            return [self._next(count, item)]
        if self._held is None:
            return self._first_doubt(count, item)
        (held, its), self._held = self._held, None
        if self._ahead(held, count) == 1:
            if held == self._count:
                self.repeated += 1
                return [self._next(count, item)]
            return [self._jump(held, its), self._next(count, item)]
        if self._ahead(self._count, count) == 2:
            self.damaged += 1
            return [self._next((self._count + 1) % self._modulus, its), self._next(count, item)]
        if self._ahead(self._count, held) + self._ahead(held, count) < self._modulus:
            return [self._jump(held, its), *self._first_doubt(count, item)]
        self.damaged += 1
        return self._first_doubt(count, item)

    def end(self) -> list[tuple[int, T]]:
        """Return the item that was still in doubt, at the place that it claims."""
        held, self._held = self._held, None
        return [] if held is None else [self._jump(*held)]

    def _first_doubt(self, count: int, item: T) -> list[tuple[int, T]]:
        if self._count is not None and self._ahead(self._count, count) == 1:
            return [self._next(count, item)]
        self._held = (count, item)
        return []

    def _ahead(self, before: int, count: int) -> int:
        return (count - before - 1) % self._modulus + 1

    def _next(self, count: int, item: T) -> tuple[int, T]:
        self._place, self._count = self._place + 1, count
        return self._place, item

    def _jump(self, count: int, item: T) -> tuple[int, T]:
        if self._count is not None:
            self._place += self._ahead(self._count, count) - 1
        return self._next(count, item)


def settle(places: NDArray[np.int64], arrivals_s: NDArray[np.float64], fs: float, round_: int) -> NDArray[np.int64]:
    """Return places moved by the whole rounds that were lost unseen: int64 (n,), increasing as `places`.

    Bytes come late but never early, so the least delay before a silence and after it tell whether what was not heard
    is missing (the delay has grown for good) or only came late (it has not). `round_`: samples in a round of the
    counter, 1 where there is no counter. Losses shorter than JITTER_S stay unseen.
    """
    out = places.copy()
    width = int(_WINDOW_S * fs)
    silences = np.diff(arrivals_s) - np.diff(places) / fs
    for k in np.flatnonzero(silences > JITTER_S) + 1:
        delay = arrivals_s - out / fs
        after = delay[k : k + width]
        if after.size < _LEAST_S * fs or k < _LEAST_S * fs:
            continue
        grown_s = float(after.min() - delay[max(0, k - width) : k].min())
        rounds = round(grown_s * fs / round_)
        if grown_s > JITTER_S and rounds > 0:
            out[k:] += rounds * round_
    return out
