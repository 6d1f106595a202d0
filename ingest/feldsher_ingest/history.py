"""What watched people measured, as the watch judges it: readings in order of their best known time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from feldsher_ehr_core.artefact import Measured
from feldsher_ehr_core.deviation import Reading, firm
from feldsher_ehr_core.monitoring import Range
from feldsher_ehr_core.vitals import Absent

from feldsher_ingest import arrays, sql
from feldsher_ingest.limits import Connection, Limit, Person, holder, moment, spelled

_QUERIES = sql.load("history.sql")
APART_US = 15 * 3_600_000_000
"""So far are a measurement's key time and its time as sent at most apart (14 h of offset from UTC), and rarely further
that time and the best known one: sources with such measurements are in watch_moved."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Somebody's measurements of some codes (MDC) from `low_us` to `high_us`, both included, by best known time."""

    person: Person
    low_us: int
    high_us: int
    codes: frozenset[int]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a reading came from, as an alert tells it. `codes`: what it consists of."""

    device: str
    user_no: int | None
    gateway: str
    message_id: UUID
    codes: tuple[int, ...]
    corrected: bool


@dataclass(slots=True)
class Past:
    """Readings of one person, sorted, and where each came from.

    `cut_us`: up to this time some source has more than these, whoever's they are; None: nothing is missing.
    """

    readings: list[Reading] = field(default_factory=list[Reading])
    origins: dict[UUID, Origin] = field(default_factory=dict[UUID, Origin])
    cut_us: int | None = None

    def brought_by(self, reading: UUID) -> UUID | None:
        """Return the message that brought a reading, None where the reading is none of these."""
        origin = self.origins.get(reading)
        return None if origin is None else origin.message_id

    def covers(self, limit: Limit, low_us: int) -> bool:
        """Return whether it reaches far enough back to judge measurements from a time on by a limit."""
        if self.cut_us is None or self.cut_us < low_us - limit.reach_us:
            return True
        rule = limit.rule
        if not isinstance(rule, Range):
            return False
        since, low = moment(self.cut_us), moment(low_us)
        return sum(1 for r in self.readings if since < r.at < low and firm(rule, r)) >= rule.of


def read(connection: Connection, stretches: Sequence[Stretch], most: int) -> list[Past]:
    """Return what is stored of each stretch; of each source the newest `most` readings."""
    return _ask(connection, "history", stretches, most)


def sample(connection: Connection, stretches: Sequence[Stretch], most: int) -> list[Past]:
    """Return some of what is stored of each stretch: of each source and day (UTC) at most `most` readings, any of them.

    Which they are depends on the readings' ids, which are hashes: the same ones every time, and a fair sample.
    """
    return _ask(connection, "sample", stretches, most)


def _ask(connection: Connection, query: str, stretches: Sequence[Stretch], most: int) -> list[Past]:
    asked = [(n, key, name, s) for n, s in enumerate(stretches) for key in s.person.holds for name in spelled(key)]
    found = [Past() for _ in stretches]
    if not asked:
        return found
    margins = [max(APART_US, s.person.margin_us) for s in stretches]
    params: dict[str, object] = {
        "n": arrays.int4([n for n, _, _, _ in asked]),
        "key": arrays.text([key for _, key, _, _ in asked]),
        "device": arrays.text([device for _, _, (device, _), _ in asked]),
        "gateway": arrays.text([gateway for _, _, (_, gateway), _ in asked]),
        "low_us": arrays.int8([s.low_us for _, _, _, s in asked]),
        "high_us": arrays.int8([s.high_us for _, _, _, s in asked]),
        "margin_us": arrays.int8([margins[n] for n, _, _, _ in asked]),
        "from": moment(max(0, min(s.low_us - m - APART_US for s, m in zip(stretches, margins, strict=True)))),
        "to": moment(min(_LATEST_US, max(s.high_us + m + APART_US for s, m in zip(stretches, margins, strict=True)))),
        "codes": arrays.int4(sorted({code for s in stretches for code in s.codes})),
        "most": most,
    }
    ends: dict[tuple[int, int], _End] = {}
    with connection.cursor(binary=True) as cursor:
        for row in cursor.execute(_QUERIES[query], params):
            n, source, sent_us, at_us = int(row[0]), int(row[1]), int(row[2]), int(row[_AT])
            _add(found[n], stretches[n].person, row[3:])
            ends.setdefault((n, source), _End(stretches[n].person.margin_us)).note(sent_us, at_us=at_us)
    for past in found:
        past.readings.sort(key=lambda r: r.order)
    for (n, _), end in ends.items():
        if end.count >= most:
            found[n].cut_us = max(found[n].cut_us or 0, end.oldest_us + end.ahead_us)
    return found


_AT = 9  # the best known time in a row


@dataclass(slots=True)
class _End:
    """Where the readings of one source end: they come by time as sent, and are judged by the best known one.

    `ahead_us`: so far may the best known time of what is missing be ahead of the time as sent, as far as is known.
    """

    ahead_us: int
    count: int = 0
    oldest_us: int = 0

    def note(self, sent_us: int, *, at_us: int) -> None:
        """Note one more reading."""
        self.oldest_us = sent_us if self.count == 0 else min(self.oldest_us, sent_us)
        self.ahead_us = max(self.ahead_us, at_us - sent_us)
        self.count += 1


_LATEST_US = 4_294_967_295_000_000


def _add(past: Past, person: Person, row: Sequence[Any]) -> None:
    key, device, user_no, gateway, reading_id, message_id, at_us, corrected = row[:8]
    codes, units, value, absent, status, each = row[8:]
    if holder(person.holds[key], user_no, at_us) != person.subject:
        return
    values = measured(codes, units, value, absent, each or (status,) * len(codes))
    past.readings.append(Reading(reading_id, moment(at_us), values))
    past.origins[reading_id] = Origin(device, user_no, gateway, message_id, tuple(codes), corrected)


def measured(
    codes: Iterable[int],
    units: Sequence[str],
    values: Sequence[Decimal | None],
    absent: Sequence[Absent | None] | None,
    status: Sequence[int | None],
) -> tuple[Measured, ...]:
    """Return the columns of one reading as its values."""
    return tuple(
        Measured(code, values[i], units[i], absent[i] if absent else None, status[i]) for i, code in enumerate(codes)
    )
