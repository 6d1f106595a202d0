"""Who is watched, and by what limits, as a worker knows it: read when first needed, kept until the record changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
import structlog
from feldsher_ehr_core import units
from feldsher_ehr_core.deviation import reach
from feldsher_ehr_core.monitoring import Both, Range, Rise, Rule, RuleError, decode
from feldsher_ehr_core.vitals import VITALS
from psycopg.rows import TupleRow

from feldsher_ingest import arrays, sql

Connection = psycopg.Connection[TupleRow]
_QUERIES = sql.load("limits.sql")
_KEPT = 4096
"""People whose limits are kept in memory, some kilobytes each: more than a batch brings, and forgotten all at once."""
_log = structlog.stdlib.get_logger("feldsher_ingest.limits")


@dataclass(frozen=True, slots=True)
class Limit:
    """One version of a limit; for measurements from `low_us` to before `high_us` (microseconds since 1970)."""

    id: UUID
    version: int
    rule: Rule
    severity: str
    zone: ZoneInfo
    low_us: int
    high_us: int

    @property
    def kind(self) -> str:
        """The rule's kind, as in watch_alert.kind."""
        return str(self.rule.__struct_config__.tag)

    @property
    def reach_us(self) -> int:
        """How far before a measurement it looks, microseconds."""
        return reach(self.rule) // timedelta(microseconds=1)

    @property
    def codes(self) -> frozenset[int]:
        """What it is about (MDC); nothing where it is about no measured values."""
        if isinstance(self.rule, Both):
            return frozenset(code for one in self.rule.ranges for code in one.codes)
        return frozenset(self.rule.codes) if isinstance(self.rule, Range | Rise) else frozenset()


@dataclass(frozen=True, slots=True)
class Hold:
    """Whose a device's measurements are from `low_us` to before `high_us`; `user_no`: of that user alone.

    `device`: its key (feldsher_ehr_core.ids.device_key).
    """

    device: str
    user_no: int | None
    subject: UUID
    low_us: int
    high_us: int


def holder(holds: Iterable[Hold], user_no: int | None, at_us: int) -> UUID | None:
    """Return whose a measurement of a device is, None where it is nobody's who is watched."""
    for hold in holds:
        if hold.low_us <= at_us < hold.high_us and (hold.user_no is None or hold.user_no == user_no):
            return hold.subject
    return None


def spelled(key: str) -> list[tuple[str, str | None]]:
    """Return how a device of a key may be named in messages, and by which gateway (None: by any)."""
    gateway, slash, name = key.partition("/")
    return [(name, gateway)] if slash else [(key, None), (key.lower(), None)]


def names(person: Person) -> dict[str, object]:
    """Return all names of somebody's devices as the parameters `devices` and `gateways`."""
    every = [name for key in person.holds for name in spelled(key)]
    return {"devices": arrays.text([d for d, _ in every]), "gateways": arrays.text([g for _, g in every])}


@dataclass(slots=True)
class Person:
    """Somebody who is watched: their limits, and of each of their devices (by key) everybody whose it was.

    `margin_us`: how far the best known times of their measurements may be from the times as sent.
    """

    subject: UUID
    limits: tuple[Limit, ...] = ()
    holds: dict[str, tuple[Hold, ...]] = field(default_factory=dict[str, tuple[Hold, ...]])
    margin_us: int = 0
    _bounds: dict[tuple[int, str], tuple[float, float]] = field(
        default_factory=dict[tuple[int, str], tuple[float, float]]
    )

    def bounds(self, code: int, unit: str) -> tuple[float, float]:
        """Return between which numbers a value breaks no range of any version of their limits, a hair's breadth apart.

        Nothing is between them where its unit cannot be compared: every such value is to be looked at.
        """
        found = self._bounds.get((code, unit))
        if found is None:
            found = self._bounds[code, unit] = _bounds(self._ranges(), code, unit)
        return found

    def _ranges(self) -> Iterator[Range]:
        for limit in self.limits:
            if isinstance(limit.rule, Range):
                yield limit.rule
            elif isinstance(limit.rule, Both):
                yield from limit.rule.ranges


def _bounds(ranges: Iterable[Range], code: int, unit: str) -> tuple[float, float]:
    low, high = float("-inf"), float("inf")
    for one in ranges:
        if code not in one.codes:
            continue
        own = one.unit or VITALS[code].unit
        if not units.comparable(own, unit, code):
            return float("inf"), float("-inf")
        if one.below is not None:
            low = max(low, float(units.converted(one.below, own, unit, code)))
        if one.above is not None:
            high = min(high, float(units.converted(one.above, own, unit, code)))
    return low + 1e-9 * abs(low) if low > float("-inf") else low, high - 1e-9 * abs(high) if high < float(
        "inf"
    ) else high


