"""The watch: what a batch brought of people under monitoring is judged by their limits before the batch commits.

Who is not watched costs one look per message. Of who is, a value within all limits costs a comparison; what is beyond
one, and what trends are made of, is judged exactly (feldsher_ehr_core.deviation). Alerts and their events commit with
the measurements. What cannot be judged now, because there is too much of it or because we stumble, becomes due for the
chore (rejudge.py) in the same transaction: a fault of the watch never keeps a measurement out of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from uuid import UUID

import psycopg
import structlog
from feldsher_ehr_core import wire
from feldsher_ehr_core.deviation import Reading, breaches, ecg_breach
from feldsher_ehr_core.ids import device_key
from feldsher_ehr_core.monitoring import Both, Ecg, Range, Rise

from feldsher_ingest import arrays, sql
from feldsher_ingest.alerts import Found, Raised, raise_alerts
from feldsher_ingest.check import device_now_us
from feldsher_ingest.history import APART_US, Origin, Past, Stretch, measured, read
from feldsher_ingest.limits import Connection, Known, Limit, Person, holder, moment
from feldsher_ingest.readings import Shift

Key = tuple[str, UUID]
MOST = 400
"""Readings per source looked back at within a batch's transaction: a home kit's month is less. Where a limit needs
more, the chore judges."""
MANY = 40
"""New readings of one person in one batch beyond which their trends are the chore's: a device that measures without
pause, or a memory that was emptied."""
DENSE = timedelta(minutes=10)
"""So long the chore alone judges a trend of somebody of whom more would have had to be read than `MOST`."""
_QUERIES = sql.load("watch.sql")
_LOCKS = 0xFFF
"""People are locked by 12 bits of their id: at most 4096 of the server's locks, whatever a batch brings."""
_device_key = lru_cache(65_536)(device_key)
_log = structlog.stdlib.get_logger("feldsher_ingest.watch")


@dataclass(frozen=True, slots=True)
class Taken:
    """A new reading: values `start` to before `end` of a message, measured `at_us` by the best known time."""

    message: wire.VitalsBatch
    start: int
    end: int
    at_us: int

    def reading(self) -> Reading:
        """Return it as the rules want it."""
        m, span = self.message, slice(self.start, self.end)
        values = [None if v is None else Decimal(v) for v in m.value[span]]
        each = measured(m.code[span], m.unit[span], values, m.absent[span], m.status[span])
        return Reading(m.reading[self.start], moment(self.at_us), each)

    @property
    def moved_us(self) -> int:
        """By how much the best known time is after the time as sent."""
        return self.at_us - self.message.time_us[self.start]

    def origin(self) -> Origin:
        """Return where it came from."""
        m = self.message
        codes = tuple(m.code[self.start : self.end])
        return Origin(m.device, m.user[self.start], m.env.gateway, m.env.id, codes, self.moved_us != 0)


@dataclass(slots=True)
class Fresh:
    """What a batch brought of one person; `suspect`: with a value beyond some limit; `moved`: far in time."""

    person: Person
    low_us: int
    high_us: int
    count: int = 0
    codes: set[int] = field(default_factory=set[int])
    suspect: list[Taken] = field(default_factory=list[Taken])
    moved: list[Taken] = field(default_factory=list[Taken])

    def wanted(self) -> list[Limit]:
        """Return the limits that look back and may be broken by what came."""
        beyond = {code for t in self.suspect for code in t.message.code[t.start : t.end]}
        every = [one for one in self.person.limits if one.reach_us > 0 and self._meets(one)]
        return [one for one in every if one.codes & (self.codes if isinstance(one.rule, Rise) else beyond)]

    def _meets(self, limit: Limit) -> bool:
        return limit.low_us <= self.high_us + limit.reach_us and self.low_us < limit.high_us


def moves(batch: wire.VitalsBatch, shift: Shift) -> tuple[int, int]:
    """Return by how much readings with a device's time, and those without, are moved to their best known times, µs.

    As readings.Columns.corrected does, of one message.
    """
    off = shift(batch.env)
    now = device_now_us(batch)
    behind = None if now is None or batch.gateway_now_us is None else batch.gateway_now_us - now
    trusted = off if off is not None else (None if batch.env.clock == "unsynced" else 0)
    return 0 if behind is None or trusted is None else behind + trusted, off or 0


