"""The gateway's clocks: wall time with its quality, monotonic time, the boot they belong to, and message envelopes.

A Raspberry Pi before the fifth has no clock of its own: it wakes in 1970 or at the time of its last shutdown. So every
message carries wall time, how far to trust it, and boot id + monotonic time, by which the cloud corrects it later.
"""

from __future__ import annotations

import ctypes
import functools
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Protocol
from uuid import UUID

from feldsher_ehr_core.ids import uuid7
from feldsher_ehr_core.wire import ClockOffset, ClockQuality, Envelope

_TIME_ERROR = 5  # adjtimex(2): "clock not synchronized"
_STA_UNSYNC = 0x0040  # <linux/timex.h>
_HOLDOVER_US = 1_000_000
"""Estimated error beyond which a synchronised clock counts as holding over. The kernel adds 500 ppm while nobody
disciplines it (<linux/timex.h>, MAXFREQ), so one second is reached 33 minutes after the last correction."""

_STEP_US = 500_000
"""Wall time that moves so far against monotonic time was set; less is the discipline's own work."""


class Clock(Protocol):
    """What the gateway reads of time; tests give a fake one."""

    def wall_us(self) -> int:
        """Return wall time, microseconds since 1970 UTC."""
        ...

    def mono_ns(self) -> int:
        """Return the kernel's monotonic time, nanoseconds."""
        ...

    def boot(self) -> UUID:
        """Return the id of this start of the kernel."""
        ...

    def offset_min(self) -> int:
        """Return the wall clock's offset from UTC now, in minutes."""
        ...

    def quality(self) -> ClockQuality:
        """Return how far the wall time can be trusted."""
        ...


class _Timex(ctypes.Structure):
    """The head of `struct timex` (<sys/timex.h>) with room for the rest; `long` has the platform's width."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 40),
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def kernel_sync() -> tuple[bool, int] | None:
    """Return (synchronised, estimated greatest error in µs) as the kernel says, or None where it does not tell.

    adjtimex(2) with modes 0 only reads, needs no privilege, and is fed by chrony, ntpd and systemd-timesyncd alike.
    Containers may forbid the call.
    """
    timex = _Timex()
    state = int(_libc().adjtimex(ctypes.byref(timex)))
    if state < 0:
        return None
    return state != _TIME_ERROR and not timex.status & _STA_UNSYNC, int(timex.maxerror)


class SystemClock:
    """The machine's clocks.

    `zone`: the IANA zone of the clinic or home; `sync`: asks the kernel (see `kernel_sync`); `timesync`: the file that
    systemd-timesyncd touches once synchronised, asked where the kernel does not tell.
    """

    def __init__(
        self,
        zone: tzinfo = UTC,
        sync: Callable[[], tuple[bool, int] | None] = kernel_sync,
        timesync: Path = Path("/run/systemd/timesync/synchronized"),
    ) -> None:
        self._zone = zone
        self._sync = sync
        self._timesync = timesync
        self._true_base_us: int | None = None
        self._boot = UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip())

    def wall_us(self) -> int:
        """Return wall time, microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        """Return the kernel's monotonic time, nanoseconds."""
        return time.monotonic_ns()

    def boot(self) -> UUID:
        """Return the kernel's boot id."""
        return self._boot

    def offset_min(self) -> int:
        """Return the zone's offset from UTC now, in minutes."""
        offset = datetime.now(self._zone).utcoffset()
        return 0 if offset is None else int(offset.total_seconds() // 60)

    def quality(self) -> ClockQuality:
        """Return `synced` while disciplined, `holdover` once it has been and was not set since, else `unsynced`."""
        answer = self._sync()
        synced, error_us = (self._timesync.exists(), 0) if answer is None else answer
        base_us = _base_us(self)
        if synced:
            self._true_base_us = base_us
        if synced and error_us < _HOLDOVER_US:
            return "synced"
        # somebody may have set it by hand after it was right
        kept = self._true_base_us is not None and abs(base_us - self._true_base_us) <= _STEP_US
        return "holdover" if kept else "unsynced"


class Envelopes:
    """Makes the envelope of every message: ids from `random` (n bytes), times from `clock`."""

    def __init__(self, gateway: str, clock: Clock, random: Callable[[int], bytes] = os.urandom) -> None:
        self.gateway = gateway
        self.clock = clock
        self._random = random

    def make(self, seq: int) -> Envelope:
        """Return a new envelope with the sequence number `seq`, which the outbox gives out."""
        wall_us, mono_ns = self.clock.wall_us(), self.clock.mono_ns()  # of one moment: the cloud compares them
        return Envelope(
            id=self.new_id(wall_us),
            gateway=self.gateway,
            boot=self.clock.boot(),
            seq=seq,
            mono_ns=mono_ns,
            wall_us=wall_us,
            offset_min=self.clock.offset_min(),
            clock=self.clock.quality(),
        )

    def age_s(self, env: Envelope) -> float:
        """Return the least age that a message certainly has, in seconds.

        By monotonic time within one start of the machine, else by wall times that can be trusted, else 0.
        """
        if env.boot == self.clock.boot():
            return (self.clock.mono_ns() - env.mono_ns) / 1e9
        if "unsynced" in (env.clock, self.clock.quality()):
            return 0.0
        return max(0.0, (self.clock.wall_us() - env.wall_us) / 1e6)

    def new_id(self, wall_us: int) -> UUID:
        """Return an id that no message has, for one made at `wall_us`."""
        return uuid7(max(wall_us, 0) // 1000, self._random(10))


class ClockWatch:
    """Notices that the wall clock was set, or became synchronised, also while this program did not run.

    `known`: what `state` returned last, None where nothing was kept.
    """

    def __init__(self, clock: Clock, known: bytes | None = None) -> None:
        self._clock = clock
        self._base_us, self._synced = _base_us(clock), clock.quality() == "synced"
        if known is not None:
            boot, base_us, synced = known.split()
            if boot == clock.boot().hex.encode():  # else monotonic time began anew, and nothing can be said
                self._base_us, self._synced = int(base_us), synced == b"1"

    def state(self) -> bytes:
        """Return what is to be kept for the program's next run."""
        return b"%s %d %d" % (self._clock.boot().hex.encode(), self._base_us, self._synced)

    def look(self) -> Callable[[Envelope], ClockOffset] | None:
        """Return what makes the message of a change since the last call, None where there was none."""
        base_us, quality = _base_us(self._clock), self._clock.quality()
        moved_us, was_synced = base_us - self._base_us, self._synced
        self._synced = quality == "synced"
        if abs(moved_us) > _STEP_US:
            self._base_us = base_us
            source = f"step, now {quality}"
        elif self._synced and not was_synced:
            source = "synchronised without a step"
        else:
            return None
        return lambda env: ClockOffset(
            env=env,
            offset_us=moved_us,
            source=source,
            base_us=env_base_us(env) if quality == "synced" else None,
            trusted=quality == "synced",
        )


def env_base_us(env: Envelope) -> int:
    """Return wall time minus monotonic time when a message was made, µs: the same in all of a boot but for steps."""
    return env.wall_us - env.mono_ns // 1000


def _base_us(clock: Clock) -> int:
    return clock.wall_us() - clock.mono_ns() // 1000
