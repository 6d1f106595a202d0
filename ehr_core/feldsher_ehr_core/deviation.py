"""Whether readings break a limit: pure evaluation of feldsher_ehr_core.monitoring's rules.

Readings are taken in order of their best known time. Every breach belongs to one reading (its anchor) and looks only at
what was measured up to it, so the same readings break the same rules in whatever order they arrive; `reach` says how
far a reading has its effect. Values are compared exactly, whatever unit of a kind they came in. A value whose unit
cannot be compared is a doubted breach of its own, never silence, and takes nobody's place. Every rule is asked twice:
of the readings that nothing speaks against, then of all; where it is broken only with artefacts, the breach says why it
is doubted. So no artefact, whether it breaks the limit or keeps it, hides what the others show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from feldsher_ehr_core import units
from feldsher_ehr_core.artefact import Doubt, Measured, doubts
from feldsher_ehr_core.ecg import Interpretation
from feldsher_ehr_core.monitoring import Both, Ecg, Missed, Number, Range, Rise, Rule, Side, minutes
from feldsher_ehr_core.units import EXACT
from feldsher_ehr_core.vitals import VITALS

_DAY = timedelta(days=1)
_UTC = ZoneInfo("UTC")


class Reading(msgspec.Struct, frozen=True):
    """What was measured together. `at`: the best known time, aware."""

    id: UUID
    at: datetime
    values: tuple[Measured, ...]

    @property
    def order(self) -> tuple[datetime, int]:
        """What readings are sorted by: no two are equal, so every evaluation sees the same order."""
        return self.at, self.id.int


class Breach(msgspec.Struct, frozen=True):
    """What is to be an alert: once per limit and `about`, which is the reading's id or the name of a period.

    `at`, `reading`: the anchor. `numbers`: what broke the rule; where one has no bound, nothing could be compared.
    `shared`: what else comes may turn a doubted breach of this name into a firm one, which is an alert of its own.
    """

    about: str
    at: datetime
    reading: UUID | None
    numbers: tuple[Number, ...]
    doubt: tuple[Doubt, ...]
    shared: bool = False

    def named(self, *, doubted: bool) -> str:
        """Return what the alert is about: a doubted one never takes the name of a firm one."""
        return f"doubt:{self.about}" if doubted and self.shared else self.about


class Period(msgspec.Struct, frozen=True):
    """A period in which measurements are expected: counted from `start` to before `end`, judged at `due`."""

    about: str
    start: datetime
    end: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class _Said:
    """What one reading says to a range: what breaks it, what speaks against that; `told`: it has comparable values."""

    reading: Reading
    broken: tuple[Number, ...]
    doubt: tuple[Doubt, ...]
    incomparable: tuple[Number, ...]
    told: bool

    @property
    def firm(self) -> bool:
        """Whether nothing speaks against it."""
        return self.told and not self.doubt


def reach(rule: Rule) -> timedelta:
    """Return how long before its anchor a rule looks; so long after it, a reading may change what is broken."""
    match rule:
        case Range():
            return timedelta(hours=rule.within_h) if rule.of > 1 else timedelta()
        case Both():
            return timedelta(minutes=rule.within_min)
        case Rise():
            return (rule.days + rule.before + 1) * _DAY  # a day of the zone may have 25 hours
        case _:
            return timedelta()


def breaches(
    rule: Rule,
    readings: Sequence[Reading],
    low: datetime,
    high: datetime,
    zone: ZoneInfo = _UTC,
    brought_by: Callable[[UUID], object] = lambda _: None,
) -> list[Breach]:
    """Return what breaks a rule, of the anchors from `low` to `high`, one per `named`: that of the first anchor.

    `readings`: sorted by `order`, complete from `low` less `reach` to `high`; `zone`: of the limit. `brought_by`: which
    message brought a reading, where something may speak against all that one brought: one per message then.
    """
    match rule:
        case Range():
            found = _range(rule, readings, low, high)
        case Both():
            found = _both(rule, readings, low, high)
        case Rise():
            found = _rise(rule, readings, low, high, zone)
        case _:
            return []
    once: dict[tuple[str, object], Breach] = {}
    for breach in found:
        by = brought_by(breach.reading) if breach.shared and breach.reading is not None else None
        once.setdefault((breach.named(doubted=bool(breach.doubt)), by), breach)
    return list(once.values())


def firm(rule: Range, reading: Reading) -> bool:
    """Return whether a reading says something to a range that nothing speaks against."""
    said = _said(rule, reading)
    return said is not None and said.firm


def ecg_breach(rule: Ecg, recording: UUID, at: datetime, found: Interpretation) -> Breach | None:
    """Return what of a cardiogram's statements is to raise an alert, None where nothing is.

    Doubted where the whole was hard to judge, or where every such statement is only possible.
    """
    said = [s for s in found.statements if (rule.critical and s.critical) or s.code in rule.codes]
    if not said:
        return None
    doubted = not found.quality.usable or all(s.certainty == "possible" for s in said)
    numbers = tuple(Number(code=0, side="stated", unit="", stated=s.code) for s in said)
    return Breach(str(recording), at, recording, numbers, ("quality",) if doubted else ())


# ------------------------------------------------------------------------------------------------------------- ranges
def _range(rule: Range, readings: Sequence[Reading], low: datetime, high: datetime) -> Iterator[Breach]:
    every: list[_Said] = []
    firm: list[_Said] = []
    for reading in readings:
        one = _said(rule, reading) if reading.at <= high else None
        if one is None:
            continue
        every += [one] * one.told
        firm += [one] * one.firm
        if reading.at < low:
            continue
        about, shared = _about(rule.every_min, reading), rule.every_min > 0 or rule.of > 1
        if one.incomparable:
            yield Breach(f"unit:{about}", reading.at, reading.id, one.incomparable, ("unit",))
        if one.broken:
            window = (one.firm and _window(rule, firm)) or _window(rule, every)
            if window:
                numbers = tuple(number for s in window for number in s.broken)
                yield Breach(about, reading.at, reading.id, numbers, _all(window), shared)


def _window(rule: Range, said: Sequence[_Said]) -> list[_Said]:
    """Return those of the last so many readings that break a range, nothing where they are too few."""
    since = said[-1].reading.at - timedelta(hours=rule.within_h)
    window = [s for s in said[-rule.of :] if s.broken and s.reading.at >= since]
    return window if len(window) >= rule.times else []


def _both(rule: Both, readings: Sequence[Reading], low: datetime, high: datetime) -> Iterator[Breach]:
    none: list[_Said | None] = [None] * len(rule.ranges)
    firm, every = none, none
    for reading in readings:
        if reading.at > high:
            return
        said = [_said(one, reading) for one in rule.ranges]
        here = [s if s is not None and s.told else None for s in said]
        sure = [s if s is not None and s.firm else None for s in here]
        every = [now or before for now, before in zip(here, every if rule.within_min else none, strict=True)]
        firm = [now or before for now, before in zip(sure, firm if rule.within_min else none, strict=True)]
        if reading.at < low:
            continue
        about, shared = _about(rule.every_min, reading), rule.every_min > 0 or rule.within_min > 0
        incomparable = tuple(number for s in said if s is not None for number in s.incomparable)
        if incomparable:
            yield Breach(f"unit:{about}", reading.at, reading.id, incomparable, ("unit",))
        found = (any(sure) and _together(rule, firm, reading)) or (any(here) and _together(rule, every, reading))
        if found:
            numbers = tuple(number for s in found for number in s.broken)
            yield Breach(about, reading.at, reading.id, numbers, _all(found), shared)


def _together(rule: Both, newest: Sequence[_Said | None], reading: Reading) -> list[_Said]:
    """Return what the ranges' newest readings say where all of them are broken within the time, else nothing."""
    since = reading.at - timedelta(minutes=rule.within_min)
    broken = [s for s in newest if s is not None and s.broken and s.reading.at >= since]
    return broken if len(broken) == len(newest) else []


