"""Small files: whole or not at all, and never through what somebody else has laid in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_edge import files


def test_the_old_bytes_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.json"
    files.write_file(path, b"old")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"old", 0o600)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["page.json"]


def test_a_link_that_waits_where_the_bytes_go_first_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "shadow"
    victim.write_bytes(b"root's own")

    def guessed(size: int) -> str:
        del size
        return "guessed"

    monkeypatch.setattr(files.secrets, "token_hex", guessed)
    (tmp_path / ".page.json.guessed.new").symlink_to(victim)
    with pytest.raises(FileExistsError):
        files.write_file(tmp_path / "page.json", b"bytes")
    assert victim.read_bytes() == b"root's own"
