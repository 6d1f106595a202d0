"""A region reconnects: the broker dies under thousands of TLS sessions; when are all back, and the first alarm through.

    python benchmarks/ingest_crowd.py --sessions 10000

Every session has its own certificate and waits between attempts as the gateway's own publisher does (its back-off,
its settings, its time-outs). Once it is back it subscribes and sends its birth; one in a hundred has had a reading in
its outbox all the while, which a real worker stores in a real database. The broker is the real one, killed (SIGKILL).
What is measured is of one machine that carries the crowd, the broker, the worker and the database at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import multiprocessing
import os
import random
import resource
import ssl
import tempfile
import time
from collections.abc import MutableSequence, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import cast
from uuid import UUID

import crowd_session as mqtt
import ingest_trial
import msgspec
import psycopg
from crowd_session import Session
from feldsher_cloud_api import ca
from feldsher_edge.config import Mqtt
from feldsher_edge.pace import Backoff
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import device_key
from feldsher_ehr_core.monitoring import Range
from feldsher_ehr_core.vitals import SYSTOLIC
from feldsher_ingest.settings import mqtt_address
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_tools.services import client_files
from ingest_rows import cpu_s, percentile

HERDS = 4
"""Processes that carry the crowd."""
ALARM_EVERY = 100
AT_ONCE = 50
"""Connections begun at once by each herd at the very first start, which is not what is measured."""
LIVED_S = 3600.0
CROWDED_S = 9.0
"""As feldsher_edge.publish judges that a broker has no time."""
DOWN_S = 5.0
LIMIT_S = 900.0
Times = MutableSequence[float]


def name(i: int) -> str:
    """Return the name of a gateway of the crowd."""
    return f"gw-crowd-{i:05}"


@dataclass(frozen=True, slots=True)
class Crowd:
    """What its processes share: when each gateway came back and had its reading receipted (0: not), and attempts."""

    back: Times
    receipted: Times
    attempts: Times
    port: int
    clients: Path

    def context(self, i: int) -> ssl.SSLContext:
        """Return what a gateway shows and trusts."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.load_verify_locations(self.clients.parent / "ca.pem")
        tls.load_cert_chain(self.clients / f"{name(i)}.pem", self.clients / f"{name(i)}.key")
        return tls


class Gateway:
    """One gateway, as `feldsher_edge.publish.Publisher.run` is."""

    def __init__(self, crowd: Crowd, i: int, first: asyncio.Semaphore) -> None:
        self._crowd, self._i, self._first = crowd, i, first
        made = Mqtt()
        self._backoff = Backoff(made.backoff_base_s, made.backoff_cap_s, random.Random(i))  # noqa: S311 - repeatable
        self._maker = SimulatedGateway(name(i), 1)
        self._ended, self._answered = asyncio.Event(), asyncio.Event()
        self._waiting: wire.VitalsBatch | None = None
        self._missing = 0
        self._reached = False

    async def run(self) -> None:
        """Connect, stay, come back, for ever."""
        lived = False
        while True:
            self._crowd.attempts[self._i] += 1
            session, lived, self._reached = None, False, False
            began = time.monotonic()
            try:
                async with contextlib.AsyncExitStack() as stack:
                    if not self._waiting:  # only until all have been there once
                        await stack.enter_async_context(self._first)
                    session = await self._come()
                lived = True
                await self._stay(session)
            except OSError:
                pass
            finally:
                self._crowd.back[self._i] = 0.0
                if session is not None:
                    session.close()
            if lived:
                self._waiting = self._maker.pressure()  # measured while there was no broker
            crowded = self._reached and not lived and time.monotonic() - began >= CROWDED_S
            await asyncio.sleep(self._backoff.next_s(LIVED_S if lived else 0.0, crowded=crowded))

    async def _come(self) -> Session:
        self._ended.clear()
        self._answered.clear()
        self._missing = 3  # CONNACK, SUBACK, and the PUBACK of the birth
        network = await mqtt.reached(self._crowd.port)
        self._reached = True
        session = await mqtt.greeted(network, self._crowd.context(self._i), self._heard)
        try:
            birth = self._maker.birth()
            session.send(mqtt.connect(name(self._i), wire.up_topic(name(self._i), "death"), b"\x00"))
            session.send(mqtt.subscribe(wire.down_topic(name(self._i), "+")))
            session.send(mqtt.publish(wire.up_topic(name(self._i), "birth"), 2, wire.encode(birth)))
            self._send_waiting(session)
            async with asyncio.timeout(mqtt.ANSWER_S):
                await self._answered.wait()
        except BaseException:
            session.close()
            raise
        self._crowd.back[self._i] = time.monotonic()
        return session

    def _send_waiting(self, session: Session) -> None:
        if self._waiting and self._i % ALARM_EVERY == 0 and not self._crowd.receipted[self._i]:
            session.send(mqtt.publish(wire.up_topic(name(self._i), "vitals"), 3, wire.encode(self._waiting)))

    async def _stay(self, session: Session) -> None:
        """Live until the connection ends; what got no receipt is sent again, after 10, 20, 40 … seconds."""
        patience_s = again_s = Mqtt().receipt_timeout_s
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(mqtt.KEEPALIVE_S * 0.9, patience_s)):
                    await self._ended.wait()
                return
            session.ping()
            patience_s -= mqtt.KEEPALIVE_S * 0.9
            if patience_s <= 0:
                self._send_waiting(session)
                again_s = patience_s = again_s * 2

    def _heard(self, kind: int, body: bytes) -> None:
        if kind in (0, mqtt.DISCONNECT):
            self._ended.set()
        elif kind in (mqtt.CONNACK, mqtt.SUBACK, mqtt.PUBACK):
            self._missing -= 1
            if self._missing == 0:
                self._answered.set()
        elif kind == mqtt.PUBLISH:
            down = wire.decode_down(body)
            if isinstance(down, wire.Receipt) and self._waiting and self._waiting.env.id in down.ids:
                self._crowd.receipted[self._i] = time.monotonic()


