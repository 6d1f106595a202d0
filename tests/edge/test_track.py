from dataclasses import replace

import numpy as np
import pytest
from feldsher_edge.devices import LiveChunk
from feldsher_edge.devices.leads import Leads, twelve
from feldsher_edge.devices.track import Signals, Track
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal.record import MISSING
from hypothesis import given
from hypothesis import strategies as st

EIGHT = Signals(twelve(1.0), 500.0, leads_off=lambda off: ("V3",) if off & 1 else ())
ONE = Signals(Leads(("II",), (1.0,)), 100.0)
WALL = 1_790_000_000_000_000


class Ticking:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.us = 0

    def wall_us(self) -> int:
        return WALL + self.us

    def mono_ns(self) -> int:
        return self.us * 1000


def values(place: int) -> list[int]:
    return [place * 8 + channel for channel in range(8)]


def track(asked: int | None, signals: Signals = EIGHT) -> tuple[Track, Ticking]:
    clock = Ticking()
    return Track("kit-1", signals, asked, clock), clock


def test_the_clock_ratio_is_the_devices_over_ours():
    it, clock = track(2000)
    for place in range(2000):
        clock.us = round(place * 2000 * 1.001)  # the device's crystal is 0.1 % slow
        it.put(place, values(place))
    result = it.result(counted=2000, errors=0, partial=None)
    assert result.clock_ratio == pytest.approx(1 / 1.001, rel=1e-6)
    assert result.started_us == WALL - 2000
    assert result.ended_us == WALL + clock.us


def test_less_than_a_second_has_no_clock_ratio():
    it, clock = track(500)
    for place in range(400):
        clock.us = place * 2000
        it.put(place, values(place))
    assert it.result(counted=400, errors=0, partial="x").clock_ratio is None


@given(st.permutations(range(12)).flatmap(lambda order: st.integers(0, 12).map(lambda n: order[:n])))
def test_every_sample_lies_at_its_own_place(places: list[int]):
    it, _ = track(12)
    for place in places:
        it.put(place, values(place))
    result = it.result(counted=12, errors=3, partial=None)
    there = np.zeros(12, dtype=bool)
    there[places] = True
    whole = twelve(1.0).of(np.arange(96, dtype=np.int32).reshape(12, 8).T)
    np.testing.assert_array_equal(result.samples[:, there], whole[:, there])
    assert (result.samples[:, ~there] == MISSING).all()
    found = result.integrity
    assert (found.expected, found.received, found.lost, found.errors) == (12, len(places), 12 - len(places), 3)


def test_a_lost_end_is_part_of_a_whole_recording_and_not_of_a_partial_one():
    it, _ = track(10)
    for place in range(8):
        it.put(place, values(place))
    whole = it.result(counted=10, errors=0, partial=None)
    assert (whole.samples.shape[1], whole.lost) == (10, 2)
    partial = it.result(counted=None, errors=0, partial="the kit was unplugged after 0.0 s")
    assert (partial.samples.shape[1], partial.lost) == (8, 0)


def test_repeats_and_places_beyond_the_end_change_nothing():
    it, _ = track(3)
    for place in (0, 0, 1, 7, 2**32 - 1):
        it.put(place, values(place))
    assert (it.received, it.repeated, it.end, it.full) == (2, 1, 2, False)


def test_a_lead_is_off_from_a_tenth_of_the_time():
    for bad, named in ((9, ()), (10, ("V3",))):
        it, _ = track(100)
        for place in range(100):
            it.put(place, values(place), off=1 if place < bad else 0)
        assert it.result(counted=100, errors=0, partial=None).lead_off == named


def test_an_amplifier_at_its_limit_for_a_tenth_of_the_time_is_a_lead_that_is_off():
    limited = replace(EIGHT, limits=((-1000, 1000),) * 8)
    for bad, named in ((9, ()), (10, ("I", "III", "aVR", "aVL", "aVF", "V6"))):
        it, _ = track(100, limited)
        for place in range(100):
            at = -1000 if place < bad else 0
            it.put(place, [at, 1, 2, 3, 4, 5, 6, -at])
        assert it.result(counted=100, errors=0, partial=None).lead_off == named


def test_nothing_received_is_an_empty_recording():
    it, _ = track(10)
    result = it.result(counted=None, errors=0, partial="no data for 0.5 s after 0.0 s")
    assert (result.samples.shape, result.leads, result.lead_off) == ((12, 0), STANDARD_LEADS, ())


def test_a_round_of_the_counter_that_nobody_saw_is_missing_where_nothing_came():
    it, clock = track(600, replace(ONE, round_=16))
    for number in range(592):
        place = number if number < 300 else number + 32  # two rounds were lost in the silence
        clock.us = place * 10_000
        it.put(number, [place])
    result = it.result(counted=None, errors=0, partial=None)
    expected = np.arange(600)
    expected[300:332] = MISSING
    np.testing.assert_array_equal(result.samples[0], expected)
    assert (result.lost, result.clock_ratio) == (32, pytest.approx(1.0))
    assert result.started_us == WALL - 10_000


def test_what_is_shown_while_it_runs_is_what_is_recorded():
    shown: list[LiveChunk] = []
    it = Track("kit-1", ONE, 100, Ticking(), shown.append)
    for place in range(100):
        if place != 30:
            it.put(place, [place])
    assert [(piece.first, piece.samples.shape) for piece in shown] == [(n, (1, 20)) for n in range(0, 100, 20)]
    result = it.result(counted=None, errors=0, partial=None)
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in shown], axis=1), result.samples)
    assert (shown[0].device, shown[0].fs, shown[0].leads, shown[0].uv_per_bit) == ("kit-1", 100.0, ("II",), (1.0,))
