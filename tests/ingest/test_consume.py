"""From real MQTT into a real database: what is stored, what is refused, and what the gateway is told."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import shard
from feldsher_ingest.consume import Worker
from feldsher_ingest.settings import Settings
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from feldsher_tools.services import Broker

Rows = Callable[[str], list[tuple[Any, ...]]]
Connect = Callable[[str], GatewayClient]
Run = Callable[[Settings], Worker]
End = Callable[[Worker], None]
Blocked = Callable[[], None]


def test_every_kind_is_stored_once_and_receipted(
    settings: Settings, gateway: Connect, running: Run, rows: Rows
) -> None:
    made = SimulatedGateway("gw-a", 1)
    env = made.envelope
    messages: list[wire.Up] = [
        made.birth(),
        made.heartbeat(),
        made.pressure(3),
        made.recording(seconds=1.0),
        wire.DeviceStatus(env=env(), device="kit-a", state="present", battery=80),
        wire.Gap(env=env(), what="heartbeat", why="outbox full", count=3, first_us=1, last_us=2),
        wire.ClockOffset(env=env(), offset_us=5, source="ntp"),
        wire.OrderState(env=env(), order=env().id, state="armed"),
        wire.Death(env=env(), cause="stopping"),
    ]
    running(settings)
    client = gateway("gw-a")
    for message in messages:
        client.send(message)
    assert client.wait_receipts({m.env.id for m in messages})
    assert [client.receipts[m.env.id] for m in messages] == [["stored"]] * len(messages)
    assert rows("select count(*), count(distinct reading_id) from vital_sign") == [(12, 3)]
    assert rows("select n, array_length(leads, 1) from ecg_recording") == [(500, 12)]
    assert rows("select kind from event order by id") == [
        (kind,) for kind in ("gateway", "vitals", "ecg", "device", "gap", "clock", "order", "gateway")
    ]
    assert rows("select count(*) from message") == [(len(messages),)]
    assert rows("select count(*) from dead_letter") == [(0,)]


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_rows(rows: Rows, query: str, wanted: object, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while (found := rows(query)) != [(wanted,)] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == [(wanted,)]


def test_a_resent_message_is_answered_duplicate(settings: Settings, gateway: Connect, running: Run, rows: Rows) -> None:
    running(settings)
    client, message = gateway("gw-a"), SimulatedGateway("gw-a", 1).pressure()
    client.send(message)
    assert client.wait_receipts({message.env.id})
    client.receipts.clear()
    client.send(message)
    assert client.wait_receipts({message.env.id})
    assert client.receipts == {message.env.id: ["duplicate"]}
    assert rows("select count(*) from vital_sign") == [(4,)]


def test_receipts_go_to_each_gateway_its_own(settings: Settings, gateway: Connect, running: Run) -> None:
    running(settings)
    first, second = SimulatedGateway("gw-a", 1).pressure(), SimulatedGateway("gw-b", 1).pressure()
    near, far = gateway("gw-a"), gateway("gw-b")
    near.send(first)
    far.send(second)
    assert near.wait_receipts({first.env.id})
    assert far.wait_receipts({second.env.id})
    assert (set(near.receipts), set(far.receipts)) == ({first.env.id}, {second.env.id})


def test_a_forged_topic_is_refused_by_the_broker_and_nothing_arrives(
    settings: Settings, gateway: Connect, running: Run, rows: Rows
) -> None:
    running(settings)
    client = gateway("gw-a")
    forged = client.send(SimulatedGateway("gw-victim", 1).pressure(), wire.up_topic("gw-victim", "vitals"))
    assert client.wait_answer(forged) == "Not authorized"
    own = SimulatedGateway("gw-a", 1).pressure()
    client.send(own)
    assert client.wait_receipts({own.env.id})  # the service goes on
    assert rows("select gateway from message") == [("gw-a",)]
    assert rows("select count(*) from dead_letter") == [(0,)]


def test_a_forged_envelope_is_quarantined_and_releases_nothing(
    settings: Settings, gateway: Connect, running: Run, rows: Rows
) -> None:
    running(settings)
    client = gateway("gw-a")
    client.send(SimulatedGateway("gw-victim", 1).pressure(), wire.up_topic("gw-a", "vitals"))
    wait_rows(rows, "select cause || ' ' || gateway from dead_letter", "topic gw-a")
    assert client.receipts == {}
    assert rows("select count(*) from vital_sign") == [(0,)]


def test_the_wrong_shard_is_quarantined_with_a_receipt(
    settings: Settings, gateway: Connect, running: Run, rows: Rows
) -> None:
    running(settings)
    client, message = gateway("gw-a"), SimulatedGateway("gw-a", 1).pressure()
    client.send(message, f"feldsher/1/{(shard('gw-a') + 1) % 16}/gw-a/up/vitals")
    assert client.wait_receipts({message.env.id})
    assert client.receipts[message.env.id] == ["quarantined"]
    assert rows("select cause, message_id from dead_letter") == [("topic", message.env.id)]


def test_malformed_and_oversized_payloads_are_kept_with_their_reason(
    settings: Settings, gateway: Connect, running: Run, rows: Rows
) -> None:
    running(settings)
    client, topic = gateway("gw-a"), wire.up_topic("gw-a", "vitals")
    client.send_bytes(topic, b"\xc1 not ours")
    client.send_bytes(topic, b"")
    client.send_bytes(topic, bytes(wire.MAX_BYTES + 1))
    damaged = msgspec.structs.replace(SimulatedGateway("gw-a", 1).recording(seconds=1), sha256=bytes(32))
    client.send(damaged)
    assert client.wait_receipts({damaged.env.id})
    assert client.receipts[damaged.env.id] == ["quarantined"]
    assert rows("select cause, length(payload) from dead_letter order by id")[:3] == [
        ("payload", 10), ("payload", 0), ("oversized", wire.MAX_BYTES + 1),
    ]  # fmt: skip
    assert rows("select cause, reason from dead_letter where message_id is not null") == [
        ("samples", "sha256: the decoded samples have another one")
    ]


def test_what_the_broker_will_not_carry_harms_nobody(
    settings: Settings, gateway: Connect, running: Run, rows: Rows
) -> None:
    running(settings)
    gateway("gw-a").send_bytes(wire.up_topic("gw-a", "vitals"), bytes(3_000_000))
    client, message = gateway("gw-b"), SimulatedGateway("gw-b", 1).pressure()
    client.send(message)
    assert client.wait_receipts({message.env.id})
    assert rows("select gateway from message") == [("gw-b",)]
    assert rows("select count(*) from dead_letter") == [(0,)]


def test_a_poison_message_in_the_middle_of_a_batch(
    settings: Settings, gateway: Connect, running: Run, ended: End, rows: Rows
) -> None:
    made, client = SimulatedGateway("gw-a", 1), gateway("gw-a")
    messages = [made.pressure() for _ in range(60)]
    messages[30] = msgspec.structs.replace(messages[30], device="a\0b")
    ended(running(settings))  # its session gathers the batch
    for message in messages:
        client.send(message)
    running(settings)
    assert client.wait_receipts({m.env.id for m in messages})
    assert [client.receipts[m.env.id] for m in messages] == [["stored"]] * 30 + [["quarantined"]] + [["stored"]] * 29
    assert rows("select cause, message_id from dead_letter") == [("database", messages[30].env.id)]


def test_live_strips_are_not_stored(settings: Settings, gateway: Connect, running: Run, rows: Rows) -> None:
    running(settings)
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    client.send_bytes(wire.up_topic("gw-a", "live"), b"a strip", qos=0)
    last = made.pressure()
    client.send(last)
    assert client.wait_receipts({last.env.id})
    assert rows("select count(*) from dead_letter") == [(0,)]


def test_a_worker_that_was_away_finds_its_backlog(
    settings: Settings, gateway: Connect, running: Run, ended: End, rows: Rows
) -> None:
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    first = made.pressure()
    worker = running(settings)
    client.send(first)
    assert client.wait_receipts({first.env.id})
    ended(worker)
    messages = [made.pressure() for _ in range(1500)]  # more than may be under way to a worker at once
    for message in messages:
        client.send(message)
    running(settings)
    assert client.wait_receipts({m.env.id for m in messages})
    assert {tuple(client.receipts[m.env.id]) for m in messages} == {("stored",)}
    assert rows("select count(*) from vital_sign") == [(1501 * 4,)]


def seats_of(rows: Rows) -> list[int]:
    return sorted(number for (number,) in rows("select count(*) from ingest_seat group by holder"))


def test_two_workers_share_the_shards(
    settings: Settings, mosquitto: Broker, gateway: Connect, running: Run, rows: Rows
) -> None:
    mosquitto.credentials("ingest.1")
    both = dataclasses.replace(settings, seats=2)
    workers = [running(both), running(both)]
    wait_until(lambda: seats_of(rows) == [1, 1] and all(worker.ready for worker in workers))
    names = [f"gw-{i}" for i in range(6)]
    assert {shard(name) % 2 for name in names} == {0, 1}
    for name in names:
        client, message = gateway(name), SimulatedGateway(name, 1).pressure()
        client.send(message)
        assert client.wait_receipts({message.env.id})
    assert rows("select count(*) from message") == [(6,)]
    assert rows("select count(*), sum(batch) from ingest_mark") == [(2, 6)]


def test_nothing_is_acknowledged_before_the_commit(
    settings: Settings, gateway: Connect, running: Run, rows: Rows, store_url: str, blocked: Blocked
) -> None:
    running(settings)
    client, message = gateway("gw-a"), SimulatedGateway("gw-a", 1).pressure()
    with psycopg.connect(store_url) as blocker:
        blocker.execute("lock table vital_reading in exclusive mode")
        client.send(message)
        blocked()  # the worker has everything but the commit
        assert client.receipts == {}
        assert rows("select count(*) from message") == [(0,)]
    assert client.wait_receipts({message.env.id})


def test_draining_stores_what_has_arrived(
    settings: Settings, gateway: Connect, running: Run, store_url: str, blocked: Blocked
) -> None:
    worker = running(settings)
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    messages = [made.pressure() for _ in range(50)]
    with psycopg.connect(store_url) as blocker:
        blocker.execute("lock table vital_reading in exclusive mode")
        client.send(messages[0])
        blocked()  # a batch of one
        for message in messages[1:]:
            client.send(message)
        wait_until(lambda: worker.waiting == 49)
        worker.stop()
    assert client.wait_receipts({m.env.id for m in messages})


@pytest.mark.parametrize("name", ["worker", "queue"])
def test_memory_is_bounded_while_the_database_is_away(
    settings: Settings, gateway: Connect, running: Run, rows: Rows, store_url: str, blocked: Blocked, name: str
) -> None:
    bounds = {"worker": {"receive_maximum": 20, "batch_messages": 10}, "queue": {"queue_bytes": 4000}}[name]
    worker = running(dataclasses.replace(settings, **bounds))
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    messages = [made.pressure() for _ in range(300)]
    full = {"worker": 20 - 10, "queue": 4000 // max(len(wire.encode(m)) for m in messages)}[name]
    with psycopg.connect(store_url) as blocker:
        blocker.execute("lock table vital_reading in exclusive mode")
        packets = [client.send(message) for message in messages]
        blocked()
        assert all(client.wait_answer(packet) for packet in packets)  # the broker has them all
        wait_until(lambda: worker.waiting >= full)
        assert worker.waiting <= 21
    assert client.wait_receipts({m.env.id for m in messages})
    assert rows("select count(*) from vital_sign") == [(1200,)]
