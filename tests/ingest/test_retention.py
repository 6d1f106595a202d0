"""What goes by a policy, and that nothing else does; a resend after the ledger went makes no second of anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import uuid7
from feldsher_ingest import read, retention, sql
from feldsher_ingest.check import check
from feldsher_ingest.retention import KINDS, PolicyError, decide, drop, keep_to_policies
from feldsher_ingest.rollup import DENSE, roll_up
from feldsher_ingest.simulate import START_US, SimulatedGateway
from feldsher_ingest.store import Store
from psycopg.rows import TupleRow

Rows = Callable[[str], list[tuple[Any, ...]]]
Owner = psycopg.Connection[TupleRow]
DAY_US = 86_400_000_000
DATA = (
    "vital_reading", "latest_reading", "reading", "vital_source", "ecg_recording", "ecg_stream", "ecg_chunk",
    "device_status", "clock_offset", "gap", "dead_letter",
)  # fmt: skip


@pytest.fixture
def owner(store_url: str) -> Iterator[Owner]:
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute("truncate retention_policy")
        yield connection
        connection.execute("reset role")
        connection.execute("truncate retention_policy")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url, "test") as opened:
        yield opened


def saved(store: Store, messages: list[wire.UpMessage]) -> list[wire.ReceiptState | None]:
    items = [check(wire.up_topic(m.env.gateway, str(m.__struct_config__.tag)), wire.encode(m)) for m in messages]
    return store.save(items)[0].states


def aged(message: wire.UpMessage, days: int) -> wire.UpMessage:
    """The message as its gateway would have made it so many days earlier."""
    env = message.env
    wall = env.wall_us - days * DAY_US
    older = msgspec.structs.replace(env, id=uuid7(wall // 1000, env.id.bytes[6:]), wall_us=wall)
    return msgspec.structs.replace(message, env=older)


def everything(days: int) -> list[wire.UpMessage]:
    """One of every kind of message, made so many days ago."""
    made = SimulatedGateway("gw-a", 7)
    env = made.envelope
    numbered = made.pressure(clocked=False)
    messages: list[wire.UpMessage] = [
        made.pressure(3), numbered, made.recording(seconds=1), made.piece(UUID(int=7), 0), made.piece(UUID(int=7), 1),
        wire.DeviceStatus(env=env(), device="kit", state="present"),
        wire.Gap(env=env(), what="live", why="full", count=1, first_us=1, last_us=1),
        wire.ClockOffset(env=env(), offset_us=1, source="ntp", base_us=START_US),
        made.birth(), made.heartbeat(), wire.OrderState(env=env(), order=UUID(int=3), state="taken"),
    ]  # fmt: skip
    return [aged(m, days) for m in messages]


def stored_long_ago(owner: Owner, days: int) -> None:
    owner.execute("update message set stored_at = stored_at - %s * interval '1 day'", [days])
    owner.execute("update gateway_state set oldest_at = null")


def test_without_a_policy_nothing_goes(store: Store, owner: Owner, rows: Rows) -> None:
    saved(store, everything(4000))
    stored_long_ago(owner, 4000)
    assert retention.policies(owner) == {}
    assert keep_to_policies(owner) == 0
    assert [drop(owner, kind, dry=False) for kind in KINDS] == [[]] * len(KINDS)
    assert rows("select count(*) from message") == [(11,)]


def test_a_resend_after_the_ledger_went_makes_no_second_of_anything(store: Store, owner: Owner, rows: Rows) -> None:
    messages = everything(100)
    assert saved(store, messages) == ["stored"] * len(messages)
    stored_long_ago(owner, 100)
    before = {table: rows(f"select * from {table} order by 1, 2, 3") for table in DATA}  # noqa: S608
    told = rows("select kind, count(*) from event group by kind order by 1")
    decide(owner, "ledger", 30, "anybody")
    going = drop(owner, "ledger", dry=True)
    assert sum(g.entries for g in going) == len(messages)
    assert rows("select count(*) from message") == [(len(messages),)]
    while keep_to_policies(owner):
        pass
    assert rows("select count(*) from message") == [(0,)]
    assert rows("select ran_at > now() - interval '1 hour', reached from retention_policy") == [(True, None)], (
        "once a day"
    )
    again = saved(store, messages)
    assert again[:8] == ["duplicate"] * 8
    assert {table: rows(f"select * from {table} order by 1, 2, 3") for table in DATA} == before  # noqa: S608
    repeated = {"gateway", "order"}  # their state is set again, which changes nothing (tests of the projections)
    now = rows("select kind, count(*) from event group by kind order by 1")
    assert [k for k in now if k[0] not in repeated] == [k for k in told if k[0] not in repeated]


def test_the_ledger_stays_as_long_as_a_gateway_may_send_again(store: Store, owner: Owner, rows: Rows) -> None:
    saved(store, everything(100))
    decide(owner, "ledger", 30, "anybody")
    owner.execute("update gateway_state set oldest_at = null")
    assert drop(owner, "ledger", dry=False) == [], "it was stored today: its gateway keeps it for a week yet"
    stored_long_ago(owner, 100)
    owner.execute("update gateway_state set oldest_at = now() - interval '200 days'")
    assert drop(owner, "ledger", dry=False) == [], "something older waits in an outbox"
    owner.execute("update gateway_state set seen_at = now() - interval '31 days'")
    assert drop(owner, "ledger", dry=True) != [], "a gateway that is gone holds nothing up"
    saved(store, [SimulatedGateway("gw-b", 1).heartbeat()])
    drop(owner, "ledger", dry=False)
    assert rows("select gateway from message") == [("gw-b",)], "what is young stays"


def test_readings_go_by_their_own_policy_and_what_was_made_of_them_stays(
    store: Store, owner: Owner, rows: Rows
) -> None:
    made = SimulatedGateway("gw-a", 1)
    batch = made.pressure(DENSE + 10)
    shifted = dated(batch, 300)
    saved(store, [shifted, made.pressure()])
    while roll_up(owner):
        pass
    rolled = rows("select * from vital_rollup order by 1, 2, 3, 4")
    assert rolled != []
    decide(owner, "vitals", 90, "anybody")
    received_earlier(owner, "vital_reading", "stored_at", 300)
    (gone,) = drop(owner, "vitals", dry=False)
    assert gone.entries == DENSE + 10
    assert rows("select count(*) from vital_reading") == [(1,)]
    owner.execute("insert into vital_due (source, day) select distinct source, bucket::date from vital_rollup")
    roll_up(owner)
    assert rows("select * from vital_rollup order by 1, 2, 3, 4") == rolled
    assert rows("select count(*) from latest_reading") == [(1,)]


def test_samples_of_streams_go_and_the_stream_stays_known(store: Store, owner: Owner, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    piece = made.piece(UUID(int=7), 0)
    long_ago = 200 * DAY_US
    old = msgspec.structs.replace(piece, started_us=piece.started_us - long_ago, ended_us=piece.ended_us - long_ago)
    saved(store, [old, made.piece(UUID(int=8), 0)])
    decide(owner, "streams", 90, "anybody")
    received_earlier(owner, "ecg_chunk", "received_at", 200)
    (gone,) = drop(owner, "streams", dry=False)
    assert (gone.entries, gone.bytes is not None and gone.bytes > 0) == (1, True)
    assert rows("select stream from ecg_chunk") == [(UUID(int=8),)]
    found = read.stream(owner, UUID(int=7))
    assert found is not None
    assert read.stream_window(owner, found, found.taken_from, found.taken_from + timedelta(seconds=10)) is None


def dated(batch: wire.VitalsBatch, days: int) -> wire.VitalsBatch:
    """The batch as if everything in it had been measured and heard so many days earlier, by all clocks."""
    return msgspec.structs.replace(
        batch,
        time_us=tuple(t - days * DAY_US for t in batch.time_us),
        received_us=tuple(t - days * DAY_US for t in batch.received_us),
        sent_at=(None,) * len(batch.sent_at),
    )


def received_earlier(owner: Owner, table: str, column: str, days: int) -> None:
    """As if everything there had been stored so many days ago."""
    owner.execute(f"update {table} set {column} = {column} - {days} * interval '1 day'".encode())  # noqa: S608


def test_what_was_received_lately_stays_however_old_it_says_it_is(store: Store, owner: Owner, rows: Rows) -> None:
    """A kit whose clock says 2021, and a history that comes late."""
    made, long_ago = SimulatedGateway("gw-a", 1), 2000 * DAY_US
    batch, piece = made.pressure(20), made.piece(UUID(int=7), 0)
    wrong = dated(batch, 2000)
    old = msgspec.structs.replace(piece, started_us=piece.started_us - long_ago, ended_us=piece.ended_us - long_ago)
    saved(store, [aged(m, 2000) for m in (wrong, old)])
    for kind in ("vitals", "streams", "ledger"):
        decide(owner, kind, 90, "anybody")
    owner.execute("update gateway_state set oldest_at = null")
    lately = {"vital_reading": "stored_at", "ecg_chunk": "received_at", "message": "stored_at"}
    for days, left in ((0, (20, 1, 2)), (89, (20, 1, 2)), (2, (0, 0, 0))):
        for table, column in lately.items():
            received_earlier(owner, table, column, days)
        while keep_to_policies(owner):
            pass
        owner.execute("update retention_policy set ran_at = null")
        counts = tuple(rows(f"select count(*) from {table}")[0][0] for table in lately)  # noqa: S608
        assert counts == left, f"received {days} days earlier"


def test_one_lately_received_reading_keeps_its_neighbours_and_the_next_chunk_still_goes(
    store: Store, owner: Owner, rows: Rows
) -> None:
    made = SimulatedGateway("gw-a", 1)
    for weeks in range(40, 44):
        batch = made.pressure(3)
        assert saved(store, [dated(batch, weeks * 7)]) == ["stored"]
    received_earlier(owner, "vital_reading", "stored_at", 200)
    chunks = rows("select count(*), tableoid::regclass::text from vital_reading group by 2 order by min(key_time)")
    assert [n for n, _ in chunks] == [3, 3, 3, 3]
    one = rows(f"select reading_id from {chunks[1][1]} limit 1")[0]  # noqa: S608
    owner.execute("update vital_reading set stored_at = now() where reading_id = %s", one)
    decide(owner, "vitals", 90, "anybody")
    pieces = 0
    while keep_to_policies(owner):
        pieces += 1
    assert pieces == 5, "a chunk at a time, and once to see that none is left"
    assert rows("select count(*), tableoid::regclass::text from vital_reading group by 2") == [chunks[1]]


def test_a_chunk_in_use_is_left_for_the_next_day(store: Store, owner: Owner, store_url: str, rows: Rows) -> None:
    saved(store, [dated(SimulatedGateway("gw-a", 1).pressure(3), 300)])
    received_earlier(owner, "vital_reading", "stored_at", 200)
    decide(owner, "vitals", 90, "anybody")
    (chunk,) = rows("select distinct tableoid::regclass::text from vital_reading")[0]
    with psycopg.connect(store_url) as late:
        late.execute(f"update {chunk} set stored_at = now()".encode())  # noqa: S608
        while keep_to_policies(owner):
            pass
        late.commit()
    assert rows("select reached, ran_at > now() - interval '1 hour' from retention_policy") == [(None, True)]
    assert sum(gone.entries for gone in drop(owner, "vitals", dry=False)) == 0, "what came meanwhile came lately"
    assert rows("select count(*) from vital_reading") == [(3,)]


def test_many_events_go_some_at_a_time(owner: Owner, rows: Rows) -> None:
    owner.execute(
        "insert into event (kind, gateway, message_id, body, done_at) select 'gap', 'gw-a', gen_random_uuid(), '{}',"
        " now() - interval '60 days' from generate_series(1, 20001)"
    )
    decide(owner, "events", 8, "anybody")
    assert drop(owner, "events", dry=True)[0].entries == 20001
    left: list[int] = []
    while keep_to_policies(owner):
        left += rows("select count(*) from event")[0]
    assert left == [10001, 1, 0]


def test_without_timescaledb_rows_go_by_the_same_rules(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as plain:
        plain.execute("drop extension if exists timescaledb")
        for text in sql.schemas():
            plain.execute(text.replace("where name = 'timescaledb'", "where name = 'not there'").encode())
        plain.execute(
            "insert into vital_reading"
            " (reading_id, message_id, key_time, time, received_at, source, shape, clocked, value, stored_at)"
            " select gen_random_uuid(), gen_random_uuid(), t, t, t, 1, 1, true, '{1}', s from (values"
            " (now() - interval '300 days', now()), (now() - interval '300 days', now() - interval '100 days'),"
            " (now(), now() - interval '100 days')) as v (t, s)"
        )
        decide(plain, "vitals", 90, "anybody")
        assert drop(plain, "vitals", dry=False) == [retention.Dropped("vital_reading", 1, None)]
        assert plain.execute("select count(*) from vital_reading").fetchone() == (2,)


def test_only_repaired_letters_done_events_and_old_states_go(store: Store, owner: Owner, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    saved(store, [wire.DeviceStatus(env=made.envelope(), device="kit", state=s) for s in ("present", "busy", "fault")])
    owner.execute("update device_status set received_at = now() - interval '60 days'")
    owner.execute("update event set done_at = now() - interval '60 days' where id = (select min(id) from event)")
    store.save([check("feldsher/1/0/gw-a/up/vitals", bytes([i])) for i in range(3)])
    owner.execute("update dead_letter set repaired_at = now() - interval '60 days' where payload = '\\x01'")
    owner.execute("update dead_letter set received_at = now() - interval '900 days'")
    for kind, days in (("dead_letters", 8), ("events", 8), ("device_status", 30)):
        decide(owner, kind, days, "anybody")
    done = 0
    while keep_to_policies(owner):
        done += 1
    assert done == 3, "each in one piece"
    assert rows("select payload from dead_letter order by 1") == [(b"\x00",), (b"\x02",)]
    assert rows("select count(*) from event") == [(2,)]
    assert rows("select state from device_status") == [("fault",)]


@pytest.mark.parametrize(
    ("kind", "days"), [("ledger", 29), ("vitals", 1), ("recordings", 400), ("events", float("nan"))]
)
def test_a_policy_that_cannot_be_is_refused(owner: Owner, kind: str, days: float) -> None:
    with pytest.raises(PolicyError, match=kind):
        decide(owner, kind, days, "anybody")


def test_the_database_itself_refuses_shorter_ones(owner: Owner) -> None:
    for kind, (least, _) in KINDS.items():
        assert owner.execute("select extract(day from retention_least(%s))", [kind]).fetchone() == (least,)
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute("insert into retention_policy (kind, keep, set_by) values ('ledger', '7 days', 'me')")


def test_workers_do_what_policies_say_and_can_neither_decide_nor_delete(owner: Owner, store: Store, rows: Rows) -> None:
    saved(store, everything(100))
    stored_long_ago(owner, 100)
    decide(owner, "ledger", 30, "anybody")
    owner.execute("set role feldsher_ingest")
    for forbidden in (
        "delete from message",
        "update retention_policy set keep = '30 days'",
        "delete from retention_policy",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(forbidden.encode())
    assert keep_to_policies(owner) == 1
    assert rows("select count(*) from message") == [(0,)]
    decide_again = "insert into retention_policy (kind, keep, set_by) values ('vitals', '90 days', 'me')"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute(decide_again)
    owner.execute("reset role")
