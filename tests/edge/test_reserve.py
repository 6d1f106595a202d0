"""Space put by for a full disk; what it is for is in test_disk.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from feldsher_edge.reserve import Reserve


def test_the_space_is_really_taken_and_given_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "r", 300_000)
    assert reserve.fill() == 300_000
    assert (tmp_path / "r").stat().st_blocks * 512 >= 300_000
    assert (tmp_path / "r").stat().st_mode & 0o077 == 0
    assert reserve.fill() == 300_000
    reserve.release()
    assert list(tmp_path.iterdir()) == []
    reserve.release()


def test_where_less_is_left_it_takes_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(handle: int, _offset: int, size: int) -> None:
        if size > 200_000:
            raise OSError(28, "No space left on device")
        os.ftruncate(handle, size)

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    assert 150_000 < Reserve(tmp_path / "r", 1_000_000).fill() <= 200_000


def test_where_nothing_is_left_it_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(_handle: int, _offset: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    assert Reserve(tmp_path / "r", 1_000_000).fill() == 0
    assert list(tmp_path.iterdir()) == []
