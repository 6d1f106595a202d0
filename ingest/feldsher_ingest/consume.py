"""The worker: from the broker into the database, and receipts back.

    broker ─ QoS 1, unacknowledged ─▶ inbox ─▶ ahead (check) ─▶ one transaction ─▶ receipts, then PUBACKs in order

Nothing is acknowledged before its commit. While the database is away the batch is kept and offered again; the broker
holds the rest, because it may have only `receive_maximum` messages under way to us. A receipt that cannot be sent is
forgotten: the gateway sends again and is told `duplicate`.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import uuid7

from feldsher_ingest import resend
from feldsher_ingest.ahead import Ahead, Ready
from feldsher_ingest.check import Checked, Rejected
from feldsher_ingest.chores import Chores
from feldsher_ingest.crew import Crew
from feldsher_ingest.inbox import Arrived, Inbox
from feldsher_ingest.link import Backoff
from feldsher_ingest.live import Relay
from feldsher_ingest.metrics import Metrics
from feldsher_ingest.settings import Settings
from feldsher_ingest.store import Item, Saved, Store, UnavailableError

IDLE_S = 0.5
ASK_EVERY_S = 2.0
ASK_AT_ONCE = 50
"""Gateways asked to resend per round: a restored region does not answer in one shout."""
DRAIN_S = 10.0
STALLED_S = 90.0
"""Older than the statement timeout: a worker that has not turned its loop for so long is dead."""

_log = structlog.stdlib.get_logger("feldsher_ingest.consume")


def collect_rarely() -> None:
    """Have Python look for garbage in cycles once a batch or so: a batch makes 50,000 objects, and none in cycles.

    For the process of a worker, before it begins; at Python's own pace a third of the worker's time went there.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def switch_often() -> None:
    """Have threads wait one millisecond for each other instead of five: the one that talks to the database waits often.

    For the process of a worker, before it begins.
    """
    sys.setswitchinterval(0.001)


