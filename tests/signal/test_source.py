"""Bounds of reading: what is no plain file, too long, or claims what nothing can hold."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from feldsher_signal.formats import FormatError, load, source


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(FormatError, match="file: "):
            load(path)
    with pytest.raises(FormatError, match="embedded null byte"):
        load("a\0b")


def test_too_long(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(11))
    assert source.whole(path, 11) == bytes(11)
    with pytest.raises(FormatError, match="byte 10: the file has 11 bytes; at most 10 are read"):
        source.whole(path, 10)
    assert source.start(path, 4) == (bytes(4), 11)


@pytest.mark.parametrize("fs", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_no_rate(fs: float) -> None:
    with pytest.raises(FormatError, match=r"x: fs: .* is not a sampling rate"):
        source.checked_fs(Path("x"), "fs", fs)


@pytest.mark.parametrize(("leads", "n"), [(0, 1), (257, 1), (1, 0), (12, 1 << 26), (1, -1)])
def test_no_size(leads: int, n: int) -> None:
    with pytest.raises(FormatError, match="x: size: "):
        source.checked_size(Path("x"), "size", leads, n)


def test_a_day_of_twelve_leads_fits() -> None:
    source.checked_size(Path("x"), "size", 12, 24 * 3600 * 250)


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf"), 1e99, 1e-99])
def test_no_scale(scale: float) -> None:
    with pytest.raises(FormatError, match="is no resolution"):
        source.checked_scale(Path("x"), "scale", scale)


def test_memory_is_that_of_the_file_not_of_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(1000))
    tracemalloc.start()
    source.whole(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6
