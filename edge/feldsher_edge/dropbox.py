"""A watched folder: what a closed cardiograph writes there becomes recordings, each file once, whatever is killed when.

A file that stands still is read by a child process, committed (feldsher_edge.originals), sealed into `done` or
`quarantine`, and only then removed. A file's name may be a patient's: it is never logged, sent or written anywhere.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from feldsher_edge.config import Folder
from feldsher_edge.config import Originals as Bounds
from feldsher_edge.devices import DeviceClock, Sink, Status
from feldsher_edge.original import Keep, Left, Look, Seen
from feldsher_edge.originals import Trust, Verdict, Via
from feldsher_edge.reader import Reader, ReaderError
from feldsher_edge.store import StoreError

_log = structlog.get_logger("dropbox")
DONE, QUARANTINE = "done", "quarantine"
_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".writing")
"""Endings under which programs write what they rename when it is whole."""
_MOST_ENTRIES = 5_000
_MOST_QUARANTINED = 1_000
_AGAIN_S = 60.0
_TIDY_S = 3600.0

Mark = tuple[int, int, int, int]


class Taking(Protocol):
    """What a folder needs of feldsher_edge.originals."""

    def take(self, device: str, via: Via, seen: Seen, trust: Trust) -> Awaitable[Verdict]:
        """Commit an original."""
        ...

    def quarantined(self, device: str) -> int:
        """Return how many originals are in quarantine."""
        ...

    def remove_due(self, device: str, days: float, most_bytes: int, *folders: Path) -> int:
        """Delete what is due."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a folder: its name as bytes, what tells it from a later one of its name, and what it is."""

    name: bytes
    mark: Mark
    plain: bool


class Settling:
    """Which files of a folder stand still, by the monotonic clock: no wall clock, no time of a file is believed."""

    def __init__(self, settle_s: float) -> None:
        self._settle_ns = int(settle_s * 1e9)
        self._since: dict[bytes, tuple[Mark, int]] = {}
        self._later: dict[bytes, tuple[Mark, int, str]] = {}

    def ready(self, entries: Iterable[Entry], now_ns: int) -> list[Entry]:
        """Return the files that have not changed for long enough, those that have waited longest first."""
        here = {entry.name: entry for entry in entries}
        self._since = {name: each for name, each in self._since.items() if name in here and each[0] == here[name].mark}
        self._later = {
            name: each
            for name, each in self._later.items()
            if name in here and each[0] == here[name].mark and now_ns < each[1]
        }
        still: list[tuple[int, Entry]] = []
        for name, entry in here.items():
            _, since = self._since.setdefault(name, (entry.mark, now_ns))
            if now_ns - since >= self._settle_ns and name not in self._later:
                still.append((since, entry))
        return [entry for _, entry in sorted(still, key=lambda each: (each[0], each[1].name))]

    def leave(self, entry: Entry, why: str, until_ns: int) -> None:
        """Leave a file alone until then, or until it changes."""
        self._later[entry.name] = (entry.mark, until_ns, why)

    def left(self) -> Counter[str]:
        """Return how many files are left alone, and why."""
        return Counter(why for _, _, why in self._later.values())


