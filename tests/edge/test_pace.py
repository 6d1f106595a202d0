"""Waiting before connecting again, and the rate of history."""

from __future__ import annotations

from random import Random

import pytest
from feldsher_edge.pace import Backoff, Bucket, bulk_spread_s
from hypothesis import given
from hypothesis import strategies as st


def test_back_off_is_jittered_bounded_and_reset_only_by_a_steady_connection() -> None:
    backoff = Backoff(1.0, 60.0, Random(3))  # noqa: S311 - repeatable on purpose
    limits = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    drawn = [backoff.next_s(0.0) for _ in limits]
    assert all(0 <= wait <= limit for wait, limit in zip(drawn, limits, strict=True))
    assert len(set(drawn)) == len(drawn)
    assert any(wait > 2 for wait in (backoff.next_s(5.0) for _ in range(5)))  # died quickly: still backing off
    assert backoff.next_s(61.0) <= 1.0
    again = Backoff(1.0, 60.0, Random(3))  # noqa: S311 - repeatable on purpose
    assert [again.next_s(0.0) for _ in limits] == drawn


def test_a_connection_that_keeps_dying_young_is_retried_ever_more_rarely() -> None:
    """An accepted connection that ends at once is no success (esp-rainmaker #1)."""
    waits = [Backoff(1.0, 60.0, Random(seed)) for seed in range(200)]  # noqa: S311 - repeatable on purpose
    for _ in range(5):
        for backoff in waits:
            backoff.next_s(lived_s=2.0)
    last = [backoff.next_s(lived_s=2.0) for backoff in waits]
    assert sum(last) / len(last) == pytest.approx(16, rel=0.2)  # uniform up to 2^5 s: its mean is half of it
    assert max(last) <= 32


def test_a_broker_with_no_time_for_us_is_spared_for_longer() -> None:
    every = [Backoff(1.0, 60.0, Random(seed)) for seed in range(400)]  # noqa: S311 - repeatable on purpose
    drawn = [backoff.next_s(0.0, crowded=True) for backoff in every]
    assert max(drawn) <= 300
    assert sum(drawn) / len(drawn) == pytest.approx(150, rel=0.1)
    assert all(backoff.next_s(0.0) <= 2 for backoff in every)  # once it is merely away, as ever


def test_a_bucket_gives_a_second_at_once_and_then_its_rate() -> None:
    bucket = Bucket(5)
    assert [bucket.take(100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert bucket.next_s() == pytest.approx(0.2)
    assert not bucket.take(100.19)
    assert bucket.take(100.21)
    assert [bucket.take(500.0) for _ in range(6)] == [True] * 5 + [False]


def test_a_slow_bucket_gives_one() -> None:
    bucket = Bucket(0.1)
    assert [bucket.take(0), bucket.take(1)] == [True, False]
    assert bucket.take(10.5)


@given(per_s=st.floats(0.1, 100), steps=st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_a_bucket_never_exceeds_its_rate(per_s: float, steps: list[float]) -> None:
    bucket, now, taken = Bucket(per_s), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(now)
        assert taken <= max(1.0, per_s) + now * per_s + 1e-6


def test_cardiograms_of_an_outage_are_spread_over_a_part_of_it() -> None:
    assert [bulk_spread_s(away_s) for away_s in (0, 60, 3600, 86_400)] == [0, 6, 360, 600]