class Worker:
    """One ingest worker. `run` blocks until `stop` is called (from a signal handler or another thread).

    `clock`: wall time in microseconds since 1970 for messages down; `random_bytes`, `generator`: randomness of ids and
    of waiting times.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        random_bytes: Callable[[int], bytes] = os.urandom,
        generator: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._random_bytes = random_bytes
        # receive_maximum alone bounds a good broker; the inbox's own bound (twice that) holds for every broker
        self._inbox = Inbox(2 * settings.receive_maximum, settings.queue_bytes)
        self._ahead = Ahead(self._inbox, settings.batch_messages, settings.batch_bytes)
        generator = generator or random.Random()  # noqa: S311 (waiting times, no secrets)
        self._crew = Crew(settings, self._deliver, generator)
        self._me = self._crew.me
        self._store = Store(settings.database_url, self._me.name, self._look_back)
        self._chores = Chores(settings.database_url, self._me.name, metrics)
        self._relay = Relay(settings.database_url, metrics)
        self._memory = resend.Memory(settings.state / "ingest", self._me.name, clock)
        self._backoff = Backoff(0.1, 5.0, generator)
        self._stop = threading.Event()
        self._turned = time.monotonic()
        self._asked = float("-inf")
        self._remembered_at = float("-inf")
        self._database_up = False

    @property
    def live(self) -> bool:
        """Whether the loop turns, and the thread that feeds it."""
        return time.monotonic() - self._turned < STALLED_S and not self._ahead.dead

    @property
    def ready(self) -> bool:
        """Whether messages can flow: subscribed for every seat held, and the database took the last batch.

        A worker without a seat is ready too: it waits for another to die.
        """
        return self._crew.up and self._database_up

    @property
    def waiting(self) -> int:
        """Messages in memory that are not being stored yet."""
        return len(self._inbox) + len(self._ahead)

    def stop(self) -> None:
        """Ask `run` to store what has arrived, send its receipts and return."""
        self._stop.set()

    def run(self) -> None:
        """Consume until stopped."""
        try:
            self._open_database()
            if not self._stop.is_set():
                self._consume()
        finally:
            self._inbox.close()
            self._ahead.stop(DRAIN_S)
            self._store.close()
            self._memory.write()
            self._chores.stop()
            self._crew.stop()
            self._relay.stop()
        _log.info("stopped", worker=self._me.name)

    def _consume(self) -> None:
        self._ahead.start()
        self._relay.start()
        self._crew.start()
        self._chores.start()
        _log.info("started", worker=self._me.name, seats=self._settings.seats)
        while not self._stop.is_set():
            self._turn(IDLE_S)
        self._drain()

    def _drain(self) -> None:
        self._inbox.close()  # what comes from now on stays with the broker
        deadline = time.monotonic() + DRAIN_S
        while not self._ahead.spent and time.monotonic() < deadline:
            self._turn(0.05, deadline)
        self._crew.flush(max(0.0, deadline - time.monotonic()))

    def _turn(self, wait_s: float, deadline: float | None = None) -> None:
        self._turned = time.monotonic()
        ready = self._ahead.next(wait_s)
        self._metrics.waiting.set(self.waiting + (len(ready.batch) if ready else 0))
        self._metrics.broker_up.set(self._crew.up)
        self._metrics.seats.set(len(self._crew.seats))
        self._metrics.outstanding.set(self._crew.outstanding)
        if ready is not None:
            self._handle(ready, deadline)
        self._ask_for_resends()

    def _handle(self, ready: Ready, deadline: float | None) -> None:
        began = time.monotonic()
        saved = self._save(ready, deadline)
        if saved is None:
            return
        committed = time.monotonic()
        self._metrics.commit.observe(committed - began)
        if saved.alerts:
            self._metrics.alert.observe(committed - ready.batch[0].at)
        self._send_receipts(ready.items, saved.states)
        self._crew.acknowledge(ready.batch)  # after the receipts on the same wire: whoever kills us between loses none
        self._count(ready.batch, ready.items, saved)

    def _save(self, ready: Ready, deadline: float | None) -> Saved | None:
        """Store a batch, however long the database is away; None where we are to stop first."""
        while True:
            try:
                saved, mark = self._store.save(ready.items, ready.prepared)
            except Exception as error:  # whatever it is: the batch is kept, the worker lives
                self._lost_database(error)
                if self._stop.is_set() and (deadline is None or time.monotonic() > deadline):
                    return None
                self._pause()
                self._open_database(deadline)
                continue
            self._backoff.reset()
            self._set_database_up(up=True)
            self._remember(mark)
            return saved

    def _pause(self) -> None:
        delay = self._backoff.next()
        if self._stop.is_set():
            time.sleep(min(delay, 0.2))
        else:
            self._stop.wait(delay)
        self._turned = time.monotonic()

    def _open_database(self, deadline: float | None = None) -> None:
        """Connect to the database, however long that takes, unless we are to stop first."""
        while not self._stop.is_set() or (deadline is not None and time.monotonic() < deadline):
            try:
                self._store.connect()
            except UnavailableError as error:
                self._lost_database(error)
                self._pause()
                continue
            self._set_database_up(up=True)
            return

    def _look_back(self, connection: resend.Connection) -> None:
        """Look whether a database that we (again) reached has gone back in time."""
        epoch = resend.look_back(connection, self._me.name, self._memory)
        if epoch is not None:
            _log.warning("the database went back in time: asking every gateway to send again", epoch=epoch)

    def _lost_database(self, error: Exception) -> None:
        self._set_database_up(up=False)
        if isinstance(error, UnavailableError):
            _log.warning("database unavailable", error=str(error), waiting=self.waiting)
        else:
            self._store.close()  # in whatever state it left the connection
            _log.error("batch not stored", error=type(error).__name__, exc_info=error)

    def _set_database_up(self, *, up: bool) -> None:
        self._database_up = up
        self._metrics.database_up.set(up)

    def _remember(self, mark: int) -> None:
        self._memory.note(mark)
        now = time.monotonic()
        if now - self._remembered_at >= 1.0:
            self._memory.write()
            self._remembered_at = now

    def _send_receipts(self, items: Sequence[Item], states: Sequence[wire.ReceiptState | None]) -> None:
        by_gateway: dict[str, list[tuple[UUID, wire.ReceiptState]]] = defaultdict(list)
        for item, state in zip(items, states, strict=True):
            gateway, message_id = _sender(item)
            if state is not None and gateway is not None and message_id is not None:
                by_gateway[gateway].append((message_id, state))
        for gateway, entries in by_gateway.items():
            try:
                sent = self._send_receipt(gateway, entries)
            except Exception as error:  # one gateway's receipt must not cost the others theirs: it will send again
                _log.error("receipt not sent", gateway=gateway, error=type(error).__name__, exc_info=error)
                sent = False
            self._metrics.receipts.labels(sent="yes" if sent else "no").inc()

    def _send_receipt(self, gateway: str, entries: Sequence[tuple[UUID, wire.ReceiptState]]) -> bool:
        now = self._clock()
        receipt = wire.Receipt(
            id=uuid7(now // 1000, self._random_bytes(10)),
            sent_us=now,
            ids=tuple(message_id for message_id, _ in entries),
            states=tuple(state for _, state in entries),
        )
        return self._crew.publish(wire.down_topic(gateway, "receipt"), wire.encode(receipt))

    def _count(self, batch: Sequence[Arrived], items: Sequence[Item], saved: Saved) -> None:
        self._metrics.batch.observe(len(batch))
        now = time.monotonic()
        self._metrics.lag.observe(now - batch[0].at)
        for number, at in {arrived.topic.split("/")[2]: arrived.at for arrived in reversed(batch)}.items():
            self._metrics.shard_lag.labels(shard=number).set(now - at)
        for item, state in zip(items, saved.states, strict=True):
            self._metrics.messages.labels(state=state or "quarantined").inc()
            if isinstance(item, Rejected):
                _log.warning(
                    "dead letter", cause=item.cause, gateway=item.gateway, kind=item.kind, message=str(item.message_id)
                )
        for (severity, late, doubted), number in saved.alerts.items():
            words = {"severity": severity, "late": _word(late), "doubted": _word(doubted)}
            self._metrics.alerts.labels(**words).inc(number)
        for cause, number in saved.dead.items():
            self._metrics.dead_letters.labels(cause=cause).inc(number)

    def _ask_for_resends(self) -> None:
        now = time.monotonic()
        if now - self._asked < ASK_EVERY_S or not self._crew.up:
            return
        self._asked = now
        try:
            asked = self._store.run(self._ask_pending)
        except UnavailableError as error:
            self._lost_database(error)
            return
        if asked:
            _log.info("asked gateways to send again", gateways=asked)

    def _ask_pending(self, connection: resend.Connection) -> int:
        pending = resend.pending(connection, self._crew.shards, ASK_AT_ONCE)
        return resend.ask(connection, pending, self._publish_request)

    def _publish_request(self, gateway: str, since: datetime | None) -> bool:
        request = resend.request(since, self._clock(), self._random_bytes(10))
        return self._crew.publish(wire.down_topic(gateway, "resend"), wire.encode(request))

    def _deliver(self, arrived: Arrived) -> None:
        """Take a message from the network thread."""
        if arrived.qos == 0 and arrived.topic.endswith("/up/live"):
            self._relay.put(arrived)
        elif not self._inbox.put(arrived) and arrived.qos == 0:
            self._metrics.ignored.labels(why="qos0").inc()


def _word(yes: bool) -> str:
    return "yes" if yes else "no"


def _sender(item: Item) -> tuple[str | None, UUID | None]:
    if isinstance(item, Checked):
        return item.message.env.gateway, item.message.env.id
    return item.gateway, item.message_id
