"""Judging again what was judged by something else: limits that changed, a device given to somebody, a corrected clock.

Whatever changes writes in its own transaction what is due (watch_due), so nothing is forgotten; a chore does it, some
of one person's measurements at a time. An alert that is there stays, and is never raised a second time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import psycopg
import structlog
from feldsher_ehr_core.deviation import ecg_breach
from feldsher_ehr_core.ecg import Interpretation
from feldsher_ehr_core.ids import device_key
from feldsher_ehr_core.monitoring import Both, Ecg, Range, Rise

from feldsher_ingest import sql
from feldsher_ingest.alerts import Found, raise_alerts
from feldsher_ingest.history import APART_US, Origin, Past, Stretch, read, sample
from feldsher_ingest.limits import Connection, Known, Limit, Person, holder, moment, names
from feldsher_ingest.watch import judged

AT_ONCE = 5000
"""Readings judged in one transaction, if an hour has no more."""
_MOST = 20_000
"""Readings per source looked back at; where a trend needs more, it is judged by a sample of each day."""
_PER_DAY = 200
_HOUR_US = 3_600_000_000
_WIDEST_US = 30 * 24 * _HOUR_US
WAIT_S = 30.0
_QUERIES = sql.load("rejudge.sql")
_log = structlog.stdlib.get_logger("feldsher_ingest.rejudge")
_interpretation = msgspec.msgpack.Decoder(Interpretation)


@dataclass(frozen=True, slots=True)
class _Due:
    """Stretches of one person's measurements that are due for one limit (None: for all), taken together."""

    ids: list[int]
    subject: UUID
    limit: UUID | None
    low_us: int
    high_us: int
    cause: str


class Rejudge:
    """The chore. `clock`: by which alerts are late; `at_once`: readings in one transaction."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC), at_once: int = AT_ONCE) -> None:
        self._clock = clock
        self._at_once = at_once

    def __call__(self, connection: Connection) -> int:
        """Judge some of what has been due longest; return 0 where nothing is due, or not yet."""
        due = _next(connection)
        if due is None or (due.cause != "arrival" and not _writers_are_done(connection)):
            return 0
        try:
            self._judge(connection, due)
        except psycopg.Error:
            raise
        except Exception as error:  # one person's odd value must not keep everybody else waiting
            _log.error("judging again failed, put to the back", error=type(error).__name__, exc_info=error)
            connection.execute(_QUERIES["put_back"], {"ids": due.ids})
            return 0
        return 1

    def _judge(self, connection: Connection, due: _Due) -> None:
        with connection.transaction():
            person = Known().people(connection, [due.subject])[due.subject]
            limits = [one for one in person.limits if due.limit in (None, one.id)]
            low, high = self._slice(connection, person, due)
            found = list(_found(connection, person, limits, low, high)) if low <= high else []
            raise_alerts(connection, found, due.cause, self._clock())
            if high >= due.high_us or low > high:
                connection.execute(_QUERIES["done"], {"ids": due.ids})
            else:
                connection.execute(_QUERIES["go_on"], {"ids": due.ids, "low_us": high + 1})

    def _slice(self, connection: Connection, person: Person, due: _Due) -> tuple[int, int]:
        """Return from when to when to judge now: at most so many readings, if an hour has no more.

        From later than to: there is nothing. Up to the end of what is due: there is nothing after it.
        """
        margin = max(APART_US, person.margin_us)
        devices = names(person)
        span: dict[str, object] = {"low_us": due.low_us - margin, "high_us": due.high_us + margin}
        row = connection.execute(_QUERIES["extent"], devices | span).fetchone()
        if row is None or row[0] is None:
            return 1, 0
        low, last = max(due.low_us, int(row[0]) - margin), min(due.high_us, int(row[1]) + margin)
        width = _WIDEST_US
        while width > _HOUR_US:
            span = {"low_us": low - margin, "high_us": low + width + margin, "most": self._at_once + 1}
            count = connection.execute(_QUERIES["count"], devices | span).fetchone()
            if count is None or count[0] <= self._at_once:
                break
            width = max(width // 4, _HOUR_US)
        return (low, due.high_us) if low + width >= last else (low, low + width)


def _next(connection: Connection) -> _Due | None:
    rows = connection.execute(_QUERIES["next"]).fetchall()
    if not rows:
        return None
    ids, subjects, limits, lows, highs, causes = zip(*rows, strict=True)
    cause = next((cause for cause in causes if cause != "arrival"), "arrival")
    return _Due(list(ids), subjects[0], limits[0], min(lows), max(highs), cause)


def _writers_are_done(connection: Connection) -> bool:
    """Wait for the transactions that may have judged by what was known before; False where that takes too long.

    Every batch writes to the ledger before it looks at what it judges by, so it holds that table's lock until it ends.
    """
    writers = {one for (one,) in connection.execute(_QUERIES["writers"])}
    deadline = time.monotonic() + WAIT_S
    while writers:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
        writers &= {one for (one,) in connection.execute(_QUERIES["writers"])}
    return True


def _found(connection: Connection, person: Person, limits: Sequence[Limit], low: int, high: int) -> Iterator[Found]:
    """Yield what a person's measurements of a stretch break of some limits."""
    of_values = [one for one in limits if isinstance(one.rule, Range | Both | Rise)]
    if of_values:
        far = max(limit.reach_us for limit in of_values)
        codes = frozenset(code for limit in of_values for code in limit.codes)
        stretch = Stretch(person, low - far, high + far, codes)
        (past,) = read(connection, [stretch], _MOST)
        for limit in of_values:
            yield from _by_limit(connection, person, limit, past, low, high)
    of_ecgs = [one for one in limits if isinstance(one.rule, Ecg)]
    if of_ecgs:
        yield from _ecgs(connection, person, of_ecgs, low, high)


def _by_limit(connection: Connection, person: Person, limit: Limit, past: Past, low: int, high: int) -> Iterator[Found]:
    if past.covers(limit, low):
        yield from judged(person, limit, past, low, high)
        return
    if isinstance(limit.rule, Rise):
        stretch = Stretch(person, low - limit.reach_us, high + limit.reach_us, limit.codes)
        (past,) = sample(connection, [stretch], _PER_DAY)
    for found in judged(person, limit, past, low, high):
        yield replace(found, more_doubt=("cut",))


def _ecgs(connection: Connection, person: Person, limits: Sequence[Limit], low: int, high: int) -> Iterator[Found]:
    asked = names(person) | {"low_us": low, "high_us": high}
    for id_, device, gateway, at_us, corrected, packed in connection.execute(_QUERIES["ecgs"], asked):
        if holder(person.holds[device_key(gateway, device)], None, at_us) != person.subject:
            continue
        interpretation = _interpretation.decode(packed)
        for limit in limits:
            if isinstance(limit.rule, Ecg) and limit.low_us <= at_us < limit.high_us:
                breach = ecg_breach(limit.rule, id_, moment(at_us), interpretation)
                if breach is not None:
                    origin = Origin(device, None, gateway, id_, (), corrected)
                    yield Found(limit, person.subject, breach, "ecg", origin)
