"""Re-interpretation of an archive on Dask: recordings per second of its processes against one plain process.

The plain process decodes and interprets the same bytes, already read, in the same run, before and after. Dask's
processes read them from a real database with fsync, and write the results. Time by the clock tells what a quiet machine
does; processor time, what the work costs on any; the engine's share of it, what Dask and the database add where other
programs make all of it dearer. `--json` ends with one line of JSON; `--recordings` scales.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import structlog
from feldsher_ehr_core import wire
from feldsher_ingest import replay, replay_cluster, sql
from feldsher_ingest.check import check
from feldsher_ingest.replay import Asked, Order, Run
from feldsher_ingest.replay_cluster import Driver
from feldsher_ingest.replay_task import Row, decode, fetch
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_signal import interpret, synth
from feldsher_tools.place import find_place
from feldsher_tools.postgres import Postgres

HEARTS = 44
WARMING = 100
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Rate:
    """Recordings per second by the clock; milliseconds of processor time of one, and what the engine took of them."""

    per_s: float
    cpu_ms: float
    engine_ms: float


def fill(url: str, count: int) -> None:
    """Store so many cardiograms of the synthetic hearts, as they come from gateways that did not interpret them."""
    gateway, hearts = SimulatedGateway("gw-a", 1), list(synth.PRESETS.values())[:HEARTS]
    taken = [gateway.cardiogram(heart) for heart in hearts]
    messages = [msgspec.structs.replace(taken[i % len(taken)], env=gateway.envelope()) for i in range(count)]
    with Store(url, "bench") as store:
        for i in range(0, count, 100):
            store.save([check(wire.up_topic("gw-a", "ecg"), wire.encode(m)) for m in messages[i : i + 100]])


def plain(rows: list[Row]) -> Rate:
    """Decode and interpret recordings in this process, as one loop."""
    interpret.warm()
    began, spent = time.perf_counter(), time.process_time()
    for row in rows:
        interpret.interpret(*decode(row))
    took, spent = time.perf_counter() - began, time.process_time() - spent
    return _rate(len(rows), took, spent, spent)


def plain_at_once(rows: list[Row], processes: int) -> float:
    """Return recordings per second of several plain processes at once: what this machine has for so many."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        parts = [rows[i::processes] for i in range(processes)]
        list(pool.map(plain, [part[:10] for part in parts]))  # started and warm
        began = time.perf_counter()
        list(pool.map(plain, parts))
        return len(rows) / (time.perf_counter() - began)


def on_dask(url: str, processes: int) -> Rate:
    """Interpret everything stored by so many Dask processes, from the second hundred on."""
    with psycopg.connect(url, autocommit=True) as connection, replay_cluster.local(processes) as client:
        ids = replay.pending(connection, _begun(connection, Asked()), most=WARMING)
        _drive(url, client, _begun(connection, Asked(ids=tuple(ids))))
        cpu: Any = client  # typed for its asynchronous use as well
        before = sum(cpu.run(time.process_time).values())
        run = _begun(connection, Asked())
        began = time.perf_counter()
        engine = _drive(url, client, run)
        took = time.perf_counter() - began
        rate = _rate(run.total, took, sum(cpu.run(time.process_time).values()) - before, engine)
        assert replay.shown(connection, run.run).done == run.total
        connection.execute("truncate ecg_interpretation")
    return rate


def _begun(connection: Connection, asked: Asked) -> Run:
    return replay.begin(connection, asked, "bench")


def _drive(url: str, client: Any, run: Run) -> float:
    """Drive a run to its end and return the seconds of processor time that its engine took."""
    with Store(url, "bench") as store:
        driver = Driver(client, store, run, lambda far: None)
        assert driver.drive()
        return driver.done.cpu_s


def _rate(count: int, took: float, spent: float, engine: float) -> Rate:
    return Rate(count / took, spent / count * 1000, engine / count * 1000)


@contextmanager
def database() -> Generator[str]:
    """Yield the address of a private database with ingest's tables."""
    place = find_place()
    directory = Path(tempfile.mkdtemp(prefix="bench-replay-", dir=place.base))
    os.chmod(directory, 0o755)  # noqa: PTH101, S103 - PostgreSQL's own user has to come through
    try:
        with Postgres(place, directory / "postgres", name=f"bench-replay-{os.getpid()}") as postgres:
            url = postgres.server.create_database("bench")
            with psycopg.connect(url) as connection:
                connection.execute("\n".join(sql.schemas()).encode())
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measure(recordings: int, processes: int) -> dict[str, float]:
    """Return the figures."""
    with database() as url:
        os.environ["FELDSHER_DATABASE_URL"] = url
        fill(url, recordings)
        with psycopg.connect(url, autocommit=True) as connection:
            run = _begun(connection, Asked())
            rows = fetch(connection, Order(run.run, run.engine, apply_unsigned=False), replay.pending(connection, run))
        before = plain(rows)
        one, many = on_dask(url, 1), on_dask(url, processes)
        both = plain_at_once(rows, processes)
        after = plain(rows)
    single = Rate(max(before.per_s, after.per_s), min(before.cpu_ms, after.cpu_ms), 0.0)
    return {
        "recordings": recordings,
        "single_per_s": round(single.per_s, 1),
        "single_cpu_ms": round(single.cpu_ms, 2),
        "dask_1_per_s": round(one.per_s, 1),
        "dask_1_cpu_ms": round(one.cpu_ms, 2),
        "dask_1_engine_ms": round(one.engine_ms, 2),
        "efficiency": round(one.per_s / single.per_s, 3),
        "efficiency_cpu": round(single.cpu_ms / one.cpu_ms, 3),
        "engine_share": round(one.engine_ms / one.cpu_ms, 3),
        "processes": processes,
        "dask_many_per_s": round(many.per_s, 1),
        "dask_many_cpu_ms": round(many.cpu_ms, 2),
        "dask_many_engine_ms": round(many.engine_ms, 2),
        "plain_many_per_s": round(both, 1),
        "efficiency_many": round(many.per_s / processes / single.per_s, 3),
        "efficiency_many_cpu": round(single.cpu_ms / many.cpu_ms, 3),
        "engine_share_many": round(many.engine_ms / many.cpu_ms, 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--recordings", type=int, default=1000, help="cardiograms of ten seconds and twelve leads")
    parser.add_argument("--processes", type=int, default=2, help="Dask processes of the last figure")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = measure(given.recordings, given.processes)
    for name, value in found.items():
        print(f"{name:24} {value:g}")
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
