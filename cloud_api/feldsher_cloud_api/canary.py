"""The canary: a test alarm of each shard crosses the whole line every few minutes, and its absence is the alarm.

The cloud plays a gateway of a reserved name whose reading is beyond a limit of its own. The way is that of every
patient's reading: broker, ingest, watch, event, worker; only at its end no Task is made, the crossing is noted instead.
Nobody is measured, so no record and no figure has any of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import CANARIES, SHARDS, reading_id, uuid7
from feldsher_ehr_core.vitals import DIASTOLIC, SYSTOLIC

from feldsher_cloud_api import db
from feldsher_cloud_api.project.common import Event

MISSED = 2
"""Silent after so many intervals without a crossing: one may fall into a restart."""
KEPT = timedelta(days=1)
"""So long canaries' readings stay, for whoever looks for what went wrong."""
VALUES = ((SYSTOLIC, "155"), (DIASTOLIC, "95"))
"""What a canary measures: a plausible pair, beyond its own limit (migrations: 150 mmHg)."""

Leg = Literal["worker", "broker", "ingest", "watch"]
"""Where a test alarm was last seen missing: not sent, not heard by the broker, not stored, no alarm of it."""
_BOOT = UUID(bytes=os.urandom(16), version=4)
_queries = db.queries("canary")


@dataclass(frozen=True, slots=True)
class Trial:
    """One test alarm that is on its way: from which canary, and the id of its message."""

    gateway: str
    message: UUID


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a trial's message has come: `heard` by the broker, or committed and `receipted`."""

    gateway: str
    message: UUID
    leg: Literal["heard", "receipted"]


Line = Callable[[Sequence[wire.VitalsBatch]], Iterable[Seen]]
"""Sends canaries' messages and tells how far each comes."""


@dataclass(frozen=True, slots=True)
class Canary:
    """What is known of one shard's canary; times by the settings' clock, seconds since its newest trial began.

    `heard_s`: acknowledged by the broker; `receipt_s`: committed, and the receipt back; `stored_s`: the transaction of
    its alarm began; `seconds`: noticed at the end of the line. None: not yet, or never.
    """

    shard: int
    every: timedelta
    since: datetime
    tried_at: datetime | None
    crossed_at: datetime | None
    heard_s: float | None
    receipt_s: float | None
    stored_s: float | None
    seconds: float | None

    def silent(self, now: datetime) -> bool:
        """Return whether no test alarm has crossed for too long."""
        return now - (self.crossed_at or self.since) > MISSED * self.every

    def stopped(self, now: datetime) -> Leg:
        """Return at which leg the newest trial stopped, where it did."""
        if self.tried_at is None or now - self.tried_at > MISSED * self.every:
            return "worker"
        return "broker" if self.heard_s is None else "ingest" if self.receipt_s is None else "watch"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the line stands: every canary, and which of them are silent."""

    canaries: tuple[Canary, ...]
    silent: tuple[Canary, ...]

    @property
    def well(self) -> bool:
        """Whether every shard's test alarm has crossed lately; False where none was ever sent."""
        return bool(self.canaries) and not self.silent


def prepare(connection: db.Connection, every: timedelta, now: datetime) -> None:
    """Make the canaries known, with their limit; repeatable."""
    with connection.transaction():
        _queries.add(connection, shards=list(range(SHARDS)), gateways=list(CANARIES), every=every, now=now)


def take(connection: db.Connection, now: datetime) -> list[Trial]:
    """Begin the trials that are due and return them."""
    fresh = [uuid7(int(now.timestamp() * 1000), os.urandom(10)) for _ in CANARIES]
    with connection.transaction():
        rows = _queries.take(connection, gateways=list(CANARIES), messages=fresh, now=now)
        return [Trial(*row) for row in rows]


def message(trial: Trial, now: datetime) -> wire.VitalsBatch:
    """Return a trial's message: a blood pressure, as a cuff with a clock of its own sends it."""
    us, local = int(now.timestamp() * 1_000_000), now.astimezone(UTC).replace(tzinfo=None).isoformat()
    codes, values = [v.mdc for v, _ in VALUES], [text for _, text in VALUES]
    pairs = list(zip(codes, values, strict=True))
    reading = reading_id(device=trial.gateway, user=None, sent_at=local, values=pairs, sequence=None)
    n = len(VALUES)
    return wire.VitalsBatch(
        env=wire.Envelope(
            id=trial.message, gateway=trial.gateway, boot=_BOOT, seq=0, mono_ns=0, wall_us=us, offset_min=0,
            clock="synced",
        ),
        device=trial.gateway,
        model=None,
        reading=(reading,) * n,
        code=tuple(codes),
        value=tuple(values),
        absent=(None,) * n,
        unit=tuple(v.unit for v, _ in VALUES),
        sent_at=(local,) * n,
        time_us=(us,) * n,
        received_us=(us,) * n,
        user=(None,) * n,
        status=(None,) * n,
    )  # fmt: skip


def tend(connection: db.Connection, line: Line, now: datetime) -> int:
    """Send the test alarms that are due, note how far each comes, and return how many were sent."""
    trials = take(connection, now)
    if trials:
        for seen in line([message(trial, now) for trial in trials]):
            with connection.transaction():
                note = _queries.heard if seen.leg == "heard" else _queries.receipted
                note(connection, gateway=seen.gateway, message=seen.message)
        prune(connection, now)
    return len(trials)


def project(connection: db.Connection, event: Event, now: datetime) -> None:
    """Note at the end of the line that a test alarm has crossed; nothing of a canary's events stays."""
    if event.kind == "alert":
        _queries.crossed(connection, gateway=event.gateway, message=event.message_id, at=event.at, now=now)
    _queries.forget_event(connection, id=event.id)


def prune(connection: db.Connection, now: datetime) -> None:
    """Forget canaries' readings of which nobody will ask any more."""
    with connection.transaction():
        _queries.prune(connection, before=now - KEPT)


def standing(connection: db.Connection, now: datetime) -> Standing:
    """Return how the line stands at a time."""
    canaries = tuple(Canary(*row) for row in _queries.standing(connection))
    return Standing(canaries, tuple(c for c in canaries if c.silent(now)))
