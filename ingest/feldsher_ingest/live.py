"""The way of the live strip: from the broker to whoever watches, through PostgreSQL's notifications; nothing is stored.

A piece is worth seeing for a second: it waits for nothing, delays nothing and is dropped where it does not go through.
"""

from __future__ import annotations

import base64
import threading
import time
from collections import deque

import psycopg
import structlog
from feldsher_ehr_core import wire
from psycopg.rows import TupleRow

from feldsher_ingest import primary, sql
from feldsher_ingest.check import Checked, check
from feldsher_ingest.inbox import Arrived
from feldsher_ingest.metrics import Metrics

CHANNEL = "feldsher_live"
MOST_NOTIFIED = 7_999
"""Bytes of a notification's payload (PostgreSQL: less than 8000)."""
WAITING = 64
"""Most pieces that wait to be shown; of more, the oldest are dropped."""
_AGAIN_S = 5.0
_QUERIES = sql.load("store.sql")

_log = structlog.stdlib.get_logger("feldsher_ingest.live")


class Relay:
    """Shows pieces through a connection of its own, in a thread of its own."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self._url = url
        self._metrics = metrics
        self._waiting: deque[Arrived] = deque(maxlen=WAITING)
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest-live", daemon=True)

    def start(self) -> None:
        """Begin to show what arrives."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; what waits is dropped."""
        self._stop.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def put(self, arrived: Arrived) -> None:
        """Take a piece from the network thread; never blocks."""
        if len(self._waiting) == WAITING:
            self._metrics.ignored.labels(why="live_late").inc()
        self._waiting.append(arrived)
        self._woken.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    self._show_all(connection)
            except psycopg.Error as error:
                _log.warning("live strip interrupted", error=type(error).__name__)
                self._waiting.clear()
                self._stop.wait(_AGAIN_S)

    def _connect(self) -> psycopg.Connection[TupleRow]:
        address = primary.address(self._url)
        connection = psycopg.connect(address, autocommit=True, connect_timeout=5, application_name="ingest-live")
        connection.execute(_QUERIES["assume_role"])
        return connection

    def _show_all(self, connection: psycopg.Connection[TupleRow]) -> None:
        while not self._stop.is_set():
            self._woken.wait(1.0)
            self._woken.clear()
            while self._waiting:
                arrived = self._waiting.popleft()
                shown = payload(arrived.topic, arrived.payload)
                if shown is None:
                    self._metrics.ignored.labels(why="live_unfit").inc()
                    continue
                connection.execute("select pg_notify(%s, %s)", (CHANNEL, shown))
                self._metrics.live.observe(time.monotonic() - arrived.at)


def payload(topic: str, data: bytes) -> str | None:
    """Return what is notified of a message: itself in base64, once it is checked; None where it must not be shown.

    It must be a readable piece on its gateway's own topic, belong to an order, and fit a notification.
    """
    found = check(topic, data)
    if not isinstance(found, Checked) or not isinstance(found.message, wire.LiveStrip) or found.message.order is None:
        return None
    text = base64.b64encode(data).decode()
    return text if len(text) <= MOST_NOTIFIED else None
