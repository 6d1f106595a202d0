"""Backups: archived whole or not at all, restored to a moment, and told what is missing."""

from __future__ import annotations

import gzip
import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
from feldsher_cloud_api import backup, db
from feldsher_cloud_api.backup import Base
from feldsher_cloud_api.cli import app
from feldsher_tools.place import Place
from feldsher_tools.postgres import Postgres
from typer.testing import CliRunner

T0 = datetime(2026, 11, 20, tzinfo=UTC)
_runner = CliRunner()


def made(number: int, parent: int | None = None, days: float = 0) -> Base:
    at = T0 + timedelta(days=days)
    return Base(
        name=f"b{number}",
        kind="full" if parent is None else "incremental",
        parent=None if parent is None else f"b{parent}",
        began_at=at,
        ended_at=at,
        bytes=1,
        first_wal=f"0000000100000000{number:08X}",
    )


def put(folder: Path, *bases: Base, segments: range = range(0)) -> None:
    (folder / "wal").mkdir(parents=True, exist_ok=True)
    for one in bases:
        (folder / "base" / one.name).mkdir(parents=True)
        (folder / "base" / f"{one.name}.json").write_bytes(msgspec.json.encode(one))
    for number in segments:
        (folder / "wal" / f"0000000100000000{number:08X}.gz").write_bytes(gzip.compress(b"log"))


def archive(folder: Path, segment: Path) -> int:
    """Run the archive command as the server does."""
    line = next(line for line in backup.settings(folder).splitlines() if line.startswith("archive_command"))
    command = line.split(" = ", 1)[1][1:-1].replace("''", "'")
    words = ["sh", "-c", command.replace("%p", str(segment)).replace("%f", segment.name)]
    return subprocess.run(words, check=False).returncode


def test_a_segment_is_archived_once_and_never_overwritten(tmp_path: Path) -> None:
    folder, segment = tmp_path / "it's here", tmp_path / "000000010000000000000001"
    (folder / "wal").mkdir(parents=True)
    segment.write_bytes(os.urandom(100_000))
    target = folder / "wal" / f"{segment.name}.gz"
    target.with_name(f"{target.name}.half").write_bytes(b"cut off by a crash")
    assert archive(folder, segment) == 0
    assert gzip.decompress(target.read_bytes()) == segment.read_bytes()
    assert list((folder / "wal").iterdir()) == [target]
    assert archive(folder, segment) == 0  # asked again after a crash
    segment.write_bytes(b"another server's")
    assert archive(folder, segment) != 0
    assert gzip.decompress(target.read_bytes()) != segment.read_bytes()


def test_an_archive_that_is_away_is_an_error(tmp_path: Path) -> None:
    segment = tmp_path / "000000010000000000000001"
    segment.write_bytes(b"log")
    assert archive(tmp_path / "not mounted", segment) != 0


def test_a_folder_that_postgresql_would_misread_is_refused(tmp_path: Path) -> None:
    with pytest.raises(backup.BackupError, match="with %"):
        backup.settings(tmp_path / "100%")


def test_an_incremental_backup_needs_all_before_it() -> None:
    bases = [made(1), made(2, 1), made(3, 2)]
    assert backup.chain(bases, bases[2]) == bases
    with pytest.raises(backup.BackupError, match="b2 is the changes since b1"):
        backup.chain(bases[1:], bases[2])


def test_prune_keeps_what_a_restore_to_any_moment_needs(tmp_path: Path) -> None:
    bases = [made(1, days=0), made(2, 1, days=1), made(3, days=5), made(4, 3, days=6), made(5, days=9)]
    put(tmp_path, *bases, segments=range(1, 8))
    assert backup.prune(tmp_path, timedelta(days=14), T0 + timedelta(days=10)) == []
    # to go back two days, the backup of the sixth day is needed, and with it that of the fifth
    assert backup.prune(tmp_path, timedelta(days=2), T0 + timedelta(days=10)) == ["b1", "b2"]
    assert [one.name for one in backup.listed(tmp_path)] == ["b3", "b4", "b5"]
    assert sorted(f.name[-4:-3] for f in (tmp_path / "wal").iterdir()) == ["3", "4", "5", "6", "7"]


def test_a_restore_destroys_nothing_and_needs_a_backup_from_before(tmp_path: Path) -> None:
    put(tmp_path, made(1))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").touch()
    with pytest.raises(backup.BackupError, match="not empty"):
        backup.restore(tmp_path, tmp_path / "data", None)
    with pytest.raises(backup.BackupError, match=r"no base backup .* ended before"):
        backup.restore(tmp_path, tmp_path / "new", T0 - timedelta(hours=1))
    with pytest.raises(backup.BackupError, match="holds no base backup"):
        backup.restore(tmp_path / "empty", tmp_path / "new", None)


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FELDSHER_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(backup.BackupError, match="pg_basebackup is not found"):
        backup.program("pg_basebackup")


@pytest.fixture
def folder(place: Place, server_directory: Path) -> Iterator[Path]:
    made_here = server_directory / "backup"
    place.make_directory(made_here)
    place.make_directory(made_here / "wal")
    yield made_here
    shutil.rmtree(made_here)


@pytest.fixture
def archiving(place: Place, server_directory: Path, folder: Path) -> Iterator[Postgres]:
    lines = (line.split(" = ", 1) for line in backup.settings(folder, 1).splitlines())
    settings = {name: value[1:-1].replace("''", "'") for name, value in lines}
    name = f"archiving-{os.getpid()}"
    with Postgres(place, server_directory / name, name=name, settings=settings) as server:
        yield server
    shutil.rmtree(server.directory)


