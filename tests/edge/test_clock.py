"""Clock quality, envelopes and steps of the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from feldsher_edge.clock import ClockWatch, Envelopes, SystemClock, kernel_sync
from feldsher_edge.simulate.clock import START_US, VirtualClock
from feldsher_ehr_core.wire import ClockOffset, ClockQuality

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


def test_the_age_of_a_message_is_never_overstated() -> None:
    clock = VirtualClock()
    envelopes = Envelopes("gw-1", clock)
    env = envelopes.make(1)
    clock.advance(100)
    clock.set_wall(clock.wall_us() + 31_536_000_000_000)
    assert envelopes.age_s(env) == 100  # within one boot a step of the wall clock ages nothing
    clock.reboot()
    clock.trust = "unsynced"
    assert envelopes.age_s(env) == 0  # off for nobody knows how long
    clock.trust = "synced"
    clock.set_wall(env.wall_us + 5_000_000)
    assert envelopes.age_s(env) == 5
    clock.set_wall(0)
    assert envelopes.age_s(env) == 0


def test_a_clock_before_1970_still_makes_envelopes() -> None:
    assert Envelopes("gw-1", VirtualClock(wall_us=-5_000_000)).make(1).wall_us == -5_000_000


def test_steps_are_noticed_once_and_slewing_is_not() -> None:
    clock = VirtualClock()
    watch = ClockWatch(clock)
    clock.advance(3600)
    assert watch.look() is None
    clock.set_wall(clock.wall_us() + 400_000)
    assert watch.look() is None
    clock.set_wall(clock.wall_us() - 31_536_000_000_000)
    made = change(watch, clock)
    assert (made.offset_us, made.source, made.trusted) == (-31_536_000_000_000 + 400_000, "step, now synced", True)
    assert made.base_us == clock.wall_us() - clock.mono_ns() // 1000
    assert watch.look() is None


def test_a_clock_that_somebody_sets_is_no_reference() -> None:
    clock = VirtualClock(wall_us=0)
    clock.trust = "unsynced"
    watch = ClockWatch(clock)
    clock.set_wall(START_US)
    made = change(watch, clock)
    assert (made.source, made.base_us, made.trusted) == ("step, now unsynced", None, False)


def test_a_clock_that_turns_out_right_is_told_without_a_step() -> None:
    """Readings from before are then no longer in doubt."""
    clock = VirtualClock()
    clock.trust = "unsynced"
    watch = ClockWatch(clock)
    assert watch.look() is None
    clock.trust = "synced"
    made = change(watch, clock)
    assert (made.offset_us, made.source, made.trusted) == (0, "synchronised without a step", True)
    assert watch.look() is None


def test_a_step_while_the_program_did_not_run_is_noticed_but_not_across_boots() -> None:
    clock = VirtualClock(wall_us=0)
    clock.trust = "unsynced"
    kept = ClockWatch(clock).state()
    clock.set_wall(START_US)
    clock.trust = "synced"
    assert change(ClockWatch(clock, kept), clock).offset_us == START_US
    clock.reboot()
    assert ClockWatch(clock, kept).look() is None


def change(watch: ClockWatch, clock: VirtualClock) -> ClockOffset:
    make = watch.look()
    assert make is not None
    return make(Envelopes("gw-1", clock).make(1))


def test_a_right_clock_that_somebody_sets_is_trusted_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[tuple[bool, int]] = [(True, 0), (False, 0), (False, 0)]
    clock = SystemClock(sync=lambda: answers.pop(0))
    assert [clock.quality(), clock.quality()] == ["synced", "holdover"]
    wall_us = clock.wall_us
    monkeypatch.setattr(clock, "wall_us", lambda: wall_us() + 3_600_000_000)
    assert clock.quality() == "unsynced"
