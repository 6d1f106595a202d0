"""The gateway's software in two slots: one runs, the other takes the update; a link says which, `launch.sh` follows it.

An update is first on trial: it is kept when the health check says so. Where it is not healthy, or does not even start
three times, the slot before it is in force again. Sequence numbers only grow: what was kept once forbids older ones.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec
import structlog
from feldsher_ehr_core import signed, wire

from feldsher_edge.files import sync_directory, write_file

_log = structlog.get_logger("slots")
NAMES = ("a", "b")
FACTORY = "-"
"""Stands for the environment of the installation, which is in force where no slot is."""


class Last(msgspec.Struct, frozen=True):
    """The newest update that was received, and what became of it; `task`: the command that brought it."""

    sequence: int = 0
    state: wire.ReportedState = "none"
    detail: str | None = None
    task: UUID | None = None


class Record(msgspec.Struct, frozen=True):
    """What is known of a slot's content: the manifest that was believed."""

    version: str
    sequence: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots below `root`: folders a and b, the link `current`, the files `trial`, `floor.json`, `last.json`."""

    root: Path

    def current(self) -> str:
        """Return the name of the slot in force, FACTORY where there is none."""
        try:
            name = (self.root / "current").readlink().name
        except OSError:
            return FACTORY
        return name if name in NAMES and (self.root / name).is_dir() else FACTORY

    def spare(self) -> Path:
        """Return the folder of the slot that is not in force."""
        return self.root / ("b" if self.current() == "a" else "a")

    def record(self, name: str) -> Record | None:
        """Return what is in a slot, None where it holds nothing that was completed."""
        try:
            return msgspec.json.decode((self.root / name / "record.json").read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError):
            return None

    @property
    def sequence(self) -> int:
        """The sequence of the update in force, 0 for the factory's."""
        record = self.record(self.current())
        return 0 if record is None else record.sequence

    def floor(self) -> int:
        """Return the highest sequence that was ever kept: nothing at or below it is installed again."""
        return max(self.sequence, self._floor().sequence)

    def keys(self, pinned: tuple[str, ...]) -> tuple[str, ...]:
        """Return the release keys that are trusted: those of the claim, until an update that was kept names others."""
        return self._floor().keys or pinned

    def empty_spare(self) -> Path:
        """Return the spare slot's folder, empty."""
        folder = self.spare()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o755)
        return folder

    def try_out(self, manifest: signed.Manifest) -> None:
        """Put the spare slot in force, on trial; the program is then to be started anew."""
        old, new = self.current(), self.spare().name
        record = Record(manifest.version, manifest.sequence, manifest.keys)
        write_file(self.root / new / "record.json", msgspec.json.encode(record))
        self.note(manifest.sequence, "working", "on trial")
        write_file(self.root / "trial", f"{new} {old} 0\n".encode())
        self._point(new)

    def trial(self) -> Record | None:
        """Return the update that runs on trial, None where none does."""
        parts = self._trial_line()
        return self.record(parts[0]) if parts and parts[0] == self.current() else None

    def keep(self) -> None:
        """Keep the update on trial: the gateway is well with it."""
        record = self.trial()
        if record is None:
            return
        floor = self._floor()
        kept = Record(record.version, max(record.sequence, floor.sequence), record.keys or floor.keys)
        write_file(self.root / "floor.json", msgspec.json.encode(kept))
        self.note(record.sequence, "applied", None)
        (self.root / "trial").unlink(missing_ok=True)
        sync_directory(self.root)

    def roll_back(self, why: str) -> None:
        """Put the slot before in force; the program is then to be started anew."""
        parts, record = self._trial_line(), self.trial()
        if record is None:
            return
        self.note(record.sequence, "rolled-back", why)
        self._point(parts[1])
        (self.root / "trial").unlink(missing_ok=True)
        sync_directory(self.root)
        _log.error("update rolled back", version=record.version, why=why)

    def settle(self) -> Last:
        """Return how the newest update stands; where the launcher went back from it, that is noted first."""
        last = self.last()
        if last.state == "working" and last.detail == "on trial" and self.trial() is None:
            self.note(last.sequence, "rolled-back", "it did not stay up, three times")
            (self.root / "trial").unlink(missing_ok=True)
        return self.last()

    def note(self, sequence: int, state: wire.ReportedState, detail: str | None) -> None:
        """Remember what became of an update."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_file(self.root / "last.json", msgspec.json.encode(Last(sequence, state, detail, self.last().task)))

    def begin(self, task: UUID, sequence: int) -> None:
        """Remember which command is being carried out, so that its repeat is known also after a restart."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_file(self.root / "last.json", msgspec.json.encode(Last(sequence, "working", "begins", task)))

    def answer(self, task: UUID, sequence: int) -> Last | None:
        """Return how an update stands that is asked for again; None where it is to be carried out (again).

        Again: where a restart interrupted it, and where another command asks for what has failed before.
        """
        last = self.settle()
        if last.sequence != sequence:
            return None
        if self.trial() is not None or last.state == "applied":
            return last
        return last if last.task == task and last.state not in ("none", "working") else None

    def last(self) -> Last:
        """Return what is remembered of the newest update."""
        try:
            return msgspec.json.decode((self.root / "last.json").read_bytes(), type=Last)
        except (OSError, msgspec.DecodeError):
            return Last()

    def _floor(self) -> Record:
        try:
            return msgspec.json.decode((self.root / "floor.json").read_bytes(), type=Record)
        except FileNotFoundError:
            return Record("", 0)
        except (OSError, msgspec.DecodeError) as error:
            # Without it an old update could come back, so none is installed until a person has looked.
            _log.error("the record of kept updates cannot be read; none is installed", error=str(error))
            return Record("", 2**31 - 1)

    def _trial_line(self) -> list[str]:
        try:
            parts = (self.root / "trial").read_text().split()
        except (OSError, UnicodeDecodeError):
            return []
        return parts if len(parts) == 3 and parts[0] in NAMES else []

    def _point(self, name: str) -> None:
        """Let `current` name a slot, at once."""
        if name not in NAMES or not (self.root / name).is_dir():
            (self.root / "current").unlink(missing_ok=True)
        else:
            fresh = self.root / ".current"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(name)
            fresh.replace(self.root / "current")
        sync_directory(self.root)