def _run(*words: str, code: int = 0) -> list[dict[str, object]]:
    done = _runner.invoke(app, ["backup", *words])
    assert done.exit_code == code, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def _write(url: str, number: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("insert into kept values (%s)", [number])


def _archived(url: str) -> None:
    """Have the log archived to here, and wait until it is."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("select pg_walfile_name(pg_switch_wal())").fetchone()
        assert row is not None
        for _ in range(9000):
            found = connection.execute("select last_archived_wal >= %s from pg_stat_archiver", row).fetchone()
            if found == (True,):
                return
            time.sleep(0.02)
    raise AssertionError("the log is not archived")


@pytest.fixture
def environment(archiving: Postgres, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    monkeypatch.setenv("FELDSHER_POSTGRES_BIN", str(Path(archiving.place.program("postgres")).parent))
    monkeypatch.setenv("FELDSHER_BACKUP", str(folder))
    url = archiving.create_database("kept")
    db.migrate(url)
    monkeypatch.setenv("FELDSHER_DATABASE_URL", url)
    with psycopg.connect(url) as connection:
        connection.execute("create table kept (n int)")
    return lambda: url


def test_a_database_is_restored_to_a_moment(archiving: Postgres, environment: Callable[[], str], folder: Path) -> None:
    url = environment()
    _write(url, 1)
    (full,) = _run("base")
    _write(url, 2)
    (incremental,) = _run("base", "--incremental")
    assert incremental["parent"] == full["name"]
    _write(url, 3)
    with psycopg.connect(url) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        assert connection.execute("select count(*) from database_backup").fetchone() == (2,)
    _write(url, 4)  # by whoever made the restore necessary
    _archived(url)
    (verified,) = _run("verify")
    assert (verified["bases"], verified["wrong"]) == (2, [])
    archiving.stop()
    shutil.rmtree(archiving.data)
    to = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    owner = ["--owner", pwd.getpwuid(archiving.place.uid).pw_name] if os.geteuid() == 0 else []
    (told,) = _run("restore", "--data", str(archiving.data), "--to", to, *owner)
    assert told["base"] == incremental["name"]
    archiving.start()
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(9000):
            if connection.execute("select not pg_is_in_recovery()").fetchone() == (True,):
                break
            time.sleep(0.02)
        assert connection.execute("select array_agg(n order by n) from kept").fetchone() == ([1, 2, 3],)
        connection.execute("insert into kept values (5)")


def test_what_is_wrong_with_backups_is_told(environment: Callable[[], str], folder: Path) -> None:
    (one,) = _run("base")
    assert _run("list") == [one]
    for _ in range(3):
        _write(environment(), 1)
        _archived(environment())
    segments = sorted((folder / "wal").glob("*[0-9A-F].gz"))
    segments[-2].rename(folder / "taken away")
    segments[-1].write_bytes(segments[-1].read_bytes()[:-20])
    (folder / "base" / str(one["name"]) / "global" / "pg_control").write_bytes(b"damaged")
    (told,) = _run("verify", code=1)
    wrong = str(told["wrong"])
    assert "pg_control" in wrong
    assert f"1 segments of the log are missing, the first is {segments[-2].name.removesuffix('.gz')}" in wrong
    assert f"{segments[-1].name} is damaged" in wrong


def test_after_a_promotion_the_new_timeline_must_be_whole(
    archiving: Postgres, environment: Callable[[], str], folder: Path
) -> None:
    """Archived segments of a server that was replaced fill no gap, and its backups are no way to the end."""
    url = environment()
    (before,) = _run("base")
    _write(url, 1)
    _archived(url)
    archiving.stop()
    (archiving.data / "standby.signal").touch(mode=0o600)
    if os.geteuid() == 0:
        os.chown(archiving.data / "standby.signal", archiving.place.uid, -1)
    archiving.start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_promote()")
        assert connection.execute("select timeline_id from pg_control_checkpoint()").fetchone() is not None
    _write(url, 2)
    _archived(url)
    _write(url, 3)
    _archived(url)
    (verified,) = _run("verify")
    assert verified["wrong"] == []
    ours = sorted((folder / "wal").glob("00000002????????????????.gz"))
    assert len(ours) >= 2
    old_server = ours[0].with_name(ours[0].name.replace("00000002", "00000001", 1))
    shutil.copy(ours[0], old_server)
    ours[0].unlink()
    (verified,) = _run("verify", code=1)
    assert verified["wrong"] == [
        f"1 segments of the log are missing, the first is {ours[0].name.removesuffix('.gz')}: no restore beyond it"
    ]
    history = folder / "wal" / "00000002.history.gz"
    text = gzip.decompress(history.read_bytes()).decode()
    history.write_bytes(gzip.compress(text.replace("\t0/", "\t0/1 was ", 1).encode()))
    (verified,) = _run("verify", code=1)
    assert f"{before['name']} was made on timeline 1 after timeline 2 had left it" in str(verified["wrong"])
    history.unlink()
    (verified,) = _run("verify", code=1)
    assert "00000002.history.gz is missing" in str(verified["wrong"])


def test_a_password_is_no_argument(
    environment: Callable[[], str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of a machine sees the arguments of all its programs."""
    real, asked = Path(os.environ["FELDSHER_POSTGRES_BIN"]), tmp_path / "asked"
    for name in ("pg_basebackup", "pg_verifybackup"):
        (tmp_path / name).write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD" "$@" >>{asked}\nexec {real / name} "$@"\n'
        )
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("FELDSHER_POSTGRES_BIN", str(tmp_path))
    monkeypatch.setenv("FELDSHER_DATABASE_URL", environment().replace("postgres@", "postgres:se%20cret@"))
    _run("base")
    words = asked.read_text().splitlines()
    assert words[0] == "se cret"
    assert [word for word in words[1:] if "cret" in word] == []
    assert any("user=postgres" in word for word in words)
