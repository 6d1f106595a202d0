"""Asking gateways to send again: after a restore, or by hand.

A restored or promoted database is one whose past ended earlier than ours. A worker counts its committed batches in the
database (`ingest_mark`) and remembers the count itself (a small file): a smaller count in the database means that it
went back. That, or an operator's `feldsher-ingest restored`, opens an *epoch*; every gateway is asked once per epoch,
now or when it is next heard of, so that neither an absent gateway nor one that the restored database has never heard of
is forgotten. Everything is idempotent: asking for too much costs traffic, never a second row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import shard, uuid7
from psycopg.rows import TupleRow

from feldsher_ingest import sql

_QUERIES = sql.load("resend.sql")
Connection = psycopg.Connection[TupleRow]
Asked = tuple[str, int, datetime | None]
"""A gateway, the epoch it is asked for, and since when."""


class Memory:
    """What a worker remembers of its committed batches: one number, also across its own restarts in a small file."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._file = directory / f"{worker}.mark"
        self._batch: int | None = None

    def read(self) -> int | None:
        """Return the remembered count; None where there is none (or the file is damaged: then nothing is known)."""
        if self._batch is not None:
            return self._batch
        try:
            return int(json.loads(self._file.read_text())["batch"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, batch: int) -> None:
        """Remember a count for the life of this process."""
        self._batch = batch

    def write(self) -> None:
        """Write the remembered count to the file, for the next process."""
        if self._batch is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps({"batch": self._batch}))
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


def went_back(connection: Connection, worker: str, remembered: int | None) -> int | None:
    """Open an epoch where the database holds fewer of a worker's batches than it remembers; return its number.

    Several workers find the same restore: an epoch opened since this worker's last batch in the restored database
    serves all, and None is returned.
    """
    if remembered is None:
        return None
    params = {"worker": worker, "remembered": remembered}
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
