"""What is done beside the flow of messages, by one worker of all: the watch's looks back and ahead, and roll-ups.

Late chores delay nothing that is stored. Every worker asks for the lock; whoever has it does the chores until it ends,
and the database frees the lock with its connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import psycopg
import structlog
from psycopg.rows import TupleRow

from feldsher_ingest import primary
from feldsher_ingest.metrics import Metrics
from feldsher_ingest.overdue import WatchMissed, WatchReview
from feldsher_ingest.rejudge import Rejudge
from feldsher_ingest.retention import keep_to_policies
from feldsher_ingest.rollup import roll_up
from feldsher_ingest.tier import Tier

Connection = psycopg.Connection[TupleRow]
Chore = Callable[[Connection], int]
"""Does some of what is due in transactions of its own; returns how much, 0 where nothing is left."""

EVERY_S = 5.0
CHORES: Mapping[str, Chore] = {
    "watch_due": Rejudge(),
    "watch_missed": WatchMissed(),
    "watch_review": WatchReview(),
    "rollup": roll_up,
    "retention": keep_to_policies,
    "tier": Tier(),
}
PATIENT = frozenset({"rollup", "retention", "tier"})
"""Chores that nobody waits for: of each a piece, then all others have their turn again."""
_LOCK = b"select pg_try_advisory_lock(hashtext('ingest_chores'))"
_log = structlog.stdlib.get_logger("feldsher_ingest.chores")


class Chores:
    """A thread that does the chores where no other worker does. `chores`, `every_s`: others, more often in tests.

    The watch's are done until nothing is left of them, before each piece of what can wait (PATIENT).
    """

    def __init__(
        self,
        url: str,
        worker: str,
        metrics: Metrics,
        chores: Mapping[str, Chore] = CHORES,
        every_s: float = EVERY_S,
    ) -> None:
        self._url = url
        self._name = f"{worker} chores"
        self._metrics = metrics
        self._chores = chores
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest-chores", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the transaction that is under way."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(
                    primary.address(self._url),
                    autocommit=True,
                    application_name=self._name,
                    connect_timeout=5,
                    tcp_user_timeout=20_000,
                ) as connection:
                    self._serve(connection)
            except psycopg.Error as error:
                _log.warning("chores wait for the database", error=type(error).__name__)
                self._stop.wait(self._every_s)

    def _serve(self, connection: Connection) -> None:
        mine = False
        while not self._stop.is_set():
            mine = mine or connection.execute(_LOCK).fetchone() == (True,)
            more = False
            if mine:
                for name, chore in self._chores.items():
                    more |= self._do(connection, name, chore)
            else:
                connection.execute(b"select 1")  # a connection that has ended is to be noticed
            if not more:
                self._stop.wait(self._every_s)

    def _do(self, connection: Connection, name: str, chore: Chore) -> bool:
        """Do a chore until nothing is left, or a piece of one that can wait; return whether more of that is left."""
        more = False
        try:
            while not self._stop.is_set() and not more and chore(connection):
                more = name in PATIENT
        except Exception as error:
            self._metrics.chores.labels(chore=name, well="no").inc()
            if connection.closed:
                raise
            _log.error("chore failed", chore=name, error=type(error).__name__, exc_info=error)
        else:
            self._metrics.chores.labels(chore=name, well="yes").inc()
        return more
