"""Limits of how much somebody may ask: token buckets per address, per program or person, and for guessing passwords.

They count within one process; behind several, each allows its share more. Memory is bounded: who has asked least lately
is forgotten first.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import Request


class TooFastError(Exception):
    """Somebody asks more than they may; `wait_s`: in how many seconds again."""

    def __init__(self, wait_s: int) -> None:
        """Take the seconds to wait."""
        super().__init__(f"too many requests; ask again in {wait_s} s")
        self.wait_s = wait_s


@dataclass(slots=True)
class Brake:
    """Token buckets by key: `burst` at once, then one every `every` seconds; bounded memory."""

    burst: float = 60
    every: float = 1
    capacity: int = 10_000
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict[str, tuple[float, float]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, key: str, now: datetime) -> int:
        """Take one of a key's tokens and return 0, or return how many whole seconds it has to wait for one."""
        at = now.timestamp()
        with self._lock:
            left, since = self._buckets.pop(key, (self.burst, at))
            left = min(self.burst, left + max(0.0, at - since) / self.every)
            self._buckets[key] = (left - 1 if left >= 1 else left, at)
            while len(self._buckets) > self.capacity:
                self._buckets.popitem(last=False)
            return 0 if left >= 1 else max(1, math.ceil((1 - left) * self.every))

    def allows(self, key: str, now: datetime) -> bool:
        """Take one of a key's tokens; False where it has none left."""
        return self.wait_s(key, now) == 0

    def demand(self, key: str, now: datetime) -> None:
        """Take one of a key's tokens; TooFastError where it has none left."""
        wait = self.wait_s(key, now)
        if wait:
            raise TooFastError(wait)


def address(request: Request) -> str:
    """Return the network address that a request came from, empty where it is not known."""
    return request.client.host if request.client else ""


def per_second(rate: int) -> Brake:
    """Return a brake for `rate` requests a second that bears ten seconds' worth at once."""
    return Brake(burst=10.0 * rate, every=1 / rate)
