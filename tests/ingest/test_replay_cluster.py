"""Whole runs with real Dask processes, which are killed: nothing is lost, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from distributed import Client, LocalCluster, Security
from feldsher_ingest import replay, replay_cluster, sql
from feldsher_ingest.replay import Asked, ReplayError, Run
from feldsher_ingest.replay_cluster import Driver, Progress, Tls
from feldsher_ingest.store import Store
from feldsher_tools.postgres import Postgres

Archive = Callable[[int], list[UUID]]


@pytest.fixture
def connection(store_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def client(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("FELDSHER_DATABASE_URL", store_url)
    with replay_cluster.local(1) as started:
        yield started


def processes(client: Any) -> list[int]:
    return list(client.run(os.getpid).values())


def given_up_by(client: Any) -> None:
    """End the nurse process of a client's only process, and that with it."""
    client.cluster.sync(client.cluster.workers[0].close)


def begun(connection: psycopg.Connection[Any], **asked: Any) -> Run:
    return replay.begin(connection, Asked(**asked), "tester")


def drive(client: Client, url: str, run: Run, told: Callable[[Progress], None], **more: Any) -> bool:
    with Store(url, "driver") as store:
        return Driver(client, store, run, told, **more).drive()


def once(each: psycopg.Connection[Any], ids: list[UUID]) -> None:
    """Every recording has exactly one interpretation, and one event where something critical is new."""
    rows = each.execute(
        "select recording, new_critical <> '{}' from ecg_interpretation where failed is null"
    ).fetchall()
    assert sorted(row[0] for row in rows) == ids
    events = each.execute("select message_id from event where kind = 'reinterpreted'").fetchall()
    assert sorted(e[0] for e in events) == sorted(row[0] for row in rows if row[1])


def test_a_killed_process_costs_nothing(
    archive: Archive, connection: psycopg.Connection[Any], client: Client, store_url: str
) -> None:
    ids = archive(24)
    killed: list[int] = []
    heard: list[Progress] = []

    def told(far: Progress) -> None:
        heard.append(far)
        if far.done.done and not killed:
            killed.extend(processes(client))
            os.kill(killed[0], signal.SIGKILL)

    assert drive(client, store_url, begun(connection), told, chunk=3)
    once(connection, ids)
    assert killed
    assert killed != processes(client)
    assert max(far.processes for far in heard) == 1


@pytest.mark.slow
def test_a_process_that_dask_has_given_up_comes_back(
    archive: Archive, connection: psycopg.Connection[Any], client: Client, store_url: str
) -> None:
    """As one that dies again before it has started: its nurse process ends too, and nobody starts another."""
    ids = archive(12)
    given_up: list[int] = []

    def told(far: Progress) -> None:
        if far.done.done and not given_up:
            given_up.extend(processes(client))
            given_up_by(client)

    assert drive(client, store_url, begun(connection), told, chunk=3)
    once(connection, ids)
    assert given_up
    assert given_up != processes(client)


@pytest.mark.slow
def test_a_stopped_run_is_resumed_by_another_cluster_and_ends_whole(
    archive: Archive, connection: psycopg.Connection[Any], client: Client, store_url: str
) -> None:
    ids = archive(24)
    run, stopping = begun(connection), threading.Event()

    def told(far: Progress) -> None:
        if far.done.done:
            stopping.set()

    assert not drive(client, store_url, run, told, chunk=3, stopping=stopping)
    done = replay.shown(connection, run.run).done
    assert 0 < done < 24
    assert drive(client, store_url, run, lambda far: None, chunk=3)
    once(connection, ids)


@pytest.mark.slow
def test_a_run_without_any_process_ends_with_a_word(
    archive: Archive, connection: psycopg.Connection[Any], client: Client, store_url: str
) -> None:
    archive(1)
    run = begun(connection)
    retired: Any = client  # typed for its asynchronous use as well
    retired.retire_workers(close_workers=True)
    seconds = iter(range(0, 100_000, 60))
    with pytest.raises(ReplayError, match="no Dask process has been there for 180 s"):
        drive(client, store_url, run, lambda far: None, clock=lambda: float(next(seconds)))


def _command(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from feldsher_ingest.cli import main; main()", "replay", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _alive(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
def test_a_run_whose_own_process_is_killed_is_resumed_and_leaves_no_process(
    archive: Archive, connection: psycopg.Connection[Any]
) -> None:
    ids = archive(300)
    started = _command("run", "--processes", "2", "--chunk", "25", "--json")
    for _ in range(3000):
        if connection.execute("select count(*) from ecg_interpretation").fetchone() != (0,):
            break
        threading.Event().wait(0.05)
    os.kill(started.pid, signal.SIGKILL)
    started.communicate()
    done = connection.execute("select count(*) from ecg_interpretation").fetchone()
    assert done is not None
    assert 0 < done[0] < 300
    for _ in range(1200):
        if not _alive(started.pid):
            break
        threading.Event().wait(0.05)
    assert _alive(started.pid) == []
    again = _command("resume", "1", "--processes", "1", "--json")
    out, said = again.communicate()
    assert again.returncode == 0, said
    line = json.loads(out.splitlines()[-1])
    assert (line["done"], line["failed"], line["state"]) == (300, 0, "ended")
    once(connection, ids)


@pytest.mark.slow
def test_the_database_may_be_away_in_between(own_postgres: Postgres, fill: Callable[[str, int], list[UUID]]) -> None:
    url = own_postgres.server.create_database("replay")
    with psycopg.connect(url) as opened:
        opened.execute("\n".join(sql.schemas()).encode())
    ids = fill(url, 30)
    killed: list[float] = []
    back: list[bool] = []

    def told(far: Progress) -> None:
        if far.done.done and not killed:
            own_postgres.kill()
            killed.append(time.monotonic())
        elif killed and not back and time.monotonic() > killed[0] + 3:
            own_postgres.start()  # here: it dies with the thread that starts it
            back.append(True)

    with psycopg.connect(url) as opened:
        run = begun(opened)
    with replay_cluster.local(1) as client:
        assert drive(client, url, run, told, chunk=3)
    with psycopg.connect(url) as opened:
        once(opened, ids)
    assert back


@pytest.mark.slow
def test_a_cluster_at_an_address_is_used_over_tls(
    archive: Archive, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    ids = archive(4)
    security: Any = Security.temporary()  # pyright: ignore[reportUnknownMemberType]
    files = Tls(tmp_path / "ca.pem", tmp_path / "replay.pem", tmp_path / "replay.key")
    files.ca.write_text(security.tls_ca_file)
    files.certificate.write_text(security.tls_client_cert)
    files.key.write_text(security.tls_client_key)
    more: dict[str, Any] = {"dashboard_address": None, "security": security}
    started: Any = LocalCluster(n_workers=1, threads_per_worker=2, protocol="tls://", **more)
    with started as cluster, replay_cluster.remote(cluster.scheduler_address, files) as client:
        assert drive(client, os.environ["FELDSHER_DATABASE_URL"], begun(connection), lambda far: None)
    once(connection, ids)


@pytest.mark.parametrize(
    ("address", "files", "said"),
    [
        ("tcp://127.0.0.1:8786", (__file__,) * 3, "only tls://host:port"),
        ("tls://127.0.0.1:1", ("nothing.pem", __file__, __file__), "--tls-ca nothing.pem: there is no such file"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(address: str, files: tuple[str, str, str], said: str) -> None:
    with pytest.raises(ReplayError, match=said), replay_cluster.remote(address, Tls(*map(Path, files))):
        pass
