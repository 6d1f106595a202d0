"""Where the drivers deliver: readings, recordings and states become messages, committed before the call returns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from uuid import UUID

import structlog
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import reading_id
from feldsher_ehr_core.vitals import Absent

from feldsher_edge.devices import EcgResult, LiveChunk, Reading, ReadingSet, Status, Value
from feldsher_edge.outbox import Outbox
from feldsher_edge.room import Priority

_log = structlog.get_logger("sink")
_READINGS_PER_MESSAGE = 200


class Sources:
    """When each device last gave a sign of life, by the monotonic clock: liveness per source, not per process."""

    def __init__(self, mono_ns: Callable[[], int]) -> None:
        self._mono_ns = mono_ns
        self._seen: dict[str, int] = {}
        self._states: dict[str, str] = {}
        self._said: dict[str, Status] = {}
        self._readings: dict[str, int] = {}

    def brought(self, device: str, count: int) -> None:
        """Note that a device brought readings, or a recording."""
        self.seen(device, "present")
        self._readings[device] = self._readings.get(device, 0) + count

    def readings(self, device: str) -> int:
        """Return how many readings or recordings a device has brought since the start."""
        return self._readings.get(device, 0)

    def told(self, status: Status) -> None:
        """Note what a device said of itself."""
        self._said[status.device] = status

    def said(self, device: str) -> Status | None:
        """Return what a device last said of itself."""
        return self._said.get(device)

    def seen(self, device: str, state: str | None = None) -> None:
        """Note a sign of life, and the state the device reports."""
        self._seen[device] = self._mono_ns()
        if state is not None:
            self._states[device] = state

    def absent(self, device: str, state: str) -> None:
        """Note a state that is no sign of life."""
        self._states[device] = state

    def ages_s(self) -> dict[str, float]:
        """Return the seconds since each device's last sign of life."""
        now = self._mono_ns()
        return {device: round((now - seen) / 1e9, 3) for device, seen in self._seen.items()}

    def states(self) -> dict[str, str]:
        """Return the state each device last reported."""
        return dict(self._states)


class GatewaySink:
    """The `feldsher_edge.devices.Sink` of this gateway.

    `zone` reads device times, `keep` commits a recording, `show` shows a piece of one that runs.
    """

    def __init__(
        self,
        outbox: Outbox,
        sources: Sources,
        zone: tzinfo,
        keep: Callable[[EcgResult], None],
        show: Callable[[LiveChunk], None],
    ) -> None:
        self._outbox = outbox
        self._show = show
        self._sources = sources
        self._zone = zone
        self._keep = keep
        self._told: dict[str, Status] = {}

    def readings(self, readings: ReadingSet) -> None:
        """Commit readings as messages of vital signs, or of continuous data."""
        self._sources.brought(readings.device, len(readings.readings))
        for first in range(0, len(readings.readings), _READINGS_PER_MESSAGE):
            some = readings.readings[first : first + _READINGS_PER_MESSAGE]
            self._outbox.put(lambda env, some=some: batch(env, readings, some, self._zone))
        _log.info("readings", device=readings.device, count=len(readings.readings))

    def unreadable(self, device: str, raw: bytes, why: str) -> None:
        """Commit bytes that no parser could read, as a fault of the device with the bytes in its detail."""
        self._sources.seen(device)
        detail = f"unreadable {raw.hex()}: {why}"
        self._outbox.put(
            lambda env: wire.DeviceStatus(env=env, device=device, state="fault", detail=detail), Priority.VITALS
        )
        _log.error("reading cannot be parsed", device=device, why=why, bytes=len(raw))

    def recorded(self, result: EcgResult) -> None:
        """Commit a recording that the device started by itself."""
        self._sources.brought(result.device, 1)
        self._keep(result)

    def status(self, status: Status) -> None:
        """Note a sign of life or a fault, and publish it where it differs from the last."""
        if status.state == "present" or status.state == "busy":
            self._sources.seen(status.device, status.state)
        else:
            self._sources.absent(status.device, status.state)
        self._sources.told(status)
        if self._told.get(status.device) == status:
            return
        self._outbox.put(lambda env: _device_status(env, status))
        self._told[status.device] = status
        _log.info("device", device=status.device, state=status.state, detail=status.detail)

    def live(self, chunk: LiveChunk) -> None:
        """Show a piece of a running recording."""
        self._show(chunk)


def _device_status(env: wire.Envelope, status: Status) -> wire.DeviceStatus:
    return wire.DeviceStatus(
        env=env,
        device=status.device,
        state=status.state,
        detail=status.detail,
        battery=status.battery,
        model=status.identity.model if status.identity else None,
        firmware=status.identity.firmware if status.identity else None,
    )


def batch(env: wire.Envelope, of: ReadingSet, readings: tuple[Reading, ...], zone: tzinfo) -> wire.VitalsBatch:
    """Return readings as columns, one entry per value; `raw` has one entry per reading.

    A reading that a device brought twice in one session stands there once: the cloud counts what belongs to each id.
    """
    each: dict[UUID, Reading] = {}
    for reading in readings:
        each.setdefault(identify(of.device, reading), reading)
    rows = [(reading, id_, value) for id_, reading in each.items() for value in reading.values]
    return wire.VitalsBatch(
        env=env,
        device=of.device,
        model=of.model,
        reading=tuple(id_ for _, id_, _ in rows),
        code=tuple(value.code for _, _, value in rows),
        value=tuple(_text(value) for _, _, value in rows),
        absent=tuple(_absent(value) for _, _, value in rows),
        unit=tuple(value.unit for _, _, value in rows),
        sent_at=tuple(r.sent_at.isoformat() if r.sent_at else None for r, _, _ in rows),
        time_us=tuple(_key_time_us(r, zone) for r, _, _ in rows),
        received_us=tuple(r.received_us for r, _, _ in rows),
        user=tuple(r.user for r, _, _ in rows),
        status=tuple(r.status for r, _, _ in rows),
        device_now=of.device_now.isoformat() if of.device_now else None,
        gateway_now_us=of.gateway_now_us,
        raw=tuple(r.raw for r in each.values()),
        continuous=of.continuous,
        unowned=of.unowned,
    )


def identify(device: str, reading: Reading) -> UUID:
    """Return the reading id: the same however often, and through whichever gateway, a device brings the reading."""
    sequence = reading.sequence
    if reading.sent_at is None and sequence is None:
        sequence = reading.received_us  # nothing in the reading tells it from the next of equal values
    return reading_id(
        device=device,
        user=reading.user,
        sent_at=reading.sent_at.isoformat() if reading.sent_at else None,
        values=((value.code, _text(value) or str(_absent(value))) for value in reading.values),
        sequence=sequence,
    )


def _text(value: Value) -> str | None:
    return format(value.value, "f") if isinstance(value.value, Decimal) else None


def _absent(value: Value) -> Absent | None:
    return None if isinstance(value.value, Decimal) else value.value


def _key_time_us(reading: Reading, zone: tzinfo) -> int:
    """Return the device's time as sent, read in the gateway's zone, else the receiving time."""
    if reading.sent_at is None:
        return reading.received_us
    since = reading.sent_at.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
