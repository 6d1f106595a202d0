"""Batches into the database: one transaction each, idempotent, the events beside the data.

A message whose own content the database refuses does not poison its batch: the batch is halved in savepoints until the
message stands alone, and that one becomes a dead letter; so does one over which this program itself stumbles. What else
goes wrong at the database (gone, schema not migrated, deadlock) is the service's trouble and raises `UnavailableError`:
nothing is acknowledged, the batch is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar
from uuid import UUID

import psycopg
import structlog
from feldsher_ehr_core import wire
from psycopg.errors import DeadlockDetected
from psycopg.rows import TupleRow

from feldsher_ingest import copied, primary, readings, recordings, rows, sql
from feldsher_ingest.alerts import Raised
from feldsher_ingest.bulk import Bulk, bulk
from feldsher_ingest.check import Cause, Checked, Rejected, describe, reject
from feldsher_ingest.clocks import Clocks
from feldsher_ingest.ledger import Ledger, entries
from feldsher_ingest.recordings import CollisionError
from feldsher_ingest.vitals import Vitals
from feldsher_ingest.watch import Watch

Item = Checked | Rejected
_T = TypeVar("_T")
_QUERIES = sql.load("store.sql")
_RETURNING = ("stream", "chunk", "gateways", "dead_letter", "device", "gap")
_CORRECTIONS = {
    "vitals": ("correction_due", "correct_vitals", "correct_latest", "correction_due", "correction_far"),
    "ecg": ("correct_recordings", "correct_chunks", "correct_streams"),
}
"""What a clock that became known later corrects, by kind of message."""
_OWN_FAULT = ("22", "23", "54")
"""SQLSTATE classes that a message's own content causes: data exception, integrity, program limit exceeded."""
_log = structlog.stdlib.get_logger("feldsher_ingest.store")


class UnavailableError(Exception):
    """The database cannot take a batch now; the text says why. The batch is to be kept and offered again."""


