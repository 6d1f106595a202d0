"""The worker: projects ingest's events into the record, publishes orders to gateways, seals the audit.

An event is claimed (FOR UPDATE SKIP LOCKED), projected and marked as done in one transaction, so a worker killed at any
moment leaves nothing half done and nothing lost; projections are idempotent, so an event that comes again is harmless.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import structlog
from feldsher_ehr_core.ids import is_canary

from feldsher_cloud_api import audit, canary, commands, db
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.manage import diagnostics, rollout, tasks
from feldsher_cloud_api.project import alert, clocks, ecg, gateway, many, order, review, stream, vitals
from feldsher_cloud_api.project.common import Event

BATCH = 100
"""Events claimed at once."""
MOST_ATTEMPTS = 8
HELD_S = 0.2
"""After so long a batch is committed early: an alert may wait for what it has stored."""
FAULT_S = 5.0
"""So long a thread waits after a fault that is not the database's absence."""
_WAIT_S, _PAUSE_S = 1.0, 0.02
_STREAMS_S = 30.0
"""Between looks for continuous ECGs that have ended."""
_queries = db.queries("worker")
_log = structlog.get_logger()

Projection = Callable[[db.Connection, Event, datetime], None]


def _kept(connection: db.Connection, event: Event, now: datetime) -> None:
    """Gaps stay in ingest's own tables; pieces of continuous ECGs are of streams that have events of their own."""


def projections(settings: Settings) -> dict[str, Projection]:
    """Return which projection each kind of event has."""
    watermark = "DEMO" if settings.demo else None
    return {
        "ecg": lambda c, e, now: ecg.project(c, e, now, watermark=watermark),
        "vitals": vitals.project,
        "order": order.project,
        "gateway": gateway.project,
        "device": gateway.device,
        "reported": gateway.reported,
        "gap": _kept,
        "ecg_stream": stream.project,
        "ecg_piece": _kept,
        "clock": clocks.project,
        "reinterpreted": lambda c, e, now: review.project(c, e, now, watermark=watermark),
        "alert": alert.project,
    }


def back_off(attempts: int) -> float:
    """Return seconds until the next attempt after so many: 0.5, 1, 2, … at most 60."""
    return min(60.0, 0.5 * 2**attempts)


def step(
    connection: db.Connection, table: dict[str, Projection], clock: Callable[[], datetime], *, alerts: bool = False
) -> int:
    """Project up to BATCH open events, or one alert, in a transaction and return how many were tried.

    Alerts are claimed apart from all else and each by itself, so that none waits for another's measurement: not for a
    cardiogram that is being drawn either, because what takes long is committed before the next event of its batch.
    """
    began, tried = time.monotonic(), 0
    with connection.transaction():
        rows = _queries.claim_alerts(connection, most=1) if alerts else _queries.claim(connection, most=BATCH)
        for group in _groups([(Event(*row[:6]), int(row[6])) for row in rows]):
            if tried and time.monotonic() - began > HELD_S:
                break  # the rest is free again with the commit
            tried += len(group)
            if len(group) == 1 or not _together(connection, [event for event, _ in group], clock):
                for event, attempts in group:
                    _alone(connection, table, event, attempts, clock)
    return tried


_Claimed = tuple[Event, int]
"""An event, and how often it was tried before."""


def _groups(claimed: Sequence[_Claimed]) -> Iterator[list[_Claimed]]:
    """Yield what is projected together: readings that follow each other and fail for the first time; else one event."""
    group, readings = list[_Claimed](), 0
    for event, attempts in claimed:
        plain = event.kind == "vitals" and attempts == 0 and not is_canary(event.gateway)
        more = many.size(event) if plain else 0
        if group and (not plain or readings + more > many.MOST):
            yield group
            group, readings = [], 0
        if plain:
            group.append((event, attempts))
            readings += more
        else:
            yield [(event, attempts)]
    if group:
        yield group


def _together(connection: db.Connection, events: Sequence[Event], clock: Callable[[], datetime]) -> bool:
    """Project events of readings at once; False, and nothing is done, where one of them makes that impossible."""
    try:
        with connection.transaction():
            many.project(connection, events, clock())
            _queries.all_done(connection, ids=[event.id for event in events])
    except psycopg.OperationalError:
        raise  # the connection is gone: everything claimed is free again
    except Exception as error:
        if db.outdated(error):
            raise
        _log.info("events_one_by_one", events=len(events), error=type(error).__name__)
        return False
    return True


def _alone(
    connection: db.Connection, table: dict[str, Projection], event: Event, attempts: int, clock: Callable[[], datetime]
) -> None:
    try:
        with connection.transaction():
            _projection(table, event)(connection, event, clock())
    except psycopg.OperationalError:
        raise  # the connection is gone: everything claimed is free again
    except Exception as error:
        if db.outdated(error):
            raise  # no event's fault: another connection has no plans from before the migration
        # One bad event must not stop the others: its error is kept with it.
        words = f"{type(error).__name__}: {error}"[:2000]
        _queries.failed(connection, id=event.id, error=words, delay=back_off(attempts), most=MOST_ATTEMPTS)
        _log.warning(
            "event_failed", kind=event.kind, event_id=event.id, attempts=attempts + 1, error=type(error).__name__
        )
    else:
        _queries.done(connection, id=event.id)


def _projection(table: dict[str, Projection], event: Event) -> Projection:
    if is_canary(event.gateway):
        return canary.project
    try:
        return table[event.kind]
    except KeyError:
        raise LookupError(f"kind: {event.kind!r} has no projection") from None


