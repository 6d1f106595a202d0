"""Ingestion on trial: worker, broker and database killed at random under load, and the database away under a flood.

Four gateways keep what they send until it is receipted, as real ones do; what the database then holds is compared with
what they made. Real PostgreSQL with fsync, real mosquitto, a worker in a process of its own.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg
from feldsher_cloud_api import ca, db
from feldsher_ehr_core import wire
from feldsher_ingest.settings import Tls, mqtt_address
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.place import find_place
from feldsher_tools.postgres import Postgres
from feldsher_tools.process import Process
from feldsher_tools.services import client_files, listener_files

GATEWAYS = 4
WINDOW = 150
"""Messages of one gateway on their way at once."""
AGAIN_S = 8.0
"""Without any receipt for so long, a gateway sends what waits once more."""
ECG_EVERY = 25
DRAIN_S = 300.0


@dataclass
class Found:
    """What became of a trial."""

    made: int = 0
    kills: int = 0
    lost: int = 0
    duplicated: int = 0
    dead_letters: int = 0
    worker_rss_mb: float = 0.0
    killed: list[str] = field(default_factory=list[str])


class Sender(threading.Thread):
    """A gateway with its outbox: makes messages until told to stop, and keeps each until its receipt has come."""

    def __init__(
        self,
        client: GatewayClient,
        messages: int,
        readings: int,
        window: int = WINDOW,
        ecg_every: int = ECG_EVERY,
    ) -> None:
        super().__init__(name=client.name, daemon=True)
        self.made = 0
        self.readings = 0
        self.recordings = 0
        self._client = client
        self._messages = messages
        self._per_message = readings
        self._window = window
        self._ecg_every = ecg_every
        self._maker = SimulatedGateway(client.name, 1)
        self._waiting: dict[UUID, wire.Up] = {}
        self._ended = threading.Event()

    @property
    def done(self) -> bool:
        """Whether everything has been made and receipted."""
        return self.made >= self._messages and not self._waiting

    def finish(self) -> None:
        """Make nothing more; what waits is still sent."""
        self._messages = self.made

    def stop(self) -> None:
        """Make nothing more and end."""
        self._ended.set()
        self.join(30)

    def run(self) -> None:
        """Send until everything is receipted."""
        heard = time.monotonic()
        while not self._ended.is_set() and not self.done:
            if not self._client.connected:
                self._connect()
                heard = time.monotonic()
            if self._release():
                heard = time.monotonic()
            elif time.monotonic() - heard > AGAIN_S:
                self._send_all()
                heard = time.monotonic()
            if not self._more():
                time.sleep(0.005)

    def _more(self) -> bool:
        if self.made >= self._messages or len(self._waiting) >= self._window:
            return False
        self.made += 1
        message: wire.Up
        if self.made % self._ecg_every:
            message = self._maker.pressure(self._per_message)
            self.readings += self._per_message
        else:
            message = self._maker.recording(leads=1, seconds=2.0)
            self.recordings += 1
        self._waiting[message.env.id] = message
        self._client.send(message)
        return True

    def _release(self) -> bool:
        told = [i for i in self._waiting if i in self._client.receipts]  # few wait, however many have been told
        for message_id in told:
            del self._waiting[message_id]
        return bool(told)

    def _connect(self) -> None:
        with suppress(OSError):
            self._client.close()
            self._client.connect(10)
            self._send_all()
            return
        time.sleep(0.2)

    def _send_all(self) -> None:
        for message in list(self._waiting.values()):
            self._client.send(message)


@dataclass
class Line:
    """Broker, database and one worker, to be killed and started."""

    database: Postgres
    broker: Mosquitto
    worker: Process
    url: str
    authority: ca.CertificateAuthority

    def check(self) -> None:
        """Raise where the worker has ended by itself: a restart would hide its fault."""
        if not self.worker.running:
            raise RuntimeError(f"the worker has ended by itself:\n{self.worker.log_tail()}")

    def restart(self, part: str) -> None:
        """Kill one of `worker`, `broker`, `database` and start it again."""
        self.check()
        killed = {"worker": self.worker, "broker": self.broker, "database": self.database}[part]
        killed.kill()
        killed.start()

    def client(self, name: str) -> GatewayClient:
        """Return a gateway's connection."""
        host, port = mqtt_address(self.broker.url)
        files = client_files(self.authority, name)
        return GatewayClient(name, host, port, Tls(files.ca, files.certificate, files.key))


