"""The rules again, from scratch for every reading, in fractions: slow, obvious, and without regard to what is new."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

from feldsher_ehr_core.artefact import Measured, doubts
from feldsher_ehr_core.deviation import Reading
from feldsher_ehr_core.monitoring import Both, Range, Rise, Rule
from feldsher_ehr_core.vitals import GLUCOSE, VITALS

_PER = {
    "mm[Hg]": ("p", Fraction("133.322387415"), 0), "kPa": ("p", Fraction(1000), 0),
    "kg": ("m", Fraction(1), 0), "g": ("m", Fraction(1, 1000), 0), "[lb_av]": ("m", Fraction("0.45359237"), 0),
    "Cel": ("t", Fraction(1), 0), "[degF]": ("t", Fraction(5, 9), 32), "K": ("t", Fraction(1), Fraction("273.15")),
    "mg/dL": ("g", Fraction(1), 0), "mmol/L": ("g", Fraction("18.0156"), 0),
}  # fmt: skip
_GLUCOSE = {one.mdc for one in GLUCOSE}
Told = set[tuple[str, bool]]
"""What is broken: what the alert is about, and whether it is doubted."""
Found = tuple[str, bool, bool]
"""A name, whether doubted by the values, and whether a firm breach may come to the same name."""


def number(value: Fraction, unit: str, code: int) -> tuple[str, Fraction]:
    kind, factor, zero = _PER.get(unit, (unit, Fraction(1), 0))
    if kind == "g" and code not in _GLUCOSE:
        return unit, value
    return kind, (value - zero) * factor


def judge(
    rule: Rule,
    readings: Sequence[Reading],
    low: datetime,
    high: datetime,
    zone: str = "UTC",
    unsure: Collection[UUID] = (),
) -> Told:
    """Return everything that readings from `low` to before `high` break; `unsure`: readings that are doubted anyway."""
    told: Told = set()
    ordered = sorted(readings, key=lambda r: (r.at, r.id.int))
    for i, reading in enumerate(ordered):
        if low <= reading.at < high:
            told |= {
                _apart(about, doubted or reading.id in unsure, shared=shared)
                for about, doubted, shared in _one(rule, ordered[: i + 1], zone)
            }
    return told


def _one(rule: Rule, upto: Sequence[Reading], zone: str) -> list[Found]:
    if isinstance(rule, Range):
        return _range(rule, upto)
    if isinstance(rule, Both):
        return _both(rule, upto)
    return _rise(rule, upto, zone) if isinstance(rule, Rise) else []


def _name(every_min: int, reading: Reading) -> str:
    if not every_min:
        return str(reading.id)
    minute = int(reading.at.timestamp()) // 60
    return f"span:{every_min}:{minute // every_min * every_min * 60}"


def _apart(name: str, doubted: bool, *, shared: bool) -> tuple[str, bool]:
    return (f"doubt:{name}" if shared and doubted else name), doubted


def _says(rule: Range, reading: Reading) -> tuple[bool, bool, bool, bool] | None:
    """Whether a reading tells: broken, doubted, strange, comparable; None where it has no value."""
    values = [
        v for v in reading.values if v.code in rule.codes and (v.value is not None or v.absent in ("+inf", "-inf"))
    ]
    if not values:
        return None
    plain = [v for v in values if not _strange(rule, v)]
    broken = [v for v in plain if _beyond(rule, v)]
    doubted = all(doubts(reading.values, [v.code]) for v in broken or plain)
    return bool(broken), doubted, len(plain) < len(values), bool(plain)


def _tells(rule: Range, reading: Reading, firm: bool) -> bool:
    said = _says(rule, reading)
    return said is not None and said[3] and not (firm and said[1])


def _strange(rule: Range, v: Measured) -> bool:
    if v.value is None:
        return False
    own = rule.unit or VITALS[v.code].unit
    return number(Fraction(v.value), v.unit, v.code)[0] != number(Fraction(0), own, v.code)[0]


def _beyond(rule: Range, v: Measured) -> bool:
    if v.value is None:
        return (v.absent == "+inf" and rule.above is not None) or (v.absent == "-inf" and rule.below is not None)
    if _strange(rule, v):
        return False
    own = rule.unit or VITALS[v.code].unit
    at = number(Fraction(v.value), v.unit, v.code)[1]
    above = rule.above is not None and at > number(Fraction(rule.above), own, v.code)[1]
    return above or (rule.below is not None and at < number(Fraction(rule.below), own, v.code)[1])


def _range(rule: Range, upto: Sequence[Reading]) -> list[Found]:
    now = upto[-1]
    here, name = _says(rule, now), _name(rule.every_min, now)
    if here is None:
        return []
    out: list[Found] = [(f"unit:{name}", True, False)] if here[2] else []
    for firm in (True, False):
        last = [r for r in upto if _tells(rule, r, firm)][-rule.of :]
        recent = [s for r in last if r.at >= now.at - timedelta(hours=rule.within_h) and (s := _says(rule, r))]
        if here[0] and now in last and len([s for s in recent if s[0]]) >= rule.times:
            return [*out, (name, not firm, rule.of > 1 or rule.every_min > 0)]
    return out


def _both(rule: Both, upto: Sequence[Reading]) -> list[Found]:
    now = upto[-1]
    name, here = _name(rule.every_min, now), [s for one in rule.ranges if (s := _says(one, now)) is not None]
    out: list[Found] = [(f"unit:{name}", True, False)] if any(s[2] for s in here) else []
    for firm in (True, False):
        newest = [next((r for r in reversed(upto) if _tells(one, r, firm)), None) for one in rule.ranges]
        said = [
            s[0] and r.at >= now.at - timedelta(minutes=rule.within_min) and (rule.within_min > 0 or r is now)
            for one, r in zip(rule.ranges, newest, strict=True)
            if r is not None and (s := _says(one, r)) is not None
        ]
        if now in newest and len(said) == len(rule.ranges) and all(said):
            return [*out, (name, not firm, rule.within_min > 0 or rule.every_min > 0)]
    return out


def _rise(rule: Rise, upto: Sequence[Reading], zone: str) -> list[Found]:
    now = upto[-1]
    mine = [v for v in now.values if v.code in rule.codes and v.value is not None]
    if not mine:
        return []
    unit = rule.unit or VITALS[rule.codes[0]].unit
    kind = number(Fraction(0), unit, rule.codes[0])[0]
    day = now.at.astimezone(ZoneInfo(zone)).date()
    out: list[Found] = []
    if any(number(Fraction(0), v.unit, v.code)[0] != kind for v in mine):
        out.append((f"unit:{now.id}", True, False))
    for firm in (True, False):
        spans: tuple[list[Fraction], list[Fraction]] = ([], [])
        for r in upto:
            back = (day - r.at.astimezone(ZoneInfo(zone)).date()).days
            place = 0 if back < rule.days else 1 if back < rule.days + rule.before else None
            for v in r.values if place is not None else ():
                if v.code not in rule.codes or v.value is None or number(Fraction(0), v.unit, v.code)[0] != kind:
                    continue
                if not firm or not doubts(r.values, [v.code]):
                    spans[place or 0].append(number(Fraction(v.value), v.unit, v.code)[1])
        if min(map(len, spans)) >= rule.least:
            by = sum(spans[0]) / len(spans[0]) - sum(spans[1]) / len(spans[1])
            bound = number(Fraction(rule.by), unit, rule.codes[0])[1] - number(Fraction(0), unit, rule.codes[0])[1]
            if by >= bound if rule.by > 0 else by <= bound:
                return [*out, (f"rise:{day.isoformat()}", not firm, True)]
    return out
