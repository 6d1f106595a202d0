"""Clock quality, envelopes and steps of the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from feldsher_edge.clock import Envelopes, StepWatch, SystemClock, kernel_sync
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_ehr_core.wire import ClockQuality

Sync = Callable[[], tuple[bool, int] | None]


def test_the_system_clock_agrees_with_the_system() -> None:
    clock = SystemClock(ZoneInfo("Asia/Yekaterinburg"))
    assert abs(clock.wall_us() / 1e6 - time.time()) < 5
    assert clock.offset_min() == 300
    assert clock.boot() == SystemClock().boot()
    assert clock.mono_ns() <= clock.mono_ns()


def test_the_kernel_is_asked_without_privilege() -> None:
    answer = kernel_sync()
    assert answer is None or answer[1] >= 0


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([(True, 100)], ["synced"]),
        ([(False, 16_000_000)], ["unsynced"]),
        ([(False, 16_000_000), (True, 100)], ["unsynced", "synced"]),
        ([(True, 100), (True, 2_000_000)], ["synced", "holdover"]),
        ([(True, 100), (False, 16_000_000)], ["synced", "holdover"]),
        ([(True, 2_000_000)], ["holdover"]),
    ],
)
def test_quality_follows_the_kernel(answers: list[tuple[bool, int]], expected: list[ClockQuality]) -> None:
    remaining = iter(answers)
    clock = SystemClock(sync=lambda: next(remaining))
    assert [clock.quality() for _ in answers] == expected


def test_where_the_kernel_does_not_tell_timesyncd_is_asked(tmp_path: Path) -> None:
    flag = tmp_path / "synchronized"
    clock = SystemClock(sync=lambda: None, timesync=flag)
    assert clock.quality() == "unsynced"
    flag.touch()
    assert clock.quality() == "synced"
    flag.unlink()
    assert clock.quality() == "holdover"


def test_an_envelope_says_who_and_when() -> None:
    clock = VirtualClock()
    clock.trust = "holdover"
    envelope = Envelopes("gw-1", clock, bytes).make(7)
    assert (envelope.gateway, envelope.seq, envelope.clock, envelope.offset_min) == ("gw-1", 7, "holdover", 180)
    assert (envelope.wall_us, envelope.mono_ns, envelope.boot) == (clock.wall_us(), clock.mono_ns(), clock.boot())
    assert envelope.id.version == 7
    assert envelope.id.int >> 80 == clock.wall_us() // 1000


def test_a_clock_before_1970_still_makes_envelopes() -> None:
    assert Envelopes("gw-1", VirtualClock(wall_us=-5_000_000)).make(1).wall_us == -5_000_000


def test_steps_are_noticed_once_and_slewing_is_not() -> None:
    clock = VirtualClock()
    watch = StepWatch(clock)
    clock.advance(3600)
    assert watch.step() is None
    clock.set_wall(clock.wall_us() + 400_000)
    assert watch.step() is None
    clock.set_wall(clock.wall_us() - 7_400_000)
    assert watch.step() == -7_000_000
    assert watch.step() is None
