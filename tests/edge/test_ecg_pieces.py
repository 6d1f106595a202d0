"""Frames of a belt to pieces of a recording: places by the belt's clock, holes, clocks that drift or are set."""

from collections.abc import Iterator
from itertools import count, pairwise
from uuid import UUID

import numpy as np
import pytest
from feldsher_edge.ble.polar import EcgFrame
from feldsher_edge.devices import EcgResult
from feldsher_edge.devices.ecg_pieces import NEW_STREAM_US, Pieces
from feldsher_signal.record import MISSING

FRAME = 73
START_US = 1_700_000_000_000_000


def pieces() -> Pieces:
    numbers = count(1)
    return Pieces("belt", lambda: UUID(int=next(numbers)))


def frames(first: int, number: int, rate: float = 130.0) -> Iterator[EcgFrame]:
    """Frames of samples that count up, from sample `first` on."""
    for at in range(first, first + number * FRAME, FRAME):
        last = at + FRAME - 1
        yield EcgFrame(round(last / rate * 1e9), tuple(range(at, last + 1)))


def arrival_us(frame: EcgFrame, late_us: int = 30_000) -> int:
    return START_US + frame.last_ns // 1000 + late_us


def taken(it: Pieces, some: Iterator[EcgFrame], lost: frozenset[int] = frozenset()) -> list[EcgResult]:
    found = [it.add(frame, arrival_us(frame)) for i, frame in enumerate(some) if i not in lost]
    return [piece for pieces in found for piece in pieces]


def test_pieces_follow_each_other_without_a_hole():
    it = pieces()
    found = taken(it, frames(0, 60)) + it.end("the end")
    assert [piece.part for piece in found] == list(range(len(found)))
    assert {piece.stream for piece in found} == {UUID(int=1)}
    assert np.concatenate([piece.samples[0] for piece in found]).tolist() == list(range(60 * FRAME))
    for before, after in pairwise(found):
        assert abs(after.started_us - before.ended_us) <= 20
    assert found[0].started_us == pytest.approx(START_US + 30_000, abs=20)
    assert [piece.partial for piece in found][-2:] == [None, "the end"]
    assert sum(piece.lost for piece in found) == 0


@pytest.mark.parametrize("lost", [{5, 6, 30}, {17, 18, 19}, {18, 35, 36}])
def test_a_lost_frame_is_a_hole_of_its_length(lost: set[int]):
    it = pieces()
    found = taken(it, frames(0, 40), frozenset(lost)) + it.end("the end")
    samples = np.concatenate([piece.samples[0] for piece in found])
    assert len(samples) == 40 * FRAME
    there = samples != MISSING
    assert (samples[there] == np.arange(len(samples))[there]).all()
    assert sum(piece.lost for piece in found) == 3 * FRAME == int((~there).sum())


@pytest.mark.parametrize("rate", [128.8, 129.99, 131.2])
def test_a_belt_that_is_not_quite_at_its_rate_loses_nothing(rate: float):
    it = pieces()
    found = taken(it, frames(0, 400, rate)) + it.end("the end")
    assert sum(piece.lost for piece in found) == 0
    assert sum(piece.samples.shape[1] for piece in found) == 400 * FRAME
    truth_us = 400 * FRAME / rate * 1e6
    assert found[-1].ended_us - found[0].started_us == pytest.approx(truth_us, abs=10_000)


def test_a_long_silence_ends_the_piece_and_the_next_one_says_when_it_began():
    it = pieces()
    found = taken(it, frames(0, 5)) + taken(it, frames(5 * FRAME + 130 * 60, 5)) + it.end("the end")
    assert [piece.partial for piece in found] == ["the belt sent nothing for a while", "the end"]
    assert [piece.lost for piece in found] == [0, 0]
    assert found[1].started_us - found[0].ended_us == pytest.approx(60e6, abs=1000)
    assert found[0].stream == found[1].stream
    assert [piece.part for piece in found] == [0, 1]


def test_after_very_long_another_recording_begins():
    it = pieces()
    late = 130 * (NEW_STREAM_US // 1_000_000 + 10)
    found = taken(it, frames(0, 5)) + it.end("the connection ended") + taken(it, frames(late, 5)) + it.end("the end")
    assert [(piece.stream, piece.part) for piece in found] == [(UUID(int=1), 0), (UUID(int=2), 0)]


def test_a_clock_that_is_set_back_begins_a_piece():
    it = pieces()
    found = taken(it, frames(130 * 100, 5))
    again = [it.add(frame, START_US + 104_000_000 + i * 561_538) for i, frame in enumerate(frames(0, 5))]
    found += [piece for some in again for piece in some] + it.end("the end")
    assert [piece.partial for piece in found] == ["the belt's clock was set", "the end"]
    assert found[1].started_us > found[0].ended_us


def test_late_arrivals_do_not_move_the_time():
    it = pieces()
    found: list[EcgResult] = []
    for i, frame in enumerate(frames(0, 18)):
        found += it.add(frame, arrival_us(frame, 30_000 if i % 4 == 0 else 900_000))
    assert found[0].started_us == pytest.approx(START_US + 30_000, abs=20)


def test_the_ratio_of_the_clocks_is_told_after_a_minute():
    it = pieces()
    found: list[EcgResult] = []
    for frame in frames(0, 300):
        found += it.add(frame, START_US + round(frame.last_ns / 1000 * 1.001))
    assert found[0].clock_ratio is None
    assert found[-1].clock_ratio == pytest.approx(1 / 1.001, rel=1e-6)


def test_an_empty_frame_is_nothing():
    it = pieces()
    assert it.add(EcgFrame(5, ()), START_US) == []
    assert it.end("the end") == []
