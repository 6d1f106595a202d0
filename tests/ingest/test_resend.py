"""A database that went back in time is found out and made whole."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import shard
from feldsher_ingest import primary, resend
from feldsher_ingest.check import check
from feldsher_ingest.consume import Worker
from feldsher_ingest.primary import Server
from feldsher_ingest.settings import Settings
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_tools.postgres import DatabaseServer

Rows = Callable[[str], list[tuple[Any, ...]]]
Connect = Callable[[str], GatewayClient]
Run = Callable[[Settings], Worker]
End = Callable[[Worker], None]


@pytest.fixture
def connection(store_url: str) -> Iterator[resend.Connection]:
    with psycopg.connect(store_url, autocommit=True) as opened:
        yield opened


def online(store_url: str, *names: str) -> None:
    with Store(store_url, "filler") as store:
        births = [SimulatedGateway(name, 1).birth() for name in names]
        store.save([check(wire.up_topic(b.env.gateway, "birth"), wire.encode(b)) for b in births])


def test_memory_survives_and_damage_is_no_memory(tmp_path: Path) -> None:
    memory = resend.Memory(tmp_path / "ingest", "w", lambda: 1_000_000)
    assert memory.read() is None
    memory.note(57, Server("s", 2))
    memory.note(58)
    memory.write()
    last = resend.Remembered(58, 1_000_000, "s", 2)
    assert resend.Memory(tmp_path / "ingest", "w").read() == last
    (tmp_path / "ingest" / "w.mark").write_text("{")
    assert resend.Memory(tmp_path / "ingest", "w").read() is None
    assert memory.read() == last


def test_the_memory_of_an_earlier_version_is_understood(tmp_path: Path) -> None:
    (tmp_path / "w.mark").write_text('{"batch": 57}')
    assert resend.Memory(tmp_path, "w").read() == resend.Remembered(57)


def test_request_covers_everything_or_since() -> None:
    assert resend.request(None, 1_795_400_000_000_000, bytes(10)).since_us == 0
    since = datetime(2026, 11, 23, tzinfo=UTC)
    assert resend.request(since, 1_795_400_000_000_000, bytes(10)).since_us == 1_795_392_000_000_000


@pytest.mark.parametrize(("remembered", "found"), [(None, None), (3, None), (2, None), (4, 1)])
def test_fewer_batches_than_remembered_open_an_epoch(
    connection: resend.Connection, remembered: int | None, found: int | None
) -> None:
    connection.execute("insert into ingest_mark (worker, batch) values ('w', 3)")
    last = None if remembered is None else resend.Remembered(remembered)
    assert resend.went_back(connection, "w", last) == found


def test_an_empty_database_that_should_not_be_empty_opens_an_epoch(connection: resend.Connection) -> None:
    assert resend.went_back(connection, "w", resend.Remembered(1)) == 1


def test_several_workers_open_one_epoch(connection: resend.Connection) -> None:
    connection.execute("insert into ingest_mark (worker, batch) values ('a', 3), ('b', 3)")
    assert resend.went_back(connection, "a", resend.Remembered(9)) == 1
    assert resend.went_back(connection, "b", resend.Remembered(9)) is None


def test_who_committed_elsewhere_after_an_epoch_opens_another(connection: resend.Connection) -> None:
    # the old primary, cut off, went on taking this worker's batches after the others had found the new one
    connection.execute("insert into ingest_mark (worker, batch, at) values ('w', 3, now() - interval '1 hour')")
    assert resend.open_epoch(connection, None, "another worker") == 1
    late = round(time.time() * 1e6)
    assert resend.went_back(connection, "w", resend.Remembered(9, late - 60_000_000)) is None
    assert resend.went_back(connection, "w", resend.Remembered(9, late)) == 2


def test_another_timeline_opens_one_epoch(connection: resend.Connection) -> None:
    first, promoted, copied = Server("s", 1), Server("s", 2), Server("t", 1)
    assert resend.entered(connection, first, "a") is None  # an upgraded installation: nothing is known of before
    assert resend.entered(connection, first, "b") is None
    assert resend.entered(connection, promoted, "b") == 1
    assert resend.entered(connection, promoted, "a") is None
    assert resend.entered(connection, copied, "a") == 2
    assert resend.entered(connection, primary.UNKNOWN, "a") is None


def test_a_server_that_was_replaced_is_not_written_to(connection: resend.Connection, tmp_path: Path) -> None:
    here = primary.server_of(connection)
    assert here is not None
    memory = resend.Memory(tmp_path, "w", lambda: round(time.time() * 1e6) - 60_000_000)
    memory.note(5, Server(here.system, here.timeline + 1))
    with pytest.raises(primary.ReplacedError, match=f"timeline {here.timeline} and was replaced"):
        resend.look_back(connection, "w", memory)
    assert connection.execute("select count(*) from ingest_timeline").fetchone() == (0,)
    resend.accept(connection, "an operator")
    assert resend.look_back(connection, "w", memory) == 1  # it holds fewer batches than remembered
    remembered = memory.read()
    assert remembered is not None
    assert remembered.server == here


def test_every_gateway_of_a_workers_shards_is_asked_once(connection: resend.Connection, store_url: str) -> None:
    names = [f"gw-{i}" for i in range(8)]
    online(store_url, *names)
    assert resend.pending(connection, range(16), 50) == []
    epoch = resend.open_epoch(connection, None, "test")
    mine = {name for name in names if shard(name) < 8}
    pending = resend.pending(connection, range(8), 50)
    assert {gateway for gateway, _, _ in pending} == mine
    refused = pending[0][0]
    assert resend.ask(connection, pending, lambda gateway, _: gateway != refused) == len(mine) - 1
    assert resend.pending(connection, range(8), 50) == [(refused, epoch, None)]


def test_an_absent_gateway_is_asked_when_it_is_back(
    settings: Settings, gateway: Connect, running: Run, connection: resend.Connection
) -> None:
    resend.open_epoch(connection, None, "test")
    running(settings)
    client = gateway("gw-a")
    # Absence has no event to wait for; too short a wait could only let a fault pass, never fail the test.
    assert not client.wait_resend(0.1)
    client.send(SimulatedGateway("gw-a", 1).heartbeat())
    assert client.wait_resend()


def copy(postgres: DatabaseServer, source: str, target: str) -> None:
    """Copy a database; TimescaleDB's background worker must not look into the source meanwhile."""
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(f'alter database "{source}" allow_connections false'.encode())
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [source])
        postgres.create_database(target, source)
        admin.execute(f'alter database "{source}" allow_connections true'.encode())


def test_a_database_restored_from_a_copy_is_made_whole(
    settings: Settings, gateway: Connect, running: Run, ended: End, postgres: DatabaseServer, database: str
) -> None:
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    settings = dataclasses.replace(settings, database_url=database)
    worker = running(settings)
    before, after = [made.birth(), made.pressure()], [made.pressure(), made.recording(seconds=1)]
    for message in before:
        client.send(message)
    assert client.wait_receipts({m.env.id for m in before})
    ended(worker)
    name = database.rpartition("/")[2]
    copy(postgres, name, "backup_of_ingest")
    running(settings)
    for message in after:
        client.send(message)
    assert client.wait_receipts({m.env.id for m in after})
    postgres.drop_database(name)
    copy(postgres, "backup_of_ingest", name)
    postgres.drop_database("backup_of_ingest")
    assert client.wait_resend(30)
    client.receipts.clear()
    everything = [*before, *after]
    for message in everything:
        client.send(message)
    assert client.wait_receipts({m.env.id for m in everything})
    with psycopg.connect(database) as check_up:
        assert check_up.execute("select count(*), count(distinct reading_id) from vital_sign").fetchone() == (8, 2)
        assert check_up.execute("select count(*) from ecg_recording").fetchone() == (1,)
