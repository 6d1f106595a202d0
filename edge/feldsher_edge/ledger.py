"""The ledger of losses: what the gateway dropped, thinned or could not send, until a Gap message carries it away."""

from __future__ import annotations

from dataclasses import dataclass

from feldsher_edge.store import Store

_ADD = """
INSERT INTO ledger (what, why, device, count, readings, first_us, last_us) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (what, why, device) DO UPDATE SET count = count + excluded.count, readings = readings + excluded.readings,
first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us)
"""


@dataclass(frozen=True, slots=True)
class Loss:
    """`count` messages (or, where `what` is `reading`, readings) that are no more, with `readings` readings in them.

    `first_us`, `last_us`: wall time of making of the first and last; `device`: whose, None where of no one device.
    """

    what: str
    why: str
    count: int
    first_us: int
    last_us: int
    device: str | None = None
    readings: int = 0


class Ledger:
    """The ledger in `store`. Losses of one kind, cause and device are one entry. Call within a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, loss: Loss) -> None:
        """Put on record what is not to be counted as dropped: it is kept aside somewhere."""
        numbers = (loss.count, loss.readings, loss.first_us, loss.last_us)
        self._store.run(_ADD, (loss.what, loss.why, loss.device or "", *numbers))

    def dropped(self, loss: Loss) -> None:
        """Put dropped messages on record."""
        self.note(loss)
        self._count("dropped", loss.count)

    def thinned(self, loss: Loss) -> None:
        """Put readings that were thinned out on record."""
        self.note(loss)
        self._count("thinned", loss.readings)

    def total(self, name: str) -> int:
        """Return how many messages were `dropped`, or readings `thinned`, in all the outbox's life."""
        row = self._store.one("SELECT value FROM fact WHERE name = ?", (name,))
        return int(row[0]) if row else 0

    def take(self) -> list[Loss]:
        """Return all entries and empty the ledger."""
        found = self._store.rows("SELECT what, why, count, first_us, last_us, device, readings FROM ledger")
        self._store.run("DELETE FROM ledger")
        return [Loss(what, why, n, first, last, device or None, r) for what, why, n, first, last, device, r in found]

    def _count(self, name: str, count: int) -> None:
        sql = "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
        self._store.run(sql, (name, count))
