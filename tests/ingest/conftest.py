"""A database with ingest's own tables, settings of a worker, and workers in threads."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import paho.mqtt.client as mqtt
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest import replay_task
from feldsher_ingest.check import check
from feldsher_ingest.consume import Worker
from feldsher_ingest.link import tls_context
from feldsher_ingest.metrics import Metrics
from feldsher_ingest.settings import Settings, Tls, mqtt_address
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_signal import interpret, synth
from feldsher_tools.postgres import DatabaseServer, empty
from feldsher_tools.services import Broker
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client import CollectorRegistry

_TABLES = (
    "message, reading, vital_reading, latest_reading, vital_source, vital_shape, ecg_recording, ecg_stream, ecg_chunk, "
    "gateway_state, device_status, clock_offset, gap, "
    "dead_letter, event, ingest_mark, ingest_epoch, ingest_timeline, ingest_seat, ingest_member, "
    "database_backup, vital_due, vital_dense, vital_rollup, "
    "watch_subject, watch_alert, watch_due, watch_checked, watch_moved, "
    "replay_run, ecg_interpretation"
)


@pytest.fixture(scope="session")
def shared_database(postgres: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """One migrated database for all tests of ingest: a copy for each of them would cost a second."""
    name = f"feldsher_ingest_{os.getpid()}"
    yield postgres.create_database(name, migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def store_url(shared_database: str) -> str:
    """The address of a migrated database whose tables of ingest are empty."""
    with psycopg.connect(shared_database) as connection:
        empty(connection, _TABLES.split(", "), restart=True)
        connection.execute("delete from watch_limit where id::text not like '00000000-0000-8000-8000-%'")
    return shared_database


@pytest.fixture
def rows(store_url: str) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Ask the database."""
    with psycopg.connect(store_url, autocommit=True) as connection:
        yield lambda query: list(connection.execute(query.encode()).fetchall())


def _tls(broker: Broker, name: str) -> Tls:
    files = broker.credentials(name)
    return Tls(files.ca, files.certificate, files.key)


@pytest.fixture
def settings(mosquitto: Broker, store_url: str, tmp_path: Path) -> Settings:
    """Settings of a worker; two seats and the command line have certificates but no session at the broker yet."""
    host, port = mqtt_address(mosquitto.url)
    for user in ("ingest.0", "ingest.1", "ingest.tool"):
        _end_session(host, port, _tls(mosquitto, user))
    files = mosquitto.credentials("ingest.0")
    return Settings(store_url, host, port, files.ca, files.certificate.parent, tmp_path, session_s=30)


def _end_session(host: str, port: int, tls: Tls) -> None:
    """End what an earlier test's worker left at the broker."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
    client.tls_set_context(tls_context(tls))  # pyright: ignore[reportUnknownMemberType]
    client.on_connect = lambda *_: client.disconnect()  # pyright: ignore
    client.connect(host, port, clean_start=True)
    client.loop_forever()


@pytest.fixture
def gateway(mosquitto: Broker) -> Iterator[Callable[[str], GatewayClient]]:
    """Connect as a gateway, by name."""
    host, port = mqtt_address(mosquitto.url)
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(GatewayClient(name, host, port, _tls(mosquitto, name)))


def _thread_name(worker: Worker) -> str:
    return f"worker {id(worker)}"


@pytest.fixture
def ended() -> Callable[[Worker], None]:
    """Stop a worker and wait until it has left the broker, the database and its file."""

    def end(worker: Worker) -> None:
        worker.stop()
        for thread in threading.enumerate():
            if thread.name == _thread_name(worker):
                thread.join(60)
                assert not thread.is_alive()

    return end


@pytest.fixture
def blocked(store_url: str) -> Callable[[], None]:
    """Wait until an ingest worker waits for a lock in the database."""
    query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"

    def wait() -> None:
        with psycopg.connect(store_url, autocommit=True) as connection:
            for _ in range(3000):
                if connection.execute(query.encode()).fetchone() != (0,):
                    return
                threading.Event().wait(0.02)
        raise AssertionError("no ingest worker waits for the lock")

    return wait


@pytest.fixture
def running() -> Iterator[Callable[[Settings], Worker]]:
    """Run a worker in a thread until the test ends; returns when it is subscribed."""
    stopping: list[tuple[Worker, threading.Thread]] = []

    def start(settings: Settings) -> Worker:
        worker = Worker(settings, Metrics(CollectorRegistry()))
        thread = threading.Thread(target=worker.run, name=_thread_name(worker))
        thread.start()
        stopping.append((worker, thread))
        for _ in range(6000):
            if worker.ready:
                return worker
            threading.Event().wait(0.01)
        raise AssertionError("the worker did not become ready in 60 s")

    yield start
    for worker, thread in stopping:
        worker.stop()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def cardiograms() -> list[wire.EcgRecording]:
    """Cardiograms of six synthetic hearts as an older engine has interpreted them, that held all of them for normal."""
    gateway = SimulatedGateway("gw-a", 7)
    names = ("normal", "ventricular_tachycardia", "atrial_fibrillation", "lbbb", "long_qt", "third_degree_block")
    taken = [gateway.cardiogram(synth.PRESETS[name]) for name in names]
    normal = interpret.interpret(synth.ecg(synth.PRESETS["normal"], uv_per_bit=4.88)[0])
    old = msgspec.structs.replace(normal, engine="feldsher 0.1")
    return [msgspec.structs.replace(message, interpretation=old) for message in taken]


@pytest.fixture
def fill(
    cardiograms: list[wire.EcgRecording], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, int], list[UUID]]]:
    """Fill a database with so many cardiograms, over and over the same hearts, and return their ids in order."""

    def filled(url: str, count: int) -> list[UUID]:
        monkeypatch.setenv("FELDSHER_DATABASE_URL", url)
        gateway = SimulatedGateway("gw-a", 8)
        hearts = itertools.islice(itertools.cycle(cardiograms), count)
        messages = [msgspec.structs.replace(heart, env=gateway.envelope()) for heart in hearts]
        with Store(url, "filler") as store:
            saved, _ = store.save([check(wire.up_topic("gw-a", "ecg"), wire.encode(m)) for m in messages])
        assert set(saved.states) == {"stored"}
        return [m.env.id for m in messages]

    yield filled
    replay_task.hang_up()


@pytest.fixture
def archive(store_url: str, fill: Callable[[str, int], list[UUID]]) -> Callable[[int], list[UUID]]:
    """Fill the tests' database, as `fill` does."""
    return lambda count: fill(store_url, count)