def _all(said: Iterable[_Said]) -> tuple[Doubt, ...]:
    return tuple(sorted({why for s in said for why in s.doubt}))


def _about(every_min: int, reading: Reading) -> str:
    if every_min == 0:
        return str(reading.id)
    seconds = every_min * 60
    start = int(reading.at.timestamp()) // seconds * seconds
    return f"span:{every_min}:{start}"


def _said(rule: Range, reading: Reading) -> _Said | None:
    """Return what a reading says to a range, None where it has no value of its codes.

    Where it has several, those that break the range speak for it, and of these the ones that nothing speaks against.
    """
    known = (v for v in reading.values if v.value is not None or v.absent in ("+inf", "-inf"))
    values = [v for v in known if v.code in rule.codes]
    if not values:
        return None
    unit_of = {code: rule.unit or VITALS[code].unit for code in rule.codes}
    strange = [v for v in values if v.value is not None and not units.comparable(v.unit, unit_of[v.code], v.code)]
    plain = [v for v in values if v not in strange]
    told: list[tuple[Measured, Side | None]] = [(v, _side(rule, v, unit_of[v.code])) for v in plain]
    telling = [one for one in told if one[1] is not None] or told
    firm = [one for one in telling if not doubts(reading.values, (one[0].code,))]
    broken = tuple(_number(rule, reading, v, unit_of[v.code], side) for v, side in firm or telling if side is not None)
    why = () if firm else doubts(reading.values, [v.code for v, _ in telling])
    unknown = tuple(_unknown(v, unit_of[v.code], reading) for v in strange)
    return _Said(reading, broken, why, unknown, bool(told))


