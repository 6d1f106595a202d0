"""The live strip in the cloud: pieces of running recordings, from ingest's notifications to those who watch an order.

Nothing is stored: the pieces of the last recordings are kept in memory, so that whoever comes late sees the beginning.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import selectors
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Generator
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
import structlog
from feldsher_ehr_core import wire

from feldsher_cloud_api import db

CHANNEL = "feldsher_live"
"""Where ingest notifies pieces (feldsher_ingest/live.py): the wire message itself, in base64."""
KEPT_ORDERS = 32
_KEPT_PIECES = 320
_KEPT_S = 120.0
BEHIND = 400
"""Most pieces that wait for one watcher: somebody whose line is slower misses the oldest."""
_AGAIN_S = 5.0

_log = structlog.get_logger()
Key = tuple[UUID, str]
"""An order, and the gateway that it was given to: another one's pieces are nobody's."""


@dataclass(slots=True)
class _Recent:
    """The pieces of one recording, and when the last of them came (monotonic)."""

    pieces: deque[wire.LiveStrip] = field(default_factory=lambda: deque(maxlen=_KEPT_PIECES))
    at: float = 0.0


@dataclass(slots=True, eq=False)
class _Watcher:
    """Somebody who looks on: a queue of their own event loop."""

    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[wire.LiveStrip]

    def offer(self, piece: wire.LiveStrip) -> None:
        """Hand a piece over from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody looks on any more
            self.loop.call_soon_threadsafe(self.put, piece)

    def put(self, piece: wire.LiveStrip) -> None:
        """Hand a piece over in the loop."""
        if self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(piece)


class Hub:
    """Hears of pieces in a thread of its own, and hands each to those who watch its order."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._recent: OrderedDict[Key, _Recent] = OrderedDict()
        self._watchers: dict[Key, list[_Watcher]] = {}
        self._stop = threading.Event()
        self._end = contextlib.ExitStack()
        self.listening = threading.Event()
        """Set while pieces can be heard."""

    def start(self) -> None:
        """Begin to listen."""
        wake, woken = socket.socketpair()  # closing the one end wakes who waits for the database at the other
        thread = threading.Thread(target=self._run, args=(woken,), name="live", daemon=True)
        self._end.callback(woken.close)
        self._end.callback(thread.join, 5)
        self._end.callback(wake.close)
        thread.start()

    def stop(self) -> None:
        """End at once."""
        self._stop.set()
        self._end.close()

    @contextlib.contextmanager
    def watching(self, key: Key) -> Generator[asyncio.Queue[wire.LiveStrip]]:
        """Give a queue that gets the pieces there are of a recording, then each as it comes."""
        watcher = _Watcher(asyncio.get_running_loop(), asyncio.Queue(BEHIND))
        with self._lock:
            for piece in self._recent[key].pieces if key in self._recent else ():
                watcher.put(piece)
            self._watchers.setdefault(key, []).append(watcher)
        try:
            yield watcher.queue
        finally:
            with self._lock:
                self._watchers[key].remove(watcher)
                if not self._watchers[key]:
                    del self._watchers[key]

    def take(self, payload: str) -> None:
        """Take one notification; what cannot be read is nobody's."""
        try:
            piece = wire.decode_up(base64.b64decode(payload, validate=True))
        except ValueError as error:
            _log.warning("live_piece_unreadable", error=type(error).__name__)
            return
        if not isinstance(piece, wire.LiveStrip) or piece.order is None:
            return
        key = (piece.order, piece.env.gateway)
        with self._lock:
            self._keep(key, piece)
            watchers = list(self._watchers.get(key, ()))
        for watcher in watchers:
            watcher.offer(piece)

    def _keep(self, key: Key, piece: wire.LiveStrip) -> None:
        now = time.monotonic()
        recent = self._recent.setdefault(key, _Recent())
        if recent.pieces and piece.first <= recent.pieces[-1].first:
            recent.pieces.clear()  # the recording was begun anew
        recent.pieces.append(piece)
        recent.at = now
        self._recent.move_to_end(key)
        while len(self._recent) > KEPT_ORDERS or now - next(iter(self._recent.values())).at > _KEPT_S:
            self._recent.popitem(last=False)

    def _run(self, woken: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                with db.connect(self._url, db.API, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self.listening.set()
                    self._listen(connection, woken)
            except psycopg.Error as error:
                _log.warning("live_interrupted", error=type(error).__name__, again_s=_AGAIN_S)
            self.listening.clear()
            self._stop.wait(0 if self._stop.is_set() else _AGAIN_S)

    def _listen(self, connection: db.Connection, woken: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not self._stop.is_set():
                for notice in connection.notifies(timeout=0):
                    self.take(notice.payload)
                selector.select()
