"""The test alarm over the whole line with real parts: it crosses, nothing of it stays, each leg that is cut is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from feldsher_cloud_api import ca, canary, canary_line, db
from feldsher_cloud_api.canary import Standing
from feldsher_cloud_api.config import Settings as CloudSettings
from feldsher_cloud_api.worker import Worker as CloudWorker
from feldsher_ehr_core.ids import SHARDS
from feldsher_ingest.consume import Worker as IngestWorker
from feldsher_ingest.metrics import Metrics
from feldsher_ingest.settings import Settings as IngestSettings
from feldsher_ingest.settings import mqtt_address
from feldsher_tools.clinic import Time
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.services import client_files
from prometheus_client import CollectorRegistry

PATIENCE_S = 3.0
"""A cut leg is waited for so long; a whole one takes a fraction of it."""


@dataclass(slots=True)
class Line:
    """Broker, ingest and cloud worker over one database; the cloud's clock stands until it is moved."""

    settings: CloudSettings
    ingest_settings: IngestSettings
    broker: Mosquitto
    time: Time
    ingest: tuple[IngestWorker, threading.Thread] | None = None
    cloud: tuple[CloudWorker, threading.Thread] | None = None

    def start_ingest(self) -> None:
        worker = IngestWorker(self.ingest_settings, Metrics(CollectorRegistry()))
        self.ingest = worker, threading.Thread(target=worker.run)
        self.ingest[1].start()
        until(lambda: worker.ready)

    def start_cloud(self) -> None:
        cross = partial(canary_line.cross, self.settings, patience_s=PATIENCE_S)
        worker = CloudWorker(self.settings, line=cross)
        self.cloud = worker, threading.Thread(target=worker.run)
        self.cloud[1].start()

    def stop(self, part: tuple[Any, threading.Thread] | None) -> None:
        if part is not None:
            part[0].stop()
            part[1].join(60)
            assert not part[1].is_alive()

    def standing(self) -> Standing:
        with db.connect(self.settings.database_url, db.WORKER) as connection:
            return canary.standing(connection, self.time())

    def crosses(self) -> None:
        """Wait until every shard's newest test alarm has crossed."""
        until(lambda: [c.seconds is not None for c in self.standing().canaries] == [True] * SHARDS)

    def tried(self) -> bool:
        """Whether every shard has had its trial at this time."""
        return {c.tried_at for c in self.standing().canaries} == {self.time()}

    def silent_at(self, leg: str) -> bool:
        """Whether every shard is silent and has stopped at a leg."""
        return [c.stopped(self.time()) for c in self.standing().silent] == [leg] * SHARDS

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.fixture
def line(database: str, own_mosquitto: Mosquitto, authority: ca.CertificateAuthority, tmp_path: Path) -> Iterator[Line]:
    """The running line."""
    files, state = client_files(authority, "ingest.0"), tmp_path / "state"
    (state / "secrets").mkdir(parents=True)
    (state / "secrets" / "ca").symlink_to(authority.directory)
    host, port = mqtt_address(own_mosquitto.url)
    clock = Time()
    made = Line(
        CloudSettings(
            database, mqtt_url=own_mosquitto.url, state=state, clock=clock
        ),
        IngestSettings(database, host, port, files.ca, files.certificate.parent, tmp_path, session_s=30),
        own_mosquitto,
        clock,
    )  # fmt: skip
    made.start_ingest()
    made.start_cloud()
    yield made
    made.stop(made.cloud)
    made.stop(made.ingest)


def test_it_crosses_every_shard_and_nothing_of_it_stays(line: Line) -> None:
    line.crosses()
    found = line.standing()
    assert found.well
    for one in found.canaries:
        assert one.crossed_at == line.time()
        for leg in (one.heard_s, one.receipt_s, one.stored_s, one.seconds):
            assert leg is not None
    for table in ("fhir.task", "fhir.flag", "fhir.observation", "cloud.device", "cloud.gateway", "cloud.alarm"):
        assert line.execute(f"SELECT count(*) FROM {table}") == [(0,)], table  # noqa: S608 - names of this test's own
    until(lambda: line.execute("SELECT count(*) FROM event") == [(0,)])


@pytest.mark.slow
def test_each_leg_that_is_cut_is_noticed_and_named_and_its_return_is_seen(line: Line) -> None:
    limits = "UPDATE watch_limit SET during = {} WHERE id = '00000000-0000-8000-8000-0000000ca4a2'"
    cuts: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "watch": (
            lambda: line.execute(limits.format("'empty'")),
            lambda: line.execute(limits.format("tstzrange(NULL, NULL)")),
        ),
        "ingest": (lambda: line.stop(line.ingest), line.start_ingest),
        "broker": (line.broker.kill, line.broker.start),
        "worker": (lambda: line.stop(line.cloud), line.start_cloud),
    }
    for leg, (cut, mend) in cuts.items():
        line.crosses()
        cut()
        for minutes in (5, 5.1):
            line.time.move(minutes=minutes)
            if leg != "worker":
                until(line.tried)
        until(partial(line.silent_at, leg))
        mend()
        line.time.move(minutes=1)  # while nothing comes through, it is tried ten times as often
        until(lambda: line.standing().well)