def _unknown(value: Measured, unit: str, reading: Reading) -> Number:
    measured = f"{value.value} {value.unit}"
    return Number(value.code, "unknown", unit, measured=measured, reading=reading.id, at=reading.at)


def _side(rule: Range, value: Measured, unit: str) -> Side | None:
    if value.value is None:  # a meter's "HI" and "LO"
        beyond = rule.above if value.absent == "+inf" else rule.below
        return None if beyond is None else ("above" if value.absent == "+inf" else "below")
    at = units.base(value.value, value.unit, value.code)
    if rule.above is not None and at > units.base(rule.above, unit, value.code):
        return "above"
    if rule.below is not None and at < units.base(rule.below, unit, value.code):
        return "below"
    return None


def _number(rule: Range, reading: Reading, value: Measured, unit: str, side: Side) -> Number:
    shown = None if value.value is None else _shown(units.converted(value.value, value.unit, unit, value.code))
    measured = f"{value.absent if value.value is None else value.value} {value.unit}"
    return Number(
        value.code, side, unit, rule.above if side == "above" else rule.below, shown, measured, reading.id, reading.at
    )


def _shown(value: Decimal) -> Decimal:
    """Return a converted number with at most three decimals: more would show an accuracy that no device has."""
    return value if -value.as_tuple().exponent <= 3 else value.quantize(Decimal("0.001"), context=EXACT)  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------------------- trends
@dataclass(slots=True)
class _Sum:
    """How many values, and what they add up to in the base of their unit."""

    n: int = 0
    total: Decimal = Decimal(0)

    def add(self, n: int, total: Decimal) -> None:
        self.n += n
        self.total = EXACT.add(self.total, total)


@dataclass(slots=True)
class _Days:
    """Values by local day: all of them, and those that nothing speaks against."""

    every: dict[date, _Sum] = field(default_factory=dict[date, _Sum])
    firm: dict[date, _Sum] = field(default_factory=dict[date, _Sum])
    doubt: dict[date, set[Doubt]] = field(default_factory=dict[date, set[Doubt]])


def _rise(rule: Rise, readings: Sequence[Reading], low: datetime, high: datetime, zone: ZoneInfo) -> Iterator[Breach]:
    days = _Days()
    unit = rule.unit or VITALS[rule.codes[0]].unit
    for reading in readings:
        values = [v for v in reading.values if v.code in rule.codes and v.value is not None]
        if reading.at > high or not values:
            continue
        day = reading.at.astimezone(zone).date()
        strange = [v for v in values if not units.comparable(v.unit, unit, v.code)]
        _count(days, day, reading, [v for v in values if v not in strange])
        if reading.at < low:
            continue
        if strange:
            numbers = tuple(_unknown(v, unit, reading) for v in strange)
            yield Breach(f"unit:{reading.id}", reading.at, reading.id, numbers, ("unit",))
        firm = _risen(rule, days.firm, day, unit)
        number = firm or _risen(rule, days.every, day, unit)
        if number is not None:
            why = () if firm is not None else _why(rule, days, day)
            yield Breach(f"rise:{day.isoformat()}", reading.at, reading.id, (number,), why, shared=True)