def parked_count(connection: db.Connection) -> int:
    """Return how many events were given up."""
    return int(_queries.parked_count(connection))


def parked(connection: db.Connection) -> list[dict[str, Any]]:
    """Return the events that were given up, each with its last error."""
    names = ("id", "at", "kind", "gateway", "message_id", "attempts", "parked_at", "error")
    return [dict(zip(names, row, strict=True)) for row in _queries.parked(connection)]


def unpark(connection: db.Connection) -> int:
    """Let parked events be tried again and return how many there were."""
    return int(_queries.unpark(connection))


class WorkerError(Exception):
    """The worker cannot go on."""


@dataclass(slots=True)
class Worker:
    """The running worker; `stop` ends it after the present transaction."""

    settings: Settings
    publisher: commands.Publisher | None = None
    line: canary.Line | None = None
    """How test alarms are sent; None: none are."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _fault: BaseException | None = None

    def stop(self) -> None:
        """End the worker soon."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped; a lost database is waited for. WorkerError where a thread has ended by itself."""
        works = (self._seal, self._alarm, self._evaluate)
        threads = [threading.Thread(target=self._thread, args=(w,), name=w.__name__, daemon=True) for w in works]
        if self.publisher is not None:
            threads.append(threading.Thread(target=self._thread, args=(self._publish,), name="commands", daemon=True))
            threads.append(threading.Thread(target=self._thread, args=(self._manage,), name="manage", daemon=True))
        if self.line is not None:
            threads.append(threading.Thread(target=self._thread, args=(self._canary,), name="canary", daemon=True))
        for thread in threads:
            thread.start()
        self._again(self._project)
        for thread in threads:
            thread.join(timeout=5)
        if self._fault is not None:
            raise WorkerError(f"a thread has ended: {type(self._fault).__name__}") from self._fault

    def _thread(self, work: Callable[[], None]) -> None:
        """Work until stopped; what even `_again` does not survive ends the whole worker, so that it is noticed."""
        try:
            self._again(work)
        except BaseException as error:
            self._fault = error
            _log.critical("thread_ended", work=work.__name__, error=type(error).__name__)
            self.stop()

    def _again(self, work: Callable[[], None]) -> None:
        delay = 0.1
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                work()
            except Exception as error:
                if isinstance(error, psycopg.OperationalError) or db.outdated(error):
                    delay = 0.1 if time.monotonic() - started > 10 else min(delay * 2, 5.0)
                    _log.warning(_cause(error), error=type(error).__name__, again_s=delay)
                    self._stopping.wait(delay)
                    continue
                # Whatever it is (a schema not migrated yet, say), the other threads go on and this one tries again.
                _log.exception("work_failed", work=work.__name__, again_s=FAULT_S)
                self._stopping.wait(FAULT_S)

    def _project(self) -> None:
        self._follow(alerts=False)

    def _alarm(self) -> None:
        self._follow(alerts=True)

    def _follow(self, *, alerts: bool) -> None:
        table, url = projections(self.settings), self.settings.database_url
        with (
            db.connect(url, db.WORKER) as connection,
            db.connect(url, db.WORKER, autocommit=True) as ear,
        ):
            ear.execute("LISTEN feldsher_event")
            while not self._stopping.is_set():
                if step(connection, table, self.settings.clock, alerts=alerts):
                    continue
                wait = _queries.waiting(ear, alerts=alerts)
                # what another worker holds is due all the time: it is not asked for without a pause
                _listen(ear, _WAIT_S if wait is None else max(_PAUSE_S, min(wait, _WAIT_S)))

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
                commands.lapse(connection, self.settings.clock())
                _listen(ear, _WAIT_S)

    def _manage(self) -> None:
        """Look after gateways in a thread of its own: whatever goes wrong here delays no order."""
        if self.publisher is None:
            return
        with (
            db.connect(self.settings.database_url, db.WORKER) as connection,
            db.connect(self.settings.database_url, db.WORKER, autocommit=True) as ear,
        ):
            ear.execute("LISTEN feldsher_command")
            while not self._stopping.is_set():
                now = self.settings.clock()
                rollout.step(connection, now)
                tasks.publish_due(connection, self.publisher, now)
                tasks.lapse(connection, now)
                diagnostics.purge(connection, now)
                _listen(ear, _WAIT_S)

    def _canary(self) -> None:
        """Send test alarms when they are due, and forget what old ones left."""
        if self.line is None:
            return
        with db.connect(self.settings.database_url, db.WORKER) as connection:
            canary.prepare(connection, self.settings.canary_every, self.settings.clock())
            while not self._stopping.is_set():
                canary.tend(connection, self.line, self.settings.clock())
                self._stopping.wait(_WAIT_S)

    def _evaluate(self) -> None:
        """Evaluate continuous ECGs that have ended, in a thread of its own: a day takes a second."""
        with db.connect(self.settings.database_url, db.WORKER) as connection:
            while not self._stopping.is_set():
                if stream.settle(connection, self.settings.clock(), demo=self.settings.demo) is None:
                    self._stopping.wait(_STREAMS_S)

    def _seal(self) -> None:
        with db.connect(self.settings.database_url, db.WORKER) as connection:
            while not self._stopping.wait(_WAIT_S):
                audit.seal(connection)


def _cause(error: Exception) -> str:
    """Return what the log calls an error after which all is tried again: only a lost database is one."""
    if db.outdated(error):
        return "schema_changed"
    waits = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable)
    return "in_each_others_way" if isinstance(error, waits) else "database_lost"


def _listen(connection: db.Connection, seconds: float) -> None:
    for _ in connection.notifies(timeout=seconds, stop_after=1):
        pass
