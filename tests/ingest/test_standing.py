"""How the line stands: what is wrong is told, what may not be seen hides no other."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import shard
from feldsher_ingest import resend, seats, standing
from feldsher_ingest.check import check
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.standing import Backlog, Standing
from feldsher_ingest.store import Store
from psycopg import sql


@pytest.fixture
def connection(store_url: str) -> Iterator[resend.Connection]:
    with psycopg.connect(store_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def watcher(store_url: str) -> Iterator[resend.Connection]:
    """Somebody with no more rights than to look."""
    with psycopg.connect(store_url, autocommit=True, options="-c role=feldsher_status") as opened:
        yield opened


def codes(found: Standing) -> list[str]:
    return [problem.code for problem in standing.judge(found)]


def test_who_may_only_look_sees_everything_and_nobody(watcher: resend.Connection) -> None:
    found = standing.look(watcher)
    assert found.unseen == {}
    assert found.one("server")["replica"] is False
    for table in ("vital_reading", "ecg_recording", "event", "dead_letter", "gateway_state", "message"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            watcher.execute(sql.SQL("select * from {}").format(sql.Identifier(table)))


def test_what_may_not_be_seen_is_named_and_hides_nothing_else(connection: resend.Connection) -> None:
    connection.execute("set role feldsher_worker")  # sees events, and no backups
    found = standing.look(connection)
    assert "permission denied" in found.unseen["backups"]
    assert found.one("events")["waiting"] == 0


def test_ingest_itself_may_look(connection: resend.Connection) -> None:
    connection.execute("set role feldsher_ingest")
    assert set(standing.look(connection).unseen) <= {"replicas"}


def test_nothing_stored_is_told(connection: resend.Connection) -> None:
    found = standing.look(connection)
    assert codes(found) == ["workers", "backup"]


def test_seats_that_nobody_holds_any_more(connection: resend.Connection) -> None:
    me = SimulatedGateway("x", 1).envelope().id
    seats.beat(connection, me, "w", 2, held_s=3600)
    found = standing.look(connection)
    assert found.seen["workers"] == [{"worker": "w", "seats": [0, 1]}]
    connection.execute("update ingest_seat set held_until = now() - interval '1 minute' where seat = 1")
    found = standing.look(connection)
    assert [p.what for p in standing.judge(found) if p.code == "seats"] == [
        "nobody holds seat 1: the messages of its shards wait in the broker"
    ]


def test_what_waits_too_long_is_told(connection: resend.Connection) -> None:
    connection.execute("insert into database_backup values ('b', 'full', now(), now() - interval '2 days', 5, 'x:/y')")
    connection.execute(
        "insert into event (at, kind, gateway, message_id, body, parked_at) select now() - interval '1 hour', 'ecg',"
        " 'g', gen_random_uuid(), '{}', case when n = 1 then now() end from generate_series(1, 3) n"
    )
    connection.execute("insert into vital_due (source, day, at) values (1, '2026-11-22', now() - interval '3 hours')")
    connection.execute(
        "insert into dead_letter (digest, topic, payload, cause, reason) values ('d', 't', 'p', 'payload', 'r')"
    )
    connection.execute("insert into ingest_epoch (why) values ('test')")
    found = standing.look(connection)
    assert codes(found) == ["workers", "events", "parked", "dead-letters", "backup", "rollups"]
    assert found.one("events")["waiting"] == 2
    assert found.one("resend")["unasked"] == 0


def test_what_waits_in_gateways_is_told_by_shard(connection: resend.Connection, store_url: str) -> None:
    names = [f"gw-{i}" for i in range(3)]
    with Store(store_url, "filler") as store:
        births = [SimulatedGateway(name, 1).birth() for name in names]
        store.save([check(wire.up_topic(b.env.gateway, "birth"), wire.encode(b)) for b in births])
    connection.execute("update gateway_state set outbox_rows = 7, oldest_at = now() - interval '2 hours'")
    connection.execute("update gateway_state set outbox_rows = 0 where gateway = 'gw-2'")
    waiting = standing.look(connection).shards()
    assert sum(backlog.messages for backlog in waiting.values()) == 14
    assert set(waiting) == {shard("gw-0"), shard("gw-1")}
    assert codes(standing.look(connection)).count("backlog") == len(waiting)


def test_copies_that_fall_behind_are_told() -> None:
    slot = {"name": "s", "active": False, "status": "reserved", "kept_bytes": 20_000_000_000}
    replica = {"name": "r", "behind_s": 90.0, "behind_bytes": 5, "sync": "async"}
    archive = {"mode": "on", "archived": 5, "failed": 2, "age_s": 500.0, "failing": True}
    found = Standing({"slots": [slot], "replicas": [replica], "archive": [archive]})
    assert codes(found) == ["archive", "replication", "slot"]
    lost = Standing({"slots": [slot | {"active": True, "status": "lost"}]})
    assert "must be made anew" in standing.judge(lost)[0].what
    assert codes(Standing({"slots": [slot | {"kept_bytes": 5}], "replicas": [replica | {"behind_s": 1.0}]})) == []


def test_a_replica_in_a_writers_place_and_silent_canaries_are_told() -> None:
    found = Standing({"server": [{"replica": True}], "canary": [{"silent": 2, "shards": 16, "oldest_s": 900.0}]})
    assert codes(found) == ["replica", "canary"]


def test_gateways_of_a_shard_are_added_up() -> None:
    rows = [{"gateway": "gw-0", "waiting": 3, "oldest_s": 5.0}, {"gateway": "gw-0", "waiting": 4, "oldest_s": 9.0}]
    assert Standing({"gateways": rows}).shards() == {shard("gw-0"): Backlog(2, 7, 9.0)}


def test_spans_and_sizes_for_people() -> None:
    ages = [standing.age(s) for s in (0, 119, 120, 7199, 7200, 172_799, 172_800)]
    assert ages == ["0 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 days"]
    assert [standing.size(n) for n in (0, 999, 1000, 1_234_567, 5e12)] == ["0 B", "999 B", "1 kB", "1.23 MB", "5 TB"]
