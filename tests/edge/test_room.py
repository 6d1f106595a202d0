"""Bounds and thinning inside the outbox: what stays, what goes, and that every loss is on record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
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


def steps(outbox: Outbox, work: Callable[[], object]) -> int:
    """Return how many steps of SQLite's machine some work takes, in tens."""
    taken: list[int] = []
    connection = outbox.store._connection  # pyright: ignore[reportPrivateUsage]
    connection.set_progress_handler(lambda: taken.append(1), 10)
    work()
    connection.set_progress_handler(None, 0)
    return len(taken)


@pytest.mark.parametrize("full", [False, True])
def test_an_outbox_that_holds_much_is_no_slower(tmp_path: Path, full: bool) -> None:
    """After a month without a link a reading must be committed as quickly as ever, also where the class is full."""
    clock = VirtualClock()
    outbox = open_outbox(tmp_path / "o", clock, Bounds(continuous=bound(3000 if full else 10**6)))

    def one_of_each() -> None:
        clock.advance(1)
        id_ = outbox.put(monitoring(clock, 0, 1), Priority.CONTINUOUS)
        outbox.put(monitoring(clock, 0, 1), Priority.VITALS)
        outbox.put(monitoring(clock, 0, 1), Priority.ECG)
        outbox.waiting(50)
        outbox.receipt([id_], ["stored"])
        outbox.counts()

    def fill(count: int) -> None:
        with outbox.store.transaction():
            for n in range(count):
                clock.advance(40)  # a reading in every other minute at most: thinning them gains nothing
                outbox.put(monitoring(clock, n, 1), Priority.CONTINUOUS)
                outbox.receipt([outbox.put(monitoring(clock, n, 1), Priority.VITALS)], ["stored"])

    fill(200)
    few = steps(outbox, one_of_each)
    fill(3300)
    many = min(steps(outbox, one_of_each) for _ in range(3))
    assert many < 2 * few
    outbox.close()
