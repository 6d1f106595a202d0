"""The bounded queue between the network thread and the worker."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as the broker delivered it.

    `mid` and `connection` are needed to acknowledge it: packet ids mean something within one connection only.
    `at`: monotonic seconds of its arrival.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    connection: int
    at: float


class Inbox:
    """Messages that wait for a batch: at most `messages` and about `octets` bytes, whatever the broker does.

    A full inbox blocks `put`, and with it the reading of the socket: the broker feels it as a slow network.
    """

    def __init__(self, messages: int, octets: int) -> None:
        self._limit = messages
        self._octet_limit = octets
        self._waiting: deque[Arrived] = deque()
        self._octets = 0
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closed

    @property
    def octets(self) -> int:
        """Bytes of payload waiting."""
        return self._octets

    def put(self, arrived: Arrived) -> bool:
        """Add a message, waiting for room; False (and the message is not taken) where the inbox is closed.

        A QoS 0 message finds no room: it is refused at once, because nothing was promised to its sender.
        """
        with self._changed:
            while not self._closed and self._full():
                if arrived.qos == 0:
                    return False
                self._changed.wait(1.0)
            if self._closed:
                return False
            self._waiting.append(arrived)
            self._octets += len(arrived.payload)
            self._changed.notify_all()
            return True

    def _full(self) -> bool:
        return len(self._waiting) >= self._limit or self._octets >= self._octet_limit

    def take(self, messages: int, octets: int, timeout_s: float) -> list[Arrived]:
        """Return what waits, at most so many messages and about so many bytes; waits only for the first.

        A lone message is thus stored at once; under load the next batch gathers while the previous one commits.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._waiting and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._changed.wait(left)
            batch: list[Arrived] = []
            size = 0
            while self._waiting and len(batch) < messages and size < octets:
                batch.append(self._waiting.popleft())
                size += len(batch[-1].payload)
            self._octets -= size
            self._changed.notify_all()
            return batch

    def close(self) -> None:
        """Take nothing more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
