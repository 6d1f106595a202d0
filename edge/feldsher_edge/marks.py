"""What is known of Bluetooth devices over restarts, in the gateway's database: records read, pairings met."""

from __future__ import annotations

import msgspec

from feldsher_edge.devices.records import Mark
from feldsher_edge.store import Store

_PREFIX, _MET = "records of ", "met "


class StoredMeetings:
    """The `belonging.Meetings` of this gateway, one fact a device."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, device: str, /) -> str | None:
        """Return the pairing of the last session that brought readings."""
        row = self._store.one("SELECT value FROM fact WHERE name = ?", (_MET + device,))
        return None if row is None else bytes(row[0]).decode("ascii", "replace")

    def __setitem__(self, device: str, pairing: str, /) -> None:
        """Keep it."""
        with self._store.transaction():
            self._store.run("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_MET + device, pairing.encode()))


class StoredMarks:
    """The `Marks` of this gateway, one fact a device."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, device: str) -> Mark | None:
        """Return the mark of a device; what cannot be read counts as none, so that everything is read again."""
        row = self._store.one("SELECT value FROM fact WHERE name = ?", (_PREFIX + device,))
        try:
            return None if row is None else msgspec.msgpack.decode(bytes(row[0]), type=Mark)
        except msgspec.MsgspecError:
            return None

    def __setitem__(self, device: str, mark: Mark) -> None:
        """Keep the mark of a device."""
        with self._store.transaction():
            row = (_PREFIX + device, msgspec.msgpack.encode(mark))
            self._store.run("INSERT OR REPLACE INTO fact VALUES (?, ?)", row)