@contextmanager
def line(directory: Path) -> Generator[Line]:
    """Start everything in a directory; it ends with the block."""
    with ExitStack() as stack:
        place, name = find_place(), f"trial-{os.getpid()}"
        data = place.base / name
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        server = stack.enter_context(Postgres(place, data, name=f"{name}-postgres"))
        url = server.create_database("trial")
        db.migrate(url)
        authority = ca.create(directory / "ca")
        files = listener_files(authority)
        broker = stack.enter_context(Mosquitto(place, directory / "mosquitto", files, name=f"{name}-mosquitto"))
        clients = client_files(authority, "ingest.0").certificate.parent
        shutil.copy(files.ca, clients / "ca.pem")
        environment = {
            "FELDSHER_DATABASE_URL": url,
            "FELDSHER_MQTT_URL": broker.url,
            "FELDSHER_MQTT_TLS": str(clients),
            "FELDSHER_STATE": str(directory),
        }
        argv = [sys.executable, "-c", "from feldsher_ingest.cli import main; main()", "run", "--log-level", "error"]
        worker = Process("ingest", argv, directory / "ingest.log", directory / "ingest.pid", environment=environment)
        worker.start()
        stack.callback(worker.kill)
        yield Line(server, broker, worker, url, authority)


@contextmanager
def senders(on: Line, messages: int, readings: int, prefix: str, window: int = WINDOW) -> Generator[list[Sender]]:
    """Run gateways that make so many messages together."""
    made: list[Sender] = []
    with ExitStack() as stack:
        for i in range(GATEWAYS):
            client = stack.enter_context(on.client(f"{prefix}-{i}"))
            made.append(Sender(client, messages // GATEWAYS, readings, window))
        for sender in made:
            sender.start()
            stack.callback(sender.stop)
        yield made


def wait_done(some: list[Sender]) -> None:
    """Wait until every message is receipted; what is not after five minutes is counted as lost."""
    deadline = time.monotonic() + DRAIN_S
    while not all(sender.done for sender in some) and time.monotonic() < deadline:
        time.sleep(0.05)


def count(on: Line, some: list[Sender], prefix: str) -> tuple[int, int, int]:
    """Return lost, duplicated and dead: what gateways made against what the database holds."""
    query = b"""
        with mine as (
            select reading_id from vital_reading join vital_source on no = source where gateway like %(like)s
        )
        select (select count(*) from mine), (select count(distinct reading_id) from mine),
               (select count(*) from ecg_recording where gateway like %(like)s),
               (select count(*) - count(distinct message_id) from event where gateway like %(like)s),
               (select count(*) from dead_letter)
    """
    with psycopg.connect(on.url) as connection:
        row = connection.execute(query, {"like": f"{prefix}-%"}).fetchone()
    assert row is not None
    readings, distinct, recordings, told_twice, dead = (int(number) for number in row)
    made, ecgs = sum(s.readings for s in some), sum(s.recordings for s in some)
    return made - distinct + ecgs - recordings, readings - distinct + told_twice, dead


def kill_at_random(on: Line, kills: int, messages: int, seed: int = 1) -> Found:
    """Kill parts at moments spread over the sending of some messages; return what became of them."""
    generator, found = random.Random(seed), Found(made=messages)  # noqa: S311 (moments, no secrets)
    with senders(on, messages, 1, "gw-kill") as some:
        moments = sorted(generator.sample(range(messages // 20, messages * 19 // 20), kills))
        for at in moments:
            while sum(sender.made for sender in some) < at:
                on.check()
                time.sleep(0.002)
            part = generator.choice(("worker", "worker", "broker", "database"))
            time.sleep(generator.uniform(0, 0.2))
            on.restart(part)
            found.killed.append(part)
            found.kills += 1
        wait_done(some)
        found.lost, found.duplicated, found.dead_letters = count(on, some, "gw-kill")
    return found


def database_away(on: Line, pause_s: float, readings: int = 15) -> Found:
    """Flood a worker while nothing can be written for a time; return its greatest memory, and what became of it all."""
    found, pid = Found(), on.worker.pid
    with senders(on, 1 << 30, readings, "gw-flood", window=2000) as some:
        with psycopg.connect(on.url) as connection:
            connection.execute("lock table vital_reading in exclusive mode")
            end = time.monotonic() + pause_s
            while time.monotonic() < end:
                found.worker_rss_mb = max(found.worker_rss_mb, rss_mb(pid))
                time.sleep(0.1)
        for sender in some:
            sender.finish()
        wait_done(some)
        found.worker_rss_mb = max(found.worker_rss_mb, rss_mb(pid))
        found.made = sum(sender.made for sender in some)
        found.lost, found.duplicated, found.dead_letters = count(on, some, "gw-flood")
    return found


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(on: Line, kills: int, messages: int, pause_s: float) -> Found:
    """Run both trials; return what became of everything."""
    found = kill_at_random(on, kills, messages)
    flooded = database_away(on, pause_s)
    found.worker_rss_mb = flooded.worker_rss_mb
    found.made += flooded.made
    found.lost += flooded.lost
    found.duplicated += flooded.duplicated
    return found
