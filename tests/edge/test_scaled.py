"""The scaled clock: one for all who know its origin, right and wrong at its times."""

from __future__ import annotations

import time

from feldsher_edge.simulate.clock import START_US
from feldsher_edge.simulate.scaled import ScaledClock, Wrong

HOUR_US = 3_600_000_000


def test_clocks_of_one_origin_agree_and_run_ahead() -> None:
    origin_ns = time.monotonic_ns()
    one, other = (ScaledClock(origin_ns, 100_000, START_US) for _ in range(2))
    first = one.wall_us()
    between = other.wall_us()
    assert first <= between <= one.wall_us()
    assert one.boot() == other.boot()
    time.sleep(0.01)
    assert one.elapsed_s() >= 1000
    assert one.true_us(60) == START_US + 60_000_000


def test_the_wall_clock_is_wrong_at_its_times_and_monotonic_time_never() -> None:
    hour_ago_ns = time.monotonic_ns() - 3_600_000_000_000
    clock = ScaledClock(hour_ago_ns, 1, START_US, (Wrong(3000, 4000, -HOUR_US), Wrong(5000, 6000, HOUR_US)))
    assert (clock.quality(), clock.shown_us(3600)) == ("unsynced", clock.true_us(3600) - HOUR_US)
    assert clock.shown_us(5999) == clock.true_us(5999) + HOUR_US
    assert clock.shown_us(6000) == clock.true_us(6000)
    assert 3600e9 <= clock.mono_ns() < 3700e9
    assert ScaledClock(hour_ago_ns, 1, START_US).quality() == "synced"
