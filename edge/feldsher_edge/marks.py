"""Up to which record each glucose meter has been read, in the gateway's database: a restart begins where it ended."""

from __future__ import annotations

import msgspec

from feldsher_edge.devices.records import Mark
from feldsher_edge.store import Store

_PREFIX = "records of "


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
