"""Timelines: which segments a restore to the newest one's end needs, and from which backups it goes on."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from feldsher_cloud_api import timeline

HISTORY = "1\t0/3000108\tno recovery target specified\n\n2\t1/2000000\tbefore 2026-11-23 10:00:00+00\n"
BEFORE = [(1, 0x3000108), (2, 0x102000000)]


def put_history(folder: Path, number: int, text: str) -> None:
    (folder / f"{number:08X}.history.gz").write_bytes(gzip.compress(text.encode()))


def test_a_history_is_read(tmp_path: Path) -> None:
    put_history(tmp_path, 3, HISTORY)
    assert timeline.past(tmp_path, 3) == BEFORE
    assert timeline.past(tmp_path, 1) == []
    assert timeline.newest(tmp_path, ["000000020000000000000003"]) == 3
    assert timeline.newest(tmp_path, ["0000000A0000000000000003"]) == 10


def test_a_history_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(timeline.HistoryError, match=r"wal/00000003\.history\.gz is missing"):
        timeline.past(tmp_path, 3)
    put_history(tmp_path, 3, "")
    with pytest.raises(timeline.HistoryError, match="damaged: it names no timeline"):
        timeline.past(tmp_path, 3)
    (tmp_path / "00000003.history.gz").write_bytes(gzip.compress(HISTORY.encode())[:-9])
    with pytest.raises(timeline.HistoryError, match="damaged"):
        timeline.past(tmp_path, 3)


def test_of_each_place_the_timeline_in_force_there_is_needed() -> None:
    # left amid segment 3: the next timeline's segment 3 has both halves; left at a border: the next begins there
    needed = [timeline.in_force(3, BEFORE, at) for at in (1, 2, 3, 4, 257, 258, 259)]
    assert needed == [1, 1, 2, 2, 2, 3, 3]


def test_a_segment_of_the_replaced_server_fills_no_gap() -> None:
    there = {f"00000001000000000000000{n}" for n in range(1, 8)} | {f"00000002000000000000000{n}" for n in (3, 5)}
    before = [(1, 0x3000108)]
    assert timeline.missing(2, before, "000000010000000000000001", there) == ["000000020000000000000004"]
    assert timeline.missing(2, before, "000000020000000000000005", there) == []
    assert timeline.missing(1, [], "000000010000000000000001", there) == []
    # nothing of the new timeline is archived yet: it needs at least where it began
    assert timeline.missing(3, [*before, (2, 0x5000000)], "000000020000000000000003", there) == [
        "000000020000000000000004",
        "000000030000000000000005",
    ]


def test_what_was_written_after_a_timeline_was_left_is_not_continued() -> None:
    before = [(1, 0x3000108)]
    assert timeline.continues(2, before, 1, 0x3000108)
    assert not timeline.continues(2, before, 1, 0x3000109)
    assert timeline.continues(2, before, 2, 0x9000000)
    assert not timeline.continues(3, [(2, 0x5000000)], 1, 0x1000000), "not of its past at all"
