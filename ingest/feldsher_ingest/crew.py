"""The connections of one process: a link for each seat that it holds, opened and closed as leases come and go."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

import psycopg
import structlog
from feldsher_ehr_core.ids import SHARDS, shard
from psycopg.rows import TupleRow

from feldsher_ingest import primary, seats
from feldsher_ingest.inbox import Arrived
from feldsher_ingest.link import Link, tls_context
from feldsher_ingest.process import Process
from feldsher_ingest.settings import Settings

_log = structlog.stdlib.get_logger("feldsher_ingest.crew")


class Crew:
    """Links of the seats that this process holds; beside them it looks like one link.

    A thread of its own renews the leases over a connection of its own, so that a slow batch costs no seat. `deliver`,
    `generator`: as a link's. `held_s`, `beat_s`: shorter in tests.
    """

    def __init__(
        self,
        settings: Settings,
        deliver: Callable[[Arrived], None],
        generator: random.Random,
        *,
        held_s: float = seats.HELD_S,
        beat_s: float = seats.BEAT_S,
    ) -> None:
        self._settings = settings
        self._deliver = deliver
        self._generator = generator
        self._held_s = held_s
        self._beat_s = beat_s
        self._links: dict[int, Link] = {}
        self._held: frozenset[int] = frozenset()
        self._renewed = float("-inf")
        self._stop = threading.Event()
        self._database: psycopg.Connection[TupleRow] | None = None
        self._keeper = threading.Thread(target=self._keep, name="ingest-crew", daemon=True)
        for seat in range(settings.seats):  # files that cannot be used are the caller's to hear of, at once
            tls_context(settings.for_seat(seat, 1).tls)
        self.me = Process(settings.state / "ingest")
        """Which worker process we are; ours until `stop`."""

    @property
    def seats(self) -> tuple[int, ...]:
        """The seats held now."""
        return tuple(sorted(self._links))

    @property
    def shards(self) -> tuple[int, ...]:
        """The shards of the seats held now."""
        return tuple(number for number in range(SHARDS) if number % self._settings.seats in self._links)

    @property
    def up(self) -> bool:
        """Whether the database knows that we are there and the broker has accepted all our subscriptions."""
        return self._current() and all(link.up for link in list(self._links.values()))

    def start(self) -> None:
        """Begin to take seats."""
        self._keeper.start()

    def stop(self) -> None:
        """Disconnect in order and give the seats back."""
        self._stop.set()
        if self._keeper.ident is not None:
            self._keeper.join(15)
        for seat in self.seats:
            self._close(seat)
        if self._database is not None:
            try:
                seats.leave(self._database, self.me.id)
            except psycopg.Error as error:  # the leases end by themselves
                _log.warning("seats not given back", error=type(error).__name__)
            self._database.close()
        self.me.close()

    def acknowledge(self, batch: Sequence[Arrived]) -> None:
        """Acknowledge messages on the connections on which they came, in the order of their arrival."""
        for link in list(self._links.values()):
            link.acknowledge(batch)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish to a gateway at QoS 1, through its own seat where that is held, else through any."""
        links = dict(self._links)
        own = shard(topic.split("/")[2]) % self._settings.seats
        ordered = sorted(links, key=lambda seat: seat != own)
        return any(links[seat].publish(topic, payload) for seat in ordered)

    @property
    def outstanding(self) -> int:
        """Messages down that the broker has not confirmed yet."""
        return sum(link.outstanding for link in list(self._links.values()))

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has confirmed what was published; return whether it has."""
        deadline = time.monotonic() + timeout_s
        done = [link.flush(max(0.0, deadline - time.monotonic())) for link in list(self._links.values())]
        return all(done)  # each has been waited for

    def _current(self) -> bool:
        """Whether our leases have been renewed so lately that nobody else can have taken them."""
        return time.monotonic() - self._renewed < self._held_s

    def _keep(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                held = seats.beat(self._connection(), self.me.id, self.me.name, self._settings.seats, self._held_s)
                self._change(held, began)  # as of the asking: the answer may have taken long
            except (psycopg.Error, OSError) as error:
                _log.warning("seats not renewed", error=type(error).__name__)
                self._forget_database()
            except Exception as error:  # whatever it is: a worker whose keeper has ended would never take a seat again
                _log.error("seats not renewed", error=type(error).__name__, exc_info=error)
                self._forget_database()
            self._stop.wait(self._beat_s)

    def _connection(self) -> psycopg.Connection[TupleRow]:
        if self._database is None or self._database.closed:
            timeout = round(self._held_s * 1000)
            self._database = psycopg.connect(
                primary.address(self._settings.database_url),
                autocommit=True,
                application_name=f"{self.me.name} seats",
                connect_timeout=5,
                tcp_user_timeout=timeout,
                options=f"-c statement_timeout={timeout}",
            )
        return self._database

    def _forget_database(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _change(self, held: Sequence[int], renewed: float) -> None:
        self._held = frozenset(held)
        for seat in set(self._links) - self._held:
            self._close(seat)
        fresh = {seat: self._link(seat, len(held)) for seat in held if seat not in self._links}
        self._links = self._links | fresh
        self._renewed = renewed
        for seat, link in fresh.items():
            link.start()
            _log.info("seat taken", seat=seat)

    def _link(self, seat: int, held: int) -> Link:
        settings = self._settings.for_seat(seat, max(1, self._settings.receive_maximum // held))
        return Link(settings, self._deliver, self._generator, lambda: self._current() and seat in self._held)

    def _close(self, seat: int) -> None:
        link = self._links[seat]
        self._links = {s: other for s, other in self._links.items() if s != seat}
        link.stop()
        _log.info("seat left", seat=seat)
