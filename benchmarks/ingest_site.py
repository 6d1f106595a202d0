"""An installation on this machine for trials of ingest: servers, workers, and gateways that keep what was receipted."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from feldsher_cloud_api import backup, ca, db, worker
from feldsher_cloud_api.config import Settings
from feldsher_ehr_core import wire
from feldsher_ingest.settings import Tls, mqtt_address
from feldsher_ingest.simulate import GatewayClient
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.place import Place, find_place
from feldsher_tools.postgres import Postgres
from feldsher_tools.process import Process
from feldsher_tools.services import client_files, listener_files
from ingest_trial import Sender

GATEWAYS = 4
WINDOW = 150
DATABASE = "disaster"
BEAT_S = 1.0


class Keeper(Sender):
    """A gateway that keeps what was receipted, says that it is there, and sends everything again when asked to."""

    def __init__(self, client: GatewayClient, load: Load) -> None:
        super().__init__(client, 1 << 30, load.readings, WINDOW, load.ecg_every)
        self.asked = 0
        self._every_s = GATEWAYS / load.per_s
        self._due = time.monotonic()
        self.receipted: dict[UUID, float] = {}
        self._kept: dict[UUID, wire.Up] = {}
        self._again: dict[UUID, wire.Up] = {}
        self._said = float("-inf")

    @property
    def done(self) -> bool:
        """Whether everything has been made and receipted, what was sent again too."""
        return super().done and not self._again

    def _release(self) -> bool:
        told = [i for i in self._waiting if i in self._client.receipts]
        for message_id in told:
            self._kept[message_id] = self._waiting.pop(message_id)
            self.receipted[message_id] = time.monotonic()
        if len(self._client.resends) > self.asked:
            self.asked = len(self._client.resends)
            for message_id in self._kept:
                self._client.receipts.pop(message_id, None)
            self._again |= self._kept
            self._kept.clear()
        return bool(told)

    def _more(self) -> bool:
        if time.monotonic() - self._said > BEAT_S:
            self._said = time.monotonic()
            self._client.send(self._maker.heartbeat())
        if self._again and len(self._waiting) < WINDOW:
            message_id = next(iter(self._again))
            self._waiting[message_id] = self._again.pop(message_id)
            self._client.send(self._waiting[message_id])
            return True
        if time.monotonic() < self._due:
            return False
        self._due += self._every_s
        return super()._more()


@dataclass(frozen=True, slots=True)
class Load:
    """A flood: messages a second, readings in each, how many are receipted from one act of a play to the next.

    `ecg_every`: one message in so many is an ECG, of which the record draws a picture; that takes longer than all else.
    """

    per_s: float = 1000.0
    readings: int = 1
    act: int = 5000
    ecg_every: int = 100


@dataclass
class Site:
    """An installation: a database server (and its replica, or the folder of its backups), a broker, workers."""

    place: Place
    directory: Path
    database: Postgres
    replica: Postgres | None
    backups: Path
    url: str
    broker: Mosquitto
    authority: ca.CertificateAuthority
    workers: list[Process]
    stack: ExitStack

    def client(self, name: str) -> GatewayClient:
        """Return a gateway's connection."""
        host, port = mqtt_address(self.broker.url)
        files = client_files(self.authority, name)
        return GatewayClient(name, host, port, Tls(files.ca, files.certificate, files.key))

    @contextmanager
    def flood(self, load: Load, prefix: str = "gw") -> Generator[list[Keeper]]:
        """Run gateways until they are told to finish."""
        made: list[Keeper] = []
        with ExitStack() as stack:
            for i in range(GATEWAYS):
                client = stack.enter_context(self.client(f"{prefix}-{i}"))
                made.append(Keeper(client, load))
            for sender in made:
                sender.start()
                stack.callback(sender.stop)
            yield made


@contextmanager
def site(directory: Path, *, replica: bool = False, workers: int = 2, revision: str = "head") -> Generator[Site]:
    """Start everything in a directory; it ends with the block. Its log is archived from the beginning."""
    with ExitStack() as stack:
        place, name = find_place(), f"disaster-{os.getpid()}"
        data = place.make_directory(place.base / name)
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        backups = place.make_directory(data / "backup")
        place.make_directory(backups / "wal")
        options = _options(backup.settings(backups, 1))
        server = stack.enter_context(Postgres(place, data / "first", name=f"{name}-first", settings=options))
        db.migrate(server.create_database(DATABASE), revision)
        second = None
        if replica:
            second = Postgres(place, data / "second", name=f"{name}-second", settings=options)
            second.follow(server, "second")
            stack.enter_context(second)
        authority = ca.create(directory / "ca")
        broker = Mosquitto(place, directory / "mosquitto", listener_files(authority), name=f"{name}-mosquitto")
        stack.enter_context(broker)
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in (server, second) if one is not None)
        url = f"postgresql://postgres@{hosts}/{DATABASE}"
        made = Site(place, directory, server, second, backups, url, broker, authority, [], stack)
        for number in range(workers):
            made.workers.append(_start_worker(made, number, workers))
            stack.callback(made.workers[-1].kill)
        yield made


def _options(lines: str) -> dict[str, str]:
    pairs = (line.split(" = ", 1) for line in lines.splitlines())
    return {name: value[1:-1].replace("''", "'") for name, value in pairs}


def _start_worker(on: Site, number: int, seats: int) -> Process:
    files = [client_files(on.authority, f"ingest.{seat}") for seat in range(seats)]
    clients = files[0].certificate.parent
    shutil.copy(files[0].ca, clients / "ca.pem")
    environment = {
        "FELDSHER_DATABASE_URL": on.url,
        "FELDSHER_MQTT_URL": on.broker.url,
        "FELDSHER_MQTT_TLS": str(clients),
        "FELDSHER_STATE": str(on.directory),
        "FELDSHER_INGEST_SEATS": str(seats),
    }
    argv = [sys.executable, "-c", "from feldsher_ingest.cli import main; main()", "run", "--log-level", "warning"]
    name = f"ingest-{number}"
    log = on.directory / f"{name}.log"
    process = Process(name, argv, log, on.directory / f"{name}.pid", environment=environment)
    process.start()
    return process


@contextmanager
def projecting(on: Site) -> Generator[worker.Worker]:
    """Run the cloud's worker, which projects what ingest stores into the record."""
    running = worker.Worker(Settings(on.url, state=on.directory))
    thread = threading.Thread(target=running.run, name="cloud worker", daemon=True)
    thread.start()
    yield running
    running.stop()
    thread.join(30)


def ask(url: str, query: str) -> tuple[int, ...]:
    """Return one row of numbers."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return tuple(int(number) for number in row)


def wait(for_what: Callable[[], bool], what: str, timeout_s: float = 300.0) -> float:
    """Wait until something has come true; return how long it took."""
    began = time.monotonic()
    while not for_what():
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)
    return time.monotonic() - began
