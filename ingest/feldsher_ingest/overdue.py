"""What time alone makes an alert: measurements that did not come, limits due for review, people without limits.

Chores, each by a clock that is given to it. An alert is unique by what it is about, so that a chore may look again as
often as it likes, and after a failure does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from feldsher_ehr_core.artefact import Doubt
from feldsher_ehr_core.deviation import Breach, Period, missed, periods
from feldsher_ehr_core.monitoring import BUILT_IN_NO_LIMITS, Missed, NoLimits

from feldsher_ingest import arrays, sql
from feldsher_ingest.alerts import Found, raise_alerts
from feldsher_ingest.history import Past, Stretch, read
from feldsher_ingest.limits import Connection, Hold, Known, Limit, Person, moment, names, readable

AT_ONCE = 500
"""Limits looked at in one transaction."""
EVERY = timedelta(minutes=5)
"""So often each limit on missed measurements is looked at; its grace is hours."""
LOOK_BACK = timedelta(days=31)
"""Older periods of a limit that is set for the past make no alert: nobody can act on them."""
SETTLE = timedelta(hours=1)
"""So long a person may be under monitoring before limits are missed: whoever gives the device sets them next."""
_MOST = 2000
_US = timedelta(microseconds=1)
_EPOCH = moment(0)
_QUERIES = sql.load("overdue.sql")
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A limit on missed measurements with the periods of it that are due."""

    person: Person
    limit: Limit
    rule: Missed
    periods: tuple[Period, ...]


class WatchMissed:
    """The chore that looks for measurements that did not come. `every_s`: seconds between two looks."""

    def __init__(self, clock: Clock = _now, every_s: float = 60.0, at_once: int = AT_ONCE) -> None:
        self._clock = clock
        self._every_s = every_s
        self._at_once = at_once
        self._done = float("-inf")

    def __call__(self, connection: Connection) -> int:
        """Look at some limits that have not been looked at for long; return how many."""
        if time.monotonic() - self._done < self._every_s:
            return 0
        now = self._clock()
        with connection.transaction():
            asked = {"before": now - EVERY, "most": self._at_once}
            rows = connection.execute(_QUERIES["missed"], asked).fetchall()
            people = Known().people(connection, {subject for _, subject, _ in rows})
            since = {limit: until for limit, _, until in rows}
            due = [one for limit, subject, _ in rows for one in _due(people[subject], limit, since[limit], now)]
            raise_alerts(connection, list(_missed(connection, due)), "time", now)
            connection.execute(_QUERIES["looked"], {"limits": arrays.uuid(list(since)), "until": now})
        if len(rows) < self._at_once:
            self._done = time.monotonic()
        return len(rows)


def _due(person: Person, limit: UUID, until: datetime | None, now: datetime) -> list[_Asked]:
    """Return the versions of one limit with their periods that became due since `until`."""
    out: list[_Asked] = []
    for one in person.limits:
        if one.id != limit or not isinstance(one.rule, Missed):
            continue
        low, high = moment(one.low_us), min(moment(one.high_us), now)
        grace = timedelta(hours=one.rule.grace_h)
        first = max(low, now - LOOK_BACK, low if until is None else until - grace - timedelta(days=8))
        found = tuple(
            period
            for period in periods(one.rule, one.zone, first, high)
            if period.due <= now and (until is None or period.due > until) and _watched(person, period)
        )
        if found:
            out.append(_Asked(person, one, one.rule, found))
    return out


def _watched(person: Person, period: Period) -> bool:
    """Return whether somebody had a device when a period began and when it ended."""
    ends = (period.start, period.end - _US)
    holds = [h for found in person.holds.values() for h in found if h.subject == person.subject]
    return all(any(_holds(h, at) for h in holds) for at in ends)


def _holds(hold: Hold, at: datetime) -> bool:
    return hold.low_us <= (at - _EPOCH) // _US < hold.high_us


