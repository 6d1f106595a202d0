"""Samples of old recordings lie in the archive, sealed by one key, and are read as if they were in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest import read
from feldsher_ingest.archive import ArchiveError
from feldsher_ingest.check import check
from feldsher_ingest.retention import decide
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_ingest.tier import Tier, sealed_with
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
        connection.execute("truncate retention_policy, archive_seal")
        yield connection
        connection.execute("reset role")
        connection.execute("truncate retention_policy, archive_seal")


def old_recordings(store_url: str, owner: Owner, count: int, seed: int = 1) -> list[wire.EcgRecording]:
    made = SimulatedGateway("gw-a", seed)
    sent = [made.recording(leads=2, seconds=1) for _ in range(count)]
    with Store(store_url, "test") as store:
        store.save([check(wire.up_topic("gw-a", "ecg"), wire.encode(m)) for m in sent])
    owner.execute("update ecg_recording set received_at = now() - interval '400 days'")
    decide(owner, "tier", 365, "anybody")
    return sent


def move(owner: Owner, at_once: int = 50) -> int:
    """Do the chore until nothing is left; return how many recordings were moved."""
    tier = Tier(at_once)
    while tier(owner):
        pass
    return tier.moved


def machine(monkeypatch: pytest.MonkeyPatch, state: Path, shared: Path) -> Path:
    """Be a machine with secrets of its own and an archive that all share; return the file of its key."""
    monkeypatch.setenv("FELDSHER_STATE", str(state))
    monkeypatch.setenv("FELDSHER_ARCHIVE", str(shared))
    return state / "secrets" / "archive.key"


def test_old_recordings_move_and_readers_follow(store_url: str, owner: Owner, rows: Rows) -> None:
    sent = old_recordings(store_url, owner, 5)
    owner.execute("update ecg_recording set received_at = now() where id = %s", [sent[4].env.id])
    before = [read.recording(owner, m.env.id) for m in sent]
    owner.execute("set role feldsher_ingest")
    assert move(owner, 2) == 4
    owner.execute("reset role")
    assert rows("select count(*), count(samples), count(archived) from ecg_recording") == [(5, 1, 4)]
    for was, message in zip(before, sent, strict=True):
        now = read.recording(owner, message.env.id)
        assert was is not None
        assert now is not None
        assert np.array_equal(now.recording.samples, was.recording.samples)
        assert now.sha256 == was.sha256
    assert move(owner) == 0, "once a day"
    with Store(store_url, "test") as store:
        states = store.save([check(wire.up_topic("gw-a", "ecg"), wire.encode(m)) for m in sent])[0].states
    assert states == ["duplicate"] * 5


def test_damaged_samples_stay_where_they_are(store_url: str, owner: Owner, rows: Rows) -> None:
    sent = old_recordings(store_url, owner, 3)
    owner.execute("update ecg_recording set sha256 = sha256('other') where id = %s", [sent[0].env.id])
    owner.execute("update ecg_recording set samples = 'nonsense' where id = %s", [sent[1].env.id])
    assert move(owner) == 1
    assert rows("select count(samples) from ecg_recording") == [(2,)]


def test_an_entry_that_is_gone_is_damage_and_named(store_url: str, owner: Owner, state: Path) -> None:
    (sent,) = old_recordings(store_url, owner, 1)
    move(owner)
    (file,) = [p for p in (state / "archive").rglob("*") if len(p.name) == 64]
    file.unlink()
    with pytest.raises(read.DamagedError, match=f"{sent.env.id}: the archive has no entry"):
        read.recording(owner, sent.env.id)


def test_without_a_policy_all_stays(store_url: str, owner: Owner, rows: Rows) -> None:
    old_recordings(store_url, owner, 2)
    decide(owner, "tier", None, "anybody")
    assert move(owner) == 0
    assert rows("select count(samples) from ecg_recording") == [(2,)]


def test_no_recording_is_nowhere(store_url: str, owner: Owner) -> None:
    old_recordings(store_url, owner, 1)
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute("update ecg_recording set samples = null")


def test_a_few_at_a_time_and_the_damaged_hold_up_nobody(store_url: str, owner: Owner, rows: Rows) -> None:
    sent = old_recordings(store_url, owner, 7)
    for damaged in sent[:3]:
        owner.execute("update ecg_recording set samples = 'nonsense' where id = %s", [damaged.env.id])
    tier = Tier(at_once=3)
    looked = [tier(owner) for _ in range(4)]
    assert looked == [3, 3, 1, 0]
    assert tier.moved == 4
    assert rows("select count(samples) from ecg_recording") == [(3,)]


def test_all_machines_seal_with_one_key(
    store_url: str, owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    sent = old_recordings(store_url, owner, 2)
    owner.execute("update ecg_recording set received_at = now() where id = %s", [sent[1].env.id])
    key = machine(monkeypatch, tmp_path / "a", tmp_path / "shared")
    assert sealed_with(owner) is None
    assert move(owner) == 1
    owner.execute("update retention_policy set ran_at = null")
    owner.execute("update ecg_recording set received_at = now() - interval '400 days'")
    copied = machine(monkeypatch, tmp_path / "b", tmp_path / "shared")
    with pytest.raises(ArchiveError, match=r"key is not here: .* sealed with the key .* copy"):
        move(owner)
    assert not copied.exists(), "a key of its own would be the beginning of a second archive"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(bytes(32))
    with pytest.raises(ArchiveError, match=r"archive\.key is another key \(66687aadf862\)"):
        move(owner)
    copied.write_bytes(key.read_bytes())
    assert move(owner) == 1
    assert rows("select count(samples) from ecg_recording") == [(0,)]
    machine(monkeypatch, tmp_path / "a", tmp_path / "shared")
    assert all(read.recording(owner, m.env.id) is not None for m in sent)


def test_a_folder_that_is_not_the_archive_gets_nothing(
    store_url: str, owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    """The shared folder is not mounted, or FELDSHER_ARCHIVE was forgotten on one machine."""
    old_recordings(store_url, owner, 1)
    machine(monkeypatch, tmp_path / "a", tmp_path / "shared")
    assert move(owner) == 1
    old_recordings(store_url, owner, 1, seed=2)
    machine(monkeypatch, tmp_path / "a", tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match=r"elsewhere is not the archive of this database.*mounted"):
        move(owner)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("forgotten", ["archive", "database"])
def test_no_second_key_where_there_are_entries(
    store_url: str, owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """Archives of before the key was noted, and databases that were made anew beside an archive."""
    old_recordings(store_url, owner, 1)
    machine(monkeypatch, tmp_path / "a", tmp_path / "shared")
    assert move(owner) == 1
    owner.execute("truncate archive_seal")
    if forgotten == "archive":
        (tmp_path / "shared" / "ke" / "y." / "key.sha256").unlink()
    else:
        owner.execute("delete from ecg_recording")
    old_recordings(store_url, owner, 1, seed=2)
    key = machine(monkeypatch, tmp_path / "b", tmp_path / "shared")
    with pytest.raises(ArchiveError, match="key is not here"):
        move(owner)
    assert not key.exists()
    machine(monkeypatch, tmp_path / "a", tmp_path / "shared")
    assert move(owner) == 1, "the machine that has the key goes on"
