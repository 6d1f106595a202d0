"""The whole line: gateways over mutual TLS, the broker, a worker in a process of its own, the database, receipts back.

What each of them costs is read from the kernel's accounts, so that a slow line is seen to be whose.
"""

from __future__ import annotations

import os
import random
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from feldsher_ehr_core import wire
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from ingest_trial import Line

GATEWAYS = 4
WAIT_S = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Flow:
    """Messages and values per second from the first publish to the last receipt; processor time, µs per message."""

    messages: float
    rows: float
    worker_us: float
    database_us: float
    broker_us: float
    gateways_us: float


def _spent(pid: int) -> float:
    """Return the processor seconds of a process and of its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS


def _of_database(on: Line) -> float:
    postmaster = on.database.process.pid
    with psycopg.connect(on.url) as connection:
        found = connection.execute("select pid from pg_stat_activity where pid <> pg_backend_pid()").fetchall()
    return sum(_spent(pid) for (pid,) in found) + _spent(postmaster)


class _Sender(threading.Thread):
    """A gateway that sends what is ready as fast as the broker takes it."""

    def __init__(self, client: GatewayClient, messages: int, readings: int) -> None:
        super().__init__(name=client.name, daemon=True)
        made = SimulatedGateway(client.name, random.randrange(1 << 30))  # noqa: S311 (fresh ids each time)
        some = [made.pressure(readings) for _ in range(messages)]
        self.ids: set[UUID] = {m.env.id for m in some}
        self._client = client
        self._ready = [(wire.up_topic(client.name, "vitals"), wire.encode(m)) for m in some]

    def run(self) -> None:
        """Send everything."""
        for topic, payload in self._ready:
            self._client.send_bytes(topic, payload)

    def receipted(self) -> bool:
        """Wait for all receipts; return whether they came."""
        return self._client.wait_receipts(self.ids, WAIT_S)


def wait_up(on: Line) -> None:
    """Wait until the worker answers: what is sent before it has subscribed for the first time reaches nobody."""
    with on.client("gw-first") as client:
        message = SimulatedGateway(client.name, random.randrange(1 << 30)).pressure()  # noqa: S311
        for _ in range(round(WAIT_S)):
            client.send(message)
            if client.wait_receipts({message.env.id}, 1.0):
                return
    raise TimeoutError(f"no receipt within {WAIT_S:g} s")


def flow(on: Line, messages: int, readings: int) -> Flow:
    """Return how fast so many messages of so many blood pressure readings flow, and what that costs whom."""
    with ExitStack() as stack:
        clients = [stack.enter_context(on.client(f"gw-flow-{i}")) for i in range(GATEWAYS)]
        senders = [_Sender(client, messages // GATEWAYS, readings) for client in clients]
        before = _accounts(on)
        began = time.perf_counter()
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
            assert sender.receipted()
        seconds = time.perf_counter() - began
        spent = [(after - was) * 1e6 / messages for after, was in zip(_accounts(on), before, strict=True)]
    return Flow(messages / seconds, messages * readings * 4 / seconds, *spent)


def _accounts(on: Line) -> Sequence[float]:
    return _spent(on.worker.pid), _of_database(on), _spent(on.broker.process.pid), time.process_time()


def latency(on: Line, count: int) -> dict[str, float]:
    """Return milliseconds from publish to receipt of lone messages."""
    times: list[float] = []
    with on.client("gw-alone") as client:
        made = SimulatedGateway(client.name, random.randrange(1 << 30))  # noqa: S311
        for _ in range(count):
            message = made.pressure()
            began = time.perf_counter()
            client.send(message)
            assert client.wait_receipts({message.env.id})
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.01)
    return {"p50": statistics.median(times), "p99": statistics.quantiles(times, n=100)[98]}
