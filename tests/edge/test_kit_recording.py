import numpy as np
import pytest
from feldsher_edge.devices.kit_recording import KitRecording
from feldsher_edge.devices.leads import twelve
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import frame
from feldsher_signal.record import MISSING
from hypothesis import given
from hypothesis import strategies as st

IDENTITY = frame.Identity("1", "1.0", rate=500, gain=6)
WALL = 1_790_000_000_000_000


class Ticking:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.us = 0

    def wall_us(self) -> int:
        return WALL + self.us

    def mono_ns(self) -> int:
        return self.us * 1000


def data(counter: int, off: int = 0) -> bytes:
    return frame.pack_data(counter, frame.pack_afe(off, [counter % 1000 * 8 + channel for channel in range(8)]))


def eight(n: int) -> np.ndarray:
    return np.arange(n * 8, dtype=np.int32).reshape(n, 8).T


def recording(asked: int | None) -> tuple[KitRecording, Ticking]:
    clock = Ticking()
    return KitRecording("kit-1", IDENTITY, asked, clock), clock


def test_the_clock_ratio_is_the_kits_over_ours():
    it, clock = recording(2000)
    for counter in range(2000):
        clock.us = round(counter * 2000 * 1.001)  # the kit's crystal is 0.1 % slow
        it.put(data(counter))
    result = it.result(counted=2000, crc_errors=0, partial=None)
    assert result.clock_ratio == pytest.approx(1 / 1.001, rel=1e-6)
    assert result.started_us == WALL - 2000
    assert result.ended_us == WALL + clock.us


def test_less_than_a_second_has_no_clock_ratio():
    it, clock = recording(500)
    for counter in range(400):
        clock.us = counter * 2000
        it.put(data(counter))
    assert it.result(counted=400, crc_errors=0, partial="x").clock_ratio is None


@given(st.permutations(range(12)).flatmap(lambda order: st.integers(0, 12).map(lambda n: order[:n])))
def test_every_sample_lies_at_its_own_place(counters: list[int]):
    it, _ = recording(12)
    for counter in counters:
        it.put(data(counter))
    result = it.result(counted=12, crc_errors=3, partial=None)
    there = np.zeros(12, dtype=bool)
    there[counters] = True
    np.testing.assert_array_equal(result.samples[:, there], twelve(eight(12))[:, there])
    assert (result.samples[:, ~there] == MISSING).all()
    assert (result.lost, result.crc_errors) == (12 - len(counters), 3)


def test_a_lost_end_is_part_of_a_whole_recording_and_not_of_a_partial_one():
    it, _ = recording(10)
    for counter in range(8):
        it.put(data(counter))
    whole = it.result(counted=10, crc_errors=0, partial=None)
    assert (whole.samples.shape[1], whole.lost) == (10, 2)
    partial = it.result(counted=None, crc_errors=0, partial="the kit was unplugged after 0.0 s")
    assert (partial.samples.shape[1], partial.lost) == (8, 0)


def test_repeats_and_counters_beyond_the_end_change_nothing():
    it, _ = recording(3)
    for counter in (0, 0, 1, 7, 2**32 - 1):
        it.put(data(counter))
    assert (it.received, it.repeated, it.end, it.full) == (2, 1, 2, False)


def test_a_lead_is_off_from_a_tenth_of_the_time():
    off = 1 << frame.ELECTRODES.index("V3")
    for bad, named in ((9, ()), (10, ("V3",))):
        it, _ = recording(100)
        for counter in range(100):
            it.put(data(counter, off if counter < bad else 0))
        assert it.result(counted=100, crc_errors=0, partial=None).lead_off == named


def test_nothing_received_is_an_empty_recording():
    it, _ = recording(10)
    result = it.result(counted=None, crc_errors=0, partial="no data for 0.5 s after 0.0 s")
    assert (result.samples.shape, result.leads, result.lead_off) == ((12, 0), STANDARD_LEADS, ())


def test_a_payload_that_is_none_is_refused():
    it, _ = recording(10)
    with pytest.raises(frame.FrameError, match="status"):
        it.put(bytes(31))
    assert it.received == 0
