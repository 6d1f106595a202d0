import numpy as np
import pytest
from feldsher_edge.devices.counter import Counter, settle
from hypothesis import given
from hypothesis import strategies as st

MODULI = st.sampled_from([16, 256])


def places(modulus: int, counts: list[int]) -> list[tuple[int, int]]:
    """Return (place, position in `counts`) of every item that got a place."""
    it: Counter[int] = Counter(modulus)
    found = [pair for position, count in enumerate(counts) for pair in it.put(count, position)]
    return found + it.end()


@given(MODULI, st.integers(0, 255), st.integers(0, 600))
def test_without_losses_every_item_follows(modulus: int, first: int, n: int):
    counts = [(first + k) % modulus for k in range(n)]
    assert places(modulus, counts) == [(k, k) for k in range(n)]


@given(st.integers(0, 255), st.lists(st.integers(1, 60), max_size=200))
def test_what_is_lost_leaves_its_places_empty(first: int, steps: list[int]):
    at = [0, *np.cumsum(steps).tolist()]
    assert places(256, [(first + place) % 256 for place in at]) == [(place, k) for k, place in enumerate(at)]


@given(MODULI, st.integers(1, 250), st.integers(1, 255))
def test_a_flipped_bit_in_the_counter_moves_nothing(modulus: int, position: int, flip: int):
    counts = [k % modulus for k in range(300)]
    counts[position] ^= flip % modulus or 1
    found = places(modulus, counts)
    there = {item: place for place, item in found}
    assert {item: place for item, place in there.items() if item != position} == {
        k: k for k in range(300) if k != position
    }
    assert there.get(position, position) == position


def test_an_item_that_comes_twice_is_counted_and_takes_no_place():
    it: Counter[str] = Counter(256)
    found = [pair for count, item in ((7, "a"), (8, "b"), (8, "b again"), (9, "c")) for pair in it.put(count, item)]
    assert found == [(0, "a"), (1, "b"), (2, "c")]
    assert (it.repeated, it.damaged) == (1, 0)


def test_a_count_in_doubt_at_the_end_is_believed():
    assert places(16, [3, 4, 9]) == [(0, 0), (1, 1), (6, 2)]


def arrivals(at: np.ndarray, fs: float, seed: int) -> np.ndarray:
    """Return when samples of these true places arrive over a line that hands them over late and in heaps of 16 ms."""
    jitter = np.random.default_rng(seed).uniform(0, 0.012, at.size)
    due = np.ceil((at / fs) / 0.016) * 0.016 + jitter
    return np.maximum.accumulate(due)


@pytest.mark.parametrize(("fs", "round_", "rounds"), [(1000.0, 16, 9), (250.0, 256, 2), (125.0, 1, 60)])
@pytest.mark.parametrize("seed", range(5))
def test_whole_rounds_lost_in_a_silence_are_found_by_the_time(fs: float, round_: int, rounds: int, seed: int):
    n = int(10 * fs)
    seen = np.arange(n, dtype=np.int64)
    true = seen.copy()
    true[n // 2 :] += rounds * round_
    off = np.abs(settle(seen, arrivals(true, fs, seed), fs, round_) - true)
    # Where nothing counts, a place is known as finely as the line's delay; a counter makes it exact.
    assert off.max() <= (0.02 * fs if round_ == 1 else 0)


@pytest.mark.parametrize("seed", range(5))
def test_what_only_came_late_stays_where_it_is(seed: int):
    seen = np.arange(10_000, dtype=np.int64)
    late = arrivals(seen, 1000.0, seed)
    held = (late > 4.0) & (late < 4.4)
    late[held] = 4.4  # the radio held everything back, then brought it at once
    np.testing.assert_array_equal(settle(seen, late, 1000.0, 16), seen)


@given(st.floats(0.98, 1.02))
def test_a_clock_that_drifts_loses_nothing(ratio: float):
    seen = np.arange(5000, dtype=np.int64)
    np.testing.assert_array_equal(settle(seen, seen / 500.0 * ratio, 500.0, 256), seen)
