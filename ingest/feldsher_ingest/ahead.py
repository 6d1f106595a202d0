"""The next batch is checked and made ready while the database takes this one: two cores are used, not one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from feldsher_ingest.check import check
from feldsher_ingest.inbox import Arrived, Inbox
from feldsher_ingest.store import Item, Prepared, prepare

_IDLE_S = 0.5
_SHARED = 4
"""Recordings of a batch from which another thread takes half: each takes half a millisecond."""
_log = structlog.stdlib.get_logger("feldsher_ingest.ahead")


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch as it arrived and as it was judged; `prepared` is None where it made this program stumble: halve it."""

    batch: Sequence[Arrived]
    items: Sequence[Item]
    prepared: Prepared | None


class Ahead:
    """One thread between the inbox and the worker's loop, at most one batch ahead of it.

    Once the inbox is closed the thread ends with the last batch; a context manager starts and awaits it.
    """

    def __init__(self, inbox: Inbox, messages: int, octets: int) -> None:
        self._inbox = inbox
        self._messages = messages
        self._octets = octets
        self._made: deque[Ready] = deque()
        self._changed = threading.Condition()
        self._working = 0
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._second = ThreadPoolExecutor(1, "ahead-second")

    def __len__(self) -> int:
        """Return the number of messages that are being made ready or are ready."""
        with self._changed:
            return self._working + sum(len(ready.batch) for ready in self._made)

    def start(self) -> None:
        """Begin to take from the inbox."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Take nothing more and wait for the thread to end."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._second.shutdown(wait=False)

    @property
    def dead(self) -> bool:
        """Whether the thread has died of an error: nothing would ever come again, and the worker must be replaced."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._ended

    @property
    def spent(self) -> bool:
        """Whether nothing more will come: the inbox is closed and everything in it was handed over."""
        return not self._thread.is_alive() and not self._made

    def next(self, timeout_s: float) -> Ready | None:
        """Return the next batch; None where there is none in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._made or not self._thread.is_alive(), timeout_s)
            if not self._made:
                return None
            ready = self._made.popleft()
            self._changed.notify_all()
            return ready

    def _run(self) -> None:
        while not self._ended:
            batch = self._inbox.take(self._messages, self._octets, _IDLE_S)
            if batch:
                self._hand_over(batch)
            elif self._inbox.closed:
                break
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _hand_over(self, batch: Sequence[Arrived]) -> None:
        self._working = len(batch)
        ready = _make(batch, self._second)
        with self._changed:
            self._changed.wait_for(lambda: not self._made or self._ended)
            self._made.append(ready)
            self._working = 0
            self._changed.notify_all()


def _make(batch: Sequence[Arrived], second: Executor) -> Ready:
    items = _checked(batch, second)
    try:
        return Ready(batch, items, prepare(items))
    except Exception as error:  # one message that we did not foresee: the store will find it and set it apart
        _log.warning("batch not made ready", messages=len(batch), error=type(error).__name__)
        return Ready(batch, items, None)


def _checked(batch: Sequence[Arrived], second: Executor) -> list[Item]:
    """Check messages; half of the recordings in another thread: decoding samples and their SHA-256 hold no lock."""
    recordings = [i for i, arrived in enumerate(batch) if arrived.topic.endswith("/ecg")]
    if len(recordings) < _SHARED:
        return [check(arrived.topic, arrived.payload) for arrived in batch]
    others = recordings[::2]
    theirs = second.submit(lambda: [check(batch[i].topic, batch[i].payload) for i in others])
    given = set(others)
    ours = {i: check(arrived.topic, arrived.payload) for i, arrived in enumerate(batch) if i not in given}
    ours |= zip(others, theirs.result(), strict=True)
    return [ours[i] for i in range(len(batch))]