def _count(days: _Days, day: date, reading: Reading, values: Sequence[Measured]) -> None:
    for value in values:
        if value.value is None:
            continue
        at = units.base(value.value, value.unit, value.code)
        why = doubts(reading.values, (value.code,))
        days.every.setdefault(day, _Sum()).add(1, at)
        if why:
            days.doubt.setdefault(day, set()).update(why)
        else:
            days.firm.setdefault(day, _Sum()).add(1, at)


def _span(sums: Mapping[date, _Sum], last: date, days: int) -> _Sum:
    out = _Sum()
    for back in range(days):
        one = sums.get(last - back * _DAY)
        if one is not None:
            out.add(one.n, one.total)
    return out


def _risen(rule: Rise, sums: Mapping[date, _Sum], day: date, unit: str) -> Number | None:
    """Return the last days' mean where it is far enough from the earlier days', compared without dividing."""
    now, then = _span(sums, day, rule.days), _span(sums, day - rule.days * _DAY, rule.before)
    if now.n < rule.least or then.n < rule.least:
        return None
    code = rule.codes[0]
    of = units.known(unit, code)
    bound = EXACT.multiply(EXACT.multiply(rule.by, of.factor), Decimal(now.n * then.n))
    by = EXACT.subtract(EXACT.multiply(now.total, Decimal(then.n)), EXACT.multiply(then.total, Decimal(now.n)))
    if not (by >= bound if rule.by > 0 else by <= bound):
        return None
    mean, before = (_shown(sum_.total / sum_.n / of.factor + of.zero) for sum_ in (now, then))
    return Number(code, "rise" if rule.by > 0 else "fall", unit, rule.by, mean, of=now.n, against=before)


def _why(rule: Rise, days: _Days, day: date) -> tuple[Doubt, ...]:
    span = (day - back * _DAY for back in range(rule.days + rule.before))
    return tuple(sorted({why for one in span for why in days.doubt.get(one, ())}))


# ------------------------------------------------------------------------------------------------------------- missed
def periods(rule: Missed, zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[Period]:
    """Yield the periods in which a rule expects measurements that lie within `since` to `until`, in order."""
    grace = timedelta(hours=rule.grace_h)
    day = since.astimezone(zone).date()
    if rule.per == "week":
        day -= (day.isoweekday() - 1) * _DAY
    length = 7 if rule.per == "week" else 1
    while _moment(day, 0, zone) < until:
        if rule.per == "week" or not rule.weekdays or day.isoweekday() in rule.weekdays:
            start = _moment(day, minutes("$.start", rule.start), zone)
            end = _moment(day + (length - 1) * _DAY, minutes("$.end", rule.end), zone)
            if start >= since and end <= until:
                yield Period(_name(rule, day), start, end, end + grace)
        day += length * _DAY


def missed(rule: Missed, period: Period, readings: Iterable[Reading]) -> Breach | None:
    """Return that too few of some readings have a number and lie in a period, None where there are enough."""
    codes = set(rule.codes)
    taken = [r for r in readings if period.start <= r.at < period.end]
    n = sum(any(v.code in codes and v.value is not None for v in r.values) for r in taken)
    if n >= rule.times:
        return None
    number = Number(rule.codes[0], "missed", "1", Decimal(rule.times), Decimal(n))
    return Breach(period.about, period.end, None, (number,), ())


def _name(rule: Missed, day: date) -> str:
    if rule.per == "week":
        year, week, _ = day.isocalendar()
        return f"missed:{year}-W{week:02}"
    return f"missed:{day.isoformat()}"


def _moment(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """Return a local time of a day (1440: the midnight after it) as UTC; one that a clock change skips is the next."""
    local = datetime.combine(day + minute // 1440 * _DAY, datetime.min.time(), zone).replace(
        hour=minute % 1440 // 60, minute=minute % 60
    )
    return local.astimezone(_UTC)
