"""Ingestion through disasters, in mid-flood: a replica that lacks commits is promoted, a backup is restored.

Gateways keep what was receipted, as real ones do for seven days, and send it again when they are asked to. At the end
the database is compared with what they made, and the record with the database. Real PostgreSQL with fsync and its own
tools, real mosquitto, workers in processes of their own.

    python benchmarks/ingest_disaster.py [--per-s 200] [--readings 1] [--act 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
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
ECG_EVERY = 100
"""The record draws a picture of each, which takes longer than everything else here."""
DRAIN_S = 300.0
DATABASE = "disaster"
BEAT_S = 1.0
_COUNTS = """
    select (select count(*) from vital_reading), (select count(distinct reading_id) from vital_reading),
           (select count(*) from ecg_recording), (select count(*) - count(distinct message_id) from event),
           (select count(*) from dead_letter), (select count(*) from ingest_epoch),
           (select count(*) from event where parked_at is not null)
"""


@dataclass
class Found:
    """What became of a disaster. Times in seconds.

    `receipted_and_gone`: messages that gateways held a receipt for and the database that went on did not hold, at its
    beginning: what only the gateways' copies made good. `first_receipt_s`: from the moment on which the new server
    takes writes, to a gateway's first receipt of it; `projected_s`: to the record's first change of it. `whole_s`: to
    the last receipt of everything. `data_loss_s`: how far the database had gone back.
    """

    made: int = 0
    receipted_and_gone: int = 0
    data_loss_s: float = 0.0
    server_s: float = 0.0
    first_receipt_s: float = 0.0
    projected_s: float = 0.0
    whole_s: float = 0.0
    lost: int = 0
    duplicated: int = 0
    dead_letters: int = 0
    parked: int = 0
    epochs: int = 0
    unprojected: int = 0
    written_to_the_old: int = 0


class Keeper(Sender):
    """A gateway that keeps what was receipted, says that it is there, and sends everything again when asked to."""

    def __init__(self, client: GatewayClient, readings: int, every_s: float) -> None:
        super().__init__(client, 1 << 30, readings, WINDOW, ECG_EVERY)
        self.asked = 0
        self._every_s = every_s
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
        told = [i for i in list(self._client.receipts) if i in self._waiting]
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
    """A flood: messages a second, readings in each, and how many are receipted from one act of a play to the next."""

    per_s: float = 1000.0
    readings: int = 1
    act: int = 5000


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
                made.append(Keeper(client, load.readings, GATEWAYS / load.per_s))
            for sender in made:
                sender.start()
                stack.callback(sender.stop)
            yield made


@contextmanager
def site(directory: Path, *, replica: bool = False, workers: int = 2) -> Generator[Site]:
    """Start everything in a directory; it ends with the block. Its log is archived from the beginning."""
    with ExitStack() as stack:
        place, name = find_place(), f"disaster-{os.getpid()}"
        data = place.make_directory(place.base / name)
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        backups = place.make_directory(data / "backup")
        place.make_directory(backups / "wal")
        options = _options(backup.settings(backups, 1))
        server = stack.enter_context(Postgres(place, data / "first", name=f"{name}-first", settings=options))
        db.migrate(server.create_database(DATABASE))
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


def wait(for_what: Callable[[], bool], what: str, timeout_s: float = 120.0) -> float:
    """Wait until something has come true; return how long it took."""
    began = time.monotonic()
    while not for_what():
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


def _receipted(some: list[Keeper]) -> int:
    return sum(len(one.receipted) for one in some)


def _stored(url: str) -> int:
    return sum(ask(url, "select (select count(*) from message where kind <> 'heartbeat')"))


def _act(some: list[Keeper], load: Load, what: str) -> None:
    """Wait until so many more messages are receipted."""
    before = _receipted(some)
    wait(lambda: _receipted(some) >= before + load.act, what)


def promote_in_flood(directory: Path, load: Load) -> Found:
    """Lose a primary with commits that its replica never saw, promote the replica, and bring the old primary back."""
    found = Found()
    with site(directory, replica=True) as on, projecting(on), on.flood(load) as some:
        assert on.replica is not None
        _act(some, load, "the flood")
        (sender,) = ask(on.database.url(), "select pid from pg_stat_replication")
        os.kill(sender, signal.SIGSTOP)  # the link between the two is gone; nobody notices
        stopped = time.monotonic()
        _act(some, load, "receipts of what the replica never saw")
        on.database.kill()
        found.data_loss_s = time.monotonic() - stopped
        told, began = _receipted(some), time.monotonic()
        on.replica.promote()
        found.server_s = time.monotonic() - began
        found.receipted_and_gone = told - _stored(on.replica.url(DATABASE))
        _go_on(some, on.replica.url(DATABASE), found)
        found.written_to_the_old = _old_comes_back(on)
    return found


def _old_comes_back(on: Site) -> int:
    """Start the primary that was replaced, and all workers anew; return what anybody writes to it."""
    on.database.start()
    old = on.database.url(DATABASE)
    count = "select coalesce(sum(batch), 0) from ingest_mark"
    before = ask(old, count)[0]
    for process in on.workers:
        process.kill()
        process.start()
    with on.flood(Load(50), "late") as some:
        wait(lambda: _receipted(some) >= 40, "messages while two servers take writes")
    return ask(old, count)[0] - before


def restore_in_flood(directory: Path, load: Load, *, to_the_end: bool = False) -> Found:
    """Back a database up in mid-flood, delete it, and restore it: to a moment before, or to the end of the archive."""
    found = Found()
    with site(directory) as on, projecting(on), on.flood(load) as some:
        os.environ["FELDSHER_POSTGRES_BIN"] = str(Path(on.place.program("postgres")).parent)
        _act(some, load, "the flood")
        backup.base(on.url, on.backups, "full")
        _act(some, load, "the flood after the backup")
        moment = datetime.now(UTC)
        _act(some, load, "the flood after the moment")
        on.database.kill()
        died, told, began = datetime.now(UTC), _receipted(some), time.monotonic()
        shutil.rmtree(on.database.data)
        owner = (on.place.uid, on.place.gid) if os.geteuid() == 0 else None
        backup.restore(on.backups, on.database.data, None if to_the_end else moment, owner)
        on.database.start()
        url = on.database.url(DATABASE)
        wait(lambda: ask(url, "select (not pg_is_in_recovery())::int") == (1,), "the end of the recovery")
        found.server_s = time.monotonic() - began
        found.data_loss_s = _gone_back(url, died)
        found.receipted_and_gone = max(0, told - _stored(url))
        _go_on(some, url, found)
    return found


def _gone_back(url: str, died: datetime) -> float:
    """Return how many seconds before a moment the newest commit of the restored past was made."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select greatest(max(at), (select max(stored_at) from message where stored_at < %s)) from ingest_mark"
            " where at < %s",
            (died, died),
        ).fetchone()
    assert row is not None
    return (died - row[0]).total_seconds()


