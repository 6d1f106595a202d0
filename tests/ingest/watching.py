"""People under monitoring for tests: kits that measure what is wanted when it is wanted, limits, a store that judges.

`naive` is the oracle of the whole: it reads everything that is stored and judges all of it from scratch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self
from uuid import UUID, uuid4

import msgspec
import naive_deviation
import psycopg
from feldsher_ehr_core import wire
from feldsher_ehr_core.artefact import Measured
from feldsher_ehr_core.deviation import Reading
from feldsher_ehr_core.ids import device_key, reading_id, uuid7
from feldsher_ehr_core.monitoring import Range, Rule, decode
from feldsher_ehr_core.vitals import PULSE, SYSTOLIC, VITALS
from feldsher_ingest.alerts import Raised
from feldsher_ingest.check import check
from feldsher_ingest.rejudge import Rejudge
from feldsher_ingest.store import Item, Store
from feldsher_ingest.watch import Watch
from psycopg.rows import TupleRow

T0 = datetime(2026, 11, 2, 8, tzinfo=UTC)
SUBJECT, OTHER = UUID(int=0x5B), UUID(int=0x07)
HIGH = Range(codes=(SYSTOLIC.mdc,), above=Decimal(160))
Told = set[tuple[UUID, int, str, bool]]
"""Alerts: limit, version, what it is about, whether doubted."""


def us(at: datetime) -> int:
    """Return a time in microseconds since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@dataclass