class Watch:
    """What one connection needs for judging. Not thread-safe. `clock`: by which alerts are late or not."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._known = Known()
        self._dense: dict[tuple[UUID, UUID], datetime] = {}

    def clear(self) -> None:
        """Forget what is known: the connection or a transaction failed."""
        self._known.clear()
        self._dense.clear()

    def judge(
        self,
        connection: Connection,
        messages: Iterable[wire.UpMessage],
        stored: Mapping[Key, Sequence[UUID]],
        known: Iterable[Key],
        shift: Shift,
    ) -> Raised:
        """Judge what a batch brought, within its transaction; return the alerts raised.

        `messages`: the new ones; `stored`: which readings each brought; `known`: those whose content was there before.
        """
        told = [m for m in messages if isinstance(m, wire.VitalsBatch | wire.EcgRecording)]
        if not told:
            return Raised()
        self._known.refresh(connection)
        devices, skipped = self._known.devices, set(known)
        vitals = [m for m in told if isinstance(m, wire.VitalsBatch) and key(m) in devices and _id(m) in stored]
        ecgs = [m for m in told if isinstance(m, wire.EcgRecording) and m.interpretation and _id(m) not in skipped]
        if not vitals and not ecgs:
            return Raised()
        raised = self._safely(connection, lambda: self._ecgs(connection, ecgs, shift))
        if raised is None:  # one of them made us stumble: the others' alerts must not go with it
            alone = [self._safely(connection, partial(self._ecgs, connection, [m], shift)) for m in ecgs]
            raised = sum((one for one in alone if one is not None), Raised())
        found = self._safely(connection, lambda: self._vitals(connection, vitals, stored, shift))
        if found is None:
            self._postpone_all(connection, vitals, shift)
        return raised if found is None else raised + found

    def _safely(self, connection: Connection, work: Callable[[], Raised]) -> Raised | None:
        """Judge in a savepoint; None where that stumbles: what is judged stays stored all the same."""
        try:
            with connection.transaction():
                return work()
        except Exception as error:
            if isinstance(error, psycopg.Error) and not _own(error):
                raise
            _log.error("not judged on arrival", error=type(error).__name__, exc_info=error)
            self._known.clear()
            return None

    def _ecgs(self, connection: Connection, recordings: Sequence[wire.EcgRecording], shift: Shift) -> Raised:
        if not recordings:
            return Raised()
        general = self._known.general(connection)
        holds = self._known.holds(connection, {key(m) for m in recordings} & self._known.devices)
        people = self._known.people(connection, {h.subject for found in holds.values() for h in found})
        found: list[Found] = []
        for m in recordings:
            at = m.started_us + (shift(m.env) or 0)
            subject = holder(holds.get(key(m), ()), None, at)
            own = people[subject].limits if subject is not None else ()
            origin = Origin(m.device, None, m.env.gateway, m.env.id, (), corrected=bool(shift(m.env)))
            for limit in (*own, *general):
                if isinstance(limit.rule, Ecg) and m.interpretation and limit.low_us <= at < limit.high_us:
                    breach = ecg_breach(limit.rule, m.env.id, moment(at), m.interpretation)
                    if breach is not None:
                        found.append(Found(limit, subject, breach, "ecg", origin, m.historical))
        return raise_alerts(connection, found, "arrival", self._clock())

    def _vitals(
        self,
        connection: Connection,
        batches: Sequence[wire.VitalsBatch],
        stored: Mapping[Key, Sequence[UUID]],
        shift: Shift,
    ) -> Raised:
        if not batches:
            return Raised()
        fresh = self._gather(connection, batches, stored, shift)
        found = [one for person in fresh.values() for one in _at_once(person)]
        found += self._looking_back(connection, fresh)
        said = {m.env.id: m for m in batches}
        return raise_alerts(connection, [_as_sent(one, said) for one in found], "arrival", self._clock())

    def _gather(
        self,
        connection: Connection,
        batches: Sequence[wire.VitalsBatch],
        stored: Mapping[Key, Sequence[UUID]],
        shift: Shift,
    ) -> dict[UUID, Fresh]:
        holds = self._known.holds(connection, {key(m) for m in batches})
        people = self._known.people(connection, {h.subject for found in holds.values() for h in found})
        fresh: dict[UUID, Fresh] = {}
        for message in batches:
            for taken in _taken(message, stored[_id(message)], shift):
                subject = holder(holds[key(message)], message.user[taken.start], taken.at_us)
                if subject is None or not people[subject].limits:
                    continue
                one = fresh.get(subject)
                if one is None:
                    one = fresh[subject] = Fresh(people[subject], taken.at_us, taken.at_us)
                _note(one, taken)
        for one in fresh.values():
            if one.moved:
                self._note_moved(connection, one.moved)
                one.person.margin_us = max(one.person.margin_us, *(abs(t.moved_us) for t in one.moved))
        return fresh

    def _note_moved(self, connection: Connection, far: Sequence[Taken]) -> None:
        """Note that some sources' best known times are far from the times as sent: where they are to be looked for."""
        most: dict[tuple[str, str, int | None], int] = {}
        for one in far:
            source = one.message.device, one.message.env.gateway, one.message.user[one.start]
            most[source] = max(most.get(source, 0), abs(one.moved_us))
        params: dict[str, object] = {
            "device": arrays.text([device for device, _, _ in most]),
            "gateway": arrays.text([gateway for _, gateway, _ in most]),
            "user_no": arrays.int4([user_no for _, _, user_no in most]),
            "by_us": arrays.int8(list(most.values())),
        }
        connection.execute(_QUERIES["moved"], params)

    def _looking_back(self, connection: Connection, fresh: Mapping[UUID, Fresh]) -> list[Found]:
        """Judge by the limits that need history; what they would need too much of becomes due."""
        wanted = {subject: limits for subject, one in fresh.items() if (limits := one.wanted())}
        if not wanted:
            return []
        lock(connection, wanted)
        every = [(fresh[s], limit) for s, limits in wanted.items() for limit in limits]
        due = [(one, limit) for one, limit in every if self._too_much(one, limit)]
        now = {s: [limit for limit in limits if not self._too_much(fresh[s], limit)] for s, limits in wanted.items()}
        asked = [(fresh[s], limits) for s, limits in now.items() if limits]
        found: list[Found] = []
        stretches = [_stretch(one, limits) for one, limits in asked]
        for (one, limits), past in zip(asked, read(connection, stretches, MOST), strict=True):
            for limit in limits:
                if past.covers(limit, one.low_us):
                    found += judged(one.person, limit, past, one.low_us, one.high_us)
                else:
                    due.append((one, limit))
                    self._dense[one.person.subject, limit.id] = self._clock() + DENSE
        self._postpone(connection, due)
        return found

    def _too_much(self, fresh: Fresh, limit: Limit) -> bool:
        """Return whether a trend is the chore's at once: too much came, or lately more would have had to be read."""
        if not isinstance(limit.rule, Rise):
            return False
        until = self._dense.get((fresh.person.subject, limit.id))
        return fresh.count > MANY or (until is not None and self._clock() < until)

    def _postpone(self, connection: Connection, due: Sequence[tuple[Fresh, Limit]]) -> None:
        if due:
            params: dict[str, object] = {
                "subject": arrays.uuid([one.person.subject for one, _ in due]),
                "limit": arrays.uuid([limit.id for _, limit in due]),
                "low_us": arrays.int8([one.low_us for one, _ in due]),
                "high_us": arrays.int8([one.high_us for one, _ in due]),
            }
            connection.execute(_QUERIES["postpone"], params)

    def _postpone_all(self, connection: Connection, batches: Sequence[wire.VitalsBatch], shift: Shift) -> None:
        """Have everything due that some messages brought, without knowing whose it is."""
        if batches:
            times = [[t + by for t in m.time_us for by in moves(m, shift)] for m in batches]
            params: dict[str, object] = {
                "device": arrays.text([key(m) for m in batches]),
                "low_us": arrays.int8([min(t) for t in times]),
                "high_us": arrays.int8([max(t) for t in times]),
            }
            connection.execute(_QUERIES["postpone_all"], params)


