"""Batches of vital signs as the columns of the store's query: one entry per reading, its values together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import reading_id

from feldsher_ingest.check import device_now_us, local_us

Source = tuple[str, str, int | None]
"""Device, gateway and user number: who measured."""
Shape = tuple[tuple[int, ...], tuple[str, ...]]
"""Codes (MDC) and units (UCUM) of a reading's values."""
Shift = Callable[[wire.Envelope], int | None]
"""Microseconds by which a gateway's wall clock is known to have been behind when it made a message; None: not known."""

_TO_THE_SECOND = 19
"""Length of `2026-11-23T08:43:00`, which the store can make again from the key time."""


@dataclass(slots=True)
class Columns:
    """Readings in columns, in order of arrival; times in microseconds since 1970, UTC.

    `value`, `absent`, `statuses`: PostgreSQL's text of an array, one entry per value. `sequenced`: the places of
    readings that only a sequence number tells apart.
    """

    source: list[Source] = field(default_factory=list[Source])
    shape: list[Shape] = field(default_factory=list[Shape])
    reading_id: list[UUID] = field(default_factory=list[UUID])
    message_id: list[UUID] = field(default_factory=list[UUID])
    key_us: list[int] = field(default_factory=list[int])
    time_us: list[int] = field(default_factory=list[int])
    received_us: list[int] = field(default_factory=list[int])
    behind_us: list[int | None] = field(default_factory=list["int | None"])
    status: list[int | None] = field(default_factory=list["int | None"])
    clocked: list[bool] = field(default_factory=list[bool])
    value: list[str] = field(default_factory=list[str])
    absent: list[str | None] = field(default_factory=list["str | None"])
    statuses: list[str | None] = field(default_factory=list["str | None"])
    sent_at: list[str | None] = field(default_factory=list["str | None"])
    raw: list[bytes | None] = field(default_factory=list["bytes | None"])
    envelope: list[wire.Envelope] = field(default_factory=list[wire.Envelope])
    sequenced: list[int] = field(default_factory=list[int])

    def __len__(self) -> int:
        """Return the number of readings."""
        return len(self.reading_id)

    def corrected(self, shift: Shift) -> list[int | None]:
        """Return the best known true times, None where the time as sent stands or cannot be judged.

        A device's clock is corrected by the gateway's only where that one is right.
        """
        known = {id(e): shift(e) for e in self.envelope}
        out: list[int | None] = []
        for time, behind, clocked, e in zip(self.time_us, self.behind_us, self.clocked, self.envelope, strict=True):
            off = known[id(e)]
            if not clocked:
                out.append(time + off if off else None)
                continue
            trusted = off if off is not None else (None if e.clock == "unsynced" else 0)
            out.append(None if behind is None or trusted is None else time + behind + trusted)
        return out

    def by_message(self) -> dict[tuple[str, UUID], list[UUID]]:
        """Return the readings of each message, by its gateway and id."""
        out: dict[tuple[str, UUID], list[UUID]] = {}
        for reading, e in zip(self.reading_id, self.envelope, strict=True):
            out.setdefault((e.gateway, e.id), []).append(reading)
        return out

    def without(self, places: set[int]) -> Columns:
        """Return the readings but those at some places."""
        kept = [i for i in range(len(self)) if i not in places]
        moved = {old: new for new, old in enumerate(kept)}
        out = Columns(*([getattr(self, name)[i] for i in kept] for name in _NAMES))
        out.sequenced = [moved[i] for i in self.sequenced if i in moved]
        return out


_NAMES = tuple(name for name in Columns.__slots__ if name != "sequenced")


def columns(batches: Sequence[wire.VitalsBatch]) -> Columns:
    """Return the readings of some messages as columns; a reading that a message repeats counts once."""
    out = Columns()
    for batch in batches:
        now = device_now_us(batch)
        behind = None if now is None or batch.gateway_now_us is None else batch.gateway_now_us - now
        seen: set[UUID] = set()
        for start, end in _runs(batch.reading):
            if batch.reading[start] not in seen:
                _add(out, batch, start, end, _raw(batch, start, len(seen)), behind)
                seen.add(batch.reading[start])
    return out


def _runs(ids: Sequence[UUID]) -> Iterator[tuple[int, int]]:
    """Yield where each run of equal ids starts and ends."""
    numbers = [i.int for i in ids]  # integers compare three times as fast
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
    out.source.append((batch.device, batch.env.gateway, batch.user[a]))
    out.shape.append((batch.code[a:b], batch.unit[a:b]))
    out.reading_id.append(reading)
    out.message_id.append(batch.env.id)
    out.envelope.append(batch.env)
    out.key_us.append(key)
    out.time_us.append(time)
    out.received_us.append(batch.received_us[a])
    out.behind_us.append(behind)
    out.clocked.append(sent is not None)
    out.sent_at.append(None if sent is None or len(sent) == _TO_THE_SECOND else sent)
    out.raw.append(raw)
    _add_values(out, batch, a, b)


def _add_values(out: Columns, batch: wire.VitalsBatch, a: int, b: int) -> None:
    absent, status = batch.absent[a:b], batch.status[a:b]
    same = status.count(status[0]) == b - a
    out.status.append(status[0] if same else None)
    out.statuses.append(None if same else _array(status))
    out.value.append(f"{{{','.join([v or 'NULL' for v in batch.value[a:b]])}}}")
    out.absent.append(_array(absent) if any(absent) else None)


def _array(entries: Sequence[object]) -> str:
    """Return PostgreSQL's text of an array; the entries are numbers and plain words."""
    return f"{{{','.join(['NULL' if e is None else str(e) for e in entries])}}}"


def _of_its_time(batch: wire.VitalsBatch, a: int, b: int) -> bool:
    """Return whether a reading's id is made of the time at which its gateway received it: no other can have it."""
    values = [(batch.code[i], str(batch.value[i] or batch.absent[i])) for i in range(a, b)]
    made = reading_id(
        device=batch.device, user=batch.user[a], sent_at=None, values=values, sequence=batch.received_us[a]
    )
    return made == batch.reading[a]
