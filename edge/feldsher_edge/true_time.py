"""The time that certificates are judged by, also on a gateway that wakes in 1970 and whose network has no time server.

In this order: a time that the cloud has signed, carried on by the monotonic clock; the wall clock where the kernel says
that it is synchronised; else the later of the wall clock and the newest time that the cloud is known to have signed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from feldsher_edge.clock import Clock
from feldsher_edge.files import write_file

_FILE = "time"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BACK_US = 60_000_000
"""How far a signed time may lie before one that was signed earlier: the cloud's own clock is corrected now and then."""


class TrueTimeError(ValueError):
    """A signed time that lies before one already known: the cloud's clock, or somebody's game."""


class TrueTime:
    """The best known time, for one run of the program; the newest signed time is kept in the state directory."""

    def __init__(self, clock: Clock, state: Path) -> None:
        self._clock = clock
        self._file = state / _FILE
        self._floor_us = _read(self._file)
        self._anchor: tuple[int, int] | None = None

    @property
    def signed(self) -> bool:
        """Whether the cloud has told the time since this program began."""
        return self._anchor is not None

    def now_us(self) -> int:
        """Return the best known time, microseconds since 1970 UTC."""
        if self._anchor is not None:
            signed_us, mono_ns = self._anchor
            return signed_us + (self._clock.mono_ns() - mono_ns) // 1000
        wall_us = self._clock.wall_us()
        return wall_us if self._clock.quality() == "synced" else max(wall_us, self._floor_us)

    def now(self) -> datetime:
        """Return the best known time."""
        return _EPOCH + timedelta(microseconds=self.now_us())

    def learn(self, unix_us: int) -> int:
        """Take a time that the cloud has just signed and return by how many µs the wall clock is behind it.

        TrueTimeError where it lies more than BACK_US before one that the cloud signed earlier.
        """
        if unix_us < self._floor_us - BACK_US:
            raise TrueTimeError(f"the time {unix_us} µs was signed after {self._floor_us} µs had been")
        self._anchor = (unix_us, self._clock.mono_ns())
        if unix_us > self._floor_us:
            self._floor_us = unix_us
            write_file(self._file, str(unix_us).encode())
        return unix_us - self._clock.wall_us()


def _read(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0  # none yet, or cut off by a power failure long ago: the next signed time writes it anew
