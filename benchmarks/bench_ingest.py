"""Ingestion: rows per second of the store against plain COPY of the same rows, and messages per second over real MQTT.

Everything is measured in one run on one machine with fsync on. `--json` ends with one line of JSON; `--rows` scales.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import ingest_trial
import msgspec
import psycopg
import structlog
from feldsher_cloud_api import ca
from feldsher_ehr_core import wire
from feldsher_ingest import rows, sql
from feldsher_ingest.ahead import Ahead
from feldsher_ingest.check import Checked
from feldsher_ingest.consume import Worker, collect_rarely
from feldsher_ingest.inbox import Arrived, Inbox
from feldsher_ingest.metrics import Metrics
from feldsher_ingest.numbers import Numbers
from feldsher_ingest.readings import columns
from feldsher_ingest.settings import Settings, Tls, mqtt_address
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.place import find_place
from feldsher_tools.postgres import Postgres
from feldsher_tools.services import Broker, listener_files
from prometheus_client import CollectorRegistry

BATCH = 500
TYPES = {
    "reading_id": "uuid",
    "message_id": "uuid",
    "key_time": "timestamptz",
    "time": "timestamptz",
    "received_at": "timestamptz",
    "source": "int4",
    "shape": "int4",
    "status": "int4",
    "clocked": "bool",
    "value": "numeric[]",
}
Connection = psycopg.Connection[Any]


def batched(messages: Sequence[wire.UpMessage]) -> Iterator[list[wire.UpMessage]]:
    """Yield the messages in batches of the worker's size."""
    for i in range(0, len(messages), BATCH):
        yield list(messages[i : i + BATCH])


def payloads(messages: Sequence[wire.UpMessage]) -> list[list[tuple[str, bytes]]]:
    """Return batches of topics and payloads as the broker would deliver them."""
    return [
        [(wire.up_topic(m.env.gateway, str(m.__struct_config__.tag)), wire.encode(m)) for m in batch]
        for batch in batched(messages)
    ]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def store_all(url: str, batches: list[list[tuple[str, bytes]]]) -> float:
    """Return the seconds from payloads to commits as in a worker: one thread decodes and checks, another stores."""
    inbox = Inbox(sum(map(len, batches)), 1 << 40)
    ahead = Ahead(inbox, BATCH, 1 << 40)
    with Store(url, "bench") as store:
        store.connect()
        for topic, payload in itertools.chain.from_iterable(batches):
            inbox.put(Arrived(topic, payload, 0, 1, 0, 0.0))
        inbox.close()

        def work() -> None:
            ahead.start()
            while (ready := ahead.next(60)) is not None:
                assert all(isinstance(item, Checked) for item in ready.items)
                store.save(ready.items, ready.prepared)

        return timed(work)


def copy_all(connection: Connection, messages: Sequence[wire.VitalsBatch]) -> float:
    """Return the seconds of binary COPY of the same readings into a hypertable with the same keys, commit per batch."""
    connection.execute("create table copied (like vital_reading including all)")
    interval = "by_range('key_time', interval '7 days'), create_default_indexes => false"
    connection.execute(f"select create_hypertable('copied', {interval})".encode())
    connection.commit()
    query = f"copy copied ({', '.join(TYPES)}) from stdin (format binary)".encode()
    numbers = Numbers()
    prepared = [list(_tuples(connection, numbers, messages[i : i + BATCH])) for i in range(0, len(messages), BATCH)]

    def work() -> None:
        for batch in prepared:
            with connection.cursor() as cursor, cursor.copy(query) as copy:
                copy.set_types(list(TYPES.values()))
                for row in batch:
                    copy.write_row(row)
            connection.commit()

    seconds = timed(work)
    connection.execute("drop table copied")
    connection.commit()
    return seconds


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def _tuples(
    connection: Connection, numbers: Numbers, messages: Sequence[wire.VitalsBatch]
) -> Iterator[tuple[object, ...]]:
    made = columns(messages)
    sources, shapes = numbers.resolve(connection, made)
    connection.commit()
    for i in range(len(made)):
        source, shape = sources[made.source[i]], shapes[made.shape[i]]
        values = [Decimal(str(v)) for v in made.value[i]]
        times = _time(made.key_us[i]), _time(made.time_us[i]), _time(made.received_us[i])
        ids = made.reading_id[i], made.envelopes[made.message[i]].id
        yield (*ids, *times, source, shape, made.status[i], made.clocked[i], values)


