"""Room in the outbox: bounds of rows, bytes and age per priority class, thinning before dropping, losses on record.

What was receipted and waits to be sent again gives way first, for the cloud has it; then continuous readings are
thinned; then the oldest of the class goes. No class gives way to another, but continuous data does to a full disk.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from uuid import UUID

import structlog
from feldsher_ehr_core import wire

from feldsher_edge.config import Bound
from feldsher_edge.config import Outbox as Bounds
from feldsher_edge.ledger import Ledger, Loss
from feldsher_edge.store import Store, StoreError
from feldsher_edge.thinning import Thinned, thin

_log = structlog.get_logger("outbox")
WAITING, RECEIPTED, HELD = 0, 1, 2
AGAIN = 10
"""Added to the rank of what is sent again on request: new data goes first."""
_THIN_AT_ONCE = 1024
_WORTH_THINNING = 16
_SHED_AT_ONCE = 16
_UNTHINNED = """
SELECT seq, body FROM message INDEXED BY message_unthinned
WHERE state = 0 AND rank = 3 AND kind = 'vitals' AND thin = 0 ORDER BY up_s, seq LIMIT ?
"""
_DAY_S = 86_400
_AGE_EVERY_S = 60


class Priority(IntEnum):
    """The class of a message: order of sending, and who gives way to whom.

    Alarms: critical ECGs, the record of losses and of clocks. ECG: with the states of orders. Continuous: monitoring
    and telemetry.
    """

    ALARM = 0
    ECG = 1
    VITALS = 2
    CONTINUOUS = 3


class Room:
    """Keeps the messages in `store` within `bounds`. `up_s`: the gateway's running time; `new_id`: see `thin`.

    Every call belongs inside a transaction.
    """

    def __init__(
        self, store: Store, ledger: Ledger, bounds: Bounds, up_s: Callable[[], int], new_id: Callable[[int], UUID]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._kept = bounds.kept
        self._bounds = {
            Priority.ALARM: bounds.alarms,
            Priority.ECG: bounds.ecg,
            Priority.VITALS: bounds.vitals,
            Priority.CONTINUOUS: bounds.continuous,
        }
        self._aged_s = self._trimmed_s = -_AGE_EVERY_S
        self._up_s = up_s
        self._new_id = new_id

    def enforce(self, priority: Priority) -> None:
        """Bring a class of waiting messages to which one was added within its bounds; once a minute, drop the aged."""
        now_s = self._up_s()
        if now_s - self._aged_s >= _AGE_EVERY_S:
            self._aged_s = now_s
            for each in reversed(Priority):
                self._drop_aged(each, self._bounds[each])
        bound = self._bounds[priority]
        while (why := self._excess(priority, WAITING, bound)) and self._give_way(priority, why):
            pass

    def trim_kept(self) -> None:
        """Forget receipted rows beyond the bounds: the cloud has them, so nothing is lost."""
        now_s = self._up_s()
        if now_s - self._trimmed_s >= _AGE_EVERY_S:
            self._trimmed_s = now_s
            old_s = now_s - int(self._kept.days * _DAY_S)
            for priority in Priority:
                self._store.run("DELETE FROM message WHERE state = 1 AND rank = ? AND up_s < ?", (int(priority), old_s))
        for number, rows, size in self._store.rows("SELECT class, rows, bytes FROM tally WHERE state = 1"):
            if rows > self._kept.rows or size > self._kept.bytes:
                self._trim_class(Priority(number))

    def _trim_class(self, priority: Priority) -> None:
        while self._excess(priority, RECEIPTED, self._kept):
            self._store.run(
                "DELETE FROM message WHERE seq IN"
                " (SELECT seq FROM message WHERE state = 1 AND rank = ? ORDER BY up_s, seq LIMIT 16)",
                (int(priority),),
            )

    def shed(self) -> bool:
        """Make place on a full disk, whose pages new rows then use; False where nothing is left that may go.

        Receipted rows go first; then continuous readings are thinned, then their oldest messages go.
        """
        try:
            return self._store.spare(self._shed)
        except StoreError:
            return False

    def _shed(self) -> bool:
        with self._store.transaction():
            freed = self._store.run("DELETE FROM message WHERE state = 1")
            if freed:
                _log.error("disk full: receipted messages can no longer be sent again", rows=freed)
                return True
            return self._thin("disk full") or self._drop_some("disk full")

    def _drop_some(self, why: str) -> bool:
        dropped = [self._drop_oldest(Priority.CONTINUOUS, why) for _ in range(_SHED_AT_ONCE)]
        return any(dropped)

    def _excess(self, priority: Priority, state: int, bound: Bound) -> str | None:
        row = self._store.one("SELECT rows, bytes FROM tally WHERE class = ? AND state = ?", (int(priority), state))
        if row is None or (row[0] <= bound.rows and row[1] <= bound.bytes):
            return None
        return f"more than {bound.rows} rows" if row[0] > bound.rows else f"more than {bound.bytes} bytes"

    def _give_way(self, priority: Priority, why: str) -> bool:
        if self._forgo_again(priority) or (priority is Priority.CONTINUOUS and self._thin(why)):
            return True
        return self._drop_oldest(priority, f"outbox full: {why}")

    def _forgo_again(self, priority: Priority) -> bool:
        """Give up sending one receipted message again; False where none waits for that."""
        row = self._store.one(
            "SELECT seq FROM message WHERE state = 0 AND rank = ? ORDER BY up_s, seq LIMIT 1",
            (priority + AGAIN,),
        )
        if row is None:
            return False
        self._store.run("UPDATE message SET state = 1, rank = class WHERE seq = ?", row)
        return True

    def _drop_oldest(self, priority: Priority, why: str) -> bool:
        """Make room for one row of a class; False where it has none that may go."""
        row = self._store.one(
            "SELECT seq, kind, made_us, device, readings FROM message WHERE state = 0 AND rank = ? AND kind <> 'gap'"
            " ORDER BY up_s, seq LIMIT 1",
            (int(priority),),
        )
        if row is None:
            return False
        seq, kind, made_us, device, readings = row
        self._store.run("DELETE FROM message WHERE seq = ?", (seq,))
        self._ledger.dropped(Loss(kind, why, 1, made_us, made_us, device, readings))
        if priority < Priority.VITALS:
            _log.error("outbox full: an alarm or ECG was dropped", kind=kind, why=why)
        return True

    def _drop_aged(self, priority: Priority, bound: Bound) -> None:
        old = (int(priority), self._up_s() - int(bound.days * _DAY_S))
        where = "state = 0 AND rank = ? AND up_s < ? AND kind <> 'gap'"
        columns = "kind, COUNT(*), MIN(made_us), MAX(made_us), device, SUM(readings)"
        sql = f"SELECT {columns} FROM message WHERE {where} GROUP BY kind, device"  # noqa: S608 - our own text
        aged = self._store.rows(sql, old)
        for kind, count, first_us, last_us, device, readings in aged:
            why = f"older than {bound.days:g} days"
            self._ledger.dropped(Loss(kind, why, count, first_us, last_us, device, readings))
            _log.error("messages dropped for their age", kind=kind, count=count)
        if aged:
            self._store.run(f"DELETE FROM message WHERE {where}", old)  # noqa: S608 - our own text

    def _thin(self, why: str) -> bool:
        """Thin the oldest continuous readings that are not thinned yet; False where too few are left to gain by it."""
        rows = self._store.rows(_UNTHINNED, (_THIN_AT_ONCE,))
        if len(rows) < _WORTH_THINNING:
            return False
        messages = [wire.decode_up(body) for _, body in rows]
        batches = [m for m in messages if isinstance(m, wire.VitalsBatch)]
        for thinned in thin(batches, self._new_id):
            self._replace([rows[i][0] for i in thinned.of], [batches[i] for i in thinned.of], thinned, why)
        return True

    def _replace(self, seqs: list[int], batches: list[wire.VitalsBatch], by: Thinned, why: str) -> None:
        for seq in seqs[:-1]:
            self._store.run("DELETE FROM message WHERE seq = ?", (seq,))
        body, env = wire.encode(by.message), by.message.env
        self._store.run(
            "UPDATE message SET id = ?, size = ?, body = ?, readings = ?, thin = 1 WHERE seq = ?",
            (env.id.bytes, len(body), body, len(set(by.message.reading)), seqs[-1]),
        )
        if by.removed:
            first_us, last_us = batches[0].env.wall_us, batches[-1].env.wall_us
            said = f"thinned to one reading a minute: {why}"
            self._ledger.thinned(Loss("reading", said, by.removed, first_us, last_us, by.message.device, by.removed))
