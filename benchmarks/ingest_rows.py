"""What a row costs, and what a question costs, in a store of any size: the curve from a small store to a large one.

    python benchmarks/ingest_rows.py --values 1000000 10000000 30000000 100000000 --json curve.json

The store is filled in steps (ingest_fill.py); at each one real batches go through the store, and the cloud's questions
(ingest/read.py) are asked for patients drawn at random: first each for the first time, then all once more. Besides wall
time there is the database's processor time, which other work on the machine disturbs least, and the server's own
planning and execution by EXPLAIN. A "value" is one number of one reading (systolic, pulse …).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg
import structlog
from feldsher_ehr_core import vitals, wire
from feldsher_ingest import read, rollup, sql
from feldsher_ingest.check import Checked
from feldsher_ingest.simulate import START_US, SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_tools.place import find_place
from feldsher_tools.postgres import Postgres
from ingest_fill import MONITOR, NEWEST, VALUES_PER_WEEK, WEEK_S, Connection, Kit, Region
from psycopg.rows import tuple_row

BATCH = 500
BATCHES = 8
LATE_DAYS = 180
KITS = 500
"""Whose messages a batch mixes."""
ASKED = 200
COLD = 40
TICKS = os.sysconf("SC_CLK_TCK")
NOW = datetime.fromtimestamp((NEWEST + 1) * WEEK_S, UTC)
SPAN = timedelta(days=90)
WEEKS = 104
ZONE = "Asia/Yekaterinburg"
_FILLING = ("fsync = off", "full_page_writes = off", "max_wal_size = '3GB'", "autovacuum = off")
"""While a store is filled only: nothing is lost but the benchmark's time where the machine fails."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one question: milliseconds of wall time at first and again, of the database's processor, and by EXPLAIN."""

    first_p50: float
    first_p95: float
    again_p50: float
    again_p95: float
    cpu: float
    planning: float
    execution: float


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def fresh(kits: Sequence[Kit], seed: int) -> list[wire.VitalsBatch]:
    """Return readings of today, of one kit after the other."""
    made = [SimulatedGateway(kit.gateway, seed) for kit in kits]
    return [made[i % len(made)].pressure() for i in range(BATCH * BATCHES)]


def late(messages: Sequence[wire.VitalsBatch], days: int, seed: int) -> list[wire.VitalsBatch]:
    """Return the messages with readings of any of the last days, as after long outages."""
    generator, out = random.Random(seed), list[wire.VitalsBatch]()  # noqa: S311 - repeatable
    for message in messages:
        at = START_US // 1_000_000 - generator.randrange(3600, days * 86_400)
        local = datetime.fromtimestamp(at + 5 * 3600, UTC).replace(tzinfo=None).isoformat()
        n = len(message.code)
        reading = UUID(int=generator.getrandbits(128))
        times = {"time_us": (at * 1_000_000,) * n, "received_us": (at * 1_000_000,) * n}
        out.append(msgspec.structs.replace(message, reading=(reading,) * n, sent_at=(local,) * n, **times))
    return out


def stored(url: str, messages: Sequence[wire.UpMessage], batch: int = BATCH) -> tuple[float, float]:
    """Store messages in batches; return the seconds per message of wall time and of the database's processor."""
    items = [Checked(wire.up_topic(m.env.gateway, "any"), b"", m) for m in messages]
    batches = [items[i : i + batch] for i in range(0, len(items), batch)]
    with Store(url, "bench") as store:
        pid = store.connect().info.backend_pid
        store.save(batches[0])  # opens what a connection opens once
        before, began = cpu_s(pid), time.perf_counter()
        for some in batches[1:]:
            store.save(some)
        wall, used = time.perf_counter() - began, cpu_s(pid) - before
    n = len(messages) - len(batches[0])
    return wall / n, used / n


