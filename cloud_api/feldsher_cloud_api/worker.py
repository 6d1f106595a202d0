"""The worker: projects ingest's events into the record, publishes orders to gateways, seals the audit.

An event is claimed (FOR UPDATE SKIP LOCKED), projected and marked as done in one transaction, so a worker killed at any
moment leaves nothing half done and nothing lost; projections are idempotent, so an event that comes again is harmless.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import psycopg
import structlog

from feldsher_cloud_api import audit, commands, db
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.project import ecg, gateway, order, vitals
from feldsher_cloud_api.project.common import Event

BATCH = 10
MOST_ATTEMPTS = 8
_WAIT_S = 1.0
_queries = db.queries("worker")
_log = structlog.get_logger()

Projection = Callable[[db.Connection, Event, datetime], None]


def _kept(connection: db.Connection, event: Event, now: datetime) -> None:
    """Gaps and clock corrections stay in ingest's own tables; nothing of the record follows from them."""


def projections(settings: Settings) -> dict[str, Projection]:
    """Return which projection each kind of event has."""
    watermark = "DEMO" if settings.demo else None
    return {
        "ecg": lambda c, e, now: ecg.project(c, e, now, watermark=watermark),
        "vitals": vitals.project,
        "order": order.project,
        "gateway": gateway.project,
        "device": gateway.device,
        "gap": _kept,
        "clock": _kept,
    }


def back_off(attempts: int) -> float:
    """Return seconds until the next attempt after so many: 0.5, 1, 2, … at most 60."""
    return min(60.0, 0.5 * 2**attempts)


def step(connection: db.Connection, table: dict[str, Projection], clock: Callable[[], datetime]) -> int:
    """Project up to BATCH open events in one transaction and return how many were claimed."""
    with connection.transaction():
        rows = list(_queries.claim(connection, most=BATCH))
        for identity, at, kind, gateway_id, message_id, body, attempts in rows:
            event = Event(identity, at, kind, gateway_id, message_id, body)
            try:
                with connection.transaction():
                    _projection(table, kind)(connection, event, clock())
            except psycopg.OperationalError:
                raise  # the connection is gone: everything claimed is free again
            except Exception as error:
                # One bad event must not stop the others: its error is kept with it.
                words = f"{type(error).__name__}: {error}"[:2000]
                _queries.failed(connection, id=identity, error=words, delay=back_off(attempts), most=MOST_ATTEMPTS)
                _log.warning(
                    "event_failed", kind=kind, event_id=identity, attempts=attempts + 1, error=type(error).__name__
                )
            else:
                _queries.done(connection, id=identity)
    return len(rows)


def _projection(table: dict[str, Projection], kind: str) -> Projection:
    try:
        return table[kind]
    except KeyError:
        raise LookupError(f"kind: {kind!r} has no projection") from None


def unpark(connection: db.Connection) -> int:
    """Let parked events be tried again and return how many there were."""
    return int(_queries.unpark(connection))


@dataclass(slots=True)
class Worker:
    """The running worker; `stop` ends it after the present transaction."""

    settings: Settings
    publisher: commands.Publisher | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End the worker soon."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped; a lost database is waited for."""
        threads = [threading.Thread(target=self._again, args=(self._seal,), name="seal", daemon=True)]
        if self.publisher is not None:
            threads.append(threading.Thread(target=self._again, args=(self._publish,), name="commands", daemon=True))
        for thread in threads:
            thread.start()
        self._again(self._project)
        for thread in threads:
            thread.join(timeout=5)

    def _again(self, work: Callable[[], None]) -> None:
        delay = 0.1
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                work()
            except psycopg.OperationalError as error:
                delay = 0.1 if time.monotonic() - started > 10 else min(delay * 2, 5.0)
                _log.warning("database_lost", error=type(error).__name__, again_s=delay)
                self._stopping.wait(delay)
            except Exception:
                # Whatever it is (a schema not migrated yet, say), the other threads go on and this one tries again.
                _log.exception("work_failed", work=work.__name__, again_s=5)
                self._stopping.wait(5)

    def _project(self) -> None:
        table, url = projections(self.settings), self.settings.database_url
        with (
            db.connect(url, db.WORKER) as connection,
            db.connect(url, db.WORKER, autocommit=True) as ear,
        ):
            ear.execute("LISTEN feldsher_event")
            while not self._stopping.is_set():
                if step(connection, table, self.settings.clock) == BATCH:
                    continue
                wait, _ = _queries.waiting(ear)
                _listen(ear, _WAIT_S if wait is None else max(0.0, min(wait, _WAIT_S)))

    def _publish(self) -> None:
        if self.publisher is None:
            return
        with (
            db.connect(self.settings.database_url, db.WORKER) as connection,
            db.connect(self.settings.database_url, db.WORKER, autocommit=True) as ear,
        ):
            ear.execute("LISTEN feldsher_command")
            while not self._stopping.is_set():
                commands.publish_due(connection, self.publisher, self.settings.clock())
                for order_id, of, at in commands.lapse(connection):
                    self._lapsed(connection, order_id, of, at)
                _listen(ear, _WAIT_S)

    def _lapsed(self, connection: db.Connection, order_id: UUID, of: str, at: datetime) -> None:
        body = {"order": str(order_id), "state": "lapsed", "detail": "no gateway answered"}
        with connection.transaction():
            order.project(connection, Event(0, at, "order", of, order_id, body), self.settings.clock())

    def _seal(self) -> None:
        with db.connect(self.settings.database_url, db.WORKER) as connection:
            while not self._stopping.wait(_WAIT_S):
                audit.seal(connection)


def _listen(connection: db.Connection, seconds: float) -> None:
    for _ in connection.notifies(timeout=seconds, stop_after=1):
        pass