class Known:
    """What one connection knows. `clear` when the connection or a transaction failed: the database may be another."""

    def __init__(self) -> None:
        self._epoch = -1
        self.devices: set[str] = set()
        self._people: dict[UUID, Person] = {}
        self._holds: dict[str, tuple[Hold, ...]] = {}
        self._general: tuple[Limit, ...] | None = None

    def clear(self) -> None:
        """Forget everything."""
        self._epoch = -1
        self.devices.clear()
        self._forget()

    def _forget(self) -> None:
        self._people.clear()
        self._holds.clear()
        self._general = None

    def refresh(self, connection: Connection) -> None:
        """Look whether the record changed anything since the last look, and forget what may have changed."""
        row = connection.execute(_QUERIES["epoch"]).fetchone()
        epoch = 0 if row is None else int(row[0])
        if epoch == self._epoch:
            return
        if epoch < self._epoch:
            self.clear()  # the database went back in time
        changed = connection.execute(_QUERIES["devices"], {"since": self._epoch}).fetchall()
        self.devices.update(str(device) for (device,) in changed)
        self._forget()
        self._epoch = epoch

    def general(self, connection: Connection) -> tuple[Limit, ...]:
        """Return the limits that hold for everybody."""
        if self._general is None:
            self._general = tuple(limit for _, limit in _limits(connection, None))
        return self._general

    def holds(self, connection: Connection, devices: Iterable[str]) -> dict[str, tuple[Hold, ...]]:
        """Return whose the measurements of some devices are, by device."""
        wanted = set(devices)
        missing = wanted - self._holds.keys()
        if missing:
            self._read(connection, devices=missing)
        return {device: self._holds.get(device, ()) for device in wanted}

    def people(self, connection: Connection, subjects: Iterable[UUID]) -> dict[UUID, Person]:
        """Return people by their subject; of one who is not watched, a person without limits."""
        wanted = set(subjects)
        missing = wanted - self._people.keys()
        if missing:
            self._read(connection, subjects=missing)
        return {subject: self._people.get(subject) or Person(subject) for subject in wanted}

    def _read(self, connection: Connection, *, devices: Collection[str] = (), subjects: Collection[UUID] = ()) -> None:
        """Read all of everybody who holds one of the devices or is one of the subjects."""
        if len(self._people) > _KEPT:
            self._forget()
        params = {"devices": arrays.text(list(devices)), "subjects": arrays.uuid(list(subjects))}
        of_device: dict[str, list[Hold]] = {device: [] for device in devices}
        margins: dict[str, int] = {}
        for device, user_no, subject, low, high, margin in connection.execute(_QUERIES["holds"], params):
            of_device.setdefault(device, []).append(Hold(device, user_no, subject, low, high))
            margins[device] = margin
        holds = {device: tuple(found) for device, found in of_device.items()}
        complete = {hold.subject for device in devices for hold in holds.get(device, ())} | set(subjects)
        people = {subject: Person(subject) for subject in complete}
        for device, found in holds.items():
            for subject in {hold.subject for hold in found} & complete:
                people[subject].holds[device] = found
                people[subject].margin_us = max(people[subject].margin_us, margins[device])
        for subject, limit in _limits(connection, list(people)):
            people[subject].limits += (limit,)
        self._holds |= holds
        self._people |= people


def _limits(connection: Connection, subjects: list[UUID] | None) -> Iterator[tuple[UUID, Limit]]:
    """Yield the limits of some people (None: of everybody at once); one that cannot be evaluated is said in the log."""
    params = {"subjects": arrays.uuid(subjects or []), "general": subjects is None}
    for id_, version, subject, text, severity, zone, low, high in connection.execute(_QUERIES["limits"], params):
        rule = readable(id_, version, text, zone)
        if rule is not None:
            yield subject, Limit(id_, version, rule[0], severity, rule[1], low, high)


def readable(limit: UUID, version: int, text: str, zone: str) -> tuple[Rule, ZoneInfo] | None:
    """Return a limit's rule and zone, None (and a line in the log) where this version of ours cannot evaluate it."""
    try:
        return decode(text), ZoneInfo(zone)
    except (RuleError, ZoneInfoNotFoundError, ValueError) as error:
        _log.error("a limit cannot be evaluated", limit=str(limit), version=version, error=str(error)[:200])
        return None


def moment(us: int) -> datetime:
    """Return microseconds since 1970 as an aware time."""
    return _EPOCH + timedelta(microseconds=us)


_EPOCH = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
