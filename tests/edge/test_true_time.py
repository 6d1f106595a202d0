"""The best known time: signed, synchronised, or the later of two that may both be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_edge.simulate.clock import START_US, VirtualClock
from feldsher_edge.true_time import BACK_US, TrueTime, TrueTimeError


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_a_synchronised_wall_clock_is_the_time(clock: VirtualClock, tmp_path: Path) -> None:
    time = TrueTime(clock, tmp_path)
    assert (time.now_us(), time.signed) == (START_US, False)
    assert time.now().isoformat() == "2027-01-15T08:00:00+00:00"


def test_a_signed_time_is_carried_on_by_the_monotonic_clock_whatever_the_wall_clock_does(
    clock: VirtualClock, tmp_path: Path
) -> None:
    clock.set_wall(0)
    clock.trust = "unsynced"
    time = TrueTime(clock, tmp_path)
    assert time.learn(START_US) == START_US
    clock.advance(10)
    clock.set_wall(START_US * 2)
    assert time.now_us() == START_US + 10_000_000


def test_the_newest_signed_time_is_a_floor_after_a_restart(clock: VirtualClock, tmp_path: Path) -> None:
    TrueTime(clock, tmp_path).learn(START_US)
    clock.set_wall(0)
    clock.trust = "unsynced"
    time = TrueTime(clock, tmp_path)
    assert (time.now_us(), time.signed) == (START_US, False)
    with pytest.raises(TrueTimeError, match="was signed after"):
        time.learn(START_US - BACK_US - 1)
    time.learn(START_US - BACK_US)
    assert TrueTime(clock, tmp_path).now_us() == START_US  # the floor never falls


def test_a_damaged_file_is_no_floor(clock: VirtualClock, tmp_path: Path) -> None:
    (tmp_path / "time").write_text("17")
    assert TrueTime(clock, tmp_path).now_us() == START_US
    (tmp_path / "time").write_text("x")
    assert TrueTime(clock, tmp_path).now_us() == START_US
