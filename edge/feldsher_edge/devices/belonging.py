"""Whose may a stored reading be? A device that changes hands may still hold what its last user measured.

A reading is only taken for the present user's where something tells that it was measured after the device was paired
with this gateway (`since`): its own time, corrected by both clocks of the session; or, of a device without a clock,
that it did not come in the first session after the pairing. Else it is nobody's until a person says whose it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Protocol

from feldsher_edge.devices import Reading, ReadingSet


class Meetings(Protocol):
    """With which pairing each device has already had a session that brought readings."""

    def get(self, device: str, /) -> str | None:
        """Return the pairing of the last session, None where there was none."""
        ...

    def __setitem__(self, device: str, pairing: str, /) -> None:
        """Keep it; OSError where the disk refuses."""
        ...


class Belonging:
    """What one device brings since it was paired at `since` (None: not known, then nothing is doubted)."""

    def __init__(self, since: datetime | None, zone: tzinfo, meetings: Meetings) -> None:
        self._since_us = None if since is None else int(since.timestamp() * 1e6)
        self._zone = zone
        self._meetings = meetings

    def first(self, address: str) -> bool:
        """Say whether no session since the pairing has brought readings yet."""
        return self._since_us is not None and self._meetings.get(address) != str(self._since_us)

    def unowned(self, reading: Reading, of: ReadingSet, *, first: bool) -> bool:
        """Say whether a reading may have been measured before the pairing."""
        if self._since_us is None:
            return False
        if reading.sent_at is None:
            return first
        measured = reading.sent_at.replace(tzinfo=self._zone)
        if of.device_now is not None and of.gateway_now_us is not None:
            # A cuff that shows whole minutes seems up to a minute early: then staff is asked, which harms nobody.
            ago = of.device_now - reading.sent_at
            return of.gateway_now_us - _us(ago) < self._since_us
        # Its clock cannot be read, so its times are only as good as its clock: outside the plausible they are doubted.
        return first or not self._since_us <= int(measured.timestamp() * 1e6) <= reading.received_us + _us(_DAY)

    def brought(self, address: str) -> None:
        """Remember that a session has brought readings; OSError where the disk refuses, then the next is the first."""
        if self.first(address):
            self._meetings[address] = str(self._since_us)


_DAY = timedelta(days=1)


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