@dataclass(slots=True)
class Saved:
    """What became of a batch: `states` in its order (None: no receipt can be sent), the dead letters by cause."""

    states: list[wire.ReceiptState | None]
    dead: dict[Cause, int] = field(default_factory=dict[Cause, int])
    rows: int = 0
    alerts: Raised = field(default_factory=Raised)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch as the database takes it: everything that can be made of it without the database."""

    items: Sequence[Item]
    messages: list[wire.UpMessage]
    spans: rows.Spans
    ledger: bytes | None
    """The messages ready to be copied into the ledger, where there are many."""
    readings: readings.Columns
    bulk: Bulk | None
    """The readings ready to be copied, where there are many."""


def prepare(items: Sequence[Item]) -> Prepared:
    """Return a batch ready to be written. Needs no connection, so that another thread can do it meanwhile."""
    messages = [i.message for i in items if isinstance(i, Checked)]
    vitals = [m for m in messages if isinstance(m, wire.VitalsBatch)]
    found = readings.columns(vitals)
    spans = found.spans()
    return Prepared(items, messages, spans, entries(messages, spans), found, bulk(found))


class Store:
    """One connection to the database and what it takes to fill it.

    `url`: libpq URL; `worker`: whose batches are counted; `opened`: called with every newly opened connection before
    anything is written through it; `watch`: judges what comes. Not thread-safe. The connection is opened when needed.
    """

    def __init__(
        self,
        url: str,
        worker: str,
        opened: Callable[[psycopg.Connection[TupleRow]], None] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._url = url
        self._worker = worker
        self._opened = opened
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._vitals = Vitals()
        self._ledger = Ledger()
        self._watch = watch or Watch()

    def connect(self) -> psycopg.Connection[TupleRow]:
        """Return the open connection, opening it where there is none; UnavailableError where that fails."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        try:
            self._connection = psycopg.connect(
                primary.address(self._url),
                autocommit=True,
                application_name=self._worker,
                connect_timeout=5,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=20_000,
            )
            self._connection.execute(_QUERIES["assume_role"])
            self._connection.execute("set statement_timeout = '60s'")
            if self._opened is not None:
                self._opened(self._connection)
        except psycopg.Error as error:
            self.close()
            raise UnavailableError(_first_line(error)) from error
        return self._connection

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._forget()  # the next connection may lead to a database that went back in time

    def _forget(self) -> None:
        self._vitals.clear()
        self._watch.clear()

    def __enter__(self) -> Self:
        """Return the store; the connection is opened when needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def run(self, work: Callable[[psycopg.Connection[TupleRow]], _T]) -> _T:
        """Run work on the connection; UnavailableError (and the connection closed) where the database fails."""
        connection = self.connect()
        try:
            return work(connection)
        except psycopg.Error as error:
            self.close()  # also clears prepared plans: "cached plan must not change result type" after a migration
            raise UnavailableError(_first_line(error)) from error

    def save(self, items: Sequence[Item], prepared: Prepared | None = None) -> tuple[Saved, int]:
        """Store a batch; return what became of it and the count of this worker's batches with it.

        `prepared`: the same batch made ready by another thread.
        UnavailableError: nothing is stored (or, where the connection broke during the commit, all of it: the same batch
        offered again is then answered `duplicate`).
        """
        return self.run(lambda connection: self._write(connection, items, prepared))

    def _write(
        self, connection: psycopg.Connection[TupleRow], items: Sequence[Item], prepared: Prepared | None
    ) -> tuple[Saved, int]:
        try:
            return self._whole(connection, prepared or prepare(items))
        except DeadlockDetected:  # another worker takes the same readings, heard by its gateways, in another order
            self._forget()
            _log.warning("deadlock, once more", messages=len(items))
            return self._whole(connection, prepared or prepare(items))
        except Exception as error:
            self._forget()
            if not _own_fault(error):
                raise
            _log.warning("batch refused, halving", messages=len(items), error=_first_line(error))
        with connection.transaction():
            saved = self._halve(connection, items)
            return saved, self._count(connection)

    def _whole(self, connection: psycopg.Connection[TupleRow], prepared: Prepared) -> tuple[Saved, int]:
        with connection.transaction():
            saved = _Batch(connection, self._ledger, self._vitals, self._watch, prepared).write()
            return saved, self._count(connection)

    def _halve(self, connection: psycopg.Connection[TupleRow], items: Sequence[Item]) -> Saved:
        try:
            with connection.transaction():
                return _Batch(connection, self._ledger, self._vitals, self._watch, prepare(items)).write()
        except Exception as error:
            self._forget()
            if not _own_fault(error):
                raise
            if len(items) == 1:
                return _Batch(
                    connection, self._ledger, self._vitals, self._watch, prepare([_refused(items[0], error)])
                ).write()
        middle = len(items) // 2
        left, right = self._halve(connection, items[:middle]), self._halve(connection, items[middle:])
        causes = set(left.dead) | set(right.dead)
        dead: dict[Cause, int] = {cause: left.dead.get(cause, 0) + right.dead.get(cause, 0) for cause in causes}
        return Saved(left.states + right.states, dead, left.rows + right.rows, left.alerts + right.alerts)

    def _count(self, connection: psycopg.Connection[TupleRow]) -> int:
        row = connection.execute(_QUERIES["mark"], {"worker": self._worker}).fetchone()
        return 0 if row is None else int(row[0])


def _first_line(error: BaseException) -> str:
    """Return an error's first line: the following ones may quote values, which do not belong in logs."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _own_fault(error: Exception) -> bool:
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        # without a SQLSTATE, DataError is psycopg's own refusal to send a value (NUL in a text)
        return state.startswith(_OWN_FAULT) if state else isinstance(error, psycopg.DataError)
    return True


def _refused(item: Item, error: Exception) -> Rejected:
    if isinstance(error, CollisionError):
        return reject(item.topic, item.payload, "values", str(error))
    if isinstance(error, psycopg.Error | ValueError | OverflowError):
        return reject(item.topic, item.payload, "database", _first_line(error))
    _log.error("a message made the worker stumble", error=type(error).__name__, exc_info=error)
    return reject(item.topic, item.payload, "unexpected", describe(error))