class Kit:
    """A device behind a gateway. `behind`: how much less the gateway's clock shows than it is, while it is unsynced."""

    gateway: str
    device: str
    clock: wire.ClockQuality = "synced"
    behind: timedelta = timedelta()
    boot: UUID = field(default_factory=lambda: UUID(int=7))
    seq: int = 0

    def envelope(self, at: datetime) -> wire.Envelope:
        """Return the envelope of a message made at a true time."""
        self.seq += 1
        wall = at - self.behind
        return wire.Envelope(
            id=uuid7(us(wall) // 1000, f"{self.gateway[-4:]:>4}{self.seq:06}".encode()[:10]),
            gateway=self.gateway,
            boot=self.boot,
            seq=self.seq,
            mono_ns=us(at) * 1000 - us(T0) * 1000 + 10**18,
            wall_us=us(wall),
            offset_min=0,
            clock=self.clock,
        )

    def message(
        self, readings: Sequence[tuple[datetime, Sequence[Measured]]], user: int | None = 1, *, clocked: bool = False
    ) -> wire.VitalsBatch:
        """Return a message with readings measured at true times; `clocked`: by the device's own clock."""
        flat = [(at, [v.code for v in values].index(v.code), v, values) for at, values in readings for v in values]
        env = self.envelope(max(at for at, _ in readings))
        behind = timedelta() if clocked else self.behind
        times = [us(at - behind) for at, _, _, _ in flat]
        sent = [(at - behind).replace(tzinfo=None).isoformat() if clocked else None for at, _, _, _ in flat]
        ids = [
            reading_id(
                device=self.device, user=user, sent_at=sent[i], sequence=None if clocked else times[i],
                values=[(v.code, str(v.value if v.value is not None else v.absent)) for v in values],
            )
            for i, (_, _, _, values) in enumerate(flat)
        ]  # fmt: skip
        n = len(flat)
        return wire.VitalsBatch(
            env=env, device=self.device, model="made up", reading=tuple(ids), code=tuple(v.code for _, _, v, _ in flat),
            value=tuple(None if v.value is None else str(v.value) for _, _, v, _ in flat),
            absent=tuple(v.absent for _, _, v, _ in flat), unit=tuple(v.unit for _, _, v, _ in flat),
            sent_at=tuple(sent), time_us=tuple(times), received_us=tuple(times), user=(user,) * n,
            status=tuple(v.status for _, _, v, _ in flat),
        )  # fmt: skip

    def pressure(self, minutes: float, *systolic: str, status: int = 0, user: int | None = 1) -> wire.VitalsBatch:
        """Return a message with systolic pressures, a minute apart from so many minutes after T0 on."""
        start = T0 + timedelta(minutes=minutes)
        readings = [
            (start + timedelta(minutes=i), [value(SYSTOLIC.mdc, number, status=status), value(PULSE.mdc, "70")])
            for i, number in enumerate(systolic)
        ]
        return self.message(readings, user)

    def corrected(self, at: datetime) -> wire.ClockOffset:
        """Return that the clock's error became known at a true time."""
        env = self.envelope(at)
        base = us(at) - env.mono_ns // 1000
        return wire.ClockOffset(env=env, offset_us=us(at) - env.wall_us, source="ntp", base_us=base, trusted=True)


def value(code: int, number: str | None, unit: str | None = None, status: int = 0) -> Measured:
    """Return one value in its code's own unit where no other is given."""
    return Measured(code, None if number is None else Decimal(number), unit or VITALS[code].unit, None, status)


def item(message: wire.Up) -> Item:
    """Return a message as it comes from the broker."""
    topic = wire.up_topic(message.env.gateway, str(message.__struct_config__.tag))
    return check(topic, wire.encode(message))


class Ward:
    """A store that judges, the record's side of the tables, and the oracle. `now`: by which alerts are late."""

    def __init__(self, url: str, now: datetime = T0) -> None:
        self.now = now
        self.store = Store(url, "ward", watch=Watch(lambda: self.now))
        self.record: psycopg.Connection[TupleRow] = psycopg.connect(url, autocommit=True)
        self.rejudge = Rejudge(lambda: self.now)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close both connections."""
        self.store.close()
        self.record.close()

    def ask(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self.record.execute(query.encode(), params or None).fetchall()

    def assign(
        self,
        key: str,
        subject: UUID = SUBJECT,
        since: datetime | None = None,
        until: datetime | None = None,
        user: int | None = None,
    ) -> UUID:
        """Have a device's measurements of a period be somebody's, as the record does; return the assignment."""
        query = (
            "insert into watch_subject (id, device, user_no, subject, during) select %s, %s, %s, %s, tstzrange(%s, %s)"
        )
        made = uuid4()
        self.record.execute(query.encode(), (made, key, user, subject, since, until))
        return made

    def limit(
        self,
        rule: Rule | str,
        subject: UUID = SUBJECT,
        since: datetime = T0 - timedelta(days=30),
        until: datetime | None = None,
        limit: UUID | None = None,
        severity: str = "warning",
        zone: str = "UTC",
        review: datetime | None = None,
    ) -> UUID:
        """Set a limit (a new version where `limit` is given), as the record does; return it."""
        made = limit or uuid4()
        text = rule if isinstance(rule, str) else msgspec.json.encode(rule).decode()
        query = "select watch_set_limit(%s, %s, %s, %s, %s, tstzrange(%s, %s), %s, null)"
        self.record.execute(query.encode(), (made, subject, text, severity, zone, since, until, review))
        return made

    def take(self, *messages: wire.Up) -> Raised:
        """Store and judge messages in one batch; return the alerts raised."""
        return self.store.save([item(m) for m in messages])[0].alerts

    def look_back(self) -> None:
        """Let the chore judge everything that is due."""
        while self.rejudge(self.record):
            pass

    def alerts(self) -> Told:
        """Return all alerts on measured values."""
        query = (
            "select limit_id, version, about, cardinality(doubt) > 0 "
            "from watch_alert where kind in ('range', 'both', 'rise')"
        )
        return {(limit, version, about, doubted) for limit, version, about, doubted in self.ask(query)}

    def naive(self) -> Told:
        """Return the alerts that all stored readings, judged from scratch, make just now."""
        told: Told = set()
        limits = self.ask(
            "select id, version, subject, rule::text, zone, lower(during), upper(during) from watch_limit "
            "where subject is not null and not isempty(during)"
        )
        readings, unsure = self._readings(), self._unsure()
        for id_, version, subject, text, zone, low, high in limits:
            mine = [reading for whose, reading in readings if whose == subject]
            found = naive_deviation.judge(decode(text), mine, low, high or T0 + timedelta(days=4000), zone, unsure)
            told |= {(id_, version, about, doubted) for about, doubted in found}
        return told

    def _unsure(self) -> set[UUID]:
        """Return the readings of whose time of measurement nobody knows how wrong it is."""
        query = (
            "select v.reading_id from vital_sign v join message m on m.gateway = v.gateway and m.id = v.message_id "
            "where m.clock = 'unsynced' and v.corrected_time is null"
        )
        return {reading for (reading,) in self.ask(query)}

    def _readings(self) -> list[tuple[UUID | None, Reading]]:
        holds = self.ask("select device, user_no, subject, during from watch_subject where not isempty(during)")
        rows = self.ask(
            "select reading_id, coalesce(corrected_time, time), gateway, device, user_no, "
            "json_agg(json_build_object('code', code, 'value', value::text, 'unit', unit, 'absent', absent, "
            "'status', status)) from vital_sign group by 1, 2, 3, 4, 5"
        )
        out: list[tuple[UUID | None, Reading]] = []
        for id_, at, gateway, device, user, values in rows:
            key = device_key(gateway, device)
            whose = next(
                (s for d, u, s, during in holds if d == key and at in during and (u is None or u == user)), None
            )
            out.append((whose, Reading(id_, at, msgspec.json.decode(json.dumps(values), type=tuple[Measured, ...]))))
        return out
