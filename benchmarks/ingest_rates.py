"""The store against the best that PostgreSQL does with the same rows: from payloads to commits, nothing left out.

The others get their rows ready-made and only send and commit them, into tables of their own with the same keys; the
store decodes, checks, keeps the ledger, renews latest values, watches a tenth of the patients, tells the cloud's worker
and rolls up beside it. All take turns, so that a machine that becomes slower does so for all.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import device_key
from feldsher_ehr_core.monitoring import Range, Rise
from feldsher_ehr_core.vitals import SYSTOLIC
from feldsher_ingest import rows, sql
from feldsher_ingest.ahead import Ahead
from feldsher_ingest.alerts import Raised
from feldsher_ingest.bulk import Bulk, bulk
from feldsher_ingest.check import Checked
from feldsher_ingest.chores import Chores
from feldsher_ingest.inbox import Arrived, Inbox
from feldsher_ingest.metrics import Metrics
from feldsher_ingest.numbers import Numbers
from feldsher_ingest.readings import columns
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_ingest.watch import Watch
from prometheus_client import CollectorRegistry

BATCH = 500
OCTETS = 4_000_000
ROUNDS = 3
GATEWAYS = 50
COPIES = ("inserted", "staged", "copied")
Connection = psycopg.Connection[Any]
_QUERIES = sql.load("store.sql")


def payloads(messages: Sequence[wire.UpMessage]) -> list[tuple[str, bytes]]:
    """Return topics and payloads as the broker would deliver them."""
    return [(wire.up_topic(m.env.gateway, str(m.__struct_config__.tag)), wire.encode(m)) for m in messages]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def store_all(store: Store, delivered: Sequence[tuple[str, bytes]]) -> float:
    """Return the seconds from payloads to commits as in a worker: one thread checks and makes ready, another stores."""
    inbox = Inbox(len(delivered) + 1, 1 << 40)
    ahead = Ahead(inbox, BATCH, OCTETS)
    for topic, payload in delivered:
        inbox.put(Arrived(topic, payload, 0, 1, 0, 0.0))
    inbox.close()

    def work() -> None:
        ahead.start()
        while (ready := ahead.next(60)) is not None:
            assert all(isinstance(item, Checked) for item in ready.items)
            store.save(ready.items, ready.prepared)

    seconds = timed(work)
    ahead.stop(5)
    return seconds


def _ready(connection: Connection, numbers: Numbers, messages: Sequence[wire.VitalsBatch]) -> tuple[rows.Params, bytes]:
    """Return a batch's readings as an insert takes them, and as COPY does."""
    made = columns(messages)
    found = rows.Numbered(*numbers.resolve(connection, made), made.corrected(lambda _: None))
    connection.commit()
    ready = bulk(made)
    assert isinstance(ready, Bulk)
    return rows.vitals(made, found), ready.body(found)


class Rivals:
    """The other ways of the same readings into tables of their own; a commit per batch, everything ready before."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = Numbers()
        # the store's own statements, which need not say what was new
        insert, copy = _QUERIES["vitals"], _QUERIES["copy_vitals"]
        self._insert = insert[: insert.index(b"\nreturning")].replace(b"vital_reading", b"inserted")
        self._copy, self._stage = copy.replace(b"vital_reading", b"copied"), copy.replace(b"vital_reading", b"stage")
        interval = "by_range('key_time', interval '7 days'), create_default_indexes => false"
        for name in COPIES:
            connection.execute(f"create table {name} (like vital_reading including all)".encode())
            connection.execute(f"select create_hypertable('{name}', {interval})".encode())
        connection.execute("create temporary table stage (like vital_reading including defaults) on commit delete rows")
        connection.commit()

    def drop(self) -> None:
        """Drop the tables."""
        for name in ("stage", *COPIES):
            self._connection.execute(f"drop table {name}".encode())
        self._connection.commit()

    def run(self, messages: Sequence[wire.VitalsBatch]) -> dict[str, float]:
        """Return the seconds of each way for some messages."""
        parts = [messages[i : i + BATCH] for i in range(0, len(messages), BATCH)]
        ready = [_ready(self._connection, self._numbers, some) for some in parts]
        ways = {"copied": self._copied, "inserted": self._inserted, "staged": self._staged}
        return {name: timed(lambda way=way: [way(*batch) for batch in ready]) for name, way in ways.items()}

    def _inserted(self, params: rows.Params, body: bytes) -> None:
        del body
        self._connection.execute(self._insert, params)
        self._connection.commit()

    def _copied(self, params: rows.Params, body: bytes) -> None:
        del params
        self._send(self._copy, body)
        self._connection.commit()

    def _staged(self, params: rows.Params, body: bytes) -> None:
        del params
        self._send(self._stage, body)
        self._connection.execute("insert into staged select * from stage on conflict do nothing")
        self._connection.commit()

    def _send(self, query: bytes, body: bytes) -> None:
        with self._connection.cursor() as cursor, cursor.copy(query) as copy:
            copy.write(body)


def empty(connection: Connection) -> None:
    """Empty the tables."""
    tables = (
        "reading, vital_reading, message, latest_reading, ecg_recording, event, ingest_mark, gateway_state, vital_due"
    )
    connection.execute(f"truncate {tables} cascade".encode())
    connection.commit()


def watch_some(url: str) -> None:
    """Put every tenth gateway's patient under monitoring: a limit of pressure, and one of its trend."""
    rules = Range((SYSTOLIC.mdc,), above=Decimal(175)), Rise((SYSTOLIC.mdc,), by=Decimal(20), days=3, before=7)
    with psycopg.connect(url) as connection:
        for i in range(0, GATEWAYS, 10):
            person = {"device": device_key(f"gw-{i}", f"cuff-gw-{i}"), "subject": UUID(int=i + 1)}
            connection.execute(
                "insert into watch_subject (device, subject, during)"
                " values (%(device)s, %(subject)s, '[2020-01-01Z,)')",
                person,
            )
            for rule in rules:
                connection.execute(
                    "insert into watch_limit (id, version, subject, rule, severity, during)"
                    " values (gen_random_uuid(), 1, %(subject)s, %(rule)s, 'warning', '[2020-01-01Z,)')",
                    person | {"rule": msgspec.json.encode(rule).decode()},
                )