def lock(connection: Connection, subjects: Iterable[UUID]) -> None:
    """Wait until nobody else judges any of some people, and keep them until the transaction ends.

    Two transactions that each brought half of what breaks a limit would otherwise see neither the other's half.
    """
    connection.execute(_QUERIES["lock"], {"people": sorted({subject.int & _LOCKS for subject in subjects})})


def judged(person: Person, limit: Limit, past: Past, low_us: int, high_us: int) -> Iterator[Found]:
    """Yield how somebody's readings break a limit: those from `low_us` to `high_us`, and those they may change."""
    low, high = max(low_us, limit.low_us), min(high_us + limit.reach_us, limit.high_us - 1)
    if low > high:
        return
    for breach in breaches(limit.rule, past.readings, moment(low), moment(high), limit.zone, past.brought_by):
        origin = None if breach.reading is None else past.origins.get(breach.reading)
        yield Found(limit, person.subject, breach, limit.kind, origin)


def key(message: wire.VitalsBatch | wire.EcgRecording) -> str:
    """Return the key of the device that a message speaks of."""
    return _device_key(message.env.gateway, message.device)


def _id(message: wire.UpMessage) -> Key:
    return message.env.gateway, message.env.id


def _own(error: psycopg.Error) -> bool:
    """Return whether the content of what was asked caused an error, not the database's state."""
    return error.sqlstate is not None and error.sqlstate.startswith(("22", "23", "54"))


