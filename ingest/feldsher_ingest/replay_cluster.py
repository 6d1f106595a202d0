"""Hands the tasks of a re-interpretation to Dask processes: of this machine, or of a cluster at an address.

Only ids travel; every process reads and writes the database itself. Tasks are held back until processes are free, so an
archive of any size costs the same memory. A process that dies takes nothing with it: Dask gives its tasks to others.
Tasks that were under way whenever processes died, again and again, are kept for the end: then their recordings are
interpreted one at a time, with nothing beside, so that only the one that kills a process is given up.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dask.config as settings
import structlog
from distributed import Client, LocalCluster, Security
from distributed.scheduler import KilledWorker
from feldsher_signal import interpret

from feldsher_ingest import replay
from feldsher_ingest.replay import ReplayError, Run
from feldsher_ingest.replay_task import Done, give_up, patiently, work
from feldsher_ingest.store import Store, UnavailableError

CHUNK = 50
"""Recordings of a task: half a second of computing, beside which a task's own milliseconds do not count."""
THREADS = 2
"""Threads of a process: one computes, the other reads the next task's recordings or writes the last one's results."""
_AHEAD = 2
"""Tasks under way for each thread: one is done, the next waits beside it."""
ABSENT_S = 180.0
"""So long a run waits for a first process, or for one to come back, before it ends (to be resumed)."""
_LOOK_S = 0.5
_RESULT_S = 10.0
"""Dask answers at once where a result still exists, and may wait for ever where it died with its process."""
_QUIET = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.logging.distributed": "error",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
}
"""Dask's settings: results are a few numbers, so nothing is ever spilled to a disk; and what Dask looks at for its
dashboard a hundred times a second is not looked at: it costs the engine a part of its processor."""
_log = structlog.stdlib.get_logger("feldsher_ingest.replay_cluster")


@dataclass(frozen=True, slots=True)
class Tls:
    """The files by which Dask processes know each other: whom to trust, our certificate, its key."""

    ca: Path
    certificate: Path
    key: Path