def vitals(url: str, total_rows: int, readings: int) -> dict[str, float]:
    """Return rows per second of store, replay, insert, staging and COPY at 4 × `readings` rows per message."""
    gateways = itertools.cycle([SimulatedGateway(f"gw-{i}", 1) for i in range(GATEWAYS)])
    number = max(1, total_rows // (4 * readings * ROUNDS))
    seconds: dict[str, float] = defaultdict(float)
    chores = Chores(url, "bench", Metrics(CollectorRegistry()), every_s=1.0)
    with psycopg.connect(url) as connection, Store(url, "bench") as store:
        store.connect()
        rivals = Rivals(connection)
        chores.start()
        delivered: list[tuple[str, bytes]] = []
        for _ in range(ROUNDS):
            messages = [next(gateways).pressure(readings) for _ in range(number)]
            for name, took in rivals.run(messages).items():
                seconds[name] += took
            delivered += payloads(messages)
            seconds["store"] += store_all(store, delivered[-number:])
        chores.stop()
        seconds["replay"] = store_all(store, delivered)
        count = 4 * readings * number * ROUNDS
        size = connection.execute("select hypertable_size('vital_reading')").fetchone()
        rivals.drop()
        empty(connection)
    return {name: count / took for name, took in seconds.items()} | {"bytes": (size[0] if size else 0) / count}


class Off(Watch):
    """A watch that looks at nothing."""

    def judge(self, *_: object, **__: object) -> Raised:
        """Raise nothing."""
        return Raised()


def unwatched(url: str, total_rows: int, readings: int = 15) -> float:
    """Return rows per second of a store that neither watches nor rolls up, at 4 × `readings` rows per message."""
    gateways = itertools.cycle([SimulatedGateway(f"gw-{i}", 1) for i in range(GATEWAYS)])
    number = max(1, total_rows // (4 * readings * ROUNDS))
    with psycopg.connect(url) as connection, Store(url, "bench", watch=Off()) as store:
        store.connect()
        made = [payloads([next(gateways).pressure(readings) for _ in range(number)]) for _ in range(ROUNDS)]
        took = sum(store_all(store, delivered) for delivered in made)
        empty(connection)
    return 4 * readings * number * ROUNDS / took


def recordings(url: str, count: int) -> dict[str, float]:
    """Return recordings per second of the store and of bare inserts of the same rows, pipelined."""
    made = SimulatedGateway("gw-ecg", 1)
    number = max(1, count // ROUNDS)
    unique = [made.recording() for _ in range(min(number, 100))]
    query = _QUERIES["recording"].replace(b"ecg_recording", b"inserted_ecg")
    seconds: dict[str, float] = defaultdict(float)
    with psycopg.connect(url) as connection, Store(url, "bench") as store:
        store.connect()
        connection.execute("create table inserted_ecg (like ecg_recording including all)")
        connection.commit()
        for _ in range(ROUNDS):
            some = [msgspec.structs.replace(unique[i % len(unique)], env=made.envelope()) for i in range(number)]
            parameters = [[_plain(m) for m in some[i : i + 100]] for i in range(0, number, 100)]
            seconds["insert"] += timed(lambda ready=parameters: [_insert(connection, query, p) for p in ready])
            seconds["store"] += store_all(store, payloads(some))
        size = connection.execute("select pg_total_relation_size('ecg_recording')").fetchone()
        connection.execute("drop table inserted_ecg")
        empty(connection)
    stored = number * ROUNDS
    return {name: stored / took for name, took in seconds.items()} | {"bytes": (size[0] if size else 0) / stored}


def _plain(message: wire.EcgRecording) -> rows.Params:
    """Return a recording's parameters as anybody hands them to psycopg."""
    lists = {name: list(getattr(message, name)) for name in ("leads", "uv_per_bit", "lead_off")}
    return rows.recording(message, None) | lists


def _insert(connection: Connection, query: bytes, parameters: Sequence[rows.Params]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(query, parameters)
    connection.commit()
