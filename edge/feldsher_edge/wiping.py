"""Forgetting: what a gateway gives back when it is returned or goes to other people. Nothing on it may outlive that.

Wanted by the cloud, it waits until what was measured has reached the cloud; a technician at the gateway may force it.
The wish is kept on the disk, so that a restart does not forget to forget.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from uuid import UUID

import msgspec
import structlog

from feldsher_edge.files import sync_directory, write_file

_log = structlog.get_logger("wiping")
_FILE = "wipe.json"


class Wanted(msgspec.Struct, frozen=True):
    """The wish to wipe; `force`: also what the cloud has not received; `task`: the cloud's command, to be answered."""

    force: bool = False
    task: UUID | None = None


def want(state: Path, *, force: bool = False, task: UUID | None = None) -> None:
    """Remember that the gateway is to be wiped; a wish to force is never taken back by a later one without."""
    before = wanted(state) or Wanted()
    write_file(state / _FILE, msgspec.json.encode(Wanted(force or before.force, task or before.task)))


def wanted(state: Path) -> Wanted | None:
    """Return the wish to wipe, None where there is none."""
    try:
        return msgspec.json.decode((state / _FILE).read_bytes(), type=Wanted)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        return Wanted()


def wipe(state: Path) -> list[str]:
    """Forget everything in a state directory whose program has ended, and return the names of what was there.

    Files are overwritten once before they go, keys first. On flash memory the old blocks may survive inside the chip:
    what protects there is that the cloud has revoked the certificate, and that no patient's name was ever stored.
    """
    entries = sorted(state.iterdir(), key=lambda entry: (not entry.name.startswith("identity"), entry.name))
    for entry in entries:
        if entry.name == _FILE:
            continue  # the wish goes last: interrupted, the next start goes on
        for path in [entry] if entry.is_file() else [p for p in entry.rglob("*") if p.is_file()]:
            _overwrite(path)
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    sync_directory(state)
    (state / _FILE).unlink(missing_ok=True)
    sync_directory(state)
    names = [entry.name for entry in entries if entry.name != _FILE]
    _log.info("wiped", entries=len(names))
    return names


def _overwrite(path: Path) -> None:
    if path.is_symlink():
        return
    with path.open("r+b") as file:
        left = path.stat().st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
        file.flush()
        os.fsync(file.fileno())
