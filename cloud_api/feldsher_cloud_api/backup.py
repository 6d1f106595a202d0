"""Backups with PostgreSQL's own tools: base backups, the archive of its log (WAL), and restoring to a moment.

    FOLDER/base/20261123T101500Z/       one base backup as pg_basebackup makes it, verified
    FOLDER/base/20261123T101500Z.json   that it is whole, and what it needs: written last, so half a backup has none
    FOLDER/wal/000000010000000000000002.gz, 00000002.history.gz …

The server itself archives (`settings`), a timer makes base backups (`base`), and `restore` makes a data directory that
recovers to the moment wanted when a server is started on it. Nothing here needs a server except `base`.
"""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import socket
import subprocess
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from feldsher_ingest import primary
from psycopg import conninfo

from feldsher_cloud_api import db, timeline

Kind = Literal["full", "incremental"]
_BINARIES = Path("/usr/lib/postgresql")


class BackupError(Exception):
    """A backup that cannot be made, trusted or restored; the text says what to do."""


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """One base backup. `first_wal`: the segment that recovery begins with; `parent`: what it is the changes since."""

    name: str
    kind: Kind
    parent: str | None
    began_at: datetime
    ended_at: datetime
    bytes: int
    first_wal: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What verification looked at, and what is wrong: empty where all is well."""

    bases: int
    segments: int
    wrong: list[str]


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs: FELDSHER_POSTGRES_BIN, PATH, or where Debian puts them."""
    given = os.environ.get("FELDSHER_POSTGRES_BIN")
    debian = sorted(_BINARIES.glob("*/bin"), key=lambda p: int(p.parent.name) if p.parent.name.isdigit() else 0)
    places = [given] if given else [os.environ.get("PATH", os.defpath), *map(str, reversed(debian))]
    for place in places:
        found = shutil.which(name, path=place)
        if found:
            return found
    raise BackupError(f"{name} is not found; it comes with PostgreSQL 17, FELDSHER_POSTGRES_BIN names its folder")


def settings(folder: Path, archive_timeout_s: int = 60) -> str:
    """Return the lines of postgresql.conf that archive the log into a folder.

    The command is safe against half files (a segment appears whole or not at all, and on the disk), overwrites nothing,
    and takes a segment that is there already with the same content for archived, as after a crash.
    """
    there, half = f"{_quoted(folder / 'wal')}/%f.gz", f"{_quoted(folder / 'wal')}/%f.gz.half"
    command = (
        f"gzip -dc {there} 2>/dev/null | cmp -s - %p || "
        f"{{ test ! -e {there} && gzip -1 <%p >{half} && sync {half} && mv {half} {there}"
        f" && sync {_quoted(folder / 'wal')}; }}"
    )
    lines = {
        "wal_level": "replica",
        "summarize_wal": "on",
        "archive_mode": "on",
        "archive_timeout": f"{archive_timeout_s}s",
        "archive_command": command,
    }
    return "".join(f"{name} = {_setting(value)}\n" for name, value in lines.items())


def _quoted(path: Path) -> str:
    text = str(path.resolve())
    if "%" in text:
        raise BackupError(f"{text}: a folder with % in its name cannot be used, PostgreSQL takes it for a mark")
    return shlex.quote(text)


