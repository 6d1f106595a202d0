"""Where pieces of a continuous ECG lie on one axis of samples."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from feldsher_ingest.axis import Axis, Piece, lay, micros, moment, true_rate
from hypothesis import given
from hypothesis import strategies as st

TEN = 10_000_000


def whole(part: int, start_us: int, n: int = 1300, *, broken: bool = False, span_us: int = TEN) -> Piece:
    return Piece(part, start_us, span_us, n, broken)


def firsts(*pieces: Piece) -> list[int]:
    return lay(pieces, 130.0).first.tolist()


def test_pieces_that_continue_each_other_lie_end_to_end_whatever_the_radio_delayed() -> None:
    assert firsts(whole(0, 0), whole(1, TEN + 80_000), whole(2, 2 * TEN - 60_000)) == [0, 1300, 2600]


def test_after_a_break_the_clock_says_what_is_missing() -> None:
    assert firsts(whole(0, 0, broken=True), whole(1, TEN + 500_000)) == [0, 1300 + 65]


def test_a_piece_that_did_not_come_is_missing_by_its_length() -> None:
    assert firsts(whole(0, 0), whole(2, 2 * TEN)) == [0, 2600]


def test_pieces_without_a_break_between_which_there_is_time_were_interrupted() -> None:
    assert firsts(whole(0, 0), whole(1, 3 * TEN)) == [0, 3900]


def test_a_clock_that_was_set_back_overwrites_nothing() -> None:
    assert firsts(whole(0, 5 * TEN), whole(1, 0)) == [0, 1300]


def test_the_rate_is_what_the_pieces_lengths_say() -> None:
    axis = lay([whole(0, 0, span_us=9_950_000), whole(1, 9_950_000, span_us=9_950_000)], 130.0)
    assert axis.rate == pytest.approx(1300 / 9.95)
    assert true_rate(1300, TEN + 100, 130.0) == 130.0
    assert true_rate(0, 0, 130.0) == 130.0


def test_times_and_samples_lead_to_each_other() -> None:
    axis = lay([whole(0, 0, broken=True), whole(1, 3 * TEN)], 130.0)
    assert [axis.sample(t) for t in (-TEN, 0, TEN // 2, 2 * TEN, 3 * TEN, 3 * TEN + 1, 5 * TEN)] == [
        -1300, 0, 650, 2600, 3900, 3901, 6500,
    ]  # fmt: skip
    assert [axis.time_us(i) for i in (0, 650, 2600, 3900, 5200)] == [0, TEN // 2, 2 * TEN, 3 * TEN, 4 * TEN]
    assert [axis.within(*w) for w in ((0, 1), (1300, 3900), (1299, 3901))] == [slice(0, 1), slice(1, 1), slice(0, 2)]


def test_nothing_is_an_empty_axis() -> None:
    axis = lay([], 130.0)
    assert (axis.total, axis.within(0, 10)) == (0, slice(0, 0))
    with pytest.raises(ValueError, match="no piece"):
        axis.sample(5)


def _naive(pieces: list[Piece], axis: Axis) -> list[set[int]]:
    return [{int(first) + i for i in range(p.n)} for first, p in zip(axis.first, pieces, strict=True)]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(-TEN, 4 * TEN), st.integers(1, 40), st.booleans()), max_size=12)
)
def test_no_sample_ever_lies_on_another(steps: list[tuple[int, int, int, bool]]) -> None:
    pieces: list[Piece] = []
    part = at = 0
    for step, gap, n, broken in steps:
        pieces.append(Piece(part, at, n * 100_000, n, broken))
        part, at = part + step, at + n * 100_000 + gap
    axis = lay(pieces, 10.0)
    lying = _naive(pieces, axis)
    assert sum(map(len, lying)) == len(set[int]().union(*lying))
    for i in range(0, axis.total, 7):
        chosen = axis.within(i, i + 1)
        assert [i in places for places in lying] == [chosen.start <= k < chosen.stop for k in range(len(pieces))]


def test_moments_are_exact_to_the_microsecond() -> None:
    at = datetime(2026, 11, 23, 12, 0, 0, 123_457, tzinfo=UTC)
    assert moment(micros(at)) == at