def _go_on(some: list[Keeper], url: str, found: Found) -> None:
    """Wait until all is whole on the new server, and count."""
    began = time.monotonic()
    done = "select count(*) from event where done_at > (select max(at) from ingest_epoch)"
    told = threading.Event()

    def look() -> None:
        with suppress(psycopg.Error):
            wait(lambda: ask(url, done)[0] > 0, "the record goes on")
            found.projected_s = time.monotonic() - began
        told.set()

    threading.Thread(target=look, daemon=True).start()
    wait(lambda: any(at > began for one in some for at in list(one.receipted.values())), "a receipt of the new server")
    found.first_receipt_s = time.monotonic() - began
    for one in some:
        one.finish()
    wait(lambda: all(one.asked and one.done for one in some), "everything is there again", DRAIN_S)
    found.whole_s = time.monotonic() - began
    told.wait(120)
    open_events = "select count(*) from event where done_at is null and parked_at is null"
    wait(lambda: ask(url, open_events) == (0,), "the record has everything", 2 * DRAIN_S)
    _count(url, some, found)


def _count(url: str, some: list[Keeper], found: Found) -> None:
    readings, distinct, recordings, twice, dead, epochs, parked = ask(url, _COUNTS)
    made, ecgs = sum(one.readings for one in some), sum(one.recordings for one in some)
    found.made = sum(one.made for one in some)
    found.lost = made - distinct + ecgs - recordings
    found.duplicated = readings - distinct + twice
    found.dead_letters, found.epochs, found.parked = dead, epochs, parked
    waiting = "select count(*) from cloud.unassigned"
    (queued,) = ask(url, waiting)
    found.unprojected = made + ecgs - queued


def main() -> None:
    """Print what became of a promotion, of a restore to a moment, and of one to the end of the archive."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--per-s", type=float, default=200.0, help="messages a second")
    options.add_argument("--readings", type=int, default=1, help="per message")
    options.add_argument("--act", type=int, default=1000, help="messages from one act of the play to the next")
    given = options.parse_args()
    load = Load(given.per_s, given.readings, given.act)
    runs: dict[str, Callable[[Path], Found]] = {
        "promotion": lambda d: promote_in_flood(d, load),
        "restore to a moment": lambda d: restore_in_flood(d, load),
        "restore to the end": lambda d: restore_in_flood(d, load, to_the_end=True),
    }
    for name, run in runs.items():
        with tempfile.TemporaryDirectory() as directory:
            found = run(Path(directory))
        print(json.dumps({"disaster": name, **{k: round(v, 3) for k, v in asdict(found).items()}}), flush=True)


if __name__ == "__main__":
    main()