class Dropbox:
    """The folder of one cardiograph. `certificate`: returns the PEM text that originals are sealed to, empty: none."""

    def __init__(
        self,
        it: Folder,
        bounds: Bounds,
        originals: Taking,
        trust: Trust,
        clock: DeviceClock,
        certificate: Callable[[], str],
        reader: Callable[[], Reader] = Reader,
    ) -> None:
        self._it = it
        self._bounds = bounds
        self._originals = originals
        self._trust = trust
        self._clock = clock
        self._certificate = certificate
        self._reader = reader
        self._settling = Settling(it.settle_s)
        self._tidy_ns = 0

    @property
    def device(self) -> str:
        """The id by which orders name it."""
        return self._it.device

    @property
    def devices(self) -> tuple[str, ...]:
        """The one cardiograph of this folder."""
        return (self._it.device,)

    async def run(self, sink: Sink) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.pass_once(sink)
            except StoreError as error:
                _log.error("not stored, the files stay in the folder", device=self.device, error=str(error))
            await asyncio.sleep(self._it.poll_s)

    async def pass_once(self, sink: Sink) -> int:
        """Look once, take what stands still, report; return how many files went away."""
        try:
            entries, whole = await asyncio.to_thread(self._entries)
        except OSError as error:
            why = error.strerror or type(error).__name__
            sink.status(Status(self.device, "fault", f"the folder {self._it.path} cannot be used: {why}"))
            return 0
        certificate = await asyncio.to_thread(self._certificate)
        if not certificate:
            sink.status(Status(self.device, "fault", NO_CERTIFICATE))
            return 0
        taken = 0
        files = [entry for entry in entries if entry.plain]
        async with self._reader() as reader:
            for entry in self._settling.ready(files, self._clock.mono_ns()):
                taken += await self._take(reader, entry, certificate)
        await self._tidy()
        sink.status(self._status(len(entries) - len(files), whole))
        return taken

    def _entries(self) -> tuple[list[Entry], bool]:
        """Return what lies in the folder, and whether that is all of it."""
        root = self._it.path
        for name in (DONE, QUARANTINE):
            (root / name).mkdir(mode=0o700, exist_ok=True)
        found: list[Entry] = []
        with os.scandir(os.fsencode(root)) as scan:
            for each in scan:
                if each.name in (DONE.encode(), QUARANTINE.encode()) or _unfinished(each.name):
                    continue
                if len(found) == _MOST_ENTRIES:
                    return found, False
                try:
                    status = each.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                found.append(Entry(each.name, _mark(status), stat.S_ISREG(status.st_mode)))
        return found, True

    async def _take(self, reader: Reader, entry: Entry, certificate: str) -> int:
        """Take one file; 1 where it went away, 0 where it stays, and is looked at again later."""
        why = await self._try(reader, entry, certificate)
        if why is None:
            return 1
        self._settling.leave(entry, why, self._clock.mono_ns() + int(_AGAIN_S * 1e9))
        _log.warning("a file stays in the folder", device=self.device, why=why)
        return 0

    async def _try(self, reader: Reader, entry: Entry, certificate: str) -> str | None:
        """Return why a file stays, None where it went away; StoreError where nothing could be committed."""
        seen = await self._look(reader, os.path.join(os.fsencode(self._it.path), entry.name))  # noqa: PTH118 - bytes
        if isinstance(seen, Left):
            return seen.why
        if seen.recording is None and self._originals.quarantined(self.device) >= _MOST_QUARANTINED:
            return "the quarantine is full"
        verdict = await self._originals.take(self.device, "folder", seen, self._trust)
        bad = seen.recording is None or verdict == "conflict"
        folder = self._it.path / (QUARANTINE if bad else DONE)
        try:
            fault = await reader.keep(Keep(os.fsencode(folder), certificate, seen.fault if bad else None))
        except ReaderError as error:
            fault = str(error)
        if fault is not None:
            return f"the original cannot be kept: {fault}"
        return await asyncio.to_thread(self._remove, entry.name, seen.mark)

    async def _look(self, reader: Reader, path: bytes) -> Seen | Left:
        most = self._it.most_mb << 20
        try:
            return await reader.look(Look(path, most))
        except ReaderError as error:  # it ends the reader each time: the bytes alone are looked at, for the quarantine
            fault = f"file: {error}"
        try:
            seen = await reader.look(Look(path, most, parse=False))
        except ReaderError:
            return Left("not readable")
        return msgspec.structs.replace(seen, fault=fault) if isinstance(seen, Seen) else seen

    def _remove(self, name: bytes, mark: Mark) -> str | None:
        """Remove the very file that was read; one that took its name meanwhile comes back under another name."""
        root = os.fsencode(self._it.path)
        path = root + b"/" + name
        tries = (root + b"/taken-%d-%d" % (mark[1], number) for number in itertools.count())
        try:
            aside = next(each for each in tries if not os.path.lexists(each))
            os.rename(path, aside)  # noqa: PTH104 - bytes: the name need not be UTF-8
            if _mark(os.lstat(aside)) == mark:
                os.unlink(aside)  # noqa: PTH108
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"the file cannot be removed: {error.strerror}"
        return None

    async def _tidy(self) -> None:
        now_ns = self._clock.mono_ns()
        if now_ns >= self._tidy_ns:
            folders = (self._it.path / DONE, self._it.path / QUARANTINE)
            most = self._bounds.mb * 1_000_000
            await asyncio.to_thread(self._originals.remove_due, self.device, self._bounds.days, most, *folders)
            self._tidy_ns = now_ns + int(_TIDY_S * 1e9)

    def _status(self, others: int, whole: bool) -> Status:
        said = [f"{count} ({why})" for why, count in sorted(self._settling.left().items())]
        if others:
            said.append(f"{others} (folders, links or other things that are no files)")
        if not whole:
            said.append(f"more than {_MOST_ENTRIES} files")
        if said:
            return Status(self.device, "fault", f"stays in the folder: {', '.join(said)}")
        return Status(self.device, "present")


NO_CERTIFICATE = (
    "nothing is taken: there is no certificate to seal originals to;"
    " claim the gateway anew, or set `originals.certificate` in its configuration"
)


def _unfinished(name: bytes) -> bool:
    return name.startswith(b".") or os.fsdecode(name).lower().endswith(_UNFINISHED)


def _mark(status: os.stat_result) -> Mark:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