def _missed(connection: Connection, due: Sequence[_Asked]) -> list[Found]:
    stretches = [
        Stretch(
            one.person,
            (one.periods[0].start - _EPOCH) // _US,
            (one.periods[-1].end - _EPOCH) // _US,
            frozenset(one.rule.codes),
        )
        for one in due
    ]
    found: list[Found] = []
    for one, past in zip(due, read(connection, stretches, _MOST), strict=True):
        for period in one.periods:
            breach = None if _cut_off(past, period) else missed(one.rule, period, past.readings)
            if breach is not None:
                doubt = _no_link(connection, one.person)
                found.append(
                    Found(one.limit, one.person.subject, breach, "missed", more_doubt=doubt, known_at=period.due)
                )
    return found


def _cut_off(past: Past, period: Period) -> bool:
    """Return whether a period begins where not all readings were looked at: more came since than anybody missed."""
    return past.cut_us is not None and (period.start - _EPOCH) // _US <= past.cut_us


def _no_link(connection: Connection, person: Person) -> tuple[Doubt, ...]:
    """Return the doubt that what is missed may wait in gateways, none of which is online."""
    row = connection.execute(_QUERIES["no_link"], names(person)).fetchone()
    return ("no_link",) if row is not None and row[0] else ()


class WatchReview:
    """The chore that looks at the limits themselves: due for review, absent, or not to be evaluated by us.

    `every_s`: seconds between two looks.
    """

    def __init__(self, clock: Clock = _now, every_s: float = 60.0) -> None:
        self._clock = clock
        self._every_s = every_s
        self._looked = float("-inf")
        self._epoch = -1

    def __call__(self, connection: Connection) -> int:
        """Look, where that is due; return how many alerts that raised."""
        if time.monotonic() - self._looked < self._every_s:
            return 0
        now = self._clock()
        with connection.transaction():
            found = self._reviews(connection, now) + self._absent(connection, now)
            unreadable, epoch = self._unreadable(connection, now)
            raised = raise_alerts(connection, found + unreadable, "time", now)
        self._looked, self._epoch = time.monotonic(), epoch
        return sum(raised.values())

    def _reviews(self, connection: Connection, now: datetime) -> list[Found]:
        rows = connection.execute(_QUERIES["reviews"], {"now": now, "most": AT_ONCE}).fetchall()
        return [
            Found(_bare(limit, version, severity), subject, _about(f"review:{version}", at), "review", known_at=at)
            for limit, version, subject, severity, at in rows
        ]

    def _absent(self, connection: Connection, now: datetime) -> list[Found]:
        day = now.astimezone(UTC).date().isoformat()
        asked = {"limit": BUILT_IN_NO_LIMITS, "now": now, "since": now - SETTLE, "day": f":{day}", "most": AT_ONCE}
        return [
            Found(_bare(BUILT_IN_NO_LIMITS, version, severity), subject, _about(f"{subject}:{day}", now), "absent")
            for version, severity, subject in connection.execute(_QUERIES["absent"], asked)
        ]

    def _unreadable(self, connection: Connection, now: datetime) -> tuple[list[Found], int]:
        """Look at the limits that changed since the last look; return those that we cannot evaluate, and the count."""
        rows = connection.execute(_QUERIES["changed"], {"since": self._epoch}).fetchall()
        found = [
            Found(_bare(limit, version, severity), subject, _about(f"unreadable:{version}", now), "unreadable")
            for limit, version, subject, text, severity, zone, _ in rows
            if readable(limit, version, text, zone) is None
        ]
        return found, max((int(epoch) for *_, epoch in rows), default=self._epoch)


def _bare(limit: UUID, version: int, severity: str) -> Limit:
    """Return as much of a limit as an alert about itself tells."""
    return Limit(limit, version, NoLimits(), severity, ZoneInfo("UTC"), 0, 0)


def _about(about: str, at: datetime) -> Breach:
    return Breach(about, at, None, (), ())
