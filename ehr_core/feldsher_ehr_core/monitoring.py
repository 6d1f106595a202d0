"""Individual limits of remote monitoring: what is to raise an alert, as data.

feldsher_ehr_core.deviation evaluates them. Rules are kept and sent as JSON, tagged by `rule`; bounds are decimal text.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from feldsher_ehr_core import units
from feldsher_ehr_core.vitals import VITALS

Severity = Literal["urgent", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("urgent", "warning", "note")
Side = Literal["above", "below", "rise", "fall", "missed", "stated", "unknown"]
"""How a number broke its limit. `stated`: an ECG statement; `unknown`: its unit cannot be compared."""


class _Rule(msgspec.Struct, frozen=True, tag_field="rule", omit_defaults=True, forbid_unknown_fields=True):
    """What rules have in common: a field that is not known is refused, for it would silently not be watched."""


class Range(_Rule, frozen=True, tag="range"):
    """A value of any of `codes` (MDC) above or below a bound, both excluded, in `unit` (UCUM; empty: that of the code).

    `times` of the last `of` values within `within_h` hours must be (the newest among them); `every_min`: at most one
    alert in so many minutes of the clock, for devices that measure without pause.
    """

    codes: tuple[int, ...]
    above: Decimal | None = None
    below: Decimal | None = None
    unit: str = ""
    times: int = 1
    of: int = 1
    within_h: int = 24
    every_min: int = 0


class Both(_Rule, frozen=True, tag="both"):
    """Several ranges broken together: in one reading, or each by its newest value within `within_min` minutes."""

    ranges: tuple[Range, ...]
    within_min: int = 0
    every_min: int = 0


class Rise(_Rule, frozen=True, tag="rise"):
    """The mean of the last `days` days (of the limit's zone, today among them) against that of `before` days before.

    `by`: at least so much more, in `unit`; negative: so much less. Both means need `least` values. One alert a day.
    """

    codes: tuple[int, ...]
    by: Decimal
    days: int
    before: int
    unit: str = ""
    least: int = 1


class Missed(
    msgspec.Struct, frozen=True, tag_field="rule", tag="missed", omit_defaults=True, forbid_unknown_fields=True
):
    """Fewer than `times` readings with a value of any of `codes` in a day's hours, or in a week; `grace_h` hours later.

    `start`, `end`: local time of day (24:00: midnight), for days alone; `weekdays`: 1 Monday to 7, empty: every day.
    """

    codes: tuple[int, ...]
    times: int = 1
    per: Literal["day", "week"] = "day"
    start: str = "00:00"
    end: str = "24:00"
    weekdays: tuple[int, ...] = ()
    grace_h: int = 1


class Ecg(_Rule, frozen=True, tag="ecg"):
    """A cardiogram with a statement that is critical by its own rule, or has one of `codes`."""

    codes: tuple[str, ...] = ()
    critical: bool = True


class NoLimits(_Rule, frozen=True, tag="absent"):
    """Somebody is under monitoring and has no limits that hold. Built in."""


Rule = Range | Both | Rise | Missed | Ecg | NoLimits
BUILT_IN_ECG = UUID("00000000-0000-8000-8000-000000000ec9")
BUILT_IN_NO_LIMITS = UUID("00000000-0000-8000-8000-000000000ab5")
"""The limits that hold for everybody (schema_watch.sql enters them)."""
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)
_rule: msgspec.json.Decoder[Rule] = msgspec.json.Decoder(Rule)


class RuleError(ValueError):
    """A rule that cannot be evaluated; the text names the field."""


class Number(msgspec.Struct, frozen=True, omit_defaults=True):
    """One number that broke a limit. `value`, `bound` in `unit` (UCUM); `measured`: as the device sent it, with unit.

    `value` is None where the device sent no number but that it was beyond what it measures. Of a mean: `of` how many
    values, `against` the mean of the days before. Missed: `value` readings of `bound`. Of an ECG: `stated`, the code.
    """

    code: int
    side: Side
    unit: str
    bound: Decimal | None = None
    value: Decimal | None = None
    measured: str | None = None
    reading: UUID | None = None
    at: datetime | None = None
    of: int | None = None
    against: Decimal | None = None
    stated: str | None = None


def decode(text: bytes | str) -> Rule:
    """Return the rule that JSON says; RuleError where it says none that can be evaluated."""
    try:
        rule = _rule.decode(text)
    except msgspec.MsgspecError as error:
        raise RuleError(str(error)) from error
    check(rule)
    return rule


def alert_id(limit: UUID, about: str) -> UUID:
    """Return the id of an alert: the same whenever it is raised again, also by a database that went back in time."""
    return uuid5(limit, about)


def check(rule: Rule) -> None:
    """Raise RuleError, naming the field, where a rule cannot be evaluated."""
    match rule:
        case Range():
            _check_range("$", rule)
        case Both():
            _check(2 <= len(rule.ranges) <= 8, "$.ranges: 2 to 8 ranges are needed")
            for i, one in enumerate(rule.ranges):
                _check_range(f"$.ranges[{i}]", one)
                _check((one.times, one.of, one.every_min) == (1, 1, 0), f"$.ranges[{i}].times: not inside `both`")
            _check(0 <= rule.within_min <= 7 * 1440, "$.within_min: 0 to 10080 minutes")
            _check(0 <= rule.every_min <= 1440, "$.every_min: 0 to 1440 minutes")
        case Rise():
            _check_codes("$", rule.codes, rule.unit)
            _check(rule.by != 0 and rule.by.is_finite(), "$.by: a number other than 0 is needed")
            _check(1 <= rule.days <= 31, "$.days: 1 to 31")
            _check(1 <= rule.before <= 92, "$.before: 1 to 92")
            _check(1 <= rule.least <= 1000, "$.least: 1 to 1000")
        case Missed():
            _check_missed(rule)
        case Ecg():
            _check(rule.critical or len(rule.codes) > 0, "$.codes: a statement code is needed where critical is false")
        case NoLimits():
            pass


def _check(good: bool, words: str) -> None:
    if not good:
        raise RuleError(words)


def _check_codes(at: str, codes: tuple[int, ...], unit: str) -> None:
    _check(0 < len(codes) == len(set(codes)), f"{at}.codes: at least one code, each once, is needed")
    for code in codes:
        _check(code in VITALS, f"{at}.codes: {code} is none that devices measure (feldsher_ehr_core.vitals)")
        own = VITALS[code].unit
        _check(not unit or units.comparable(unit, own, code), f"{at}.unit: {unit!r} cannot be compared with {own!r}")
    kinds = {units.known(VITALS[code].unit, code).kind for code in codes}
    _check(len(kinds) == 1, f"{at}.codes: values of {' and '.join(sorted(kinds))} have no bound in common")


def _check_range(at: str, rule: Range) -> None:
    _check_codes(at, rule.codes, rule.unit)
    bounds = [bound for bound in (rule.above, rule.below) if bound is not None]
    _check(len(bounds) > 0, f"{at}.above: a bound is needed, above or below")
    _check(all(bound.is_finite() and abs(bound) < 10**9 for bound in bounds), f"{at}.above: a finite number is needed")
    _check(1 <= rule.times <= rule.of <= 50, f"{at}.times: 1 to `of`, and `of` at most 50")
    _check(1 <= rule.within_h <= 31 * 24, f"{at}.within_h: 1 to 744 hours")
    _check(0 <= rule.every_min <= 1440, f"{at}.every_min: 0 to 1440 minutes")


def _check_missed(rule: Missed) -> None:
    _check_codes("$", rule.codes, "")
    _check(1 <= rule.times <= 1000, "$.times: 1 to 1000")
    _check(0 <= rule.grace_h <= 168, "$.grace_h: 0 to 168 hours")
    _check(set(rule.weekdays) <= set(range(1, 8)), "$.weekdays: 1 (Monday) to 7")
    whole = (rule.start, rule.end, rule.weekdays) == ("00:00", "24:00", ())
    _check(rule.per == "day" or whole, "$.per: a week has neither hours nor weekdays")
    _check(minutes("$.start", rule.start) < minutes("$.end", rule.end), "$.end: after $.start")


def minutes(field: str, text: str) -> int:
    """Return the minutes since midnight of a time of day `HH:MM`, at most 24:00; RuleError names the field."""
    _check(_CLOCK.fullmatch(text) is not None, f"{field}: {text[:20]!r} is no time of day, HH:MM")
    return int(text[:2]) * 60 + int(text[3:])
