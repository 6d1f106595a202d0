"""Asking gateways to send again: after a restore, or by hand.

A restored or promoted database is one whose past ended earlier than ours. Two things tell it. Its *timeline*, which
PostgreSQL counts up with each promotion and each end of a recovery: the database keeps those on which workers have
written to it (`ingest_timeline`). And the count of a worker's committed batches (`ingest_mark`), which the worker
remembers itself (a small file): a smaller count in the database means that it went back, whatever its timeline says
(a snapshot of a disk). Either, or an operator's `feldsher-ingest restored`, opens an *epoch*; every gateway is asked
once per epoch, now or when it is next heard of, so that neither an absent gateway nor one that the restored database
has never heard of is forgotten. Everything is idempotent: asking for too much costs traffic, never a second row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import shard, uuid7
from psycopg.rows import TupleRow

from feldsher_ingest import primary, sql
from feldsher_ingest.primary import UNKNOWN, Server

_QUERIES = sql.load("resend.sql")
Connection = psycopg.Connection[TupleRow]
Asked = tuple[str, int, datetime | None]
"""A gateway, the epoch it is asked for, and since when."""


class Remembered(msgspec.Struct, frozen=True):
    """A worker's last commit: the count of its batches then, when by its own clock, and on which server."""

    batch: int
    at_us: int | None = None
    system: str = ""
    timeline: int = 0

    @property
    def at(self) -> datetime | None:
        """When, UTC."""
        return None if self.at_us is None else datetime.fromtimestamp(self.at_us / 1e6, UTC)

    @property
    def server(self) -> Server:
        """Which server it was."""
        return Server(self.system, self.timeline)


class Memory:
    """What a worker remembers of its committed batches, also across its own restarts in a small file.

    `clock`: wall time in microseconds since 1970.
    """

    def __init__(self, directory: Path, worker: str, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._file = directory / f"{worker}.mark"
        self._clock = clock
        self._last: Remembered | None = None

    def read(self) -> Remembered | None:
        """Return the last commit; None where there is none (or the file is damaged: then nothing is known)."""
        if self._last is not None:
            return self._last
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Remembered)
        except (OSError, msgspec.DecodeError):
            return None

    def note(self, batch: int, server: Server | None = None) -> None:
        """Remember a commit for the life of this process. `server`: another one than at the last commit."""
        if server is None:
            server = self._last.server if self._last else UNKNOWN
        self._last = Remembered(batch, self._clock(), server.system, server.timeline)

    def write(self) -> None:
        """Write what is remembered to the file, for the next process."""
        if self._last is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._last))
        fresh.replace(self._file)


def request(since: datetime | None, now_us: int, random: bytes) -> wire.ResendRequest:
    """Return the message that asks for everything made since a time (None: everything kept)."""
    since_us = 0 if since is None else round(since.astimezone(UTC).timestamp() * 1_000_000)
    return wire.ResendRequest(id=uuid7(now_us // 1000, random), sent_us=now_us, since_us=since_us)


def open_epoch(connection: Connection, since: datetime | None, why: str) -> int:
    """Open an epoch: from now on every gateway is asked once. Return its number."""
    row = connection.execute(_QUERIES["open_epoch"], {"since": since, "why": why}).fetchone()
    if row is None:
        raise RuntimeError("ingest_epoch: nothing was inserted")
    return int(row[0])


def look_back(connection: Connection, worker: str, memory: Memory) -> int | None:
    """Look whether a database that was (again) reached is the one that was left; return an epoch where one was opened.

    ReplacedError where another server has taken its place: nothing may be written to it.
    """
    server, last = primary.server_of(connection), memory.read()
    if server is None:
        raise primary.ReplacedError("the server takes no writes: a replica, or one set read-only")
    if last is not None and last.server.replaced(server) and not _accepted(connection, server, last):
        raise primary.ReplacedError(
            f"the server is on timeline {server.timeline} and was replaced: this worker has written to timeline "
            f"{last.timeline}; if it shall be written to all the same, run `feldsher-ingest restored` on it"
        )
    epoch = entered(connection, server, worker)
    if epoch is None:
        epoch = went_back(connection, worker, last)
    memory.note(marked(connection, worker), server)
    memory.write()
    return epoch


def _accepted(connection: Connection, server: Server, last: Remembered) -> bool:
    params = {"system": server.system, "timeline": server.timeline, "at": last.at}
    return connection.execute(_QUERIES["accepted"], params).fetchone() is not None


def entered(connection: Connection, server: Server, worker: str) -> int | None:
    """Note a server in the database; open an epoch where its past was another's: it was promoted or restored.

    Several workers find the same one: only the first opens an epoch.
    """
    if server == UNKNOWN:
        return None
    params = {"system": server.system, "timeline": server.timeline, "worker": worker}
    row = connection.execute(_QUERIES["entered"], params).fetchone()
    return None if row is None else int(row[0])


def accept(connection: Connection, why: str) -> None:
    """Note that the server reached is the one to write to, whatever workers remember of another."""
    server = primary.server_of(connection)
    if server is not None and server != UNKNOWN:
        connection.execute(_QUERIES["accept"], {"system": server.system, "timeline": server.timeline, "worker": why})


def went_back(connection: Connection, worker: str, last: Remembered | None) -> int | None:
    """Open an epoch where the database holds fewer of a worker's batches than it remembers; return its number.

    Several workers find the same restore: an epoch opened since this worker's last commit serves all, and None is
    returned. Since, by the clocks of two machines: what lies within five seconds is not trusted to be.
    """
    if last is None:
        return None
    params = {"worker": worker, "remembered": last.batch, "at": last.at}
    row = connection.execute(_QUERIES["went_back"], params).fetchone()
    return None if row is None else int(row[0])


def marked(connection: Connection, worker: str) -> int:
    """Return how many batches of a worker the database holds."""
    row = connection.execute(_QUERIES["marked"], {"worker": worker}).fetchone()
    return 0 if row is None else int(row[0])


def pending(connection: Connection, shards: Iterable[int], limit: int) -> list[Asked]:
    """Return gateways of these shards that are online and have not been asked in the newest epoch."""
    wanted = set(shards)
    found: list[Asked] = []
    for gateway, epoch, since in connection.execute(_QUERIES["pending"]):
        if shard(gateway) in wanted:
            found.append((gateway, epoch, since))
        if len(found) >= limit:
            break
    return found


def ask(connection: Connection, asked: Iterable[Asked], publish: Callable[[str, datetime | None], bool]) -> int:
    """Ask gateways and note it; those that could not be asked stay pending. Return how many were asked."""
    done = [(gateway, epoch) for gateway, epoch, since in asked if publish(gateway, since)]
    if done:
        params = {"gateway": [g for g, _ in done], "epoch": [e for _, e in done]}
        connection.execute(_QUERIES["asked"], params)
    return len(done)
