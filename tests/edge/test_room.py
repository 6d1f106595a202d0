"""Bounds and thinning inside the outbox: what stays, what goes, and that every loss is on record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random

from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Bound
from feldsher_edge.config import Outbox as Bounds
from feldsher_edge.devices import Reading, ReadingSet, Value
from feldsher_edge.outbox import Outbox
from feldsher_edge.room import Priority
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.sink import batch
from feldsher_edge.store import Store
from feldsher_ehr_core import wire

Make = Callable[[wire.Envelope], wire.UpMessage]


def open_outbox(path: Path, clock: VirtualClock, bounds: Bounds) -> Outbox:
    store = Store(path)
    store.run("PRAGMA synchronous = OFF")  # nothing here is about power cuts
    return Outbox(store, Envelopes("gw-1", clock, Random(1).randbytes), bounds)  # noqa: S311 - repeatable


def bound(rows: int, size: int = 10**9, days: float = 1000) -> Bound:
    return Bound(rows=rows, bytes=size, days=days)


def monitoring(clock: VirtualClock, first: int, readings: int = 10) -> Make:
    """Ten seconds of a pulse oximeter, numbered from `first`."""
    now_us = clock.wall_us()
    values = [(Value(150456, Decimal(first + i), "%"),) for i in range(readings)]
    each = tuple(Reading(v, now_us - (readings - i) * 1_000_000) for i, v in enumerate(values))
    return lambda env: batch(env, ReadingSet("oxi", "m", each), each, UTC)


def pending(outbox: Outbox) -> list[wire.Gap]:
    """Return every record of losses, those that are still in the ledger included."""
    found: list[wire.Gap] = []
    while rows := [row for row in outbox.waiting(100_000) if row.kind == "gap"]:
        for row in rows:
            message = wire.decode_up(outbox.body(row.seq) or b"")
            assert isinstance(message, wire.Gap)
            found.append(message)
        outbox.receipt([row.id for row in rows], ("stored",) * len(rows))  # the next ones follow
    return found


def values(outbox: Outbox) -> list[int]:
    bodies = [outbox.body(row.seq) for row in outbox.waiting(100_000)]
    messages = [wire.decode_up(body) for body in bodies if body]
    return [int(v) for m in messages if isinstance(m, wire.VitalsBatch) for v in m.value if v is not None]


def test_continuous_readings_are_thinned_before_any_is_dropped(tmp_path: Path) -> None:
    """Two hours of monitoring without a link into room for ten minutes: the whole time remains, at one a minute."""
    clock = VirtualClock()
    outbox = open_outbox(tmp_path / "o", clock, Bounds(continuous=bound(60)))
    outbox.put(monitoring(clock, 0), Priority.VITALS)  # spot readings are never thinned
    for n in range(720):
        clock.advance(10)
        outbox.put(monitoring(clock, 1000 + 10 * n), Priority.CONTINUOUS)
    counts = outbox.counts()
    assert counts.dropped == 0
    assert counts.waiting[3] <= 60
    kept = [v for v in values(outbox) if v >= 1000]
    seconds = sorted(v - 1000 for v in kept)
    assert seconds[0] < 60
    assert all(b - a <= 120 for a, b in pairwise(seconds))  # no minute is without a reading
    assert sorted(values(outbox))[:10] == list(range(10))
    gaps = pending(outbox)
    assert {(g.what, g.device) for g in gaps} == {("reading", "oxi")}
    assert gaps[0].why == "thinned to one reading a minute: more than 60 rows"
    assert sum(g.readings for g in gaps) == sum(g.count for g in gaps) == 7200 - len(kept) == counts.thinned
    outbox.close()


def test_what_cannot_be_thinned_further_is_dropped_and_every_reading_is_accounted_for(tmp_path: Path) -> None:
    clock = VirtualClock()
    outbox = open_outbox(tmp_path / "o", clock, Bounds(continuous=bound(20)))
    for n in range(600):
        clock.advance(10)
        outbox.put(monitoring(clock, 10 * n), Priority.CONTINUOUS)
    assert outbox.counts().waiting[3] <= 20
    assert outbox.counts().dropped > 0
    kept = len(values(outbox))
    assert sum(g.readings for g in pending(outbox)) + kept == 6000
    outbox.close()


def test_an_hour_without_a_link_slows_nothing_down(tmp_path: Path) -> None:
    """Every statement of a put and of a receipt finds its rows through an index, however many wait or are kept."""
    clock = VirtualClock()
    outbox = open_outbox(tmp_path / "o", clock, Bounds())
    asked: list[str] = []
    outbox.store.trace(asked.append)
    id_ = outbox.put(monitoring(clock, 0), Priority.CONTINUOUS)
    outbox.put(monitoring(clock, 0), Priority.VITALS)
    outbox.waiting(50)
    outbox.receipt([id_], ["stored"])
    outbox.counts()
    outbox.store.trace(None)
    plans = [row for sql in asked if sql.startswith(("SELECT", "DELETE", "UPDATE"))
             for row in outbox.store.rows(f"EXPLAIN QUERY PLAN {sql}")]  # fmt: skip
    scans = {row[3] for row in plans if row[3].startswith("SCAN")}
    assert len(plans) > 20
    assert scans <= {
        "SCAN tally",
        "SCAN ledger",
        "SCAN sqlite_sequence",
        "SCAN dead USING COVERING INDEX sqlite_autoindex_dead_1",
    }
    outbox.close()
