"""Runs, pairs, n-geminy, pauses and rates are those that one counts by hand."""

from __future__ import annotations

import naive_ambulatory as naive
import numpy as np
import pytest
from feldsher_signal import episodes
from feldsher_signal.episodes import Row
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = st.text("NNVS", max_size=60)


def _row(kinds: str, whole: list[bool] | None = None, rr: int = 100) -> Row:
    count = max(len(kinds) - 1, 0)
    seen = np.array([True] * count if whole is None else whole[:count] + [True] * (count - len(whole)), np.bool_)
    r = np.arange(len(kinds), dtype=np.int64) * rr
    return Row(r, np.frombuffer(kinds.encode(), np.uint8), seen, 100.0)


@settings(max_examples=200)
@given(KINDS, st.lists(st.booleans(), max_size=60), st.sampled_from("NVS"))
def test_runs(kinds: str, whole: list[bool], kind: str) -> None:
    row = _row(kinds, whole)
    first, length = episodes.runs(row, kind)
    found = list(zip(first.tolist(), length.tolist(), strict=True))
    assert found == naive.runs(kinds, kind, row.whole.tolist())


@settings(max_examples=200)
@given(st.text("NV", max_size=40), st.lists(st.booleans(), max_size=10), st.sampled_from([2, 3]))
def test_geminy(kinds: str, whole: list[bool], every: int) -> None:
    row = _row(kinds, whole)
    found = sorted((e.start // 100, e.end // 100) for e in episodes.geminy(row, "V", every))
    assert found == sorted(naive.geminy(kinds, "V", every, row.whole.tolist()))


def test_geminy_by_hand() -> None:
    (event,) = episodes.geminy(_row("NNVNVNVNN"), "V", 2)
    assert (event.kind, event.start, event.end, event.beats) == ("bigeminy", 200, 600, 5)
    assert episodes.geminy(_row("NVNVNNN"), "V", 2) == []
    (event,) = episodes.geminy(_row("NVNNVNNVN"), "V", 3)
    assert (event.kind, event.start, event.end, event.beats) == ("trigeminy", 100, 700, 7)


def test_rate_of_a_run_is_that_within_it() -> None:
    row = _row("NVVVN", rr=50)
    first, length = episodes.runs(row, "V")
    assert episodes.run_rate(row, first, length).tolist() == [120.0]
    assert np.isnan(episodes.run_rate(row, first, np.ones(1, np.int64))).all()


def test_pauses_are_over_two_seconds_and_seen_whole() -> None:
    r = np.array([0, 100, 300, 501, 802, 1200], np.int64)
    row = Row(r, np.full(6, ord("N"), np.uint8), np.array([True, True, True, False, True]), 100.0)
    found = episodes.pauses(row)
    assert [(event.start, event.end) for event in found] == [(300, 501), (802, 1200)]
    assert found[1].rate == pytest.approx(60 / 3.98)


def test_eight_beats_in_a_row() -> None:
    r = np.concatenate([np.arange(10) * 100, 900 + np.arange(1, 11) * 50]).astype(np.int64)
    whole = np.ones(r.size - 1, np.bool_)
    first, rates = episodes.eights(Row(r, np.full(r.size, ord("N"), np.uint8), whole, 100.0))
    assert (rates.min(), rates.max()) == (60.0, 120.0)
    assert first[0] == 0
    whole[4] = False
    first, _ = episodes.eights(Row(r, np.full(r.size, ord("N"), np.uint8), whole, 100.0))
    assert first[0] == 5


@pytest.mark.parametrize("beats", [0, 1, 2, 5])
def test_few_beats(beats: int) -> None:
    row = _row("V" * beats)
    assert episodes.eights(row)[0].size == 0
    assert episodes.geminy(row, "V", 2) == []
    assert episodes.pauses(row) == []
    assert episodes.runs(row, "V")[1].tolist() == ([beats] if beats else [])