def _setting(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def listed(folder: Path) -> list[Base]:
    """Return the whole base backups of a folder, oldest first."""
    found = [msgspec.json.decode(file.read_bytes(), type=Base) for file in (folder / "base").glob("*.json")]
    return sorted(found, key=lambda base: base.ended_at)


def base(url: str, folder: Path, kind: Kind) -> Base:
    """Make a base backup, verify it, and note it in the folder and in the database. Times are the server's own."""
    before, began = listed(folder), _server_time(url)
    if kind == "incremental" and not before:
        raise BackupError("there is no backup that an incremental one could follow; make a full one first")
    name = began.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    target, half = folder / "base" / name, folder / "base" / f"{name}.half"
    if target.exists():
        raise BackupError(f"{target} is there already")
    _make_folders(folder)
    shutil.rmtree(half, ignore_errors=True)
    address, password = _apart(primary.address(url))
    command = [program("pg_basebackup"), "-d", address, "-w", "-D", str(half), "-c", "fast", "-X", "stream"]
    if kind == "incremental":
        command += ["--incremental", str(folder / "base" / before[-1].name / "backup_manifest")]
    _run(command, password)
    _run([program("pg_verifybackup"), "-q", str(half)])
    half.rename(target)  # pg_basebackup has it on the disk
    made = Base(
        name=name,
        kind=kind,
        parent=before[-1].name if kind == "incremental" else None,
        began_at=began,
        ended_at=_server_time(url),
        bytes=sum(file.lstat().st_size for file in target.rglob("*") if file.is_file()),
        first_wal=_first_segment(target),
    )
    _note(url, folder, made)
    return made


def _apart(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without its password, and the environment that has it: arguments are shown to every user."""
    words = conninfo.conninfo_to_dict(url)
    password = words.pop("password", None)
    return conninfo.make_conninfo("", **words), {} if password is None else {"PGPASSWORD": str(password)}


def _server_time(url: str) -> datetime:
    with db.connect(url) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - it is one row
    return row[0]


def _make_folders(folder: Path) -> None:
    for part in (folder, folder / "base", folder / "wal"):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)


def _first_segment(target: Path) -> str:
    """Return the segment that a backup begins with, as its label says."""
    label = (target / "backup_label").read_text()
    found = re.search(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)", label, re.MULTILINE)
    if found is None:
        raise BackupError(f"{target}/backup_label names no segment to begin with")
    return found[1]


def _note(url: str, folder: Path, made: Base) -> None:
    half = folder / "base" / f"{made.name}.json.half"
    half.write_bytes(msgspec.json.encode(made))
    _sync(half)
    half.rename(half.with_suffix(""))
    _sync(folder / "base")
    with db.connect(url) as connection:
        connection.execute(
            "INSERT INTO public.database_backup (name, kind, began_at, ended_at, bytes, place)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING",
            (made.name, made.kind, made.began_at, made.ended_at, made.bytes, f"{socket.gethostname()}:{folder}"),
        )


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _run(command: Sequence[str], more: Mapping[str, str] | None = None) -> None:
    """Run one of PostgreSQL's programs, with `more` in its environment; BackupError with its words where it fails."""
    environment = {**os.environ, **(more or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - our own words
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise BackupError(f"{Path(command[0]).name} failed (code {done.returncode}):\n{said}")


def chain(bases: Iterable[Base], last: Base) -> list[Base]:
    """Return the backups that one needs, from its full one on; BackupError names one that is missing."""
    by_name = {one.name: one for one in bases}
    needed = [last]
    while needed[0].parent is not None:
        parent = by_name.get(needed[0].parent)
        if parent is None:
            raise BackupError(f"{needed[0].name} is the changes since {needed[0].parent}, which is not there any more")
        needed.insert(0, parent)
    return needed


def verify(folder: Path) -> Verified:
    """Check every base backup file by file, and that from each the archived log leads to the newest timeline's end."""
    bases, wrong = listed(folder), list[str]()
    for one in bases:
        try:
            chain(bases, one)
            _run([program("pg_verifybackup"), "-q", str(folder / "base" / one.name)])
        except BackupError as error:
            wrong.append(f"{one.name}: {error}")
    if not bases:
        wrong.append("there is no base backup")
    segments = _segments(folder)
    if bases:
        wrong += _gaps(folder, segments, bases)
    for name in segments:
        try:
            with gzip.open(folder / "wal" / f"{name}.gz") as file:
                while file.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            wrong.append(f"wal/{name}.gz is damaged: {error}")
    return Verified(len(bases), len(segments), wrong)


def _segments(folder: Path) -> list[str]:
    """Return the names of archived segments in the order of the log, without their ending."""
    names = [file.name.removesuffix(".gz") for file in (folder / "wal").glob("*.gz")]
    return sorted(filter(timeline.SEGMENT.fullmatch, names), key=lambda name: (name[8:], name[:8]))


def _gaps(folder: Path, segments: Sequence[str], bases: Sequence[Base]) -> list[str]:
    """Return what of the log a restore to the end needs and does not find, from the backups on."""
    if not segments:
        return ["no log is archived: is archive_command set? (`feldsher-cloud backup settings`)"]
    number = timeline.newest(folder / "wal", segments)
    try:
        before = timeline.past(folder / "wal", number)
    except timeline.HistoryError as error:
        return [str(error)]
    usable, wrong = list[str](), list[str]()
    for one in bases:
        of, lsn = _end(folder / "base" / one.name / "backup_manifest", one)
        if timeline.continues(number, before, of, lsn):
            usable.append(one.first_wal)
        else:
            wrong.append(
                f"{one.name} was made on timeline {of} after timeline {number} had left it, by a server that had been"
                " replaced: no restore from it"
            )
    if usable:
        missing = timeline.missing(number, before, min(usable, key=timeline.place), set(segments))
        if missing:
            wrong.append(
                f"{len(missing)} segments of the log are missing, the first is {missing[0]}: no restore beyond it"
            )
    return wrong


class _Range(msgspec.Struct, frozen=True, rename={"timeline": "Timeline", "end": "End-LSN"}):
    timeline: int
    end: str


class _Manifest(msgspec.Struct, frozen=True, rename={"ranges": "WAL-Ranges"}):
    ranges: list[_Range]


def _end(manifest: Path, one: Base) -> tuple[int, int]:
    """Return the timeline and position at which a backup is whole; of a damaged one, where it began at the latest."""
    try:
        last = msgspec.json.decode(manifest.read_bytes(), type=_Manifest).ranges[-1]
    except (OSError, msgspec.MsgspecError, IndexError):  # pg_verifybackup has told of it
        return timeline.timeline(one.first_wal), timeline.start(one.first_wal)
    return last.timeline, timeline.position(last.end)


def restore(folder: Path, target: Path, to: datetime | None, owner: tuple[int, int] | None = None) -> Base:
    """Make a data directory that recovers to a moment (None: to the end of the archive) when a server starts on it.

    `owner`: the user and group that the server runs as. BackupError where the target holds something, or no backup is
    old enough.
    """
    if target.exists() and any(target.iterdir()):
        raise BackupError(f"{target} is not empty: move it away first, it may be all there is")
    usable = [one for one in listed(folder) if to is None or one.ended_at <= to]
    if not usable:
        raise BackupError(f"no base backup in {folder} ended before {to}" if to else f"{folder} holds no base backup")
    needed = chain(listed(folder), usable[-1])
    paths = [str(folder / "base" / one.name) for one in needed]
    if len(paths) == 1:
        shutil.copytree(paths[0], target, symlinks=True, dirs_exist_ok=True)
    else:
        _run([program("pg_combinebackup"), *paths, "-o", str(target)])
    target.chmod(0o700)
    with (target / "postgresql.auto.conf").open("a") as file:
        file.write(_recovery(folder, to))
    (target / "recovery.signal").touch()
    if owner is not None:
        for path in [target, *target.rglob("*")]:
            os.chown(path, *owner, follow_symlinks=False)
    return usable[-1]


def _recovery(folder: Path, to: datetime | None) -> str:
    lines = {
        "restore_command": f"gzip -dc {_quoted(folder / 'wal')}/%f.gz >%p",
        "recovery_target_timeline": "latest",
        "recovery_target_action": "promote",
    }
    if to is not None:
        lines["recovery_target_time"] = to.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    return "".join(f"{name} = {_setting(value)}\n" for name, value in lines.items())


def prune(folder: Path, keep: timedelta, now: datetime) -> list[str]:
    """Delete base backups that nothing younger than `keep` needs, and the log before the oldest one left.

    What it takes to restore to any moment of the last `keep` stays. Returns the names deleted.
    """
    bases = listed(folder)
    old = [one for one in bases if one.ended_at <= now - keep]
    needed = {link.name for one in [*old[-1:], *bases[len(old) :]] for link in chain(bases, one)}
    gone = [one for one in bases if one.name not in needed]
    for one in gone:
        (folder / "base" / f"{one.name}.json").unlink()  # first: half a backup is none
        shutil.rmtree(folder / "base" / one.name)
    left = [one for one in bases if one.name in needed]
    if left:
        first = min(timeline.place(one.first_wal) for one in left)
        for name in _segments(folder):
            if timeline.place(name) < first:
                (folder / "wal" / f"{name}.gz").unlink()
    return [one.name for one in gone]
