"""A clock that stands still until it is told to go: for tests of everything that waits or ages."""

from __future__ import annotations

from uuid import UUID

from feldsher_ehr_core.wire import ClockQuality

START_US = 1_800_000_000_000_000
"""15 January 2027, 08:00 UTC."""


class VirtualClock:
    """A `feldsher_edge.clock.Clock`; wall and monotonic time can be moved together or apart."""

    def __init__(self, wall_us: int = START_US, boot: int = 1) -> None:
        self._wall_us = wall_us
        self._mono_ns = 1_000_000_000
        self._boot = UUID(int=boot)
        self.offset = 180
        self.trust: ClockQuality = "synced"

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._mono_ns += int(seconds * 1e9)
        self._wall_us += int(seconds * 1e6)

    def set_wall(self, wall_us: int) -> None:
        """Set the wall clock, as an operator or a time server does."""
        self._wall_us = wall_us

    def reboot(self) -> None:
        """Start the kernel anew: another boot id, monotonic time from the beginning."""
        self._boot = UUID(int=self._boot.int + 1)
        self._mono_ns = 1_000_000_000

    def wall_us(self) -> int:
        """Return wall time, microseconds since 1970 UTC."""
        return self._wall_us

    def mono_ns(self) -> int:
        """Return monotonic time, nanoseconds."""
        return self._mono_ns

    def boot(self) -> UUID:
        """Return the id of this start of the kernel."""
        return self._boot

    def offset_min(self) -> int:
        """Return the offset from UTC, in minutes."""
        return self.offset

    def quality(self) -> ClockQuality:
        """Return how far the wall time can be trusted."""
        return self.trust
