"""Thinning: of continuous readings one a minute remains, so that an outbox that fills up keeps the whole time.

What remains is a reading as the device sent it, never a mean: the minute's middle one by its first value, which neither
an artefact nor a moment decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import msgspec
from feldsher_ehr_core import wire

_MINUTE_US = 60_000_000
_SAME_CLOCK_US = 1_000_000
_COLUMNS = ("reading", "code", "value", "absent", "unit", "sent_at", "time_us", "received_us", "user", "status")


@dataclass(frozen=True, slots=True)
class Thinned:
    """What became of some batches: `of` their indices, `message` the one in their place, `removed` readings."""

    of: tuple[int, ...]
    message: wire.VitalsBatch
    removed: int


def thin(batches: Sequence[wire.VitalsBatch], new_id: Callable[[int], UUID]) -> list[Thinned]:
    """Return the batches joined per device with one reading a minute; `new_id` makes an id for a wall time (µs).

    The joined message has an id of its own: the cloud may have stored one of those it replaces, whose id it knows. Only
    batches under one clock are joined, so that a later correction of the gateway's clock fits every reading in it.
    """
    groups: list[list[int]] = []
    latest: dict[str, list[int]] = {}
    for i, batch in enumerate(batches):
        group = latest.get(batch.device)
        if group is None or not _together(batches[group[-1]], batch):
            group = latest[batch.device] = []
            groups.append(group)
        group.append(i)
    return [_join([batches[i] for i in group], tuple(group), new_id) for group in groups]


def _together(one: wire.VitalsBatch, other: wire.VitalsBatch) -> bool:
    same = (one.model, one.env.boot, one.env.clock, one.env.offset_min) == (
        other.model, other.env.boot, other.env.clock, other.env.offset_min,
    )  # fmt: skip
    return same and abs(_base_us(one.env) - _base_us(other.env)) <= _SAME_CLOCK_US


def _base_us(env: wire.Envelope) -> int:
    return env.wall_us - env.mono_ns // 1000


def _join(batches: Sequence[wire.VitalsBatch], of: tuple[int, ...], new_id: Callable[[int], UUID]) -> Thinned:
    minutes: dict[int, list[tuple[int, list[int]]]] = {}
    total = 0
    for b, batch in enumerate(batches):
        for entries in _readings(batch):
            total += 1
            minutes.setdefault(batch.received_us[entries[0]] // _MINUTE_US, []).append((b, entries))
    chosen = [_middle(batches, readings) for _, readings in sorted(minutes.items())]
    columns = {name: tuple(getattr(batches[b], name)[i] for b, entries in chosen for i in entries) for name in _COLUMNS}
    last = batches[-1]
    session = next((x for x in reversed(batches) if x.device_now is not None), last)
    message = msgspec.structs.replace(
        last,
        env=msgspec.structs.replace(last.env, id=new_id(last.env.wall_us)),
        raw=_raw(batches, chosen),
        device_now=session.device_now,
        gateway_now_us=session.gateway_now_us,
        **columns,
    )
    return Thinned(of, message, total - len(chosen))


def _readings(batch: wire.VitalsBatch) -> list[list[int]]:
    """Return the entries of each reading, in their order."""
    found: dict[UUID, list[int]] = {}
    for i, reading in enumerate(batch.reading):
        found.setdefault(reading, []).append(i)
    return list(found.values())


def _middle(batches: Sequence[wire.VitalsBatch], readings: Sequence[tuple[int, list[int]]]) -> tuple[int, list[int]]:
    numbers = [(Decimal(text), k) for k, (b, e) in enumerate(readings) if (text := batches[b].value[e[0]]) is not None]
    return readings[sorted(numbers)[(len(numbers) - 1) // 2][1]] if numbers else readings[0]


def _raw(batches: Sequence[wire.VitalsBatch], chosen: Sequence[tuple[int, list[int]]]) -> tuple[bytes, ...]:
    """Return the chosen readings' bytes, none where any batch lacks them (they may be per value or per reading)."""
    if not all(batch.raw for batch in batches):
        return ()
    out: list[bytes] = []
    for b, entries in chosen:
        raw = batches[b].raw
        per_value = len(raw) == len(batches[b].reading)
        out.append(raw[entries[0] if per_value else _readings(batches[b]).index(entries)])
    return tuple(out)
