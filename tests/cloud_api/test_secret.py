"""Secrets: private, whole, and made once."""

from __future__ import annotations

import threading
from pathlib import Path

from feldsher_cloud_api.secret import keep_secret, write_secret


def test_written_secret_is_private_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    write_secret(path, b"one")
    write_secret(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_of_many_makers_one_wins(tmp_path: Path) -> None:
    path, found = tmp_path / "key", list[bytes]()
    gate = threading.Barrier(8)

    def make(number: int) -> None:
        gate.wait()
        found.append(keep_secret(path, lambda: str(number).encode()))

    threads = [threading.Thread(target=make, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {path.read_bytes()}
    assert list(tmp_path.iterdir()) == [path]
