"""Batches of vital signs as the columns of the store's queries: one entry per reading, its values together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import reading_id
from feldsher_ehr_core.vitals import Absent

from feldsher_ingest.check import device_now_us, local_us

Source = tuple[str, str, int | None]
"""Device, gateway and user number: who measured."""
Shape = tuple[tuple[int, ...], tuple[str, ...]]
"""Codes (MDC) and units (UCUM) of a reading's values."""
Shift = Callable[[wire.Envelope], int | None]
"""Microseconds by which a gateway's wall clock is known to have been behind when it made a message; None: not known."""

_TO_THE_SECOND = 19
"""Length of `2026-11-23T08:43:00`, which the store can make again from the key time."""
_DAY_US = 86_400_000_000


@dataclass(slots=True)
class Columns:
    """Readings in columns, in order of arrival; times in microseconds since 1970, UTC.

    `sources`, `shapes`, `envelopes`: each once; `source`, `shape`, `message` are places in them. `absent`, `statuses`:
    one entry per value, None where there is nothing to say. `sequenced`: the places of readings that only a sequence
    number tells apart.
    """

    sources: dict[Source, int] = field(default_factory=dict[Source, int])
    shapes: dict[Shape, int] = field(default_factory=dict[Shape, int])
    envelopes: list[wire.Envelope] = field(default_factory=list[wire.Envelope])
    source: list[int] = field(default_factory=list[int])
    shape: list[int] = field(default_factory=list[int])
    message: list[int] = field(default_factory=list[int])
    reading_id: list[UUID] = field(default_factory=list[UUID])
    key_us: list[int] = field(default_factory=list[int])
    time_us: list[int] = field(default_factory=list[int])
    received_us: list[int] = field(default_factory=list[int])
    behind_us: list[int | None] = field(default_factory=list["int | None"])
    status: list[int | None] = field(default_factory=list["int | None"])
    clocked: list[bool] = field(default_factory=list[bool])
    value: list[tuple[str | None, ...]] = field(default_factory=list["tuple[str | None, ...]"])
    absent: list[tuple[Absent | None, ...] | None] = field(default_factory=list["tuple[Absent | None, ...] | None"])
    statuses: list[tuple[int | None, ...] | None] = field(default_factory=list["tuple[int | None, ...] | None"])
    sent_at: list[str | None] = field(default_factory=list["str | None"])
    raw: list[bytes | None] = field(default_factory=list["bytes | None"])
    sequenced: list[int] = field(default_factory=list[int])

    def __len__(self) -> int:
        """Return the number of readings."""
        return len(self.reading_id)

    def corrected(self, shift: Shift) -> list[int | None]:
        """Return the best known true times, None where the time as sent stands or cannot be judged.

        A device's clock is corrected by the gateway's only where that one is right.
        """
        shifts = [shift(e) for e in self.envelopes]
        if not any(shifts) and self.behind_us.count(None) == len(self):
            return [None] * len(self)  # the usual case
        each = zip(shifts, self.envelopes, strict=True)
        trusted = [0 if off is None and e.clock != "unsynced" else off for off, e in each]
        out: list[int | None] = []
        for time, behind, clocked, m in zip(self.time_us, self.behind_us, self.clocked, self.message, strict=True):
            off = trusted[m] if clocked else shifts[m]
            if clocked:
                out.append(None if behind is None or off is None else time + behind + off)
            else:
                out.append(time + off if off else None)
        return out

    def by_message(self) -> dict[tuple[str, UUID], list[UUID]]:
        """Return the readings of each message that has any, by its gateway and id."""
        each: list[list[UUID]] = [[] for _ in self.envelopes]
        for reading, m in zip(self.reading_id, self.message, strict=True):
            each[m].append(reading)
        return {(e.gateway, e.id): found for e, found in zip(self.envelopes, each, strict=True) if found}

    def spans(self) -> dict[tuple[str, UUID], tuple[int, int]]:
        """Return the first and last key time of each message that has readings, by its gateway and id."""
        if not self.message:
            return {}
        messages = np.array(self.message, np.int64)  # in order of arrival: each message's readings stand together
        starts = np.flatnonzero(np.diff(messages, prepend=-1))
        keys = np.array(self.key_us, np.int64)
        first: list[int] = np.minimum.reduceat(keys, starts).tolist()
        last: list[int] = np.maximum.reduceat(keys, starts).tolist()
        of = [self.envelopes[self.message[i]] for i in starts.tolist()]
        return {(e.gateway, e.id): (low, high) for e, low, high in zip(of, first, last, strict=True)}

    def newest(self) -> list[int]:
        """Return the places of the newest readings, one of each source and shape."""
        kind = np.array(self.source, np.int64) * (len(self.shapes) + 1) + np.array(self.shape, np.int64)
        order = np.lexsort((-np.array(self.time_us, np.int64), kind))
        first = np.flatnonzero(np.diff(kind[order], prepend=-1))
        found: list[int] = order[first].tolist()
        return found

    def days(self) -> list[tuple[int, int]]:
        """Return on which days (since 1970, UTC) each source has readings, by its place."""
        day = np.array(self.time_us, np.int64) // _DAY_US
        both = np.unique(np.array(self.source, np.int64) << 32 | day)  # times are checked: no day is below 0
        return [(int(pair) >> 32, int(pair) & 0xFFFFFFFF) for pair in both]

    def without(self, places: set[int]) -> Columns:
        """Return the readings but those at some places."""
        kept = [i for i in range(len(self)) if i not in places]
        moved = {old: new for new, old in enumerate(kept)}
        out = Columns(self.sources, self.shapes, self.envelopes)
        for name in _PER_READING:
            column = getattr(self, name)
            setattr(out, name, [column[i] for i in kept])
        out.sequenced = [moved[i] for i in self.sequenced if i in moved]
        return out