def insert_all(connection: Connection, messages: Sequence[wire.VitalsBatch]) -> float:
    """Return the seconds of the best idempotent insert (unnest of binary columns) alone, commit per batch."""
    whole = sql.load("store.sql")["vitals"]
    query = whole[: whole.index(b"\nreturning")]  # it need not say which were new
    numbers = Numbers()

    def ready(batch: Sequence[wire.VitalsBatch]) -> rows.Params:
        made = columns(batch)
        found = numbers.resolve(connection, made)
        connection.commit()
        return rows.vitals(made, rows.Numbered(*found, made.corrected(lambda _: None)))

    prepared = [ready(messages[i : i + BATCH]) for i in range(0, len(messages), BATCH)]

    def work() -> None:
        for some in prepared:
            connection.execute(query, some)
            connection.commit()

    return timed(work)


def empty(connection: Connection) -> None:
    """Empty the tables."""
    tables = (
        "reading, vital_reading, message, latest_reading, ecg_recording, event, ingest_mark, gateway_state, vital_due"
    )
    connection.execute(f"truncate {tables}".encode())
    connection.commit()


def bench_vitals(url: str, total_rows: int, readings: int) -> dict[str, float]:
    """Return rows per second of store, replay, bare insert and COPY at 4 × `readings` rows per message."""
    gateways = itertools.cycle([SimulatedGateway(f"gw-{i}", 1) for i in range(50)])
    messages = [next(gateways).pressure(readings) for _ in range(total_rows // (4 * readings))]
    count = sum(len(m.reading) for m in messages)
    with psycopg.connect(url) as connection:
        copied = copy_all(connection, messages)
        inserted = insert_all(connection, messages)
        empty(connection)
        batches = payloads(messages)
        stored = store_all(url, batches)
        replayed = store_all(url, batches)
        size = connection.execute("select hypertable_size('vital_reading')").fetchone()
        empty(connection)
    found = {"store": count / stored, "replay": count / replayed, "insert": count / inserted, "copy": count / copied}
    return found | {"bytes": (size[0] if size else 0) / count}


def bench_recordings(url: str, count: int) -> dict[str, float]:
    """Return recordings per second of the store and of bare inserts of the same rows."""
    made = SimulatedGateway("gw-ecg", 1)
    unique = [made.recording() for _ in range(min(count, 100))]
    messages = [msgspec.structs.replace(unique[i % len(unique)], env=made.envelope()) for i in range(count)]
    query = sql.load("store.sql")["recording"]
    with psycopg.connect(url) as connection:
        parameters = [[rows.recording(m, None) for m in messages[i : i + 100]] for i in range(0, count, 100)]

        def work() -> None:
            for some in parameters:
                with connection.cursor() as cursor:
                    cursor.executemany(query, some)
                connection.commit()

        bare = timed(work)
        empty(connection)
    stored = store_all(url, payloads(messages))
    with psycopg.connect(url) as connection:
        size = connection.execute("select pg_total_relation_size('ecg_recording')").fetchone()
        empty(connection)
    return {"store": count / stored, "insert": count / bare, "bytes": (size[0] if size else 0) / count}


@contextmanager
def worker(settings: Settings) -> Generator[Worker]:
    """Run a worker in a thread of this process."""
    running = Worker(settings, Metrics(CollectorRegistry()), generator=random.Random(1))  # noqa: S311
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.ready:
        time.sleep(0.01)
    try:
        yield running
    finally:
        running.stop()
        thread.join()


def bench_line(settings: Settings, client: GatewayClient, messages: int, readings: int) -> dict[str, float]:
    """Return messages and rows per second from the first publish to the last receipt, over mutual TLS."""
    made = SimulatedGateway(client.name, random.randrange(1 << 30))  # noqa: S311 (fresh ids per part)
    ready = [made.pressure(readings) for _ in range(messages)]
    with worker(settings):
        began = time.perf_counter()
        for message in ready:
            client.send(message)
        assert client.wait_receipts({m.env.id for m in ready}, 300)
        seconds = time.perf_counter() - began
    return {"messages": messages / seconds, "rows": messages * readings * 4 / seconds}


def bench_latency(settings: Settings, client: GatewayClient, count: int) -> dict[str, float]:
    """Return milliseconds from publish to receipt of lone messages."""
    made = SimulatedGateway(client.name, random.randrange(1 << 30))  # noqa: S311
    times: list[float] = []
    with worker(settings):
        for _ in range(count):
            message = made.pressure()
            began = time.perf_counter()
            client.send(message)
            assert client.wait_receipts({message.env.id})
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.01)
    return {"p50": statistics.median(times), "p99": statistics.quantiles(times, n=100)[98]}


def _services(stack: ExitStack) -> tuple[str, Broker, Path]:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    place = find_place()
    data = place.base / f"bench-{os.getpid()}"
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    server = stack.enter_context(Postgres(place, data, name=f"bench-{os.getpid()}-postgres"))  # fsync on
    url = server.create_database("bench_ingest")
    with psycopg.connect(url) as connection:
        connection.execute("\n".join(sql.schemas()).encode())
    authority = ca.create(directory / "ca")
    files, name = listener_files(authority), f"bench-{os.getpid()}-mosquitto"
    mosquitto = stack.enter_context(Mosquitto(place, directory / "mosquitto", files, name=name))
    return url, Broker(mosquitto.url, authority), directory


def _tls(running: Broker, name: str) -> Tls:
    files = running.credentials(name)
    return Tls(files.ca, files.certificate, files.key)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=240_000, help="rows of the store parts")
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs of worker, broker and database")
    parser.add_argument("--messages", type=int, default=8000, help="messages sent meanwhile")
    parser.add_argument("--pause", type=float, default=60, help="seconds of a database that takes nothing, under flood")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    collect_rarely()
    with ExitStack() as stack:
        url, running, directory = _services(stack)
        vitals = {n: bench_vitals(url, options.rows // (10 if n == 1 else 1), n) for n in (1, 5, 15)}
        ecg = bench_recordings(url, max(100, options.rows // 400))
        host, port = mqtt_address(running.url)
        files = running.credentials("ingest.0")
        settings = Settings(url, host, port, files.ca, files.certificate.parent, directory)
        client = stack.enter_context(GatewayClient("gw-bench", host, port, _tls(running, "gw-bench")))
        single = bench_line(settings, client, max(500, options.rows // 100), 1)
        many = bench_line(settings, client, max(200, options.rows // 240), 15)
        latency = bench_latency(settings, client, 200)
    with tempfile.TemporaryDirectory() as place:
        trial = ingest_trial.run(Path(place), options.kills, options.messages, options.pause)
    _report(vitals, ecg, single, many, latency)
    print(
        f"{trial.kills} SIGKILLs and {options.pause:g} s without a database in {trial.made:,} messages: "
        f"{trial.lost} lost, {trial.duplicated} duplicated; worker's memory at most {trial.worker_rss_mb:.0f} MB"
    )
    if options.json:
        print(json.dumps(_numbers(vitals, ecg, single, many, latency) | _judged(trial)))
    return 0


def _report(
    vitals: dict[int, dict[str, float]],
    ecg: dict[str, float],
    single: dict[str, float],
    many: dict[str, float],
    latency: dict[str, float],
) -> None:
    for readings, v in vitals.items():
        print(f"{4 * readings} rows per message: store {v['store']:,.0f} rows/s", end=", ")
        print(f"{v['store'] / v['copy']:.0%} of COPY ({v['copy']:,.0f})", end=", ")
        print(f"{v['store'] / v['insert']:.0%} of the bare insert ({v['insert']:,.0f})", end="; ")
        print(f"replay {v['replay']:,.0f} rows/s; {v['bytes']:.0f} bytes per row")
    print(f"ECG: store {ecg['store']:,.0f}/s, {ecg['store'] / ecg['insert']:.0%} of bare inserts", end=" ")
    print(f"({ecg['insert']:,.0f}/s); {ecg['bytes'] / 1000:.1f} kB each")
    print(f"MQTT to receipt: {single['messages']:,.0f} messages/s of 4 rows", end="; ")
    print(f"{many['messages']:,.0f} messages/s of 60 rows = {many['rows']:,.0f} rows/s")
    print(f"one message at a time, publish to receipt: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")


def _judged(trial: ingest_trial.Found) -> dict[str, float]:
    return {
        "worker_rss_mb": round(trial.worker_rss_mb),
        "kills": trial.kills,
        "lost": trial.lost,
        "duplicated": trial.duplicated,
    }


def _numbers(
    vitals: dict[int, dict[str, float]],
    ecg: dict[str, float],
    single: dict[str, float],
    many: dict[str, float],
    latency: dict[str, float],
) -> dict[str, float]:
    best = vitals[15]
    return {
        "vitals_per_s": round(many["rows"]),
        "messages_per_s": round(single["messages"]),
        "store_per_s": round(best["store"]),
        "best_insert_per_s": round(best["insert"]),
        "copy_per_s": round(best["copy"]),
        "store_to_copy": round(best["store"] / best["copy"], 3),
        "store_to_insert": round(best["store"] / best["insert"], 3),
        "store_per_s_4": round(vitals[1]["store"]),
        "store_per_s_20": round(vitals[5]["store"]),
        "replay_per_s": round(best["replay"]),
        "ecg_per_s": round(ecg["store"]),
        "ecg_insert_per_s": round(ecg["insert"]),
        "bytes_per_vital": round(best["bytes"]),
        "bytes_per_ecg": round(ecg["bytes"]),
        "receipt_p50_ms": round(latency["p50"], 1),
        "receipt_p99_ms": round(latency["p99"], 1),
    }


if __name__ == "__main__":
    raise SystemExit(main())