def herd(crowd: Crowd, numbers: Sequence[int]) -> None:
    """Be some gateways until killed."""

    async def all_of_them() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        first = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(Gateway(crowd, i, first).run() for i in numbers))

    asyncio.run(all_of_them())


def certified(authority: ca.CertificateAuthority, count: int) -> Path:
    """Make what certificates are missing; return their folder."""
    for i in range(count):
        client_files(authority, name(i))
    return authority.directory / "clients"


def wait_back(crowd: Crowd, count: int) -> list[float]:
    """Wait until all are back, or for the limit; return when each was."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end and sum(1 for at in crowd.back[:] if at) < count:
        time.sleep(0.25)
    return sorted(at for at in crowd.back[:] if at)


def measure(sessions: int, folder: Path) -> dict[str, float]:
    """Return how the crowd came back."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the broker inherits it
    with ingest_trial.line(folder) as on:
        clients = certified(on.authority, sessions)
        watched(on.url, sessions)
        fork = multiprocessing.get_context("fork")
        back, receipted, attempts = (cast("Times", fork.RawArray(ctypes.c_double, sessions)) for _ in range(3))
        crowd = Crowd(back, receipted, attempts, mqtt_address(on.broker.url)[1], clients)
        herds: list[ForkProcess] = [
            fork.Process(target=herd, args=(crowd, range(k, sessions, HERDS)), daemon=True) for k in range(HERDS)
        ]
        try:
            for each in herds:
                each.start()
            return _killed(on, crowd, sessions, herds)
        finally:
            for each in herds:
                each.kill()
                each.join()


def watched(url: str, sessions: int) -> None:
    """Put those whose reading waits under monitoring, with a limit that every reading breaks."""
    rule = msgspec.json.encode(Range((SYSTOLIC.mdc,), above=Decimal(1))).decode()
    with psycopg.connect(url) as connection:
        for i in range(0, sessions, ALARM_EVERY):
            person = {"device": device_key(name(i), f"cuff-{name(i)}"), "subject": UUID(int=i + 1), "rule": rule}
            connection.execute(
                "insert into watch_subject (device, subject, during)"
                " values (%(device)s, %(subject)s, '[2020-01-01Z,)')",
                person,
            )
            connection.execute(
                "insert into watch_limit (id, version, subject, rule, severity, during)"
                " values (gen_random_uuid(), 1, %(subject)s, %(rule)s, 'urgent', '[2020-01-01Z,)')",
                person,
            )


def raised(url: str, since: float) -> list[float]:
    """Return how many seconds after a moment (wall time) each alert was raised."""
    with psycopg.connect(url) as connection:
        query = b"select extract(epoch from raised_at)::float8 - %s from watch_alert where kind = 'range' order by 1"
        return [row[0] for row in connection.execute(query, [since])]


def _killed(on: ingest_trial.Line, crowd: Crowd, sessions: int, herds: Sequence[ForkProcess]) -> dict[str, float]:
    began = time.monotonic()
    there = wait_back(crowd, sessions)
    assert len(there) == sessions, f"only {len(there)} of {sessions} ever came"
    cold_s, cold_cpu = there[-1] - began, cpu_s(on.broker.process.pid)
    print(f"{sessions:,} sessions after {cold_s:.0f} s, broker {cold_cpu:.1f} s of processor; it is killed", flush=True)
    time.sleep(3)
    on.broker.kill()
    while any(crowd.back[:]):
        time.sleep(0.1)
    time.sleep(DOWN_S)
    crowd.attempts[:] = [0.0] * sessions
    used = sum(cpu_s(each.pid or 0) for each in herds)
    on.broker.start()
    began, wall = time.monotonic(), time.time()
    there = [at - began for at in wait_back(crowd, sessions)]
    broker_cpu, broker_mb = cpu_s(on.broker.process.pid), ingest_trial.rss_mb(on.broker.process.pid)
    used = sum(cpu_s(each.pid or 0) for each in herds) - used
    waiting = [i for i in range(sessions) if i % ALARM_EVERY == 0]
    end = time.monotonic() + 120
    while time.monotonic() < end and not all(crowd.receipted[i] for i in waiting):
        time.sleep(0.1)
    alarms = raised(on.url, wall)
    receipts = [crowd.receipted[i] - began for i in waiting if crowd.receipted[i]]
    return {
        "sessions": sessions,
        "back": len(there),
        "back_p50_s": round(percentile(there, 50), 1),
        "back_p99_s": round(percentile(there, 99), 1),
        "back_all_s": round(there[-1], 1),
        "attempts_per_session": round(sum(crowd.attempts[:]) / sessions, 2),
        "first_alarm_s": round(alarms[0], 2) if alarms else -1,
        "alarms_p50_s": round(percentile(alarms, 50), 1) if alarms else -1,
        "alarms_all_s": round(alarms[-1], 1) if len(alarms) == len(waiting) else -1,
        "receipts_all_s": round(max(receipts), 1) if len(receipts) == len(waiting) else -1,
        "broker_cpu_s": round(broker_cpu, 1),
        "broker_mb": round(broker_mb),
        "crowd_cpu_s": round(used, 1),
        "cold_start_s": round(cold_s, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000, help="TLS sessions; two open files each (ulimit -n)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(options.sessions, Path(temporary))
    print(json.dumps(found))
    return 0 if found["back"] == found["sessions"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