def _taken(message: wire.VitalsBatch, stored: Sequence[UUID], shift: Shift) -> Iterator[Taken]:
    """Yield the readings of a message that the store took, each once."""
    left = {reading.int for reading in stored}
    clocked, unclocked = moves(message, shift)
    numbers = [reading.int for reading in message.reading]  # integers compare three times as fast
    start, n = 0, len(numbers)
    while start < n:
        end = start + 1
        while end < n and numbers[end] == numbers[start]:
            end += 1
        if numbers[start] in left:
            left.discard(numbers[start])
            by = unclocked if message.sent_at[start] is None else clocked
            yield Taken(message, start, end, message.time_us[start] + by)
        start = end


def _note(fresh: Fresh, taken: Taken) -> None:
    m = taken.message
    fresh.low_us, fresh.high_us = min(fresh.low_us, taken.at_us), max(fresh.high_us, taken.at_us)
    fresh.count += 1
    fresh.codes.update(m.code[taken.start : taken.end])
    if abs(taken.moved_us) > APART_US:
        fresh.moved.append(taken)
    for i in range(taken.start, taken.end):
        value = m.value[i]
        low, high = fresh.person.bounds(m.code[i], m.unit[i])
        if (m.absent[i] in ("+inf", "-inf")) if value is None else not low <= float(value) <= high:
            fresh.suspect.append(taken)
            return


def _at_once(fresh: Fresh) -> Iterator[Found]:
    """Yield what breaks limits that look at one reading alone."""
    limits = [one for one in fresh.person.limits if one.reach_us == 0 and isinstance(one.rule, Range | Both)]
    for taken in fresh.suspect if limits else ():
        reading = taken.reading()
        for limit in limits:
            if limit.low_us <= taken.at_us < limit.high_us:
                for breach in breaches(limit.rule, (reading,), reading.at, reading.at, limit.zone):
                    yield Found(limit, fresh.person.subject, breach, limit.kind, taken.origin())


def _stretch(fresh: Fresh, limits: Sequence[Limit]) -> Stretch:
    far = max(limit.reach_us for limit in limits)
    codes = frozenset(code for limit in limits for code in limit.codes)
    return Stretch(fresh.person, fresh.low_us - far, fresh.high_us + far, codes)


def _as_sent(found: Found, said: Mapping[UUID, wire.VitalsBatch]) -> Found:
    """Add what only the message tells of its readings: that they waited long, or may be another's."""
    message = None if found.origin is None else said.get(found.origin.message_id)
    if message is None or not (message.historical or message.unowned):
        return found
    return replace(found, historical=message.historical, more_doubt=("owner",) if message.unowned else ())