class _Batch:
    """The writing of one batch inside one transaction."""

    def __init__(
        self,
        connection: psycopg.Connection[TupleRow],
        ledger: Ledger,
        vitals: Vitals,
        watch: Watch,
        prepared: Prepared,
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._vitals = vitals
        self._watch = watch
        self._prepared = prepared
        self._clocks = Clocks()
        self._readings: dict[rows.Key, list[UUID]] = {}
        self._spans: dict[rows.Key, tuple[int, int]] = {}
        self._silent: set[rows.Key] = set()  # new messages that tell the worker nothing: no event

    def write(self) -> Saved:
        """Write everything; return the states in the order of the items."""
        done = self._prepared
        fresh = self._ledger.enter(self._connection, done.messages, done.spans, done.ledger)
        known = self._write_data(list(fresh.values()))
        self._write_events(list(fresh.values()))
        alerts = self._watch.judge(self._connection, list(fresh.values()), self._readings, known, self._clocks.shift)
        states: list[wire.ReceiptState | None] = []
        for item in self._prepared.items:
            if isinstance(item, Rejected):
                states.append("quarantined" if item.own else None)
                continue
            key = (item.message.env.gateway, item.message.env.id)
            states.append("stored" if fresh.pop(key, None) is not None and key not in known else "duplicate")
        dead = self._write_dead([i for i in self._prepared.items if isinstance(i, Rejected)])
        return Saved(states, dead, sum(len(r) for r in self._readings.values()), alerts)

    def _write_data(self, fresh: list[wire.UpMessage]) -> set[rows.Key]:
        """Write new messages' contents; return the messages all of whose content was already there."""
        known = self._write_clocks([m for m in fresh if isinstance(m, wire.ClockOffset)])
        self._load_offsets(fresh)
        known |= self._write_vitals([m for m in fresh if isinstance(m, wire.VitalsBatch)])
        ecgs = [m for m in fresh if isinstance(m, wire.EcgRecording)]
        known |= recordings.write(self._connection, [m for m in ecgs if m.stream is None], self._clocks.shift)
        known |= self._write_pieces([m for m in ecgs if m.stream is not None])
        self._write_gateways([m for m in fresh if isinstance(m, wire.Birth | wire.Heartbeat | wire.Death)])
        known |= self._write_plain("device", [m for m in fresh if isinstance(m, wire.DeviceStatus)])
        known |= self._write_plain("gap", [m for m in fresh if isinstance(m, wire.Gap)])
        self._silent |= known
        return known

    def _write_vitals(self, batches: list[wire.VitalsBatch]) -> set[rows.Key]:
        self._silent |= {(b.env.gateway, b.env.id) for b in batches if not b.reading}
        telling = {(b.env.gateway, b.env.id) for b in batches if b.reading}
        columns = self._fresh_readings(telling)
        if len(columns):
            bulk = self._prepared.bulk if columns is self._prepared.readings else None
            written = self._vitals.write(self._connection, columns, bulk, self._clocks.shift)
            self._readings, self._spans = written.by_message(), written.spans()
        return telling - self._readings.keys()

    def _fresh_readings(self, telling: set[rows.Key]) -> readings.Columns:
        """Return the readings of new messages, without those whose sequence number is known."""
        columns = self._prepared.readings
        keys = [(e.gateway, e.id) for e in columns.envelopes]
        old = {m for m, key in enumerate(keys) if key not in telling}
        columns = columns.without({i for i, m in enumerate(columns.message) if m in old}) if old else columns
        if not columns.sequenced:
            return columns
        new = set(self._connection.execute(_QUERIES["sequenced"], rows.sequenced(columns)).fetchall())
        mine = {i: (columns.reading_id[i], *reversed(keys[columns.message[i]])) for i in columns.sequenced}
        gone = {i for i, reading in mine.items() if reading not in new}
        return columns.without(gone) if gone else columns

    def _write_pieces(self, pieces: list[wire.EcgRecording]) -> set[rows.Key]:
        """Write pieces of continuous ECGs; only the first of a stream tells the worker something."""
        params = [rows.piece(m, self._clocks.shift(m.env)) for m in pieces]
        opened = self._each("stream", params)
        for message, row in zip(pieces, opened, strict=True):
            if row is None:
                raise CollisionError(f"$.stream: {message.stream} is another device's, or has other leads")
            if not row[0]:
                self._silent.add((message.env.gateway, message.env.id))
        found = self._each("chunk", params)
        return {(m.env.gateway, m.env.id) for m, row in zip(pieces, found, strict=True) if row is None}

    def _write_gateways(self, messages: list[wire.Birth | wire.Heartbeat | wire.Death]) -> None:
        was = self._each("gateways", (rows.gateway(m) for m in messages))
        for message, row in zip(messages, was, strict=True):
            if isinstance(message, wire.Heartbeat) and (row is None or row[0] == "online"):
                # 50,000 gateways beat once a minute: the table has it, the worker hears of changes only
                self._silent.add((message.env.gateway, message.env.id))

    def _write_plain(self, name: str, messages: Sequence[wire.DeviceStatus | wire.Gap]) -> set[rows.Key]:
        found = self._each(name, (rows.plain(m) for m in messages))
        return {(m.env.gateway, m.env.id) for m, row in zip(messages, found, strict=True) if row is None}

    def _write_clocks(self, corrections: list[wire.ClockOffset]) -> set[rows.Key]:
        known: set[rows.Key] = set()
        for correction in corrections:
            params = rows.plain(correction)
            if self._connection.execute(_QUERIES["clock"], params).fetchone() is None:
                known.add((correction.env.gateway, correction.env.id))
                continue
            if not correction.trusted:
                continue
            # most boots brought nothing by a wrong clock: to look for it in years of readings takes longest
            for kind, key_from, key_to in self._connection.execute(_QUERIES["unsynced"], params).fetchall():
                for name in _CORRECTIONS[kind]:
                    self._connection.execute(_QUERIES[name], params | {"key_from": key_from, "key_to": key_to})
        return known

    def _load_offsets(self, messages: list[wire.UpMessage]) -> None:
        boots = {(m.env.gateway, m.env.boot) for m in messages if m.env.clock != "synced"}
        if not boots:
            return
        params = {"gateway": [g for g, _ in boots], "boot": [b for _, b in boots]}
        self._clocks = Clocks(self._connection.execute(_QUERIES["offsets"], params).fetchall())

    def _write_events(self, fresh: list[wire.UpMessage]) -> None:
        told = [m for m in fresh if (m.env.gateway, m.env.id) not in self._silent]
        if not told:
            return
        bodies = [rows.event(m, self._readings, self._spans) for m in told]
        if len(told) < copied.WORTH:
            self._connection.execute(_QUERIES["events"], rows.events(told, bodies))
            return
        gateways, ids = copied.text([m.env.gateway for m in told]), copied.uuid([m.env.id for m in told])
        kinds, texts = copied.text([kind for kind, _ in bodies]), copied.jsonb([body for _, body in bodies])
        copied.copy(self._connection, _QUERIES["copy_events"], copied.body(kinds, gateways, ids, texts))

    def _write_dead(self, rejected: list[Rejected]) -> dict[Cause, int]:
        first = self._each("dead_letter", (rows.dead_letter(r) for r in rejected))
        dead: dict[Cause, int] = defaultdict(int)
        for item, row in zip(rejected, first, strict=True):
            if row is not None and row[0]:
                dead[item.cause] += 1
        return dict(dead)

    def _each(self, name: str, params: Iterable[rows.Params]) -> list[TupleRow | None]:
        """Run a query once per row (pipelined); return what each returned."""
        every = list(params)
        if not every:
            return []
        with self._connection.cursor() as cursor:
            cursor.executemany(_QUERIES[name], every, returning=name in _RETURNING)
            if name not in _RETURNING:
                return [None] * len(every)
            return [result.fetchone() for result in cursor.results()]
