"""Samples of old recordings lie in the archive, sealed, and are read as if they were in the database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest import read
from feldsher_ingest.archive import Archive, ArchiveError, Folder, configured, opened, tier
from feldsher_ingest.check import check
from feldsher_ingest.retention import decide
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Store
from psycopg.rows import TupleRow

Rows = Callable[[str], list[tuple[Any, ...]]]
Owner = psycopg.Connection[TupleRow]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FELDSHER_STATE", str(tmp_path))
    monkeypatch.delenv("FELDSHER_ARCHIVE", raising=False)
    return tmp_path


@pytest.fixture
def owner(store_url: str) -> Iterator[Owner]:
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute("truncate retention_policy")
        yield connection
        connection.execute("reset role")
        connection.execute("truncate retention_policy")


def old_recordings(store_url: str, owner: Owner, count: int) -> list[wire.EcgRecording]:
    made = SimulatedGateway("gw-a", 1)
    sent = [made.recording(leads=2, seconds=1) for _ in range(count)]
    with Store(store_url, "test") as store:
        store.save([check(wire.up_topic("gw-a", "ecg"), wire.encode(m)) for m in sent])
    owner.execute("update ecg_recording set received_at = now() - interval '400 days'")
    decide(owner, "tier", 365, "anybody")
    return sent


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
    opened.cache_clear()
    assert configured().get(digest) == b"samples"
    (state / "secrets" / "archive.key").write_bytes(b"short")
    opened.cache_clear()
    with pytest.raises(ArchiveError, match=r"archive\.key: 5 bytes"):
        configured()
    opened.cache_clear()


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


def test_old_recordings_move_and_readers_follow(store_url: str, owner: Owner, rows: Rows) -> None:
    sent = old_recordings(store_url, owner, 5)
    owner.execute("update ecg_recording set received_at = now() where id = %s", [sent[4].env.id])
    before = [read.recording(owner, m.env.id) for m in sent]
    owner.execute("set role feldsher_ingest")
    assert tier(owner, limit=2) == 4
    owner.execute("reset role")
    assert rows("select count(*), count(samples), count(archived) from ecg_recording") == [(5, 1, 4)]
    for was, message in zip(before, sent, strict=True):
        now = read.recording(owner, message.env.id)
        assert was is not None
        assert now is not None
        assert np.array_equal(now.recording.samples, was.recording.samples)
        assert now.sha256 == was.sha256
    assert tier(owner) == 0, "once a day"
    with Store(store_url, "test") as store:
        states = store.save([check(wire.up_topic("gw-a", "ecg"), wire.encode(m)) for m in sent])[0].states
    assert states == ["duplicate"] * 5


def test_damaged_samples_stay_where_they_are(store_url: str, owner: Owner, rows: Rows) -> None:
    sent = old_recordings(store_url, owner, 3)
    owner.execute("update ecg_recording set sha256 = sha256('other') where id = %s", [sent[0].env.id])
    owner.execute("update ecg_recording set samples = 'nonsense' where id = %s", [sent[1].env.id])
    assert tier(owner) == 1
    assert rows("select count(samples) from ecg_recording") == [(2,)]


def test_an_entry_that_is_gone_is_damage_and_named(store_url: str, owner: Owner, state: Path) -> None:
    (sent,) = old_recordings(store_url, owner, 1)
    tier(owner)
    (file,) = [p for p in (state / "archive").rglob("*") if p.is_file()]
    file.unlink()
    with pytest.raises(read.DamagedError, match=f"{sent.env.id}: the archive has no entry"):
        read.recording(owner, sent.env.id)


def test_without_a_policy_all_stays(store_url: str, owner: Owner, rows: Rows) -> None:
    old_recordings(store_url, owner, 2)
    decide(owner, "tier", None, "anybody")
    assert tier(owner) == 0
    assert rows("select count(samples) from ecg_recording") == [(2,)]


def test_no_recording_is_nowhere(store_url: str, owner: Owner) -> None:
    old_recordings(store_url, owner, 1)
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute("update ecg_recording set samples = null")
