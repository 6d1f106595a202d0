"""The archive: what is put is found, sealed; damage, another key and absence are told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from feldsher_ingest.archive import Archive, ArchiveError, Folder, configured


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FELDSHER_STATE", str(tmp_path))
    monkeypatch.delenv("FELDSHER_ARCHIVE", raising=False)
    return tmp_path


def test_what_is_put_is_found_sealed_under_its_hash(state: Path) -> None:
    archive = configured(make=True)
    digest = archive.put(b"samples")
    assert digest == hashlib.sha256(b"samples").digest()
    assert archive.get(digest) == b"samples"
    assert archive.put(b"samples") == digest
    (file,) = [p for p in (state / "archive").rglob("*") if p.is_file()]
    assert file.name == digest.hex()
    assert b"samples" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (state / "secrets" / "archive.key").stat().st_mode & 0o777 == 0o600


def test_a_second_program_uses_the_same_key(state: Path) -> None:
    with pytest.raises(ArchiveError, match="key is not here"):
        configured()  # a reader makes none: it could open nothing with it
    digest = configured(make=True).put(b"samples")
    assert configured().get(digest) == b"samples"
    (state / "secrets" / "archive.key").write_bytes(b"short")
    with pytest.raises(ArchiveError, match=r"archive\.key: 5 bytes"):
        configured()


def test_damage_another_key_another_name_and_absence_are_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a")
    archive = Archive(folder, bytes(32))
    digest = archive.put(b"samples")
    with pytest.raises(ArchiveError, match="no entry"):
        archive.get(bytes(32))
    with pytest.raises(ArchiveError, match="another key"):
        Archive(folder, bytes(31) + b"x").get(digest)
    sealed = folder.get(digest.hex())
    folder.put(bytes(32).hex(), sealed)
    with pytest.raises(ArchiveError, match="damaged"):
        archive.get(bytes(32))
    for at in (0, 25, len(sealed) - 1):
        folder.put(digest.hex(), sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
        with pytest.raises(ArchiveError, match="damaged"):
            archive.get(digest)