_ONCE = ("sources", "shapes", "envelopes", "sequenced")
_PER_READING = tuple(name for name in Columns.__slots__ if name not in _ONCE)


def columns(batches: Sequence[wire.VitalsBatch]) -> Columns:
    """Return the readings of some messages as columns; a reading that a message repeats counts once."""
    out = Columns()
    for batch in batches:
        now = device_now_us(batch)
        behind = None if now is None or batch.gateway_now_us is None else batch.gateway_now_us - now
        out.envelopes.append(batch.env)
        numbers = [i.int for i in batch.reading]  # integers compare three times as fast
        alike = _alike(batch, numbers)
        if alike:
            _add_alike(out, batch, alike, behind)
        else:
            _add_each(out, batch, numbers, behind)
    return out


def _alike(batch: wire.VitalsBatch, numbers: Sequence[int]) -> int:
    """Return how many values each reading has, where all are alike and nothing about them is unusual; else 0."""
    n = len(numbers)
    size = next((i for i in range(1, n) if numbers[i] != numbers[0]), n)
    if not n or n % size or None in batch.sent_at:
        return 0
    once, count = numbers[::size], n // size
    repeated = all(numbers[i::size] == once for i in range(1, size)) and len(set(once)) == count
    same = batch.user.count(batch.user[0]) == n == batch.status.count(batch.status[0])
    shaped = batch.code == batch.code[:size] * count and batch.unit == batch.unit[:size] * count
    usual = batch.absent.count(None) == n and len(batch.raw) in (0, count, n)
    return size if repeated and same and shaped and usual else 0


def _add_alike(out: Columns, batch: wire.VitalsBatch, size: int, behind: int | None) -> None:
    """Add a message whose readings all consist of the same: whole columns at once."""
    n = len(batch.reading)
    count = n // size
    out.source += [_source(out, batch, 0)] * count
    out.shape += [_shape(out, batch, 0, size)] * count
    out.message += [len(out.envelopes) - 1] * count
    out.reading_id += batch.reading[::size]
    sent = batch.sent_at[::size]
    out.key_us += [local_us("$.sent_at", text) for text in sent if text is not None]
    out.time_us += batch.time_us[::size]
    out.received_us += batch.received_us[::size]
    out.behind_us += [behind] * count
    out.status += [batch.status[0]] * count
    out.clocked += [True] * count
    out.value += [batch.value[i : i + size] for i in range(0, n, size)]
    out.absent += [None] * count
    out.statuses += [None] * count
    out.sent_at += [_as_sent(text) for text in sent]
    out.raw += batch.raw[:: len(batch.raw) // count] if batch.raw else [None] * count


def _source(out: Columns, batch: wire.VitalsBatch, i: int) -> int:
    return out.sources.setdefault((batch.device, batch.env.gateway, batch.user[i]), len(out.sources))


def _shape(out: Columns, batch: wire.VitalsBatch, a: int, b: int) -> int:
    return out.shapes.setdefault((batch.code[a:b], batch.unit[a:b]), len(out.shapes))


def _as_sent(text: str | None) -> str | None:
    return None if text is None or len(text) == _TO_THE_SECOND else text


def _add_each(out: Columns, batch: wire.VitalsBatch, numbers: Sequence[int], behind: int | None) -> None:
    seen: set[int] = set()
    for start, end in _runs(numbers):
        if numbers[start] not in seen:
            _add(out, batch, start, end, _raw(batch, start, len(seen)), behind)
            seen.add(numbers[start])


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield where each run of equal ids starts and ends."""
    start = 0
    for i in range(1, len(numbers)):
        if numbers[i] != numbers[start]:
            yield start, i
            start = i
    if numbers:
        yield start, len(numbers)


def _raw(batch: wire.VitalsBatch, start: int, place: int) -> bytes | None:
    """Return the device's bytes of a reading: `raw` has an entry for each value, or for each reading, or none."""
    if not batch.raw:
        return None
    return batch.raw[start if len(batch.raw) == len(batch.reading) else place]


def _add(out: Columns, batch: wire.VitalsBatch, a: int, b: int, raw: bytes | None, behind: int | None) -> None:
    sent, time, reading = batch.sent_at[a], batch.time_us[a], batch.reading[a]
    if sent is None:
        key = time
        if batch.received_us[a] != time or not _of_its_time(batch, a, b):
            out.sequenced.append(len(out))
    else:
        key = local_us("$.sent_at", sent)
    out.source.append(_source(out, batch, a))
    out.shape.append(_shape(out, batch, a, b))
    out.message.append(len(out.envelopes) - 1)
    out.reading_id.append(reading)
    out.key_us.append(key)
    out.time_us.append(time)
    out.received_us.append(batch.received_us[a])
    out.behind_us.append(behind)
    out.clocked.append(sent is not None)
    out.sent_at.append(_as_sent(sent))
    out.raw.append(raw)
    absent, status = batch.absent[a:b], batch.status[a:b]
    same = status.count(status[0]) == b - a
    out.status.append(status[0] if same else None)
    out.statuses.append(None if same else status)
    out.value.append(batch.value[a:b])
    out.absent.append(absent if any(absent) else None)


def _of_its_time(batch: wire.VitalsBatch, a: int, b: int) -> bool:
    """Return whether a reading's id is made of the time at which its gateway received it: no other can have it."""
    values = [(batch.code[i], str(batch.value[i] or batch.absent[i])) for i in range(a, b)]
    made = reading_id(
        device=batch.device, user=batch.user[a], sent_at=None, values=values, sequence=batch.received_us[a]
    )
    return made == batch.reading[a]
