"""A clock that runs faster, the same in every process that is given the same origin: a day within minutes.

Only what is stamped, aged and scheduled by a clock runs faster; networks, disks and their time-outs stay as they are.
"""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import msgspec
from feldsher_ehr_core.wire import ClockQuality

BOOT = UUID("5ca1ab1e-0000-4000-8000-000000000001")


class Wrong(msgspec.Struct, frozen=True):
    """From second `begin` to before `end` of virtual time the wall clock is off by `by_us`, and not synchronised."""

    begin: float
    end: float
    by_us: int


class ScaledClock:
    """A `feldsher_edge.clock.Clock` of `scale` virtual seconds a second.

    `origin_ns`: the machine's monotonic time at the virtual beginning, which is `start_us` (wall, µs); `wrong`: when
    the wall clock is not right.
    """

    def __init__(self, origin_ns: int, scale: float, start_us: int, wrong: tuple[Wrong, ...] = ()) -> None:
        self._origin_ns = origin_ns
        self._scale = scale
        self._start_us = start_us
        self._wrong = wrong

    def elapsed_s(self) -> float:
        """Return virtual seconds since the beginning."""
        return (time.monotonic_ns() - self._origin_ns) * self._scale / 1e9

    def true_us(self, elapsed_s: float) -> int:
        """Return the true wall time at a virtual second."""
        return self._start_us + round(elapsed_s * 1e6)

    def shown_us(self, elapsed_s: float) -> int:
        """Return what the wall clock shows at a virtual second."""
        wrong = self._now_wrong(elapsed_s)
        return self.true_us(elapsed_s) + (wrong.by_us if wrong else 0)

    async def sleep_until(self, elapsed_s: float) -> None:
        """Wait for a virtual second."""
        await asyncio.sleep(max(0.0, elapsed_s - self.elapsed_s()) / self._scale)

    def wall_us(self) -> int:
        """Return what the wall clock shows, microseconds since 1970 UTC."""
        return self.shown_us(self.elapsed_s())

    def mono_ns(self) -> int:
        """Return monotonic time, nanoseconds."""
        return round(self.elapsed_s() * 1e9)

    def boot(self) -> UUID:
        """Return the id of the one start of the virtual machine."""
        return BOOT

    def offset_min(self) -> int:
        """Return the offset from UTC: none."""
        return 0

    def quality(self) -> ClockQuality:
        """Return `unsynced` while the wall clock is wrong, else `synced`."""
        return "synced" if self._now_wrong(self.elapsed_s()) is None else "unsynced"

    def _now_wrong(self, elapsed_s: float) -> Wrong | None:
        return next((w for w in self._wrong if w.begin <= elapsed_s < w.end), None)
