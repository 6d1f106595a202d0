"""What comes in from one Bluetooth device in one session: from bytes to committed readings, inside the callback.

Single readings are committed one by one. Running monitoring (about one value a second) is committed every ten seconds,
for the sake of the disk; one value a minute of it goes its own way at once, as a reading for the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial

import structlog

from feldsher_edge.devices import DeviceClock, Reading, ReadingSet, Sink
from feldsher_edge.devices.decode import Measured
from feldsher_edge.devices.profiles import Channel
from feldsher_edge.devices.records import Records

BATCH_US = 10_000_000
"""Running monitoring is committed at least so often, microseconds: a power cut costs at most as much of it."""
RESEND_S = 20
"""No device measures twice within so many seconds: an equal frame without a time in it is one reading sent again."""
_BATCH_READINGS = 200
_MINUTE_US = 60_000_000
_MOST_FRAMES = 4096

_log = structlog.get_logger()


class Known:
    """What is remembered of one device between its sessions."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received = 0
        self.failures = 0
        self.fruitless = 0
        self.not_before_ns = 0
        self.minute = -1
        self._streamed = False
        self._last: tuple[bytes, int] | None = None
        self._frames: set[bytes] = set()
        self._frames_before: set[bytes] = set()

    def begin(self) -> None:
        """Begin a session."""
        self.received = 0
        self._streamed = False
        self._frames_before, self._frames = self._frames or self._frames_before, set()

    def note(self, raw: bytes, *, continuous: bool) -> None:
        """Note a frame of this session."""
        self.received += 1
        self._streamed = self._streamed or continuous
        if not continuous and len(self._frames) < _MOST_FRAMES:
            self._frames.add(raw)

    def brought_something_new(self) -> bool:
        """Say whether the session brought a frame that the last one with frames had not: some resend for ever."""
        return self._streamed or bool(self._frames - self._frames_before)

    def second(self, raw: bytes, received_us: int) -> int:
        """Return the receiving second of a frame; of a frame sent again, that of its first arrival."""
        second = received_us // 1_000_000
        if self._last and self._last[0] == raw and 0 <= second - self._last[1] < RESEND_S:
            return self._last[1]
        self._last = (raw, second)
        return second


class Intake:
    """Takes notifications of one session; `of` is the session's `ReadingSet` without readings.

    `uncommitted`: what the device has already deleted and the disk has not yet taken; the caller commits it later.
    `unowned`: says of a stored reading whether it may be from before the device was paired with this gateway.
    """

    def __init__(
        self,
        sink: Sink,
        clock: DeviceClock,
        known: Known,
        of: ReadingSet,
        uncommitted: list[Callable[[], None]],
        records: Records | None = None,
        unowned: Callable[[Reading, ReadingSet], bool] | None = None,
    ) -> None:
        self._unowned = unowned
        self._sink = sink
        self._clock = clock
        self._known = known
        self._of = of
        self._uncommitted = uncommitted
        self._records = records
        self._held: list[Reading] = []

    def take(self, channel: Channel, raw: bytes) -> None:
        """Commit what one notification says; what cannot be read is quarantined. Never raises: bleak would drop it."""
        received_us = self._clock.wall_us()
        address = self._known.address
        try:
            found = channel.decode(raw)
        except ValueError as error:
            self._commit(partial(self._sink.unreadable, address, raw, str(error)))
        except Exception as error:
            _log.exception("decoder_failed", device=address)
            self._commit(partial(self._sink.unreadable, address, raw, f"decoder failed: {type(error).__name__}"))
        else:
            if channel.continuous:
                self._stream(found, raw, received_us)
            else:
                self._deliver(found, raw, received_us)
        self._known.note(raw, continuous=channel.continuous)

    def _deliver(self, found: tuple[Measured, ...], raw: bytes, received_us: int) -> None:
        second = self._known.second(raw, received_us)
        readings = tuple(reading_of(it, raw, received_us, second) for it in found)
        doubted = self._unowned is not None and any(self._unowned(reading, self._of) for reading in readings)
        of = replace(self._of, readings=readings, unowned=doubted)
        committed = self._commit(partial(self._sink.readings, of))
        # After a record that waits in memory no later one may become the mark.
        if committed and not self._uncommitted and self._records is not None:
            for it in found:
                if it.sequence is not None:
                    self._records.note(it.sequence, repr((it.time, it.values)))

    def _stream(self, found: tuple[Measured, ...], raw: bytes, received_us: int) -> None:
        for i, it in enumerate(found):
            # The bytes once, with the newest value in them.
            of_it = raw if i == len(found) - 1 else b""
            at = received_us - it.before_us
            reading = reading_of(it, of_it, at, at)
            minute = received_us // _MINUTE_US
            if of_it and minute != self._known.minute and isinstance(reading.values[0].value, Decimal):
                self._known.minute = minute
                self._commit(partial(self._sink.readings, replace(self._of, readings=(reading,))))
            else:
                self._held.append(reading)
        if self._held and (received_us - self._held[0].received_us >= BATCH_US or len(self._held) >= _BATCH_READINGS):
            self.flush()

    def flush(self) -> None:
        """Commit what is held of running monitoring; at the latest when the session ends."""
        if self._held:
            held, self._held = tuple(self._held), []
            self._commit(partial(self._sink.readings, replace(self._of, readings=held, continuous=True)))

    def _commit(self, write: Callable[[], None]) -> bool:
        """Commit before the callback returns; where the disk refuses, keep it and take no more from the device."""
        try:
            write()
        except OSError as error:
            _log.error("reading_not_committed", why=str(error))
            self._uncommitted.append(write)
            return False
        return True


def reading_of(it: Measured, raw: bytes, received_us: int, arrival: int) -> Reading:
    """Return what was measured as the gateway keeps it.

    What tells readings apart is the device's time as sent, and its record number; where it sent neither, `arrival`:
    the second of it, of running monitoring the microsecond. Where a part of the time is unknown or the day does not
    exist, its digits, so that the same frame always makes the same reading.
    """
    sent_at = it.time if isinstance(it.time, datetime) or it.time is None else it.time.complete()
    sequence = it.sequence
    if sequence is None and sent_at is None:
        sequence = int("".join(c for c in str(it.time) if c.isdigit())) if it.time else arrival
    return Reading(it.values, received_us, sent_at, it.user, it.status, sequence, raw)