@contextmanager
def local(processes: int, memory: str = "1GB") -> Generator[Client]:
    """Start processes of this machine and yield their client; they end with it, also where it is killed.

    `memory`: of each process; one that takes more is started anew. Kernels are compiled (or found) here first, so that
    the processes need not do it all at once. Whoever reaches a Dask scheduler runs programs as its user: even on the
    loopback they speak TLS, with a certificate that is made here and lies nowhere.
    """
    interpret.warm()
    with (
        settings.set(_QUIET),
        LocalCluster(
            n_workers=processes,
            threads_per_worker=THREADS,
            memory_limit=memory,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=Security.temporary(),  # pyright: ignore[reportUnknownMemberType]
            dashboard_address=None,  # pyright: ignore[reportArgumentType] # Dask's word for none at all
            silence_logs=logging.CRITICAL,
        ) as cluster,  # pyright: ignore[reportUnknownVariableType]
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def remote(address: str, tls: Tls) -> Generator[Client]:
    """Connect to a cluster's scheduler (tls://host:port) and yield the client; ReplayError where that fails.

    Its processes need this same software and FELDSHER_DATABASE_URL in their own environment.
    """
    if not address.startswith("tls://"):
        raise ReplayError(
            f"--scheduler {address}: only tls://host:port; whoever reaches a scheduler runs programs there"
        )
    for name, file in (("--tls-ca", tls.ca), ("--tls-cert", tls.certificate), ("--tls-key", tls.key)):
        if not file.is_file():
            raise ReplayError(f"{name} {file}: there is no such file")
    security = Security(
        tls_ca_file=str(tls.ca), tls_client_cert=str(tls.certificate), tls_client_key=str(tls.key),
        require_encryption=True,
    )  # fmt: skip
    with settings.set(_QUIET):
        try:
            client = Client(address, security=security, timeout=15, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ReplayError(f"--scheduler {address}: it cannot be reached: {error}") from error
        with client:
            yield client


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a drive is: what it has done so far itself, and with how many processes."""

    done: Done
    processes: int


class Driver:
    """Drives one run: keeps every process busy until nothing is left.

    `store`: the driver's own connection; `told`: hears of progress; `stopping`: ends the drive after what is under way.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        run: Run,
        told: Callable[[Progress], None],
        *,
        chunk: int = CHUNK,
        stopping: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client: Any = client  # Dask's methods are typed for its asynchronous use as well
        self._store, self._run, self._told = store, run, told
        self._chunk = chunk
        self._stopping = stopping or threading.Event()
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waiting: dict[Any, list[UUID]] = {}
        self._suspects: list[UUID] = []
        self._alone = False
        # a scheduler that outlives us may know tasks of an earlier drive
        drive = uuid4()
        self._names = (f"replay-{drive}-{n}" for n in itertools.count())
        self._done = Done()
        self._threads = 0
        self._most = 0
        self._clock = clock
        self._there = clock()
        self._later = f"`feldsher-ingest replay resume {run.run}` goes on"

    @property
    def done(self) -> Done:
        """What the drive has done so far; where a process died with a result, that task is missing from it."""
        return self._done

    def drive(self) -> bool:
        """Work until nothing is left and return True, or until told to stop; ReplayError where it cannot go on."""
        chunks = self._chunks()
        try:
            while self._fill(chunks) and not self._stopping.is_set():
                self._look()
                self._take()
        finally:
            self._client.cancel(list(self._waiting), force=True)
        return not self._stopping.is_set()

    def _fill(self, chunks: Iterator[list[UUID]]) -> bool:
        """Keep the processes busy; return whether anything is under way."""
        while not self._alone and len(self._waiting) < max(_AHEAD * self._threads, 1):
            ids = next(chunks, None)
            if ids is None:
                break
            self._submit(ids)
        if not self._waiting and self._suspects:
            self._alone = True
            self._submit([self._suspects.pop()])
        return bool(self._waiting)

    def _chunks(self) -> Iterator[list[UUID]]:
        after = replay.FIRST
        while page := self._ask(after):
            after = page[-1]
            for i in range(0, len(page), self._chunk):
                yield page[i : i + self._chunk]

    def _ask(self, after: UUID) -> list[UUID]:
        return patiently(lambda: self._store.run(lambda c: replay.pending(c, self._run, after)))

    def _look(self) -> None:
        """Count the cluster's processes, and tell how far it is."""
        if self._client.status != "running":
            raise ReplayError(f"the cluster is gone; {self._later}")
        threads: dict[str, int] = self._client.nthreads()
        self._threads = sum(threads.values())
        self._most = max(self._most, len(threads))
        if len(threads) < self._most and self._client.cluster is not None:
            # of this machine's own: one that dies while it starts is given up by Dask; where none is missing, no change
            self._client.cluster.scale(self._most)
        now = self._clock()
        self._there = now if threads else self._there
        if now - self._there > ABSENT_S:
            raise ReplayError(f"no Dask process has been there for {ABSENT_S:.0f} s; {self._later}")
        self._told(Progress(self._done, len(threads)))

    def _submit(self, ids: list[UUID]) -> None:
        octets = [identity.bytes for identity in ids]
        future: Any = self._client.submit(work, self._run.order, octets, key=next(self._names), pure=False)
        self._waiting[future] = ids
        future.add_done_callback(self._ended.put)

    def _take(self) -> None:
        """Take in what has ended; where nothing has, wait a little."""
        try:
            future = self._ended.get(timeout=_LOOK_S)
        except queue.Empty:
            return
        ids = self._waiting.pop(future)
        try:
            done: Done = future.result(timeout=_RESULT_S)
        except (TimeoutError, CancelledError):
            # its process died with the result, or the scheduler forgot it: what is done is not done again
            self._submit(ids)
        except Exception as error:
            self._failed(ids, error)
        else:
            self._done += done

    def _failed(self, ids: list[UUID], error: Exception) -> None:
        if isinstance(error, UnavailableError):
            raise ReplayError(
                f"the database stays away: {error}; `feldsher-ingest replay resume {self._run.run}` goes on"
            )
        if not isinstance(error, KilledWorker):
            raise error
        if not self._alone:
            _log.warning("processes died over a task", recordings=len(ids))
            self._suspects += ids
            return
        reason = "the process that interpreted it died, again and again"
        patiently(lambda: self._store.run(lambda c: give_up(c, self._run.order, ids[0], reason)))
        self._done += Done(failed=1)