def corrections(kits: Sequence[Kit], seed: int) -> list[wire.ClockOffset]:
    """Return the news of some gateways that their clocks were wrong since they started."""
    made = [SimulatedGateway(kit.gateway, seed, "holdover").envelope() for kit in kits]
    return [
        wire.ClockOffset(env=env, offset_us=1_500_000, source="ntp", base_us=env.wall_us - env.mono_ns // 1000)
        for env in made
    ]


def writing(url: str, region: Region, seed: int) -> dict[str, float]:
    """Return what storing costs: microseconds per value, milliseconds per correction and per day that is rolled up."""
    kits = list(dict.fromkeys(region.some(2 * KITS, seed)))[:KITS]
    new, old = fresh(kits, seed), late(fresh(kits, seed + 1), min(LATE_DAYS, 7 * region.weeks - 4), seed)
    found: dict[str, float] = {}
    for name, messages in (("fresh", new), ("late", old), ("replay", new)):
        wall, used = stored(url, messages)
        found |= {f"{name}_us": wall / 4 * 1e6, f"{name}_cpu_us": used / 4 * 1e6}
    wall, used = stored(url, corrections(kits[:20], seed + 2), 1)
    found |= {"correction_ms": wall * 1e3, "correction_cpu_ms": used * 1e3}
    with psycopg.connect(url, autocommit=True) as connection:
        pid = connection.info.backend_pid
        rollup.roll_up(connection)
        before, began, days = cpu_s(pid), time.perf_counter(), 0
        while done := rollup.roll_up(connection):
            days += done
        wall, used = time.perf_counter() - began, cpu_s(pid) - before
    return found | {"rollup_ms": wall / max(1, days) * 1e3, "rollup_cpu_ms": used / max(1, days) * 1e3}


@dataclass(frozen=True, slots=True)
class Picked:
    """What the questions are about, drawn at random."""

    kits: Sequence[Kit]
    readings: Sequence[tuple[UUID, datetime]]
    message: Sequence[tuple[str, UUID]]
    recordings: Sequence[UUID]


def pick(connection: Connection, region: Region, seed: int) -> Picked:
    """Draw kits, a reading of each from any week, a message of each, and cardiograms."""
    kits = region.some(ASKED, seed)
    query = b"""
        select r.reading_id, r.message_id, s.gateway, r.key_time from vital_source s cross join lateral (
            select reading_id, message_id, key_time from vital_reading where source = s.no offset %s limit 1) r
        where s.device = %s"""
    drawn = [
        connection.execute(query, [7 * i % (14 * region.weeks), kit.cuff]).fetchone() for i, kit in enumerate(kits)
    ]
    some = [row for row in drawn if row is not None]
    ids = connection.execute(b"select id from ecg_recording order by id limit %s", [ASKED]).fetchall()
    return Picked(kits, [(r[0], r[3]) for r in some], [(r[2], r[1]) for r in some], [row[0] for row in ids])


def event(connection: Connection, reading: UUID, key_time: datetime) -> object:
    """Return what the cloud's worker reads of an event, which tells it the key times."""
    us = round(key_time.timestamp() * 1e6)
    return read.readings(connection, [reading], (us, us))


def questions(picked: Picked) -> dict[str, list[Callable[[Connection], object]]]:
    """Return the cloud's questions, each about every one of those picked."""
    systolic, pulse, start = vitals.SYSTOLIC.mdc, vitals.PULSE.mdc, NOW - SPAN

    def each(ask: Callable[[Connection, Kit], object]) -> list[Callable[[Connection], object]]:
        return [lambda c, kit=kit: ask(c, kit) for kit in picked.kits]

    return {
        "last values": each(lambda c, kit: read.latest(c, kit.cuff)),
        "90-day trend, kit": each(lambda c, kit: read.trend(c, [kit.cuff], systolic, start, NOW)),
        "90-day trend, monitor": each(
            lambda c, kit: read.trend(c, [MONITOR], pulse, start, NOW - timedelta(minutes=kit.number % 600))
        ),
        "measured days": each(lambda c, kit: read.measured_days(c, [kit.cuff], systolic, start, NOW, ZONE)),
        "range of a week": each(lambda c, kit: read.vitals_range(c, [kit.cuff], NOW - timedelta(days=7), NOW)),
        "one ECG": [lambda c, i=i: read.recording(c, i) for i in picked.recordings],
        "readings of an event": [lambda c, r=r: event(c, *r) for r in picked.readings],
        "clock of a message": [lambda c, m=m: read.clock_trusted(c, *m) for m in picked.message],
    }


def timed(connection: Connection, ask: Callable[[Connection], object]) -> float:
    """Return the milliseconds of a question."""
    began = time.perf_counter()
    assert ask(connection) is not None
    return (time.perf_counter() - began) * 1e3


def percentile(of: Sequence[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(of, n=100, method="inclusive")[percent - 1]


def asked(connection: Connection, asks: Sequence[Callable[[Connection], object]]) -> Cost:
    """Return what a question costs."""
    first = [timed(connection, ask) for ask in asks]
    before = cpu_s(connection.info.backend_pid)
    again = [timed(connection, ask) for ask in asks]
    used = cpu_s(connection.info.backend_pid) - before
    plans = [explained(connection, ask) for ask in asks[:20]]
    return Cost(
        percentile(first, 50),
        percentile(first, 95),
        percentile(again, 50),
        percentile(again, 95),
        used / len(again) * 1e3,
        statistics.median(p.planning for p in plans),
        statistics.median(p.execution for p in plans),
    )


class _Explaining(psycopg.Cursor[Any]):
    """A cursor whose queries are explained and not answered."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Raise what the server says of a query."""
        self.row_factory = tuple_row
        super().execute(b"explain (analyze, format json) " + query, params, **options)
        row = self.fetchone()
        assert row is not None
        raise _Explained(row[0][0]["Planning Time"], row[0][0]["Execution Time"])


class _Explained(Exception):  # noqa: N818 - an answer
    """Milliseconds of planning and of execution."""

    def __init__(self, planning: float, execution: float) -> None:
        super().__init__(planning, execution)
        self.planning, self.execution = planning, execution


def explained(connection: Connection, ask: Callable[[Connection], object]) -> _Explained:
    """Return the server's own times for a question."""
    connection.cursor_factory = _Explaining
    try:
        ask(connection)
    except _Explained as found:
        return found
    finally:
        connection.cursor_factory = psycopg.Cursor
    raise AssertionError("nothing was asked")


@contextmanager
def settings(server: Postgres, wanted: Sequence[str]) -> Generator[None]:
    """Run a server with other settings for a while; it is started anew before and after."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for one in wanted:
            connection.execute(f"alter system set {one}".encode())
    server.stop()
    server.start()
    try:
        yield
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(b"alter system reset all")
            connection.execute(b"checkpoint")
        server.stop()
        server.start()


def grown(server: Postgres, url: str, region: Region, values: int) -> float:
    """Fill the store up to so many values; return the seconds it took."""
    began = time.perf_counter()
    with settings(server, _FILLING), psycopg.connect(url, autocommit=True) as connection:
        region.grow(connection, values)
    return time.perf_counter() - began


def forgotten(server: Postgres) -> None:
    """Start the server anew with none of its files in memory: what is asked next comes from the disk."""
    server.stop()
    for path in server.data.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    server.start()


def measured(server: Postgres, url: str, region: Region, values: int) -> dict[str, Any]:
    """Return what everything costs in the store as it is."""
    found: dict[str, Any] = {"values": values, "kits": region.kits, "weeks": region.weeks, "load": os.getloadavg()[0]}
    with psycopg.connect(url, autocommit=True) as connection:
        picked = pick(connection, region, values)
        row = connection.execute(
            b"select hypertable_size('vital_reading'), (select count(*) from show_chunks('vital_reading'))"
        ).fetchone()
        assert row is not None
        found |= {"gigabytes": row[0] / 1e9, "chunks": row[1]}
        for name, asks in questions(picked).items():
            found[name] = asdict(asked(connection, asks))
    found["writing"] = writing(url, region, values)
    forgotten(server)
    with psycopg.connect(url, autocommit=True) as connection:
        read.latest(connection, MONITOR)
        for name, asks in questions(picked).items():
            found[name]["disk_p95"] = percentile([timed(connection, ask) for ask in asks[:COLD]], 95)
    return found


def report(found: dict[str, Any]) -> None:
    """Print one step."""
    print(f"\n{found['values']:,} values of {found['kits']:,} kits in {found['weeks']} weeks", end=": ")
    print(f"{found['gigabytes']:.2f} GB in {found['chunks']} chunks", end="; ")
    print(f"load {found['load']:.1f}; filled in {found['filled_s']:.0f} s")
    w = found["writing"]
    for name in ("fresh", "late", "replay"):
        print(f"  {name:7} {w[name + '_us']:6.1f} us a value, the database's processor {w[name + '_cpu_us']:.1f}")
    for name in ("correction", "rollup"):
        print(f"  {name:10} {w[name + '_ms']:8.2f} ms, the database's processor {w[name + '_cpu_ms']:.2f}")
    head = ("first p50", "p95", "again p50", "p95", "processor", "planning", "execution", "disk p95")
    print("  " + " " * 24 + "".join(f"{word:>11}" for word in head) + "   (ms)")
    for name, cost in found.items():
        if isinstance(cost, dict) and name != "writing":
            print(f"  {name:24}" + "".join(f"{number:11.2f}" for number in cast("dict[str, float]", cost).values()))


def curve(
    steps: Sequence[int],
    recordings: int,
    kits: int | None = None,
    say: Callable[[dict[str, Any]], None] = report,
    memory: str = "128MB",
) -> list[dict[str, Any]]:
    """Fill a store of its own step by step and return what was measured at each.

    `kits`: how many measure; None: as many as make the last size in two years. `memory`: the server's shared_buffers.
    """
    kits = kits or max(KITS, max(steps) // WEEKS // VALUES_PER_WEEK)
    place, name = find_place(), f"rows-{os.getpid()}"
    data, out = place.base / name, list[dict[str, Any]]()
    try:
        with Postgres(place, data, name=f"{name}-postgres", settings={"shared_buffers": memory}) as server:
            url = server.create_database("rows")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("\n".join(sql.schemas()).encode())
                region = Region(connection, kits)
                region.recordings(connection, recordings)
            for values in steps:
                filled = grown(server, url, region, values)
                out.append(measured(server, url, region, values) | {"filled_s": filled})
                say(out[-1])
    finally:
        shutil.rmtree(data, ignore_errors=True)
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, nargs="+", default=[300_000, 3_000_000], help="sizes, ascending")
    parser.add_argument("--ecgs", type=int, default=1000, help="cardiograms of 34 kB")
    parser.add_argument("--kits", type=int, help="kits that measure; as many as make the last size in two years")
    parser.add_argument("--memory", default="4GB", help="the server's shared_buffers; advised: a quarter of all")
    parser.add_argument("--json", type=Path, help="where to write everything measured")
    options = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = curve(options.values, options.ecgs, options.kits, memory=options.memory)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
