"""Messages that wait for the cloud's receipt, on disk, in priority classes, bounded, with every drop on record.

A row is released only by a receipt (ingest's database has committed) and then kept for resending. Calls are
synchronous and thread-safe and return after the commit; `Outbox.call` runs one in the outbox's own thread for asyncio.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import ParamSpec, TypeVar
from uuid import UUID

import structlog
from feldsher_ehr_core import wire

from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Bound
from feldsher_edge.config import Outbox as Bounds
from feldsher_edge.store import Store, StoreError

_log = structlog.get_logger("outbox")
_P = ParamSpec("_P")
_T = TypeVar("_T")

WAITING, RECEIPTED, HELD = 0, 1, 2
_AGAIN = 10
"""Added to the rank of what is sent again on request: new data goes first."""


class Priority(IntEnum):
    """A: ECGs, alarms, order states, what the record of losses needs. B: vital signs. C: telemetry, dropped first."""

    A = 0
    B = 1
    C = 2


_CLASS = {"ecg": Priority.A, "order": Priority.A, "gap": Priority.A, "clock": Priority.A, "vitals": Priority.B}


@dataclass(frozen=True, slots=True)
class Row:
    """A message that waits: what the publisher needs to choose it. `rank`: its class, plus 10 where sent again."""

    seq: int
    id: UUID
    kind: str
    rank: int
    size: int


@dataclass(frozen=True, slots=True)
class Held:
    """A message that is stored but not yet to be sent, with its number and id."""

    seq: int
    id: UUID
    message: wire.UpMessage


@dataclass(frozen=True, slots=True)
class Counts:
    """What the outbox holds. `oldest_us`: when the oldest waiting message was made; `dropped`: in all its life."""

    waiting: tuple[int, int, int]
    waiting_bytes: int
    held: int
    kept: int
    dead: int
    dropped: int
    oldest_us: int | None


class Outbox:
    """The outbox in `store`; `envelopes` gives ids and times, `bounds` the limits of each class."""

    def __init__(self, store: Store, envelopes: Envelopes, bounds: Bounds | None = None) -> None:
        bounds = bounds or Bounds()
        self.store = store
        self.envelopes = envelopes
        self._bounds = {Priority.A: bounds.a, Priority.B: bounds.b, Priority.C: bounds.c}
        self._kept = bounds.kept
        self._listeners: list[Callable[[], None]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        row = store.one("SELECT COALESCE(MAX(up_s), 0) FROM message")
        self._up_base = int(row[0]) if row else 0
        self._mono_base = envelopes.clock.mono_ns()
        if store.salvaged is not None:
            self._report_damage(store.salvaged)

    def close(self) -> None:
        """Finish what runs in the outbox's thread and close the file."""
        self._thread.shutdown()
        self.store.close()

    async def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a call of this outbox in its own thread, so that a commit does not stop the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))

    def on_waiting(self, listener: Callable[[], None]) -> None:
        """Call `listener` (from any thread, after the commit) whenever there may be something new to send."""
        self._listeners.append(listener)

    def put(self, make: Callable[[wire.Envelope], wire.UpMessage], priority: Priority | None = None) -> UUID:
        """Commit the message that `make` builds around its envelope, and return its id.

        StoreError where the disk is full, WireError where the message is larger than the wire allows; neither changes
        the outbox.
        """
        held = self._add(make, WAITING, priority)
        self._wake()
        return held.id

    def hold(self, make: Callable[[wire.Envelope], wire.UpMessage]) -> Held:
        """Commit a message that is not to be sent before `release`: a power cut does not lose it."""
        return self._add(make, HELD, None)

    def release(self, seq: int, message: wire.UpMessage | None = None) -> None:
        """Let a held message be sent, with `message` (same envelope) in its place where given."""
        with self.store.transaction():
            if message is not None:
                body = wire.encode(message)
                self.store.run("UPDATE message SET body = ?, size = ? WHERE seq = ?", (body, len(body), seq))
            self.store.run("UPDATE message SET state = 0 WHERE seq = ? AND state = 2", (seq,))
        self._wake()

    def held(self) -> list[Held]:
        """Return what is held, oldest first: after a start, the recordings whose interpretation a crash cut off."""
        rows = self.store.rows("SELECT seq, id, body FROM message WHERE state = 2 ORDER BY seq")
        return [Held(seq, UUID(bytes=id_), wire.decode_up(body)) for seq, id_, body in rows]

    def waiting(self, limit: int) -> list[Row]:
        """Return up to `limit` waiting messages in the order in which they are to be sent."""
        sql = "SELECT seq, id, kind, rank, size FROM message WHERE state = 0 ORDER BY rank, seq LIMIT ?"
        return [
            Row(seq, UUID(bytes=i), kind, rank, size) for seq, i, kind, rank, size in self.store.rows(sql, (limit,))
        ]

    def body(self, seq: int) -> bytes | None:
        """Return the bytes of a waiting message, None where it was receipted or dropped meanwhile."""
        row = self.store.one("SELECT body FROM message WHERE seq = ? AND state = 0", (seq,))
        return None if row is None else bytes(row[0])

    def receipt(self, ids: Iterable[UUID], states: Iterable[wire.ReceiptState]) -> int:
        """Release messages by the cloud's receipt and return how many waited; unknown ids are ignored."""
        released = 0
        with self.store.transaction():
            for id_, state in zip(ids, states, strict=True):
                released += self.store.run(
                    "UPDATE message SET state = 1, rank = class, receipt = ?, up_s = ? WHERE id = ? AND state = 0",
                    (state, self._up_s(), id_.bytes),
                )
            self._trim_kept()
            self._write_gaps()
        return released

    def resend(self, since_us: int, until_us: int | None = None) -> int:
        """Mark receipted messages and dead letters made in a span of wall time (end excluded) as waiting again."""
        until_us = until_us if until_us is not None else 1 << 62
        with self.store.transaction():
            count = self.store.run(
                "UPDATE message SET state = 0, rank = class + ? WHERE state = 1 AND made_us >= ? AND made_us < ?",
                (_AGAIN, since_us, until_us),
            )
            count += self._revive("made_us >= ? AND made_us < ?", (since_us, until_us))
        self._wake()
        return count

    def bury(self, seq: int, reason: str) -> None:
        """Move a waiting message that the broker refused to the dead letters, and put that on record."""
        with self.store.transaction():
            row = self.store.one("SELECT kind, made_us FROM message WHERE seq = ? AND state = 0", (seq,))
            if row is None:
                return
            self.store.run(
                "INSERT INTO dead SELECT seq, id, kind, class, made_us, ?, body FROM message WHERE seq = ?",
                (reason, seq),
            )
            self.store.run("DELETE FROM message WHERE seq = ?", (seq,))
            if row[0] != "gap":  # a refused gap record must not make another
                self._note(row[0], f"refused by the broker: {reason}", 1, row[1], row[1])
                self._write_gaps()
        _log.error("message refused by the broker", seq=seq, kind=row[0], reason=reason)
        self._wake()

    def revive(self, reason: str) -> int:
        """Let the dead letters of one reason wait again and return how many; for reasons that may have passed."""
        with self.store.transaction():
            count = self._revive("reason = ?", (reason,))
        if count:
            self._wake()
        return count

    def take_seq(self) -> int:
        """Return a sequence number for a message that does not go through the outbox (birth, heartbeat, will)."""
        with self.store.transaction():
            seq = self._last_seq() + 1
            self._set_seq(seq)
        return seq

    def counts(self) -> Counts:
        """Return what the outbox holds."""
        tally = {(c, s): (rows, size) for c, s, rows, size in self.store.rows("SELECT * FROM tally")}
        oldest = self.store.one("SELECT MIN(made_us) FROM message WHERE state = 0")
        dead = self.store.one("SELECT COUNT(*) FROM dead")
        dropped = self.store.one("SELECT value FROM fact WHERE name = 'dropped'")
        a, b, c = (tally.get((int(p), WAITING), (0, 0))[0] for p in Priority)
        return Counts(
            waiting=(a, b, c),
            waiting_bytes=sum(size for (_, s), (_, size) in tally.items() if s == WAITING),
            held=sum(rows for (_, s), (rows, _) in tally.items() if s == HELD),
            kept=sum(rows for (_, s), (rows, _) in tally.items() if s == RECEIPTED),
            dead=int(dead[0]) if dead else 0,
            dropped=int(dropped[0]) if dropped else 0,
            oldest_us=oldest[0] if oldest else None,
        )

    def _add(self, make: Callable[[wire.Envelope], wire.UpMessage], state: int, priority: Priority | None) -> Held:
        try:
            with self.store.transaction():
                held = self._insert(make, state, priority)
                self._enforce()
                self._write_gaps()
        except StoreError as error:
            if error.errno != errno.ENOSPC or not self._shed():  # only a full disk gains by it
                raise
            with self.store.transaction():
                held = self._insert(make, state, priority)
        return held

    def _insert(self, make: Callable[[wire.Envelope], wire.UpMessage], state: int, priority: Priority | None) -> Held:
        envelope = self.envelopes.make(self._last_seq() + 1)
        message = make(envelope)
        kind = str(message.__struct_config__.tag)
        body = wire.encode(message)
        rank = int(_CLASS.get(kind, Priority.C) if priority is None else priority)
        self.store.run(
            "INSERT INTO message (seq, id, kind, class, rank, state, made_us, up_s, size, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (envelope.seq, envelope.id.bytes, kind, rank, rank, state, envelope.wall_us, self._up_s(), len(body), body),
        )
        return Held(envelope.seq, envelope.id, message)

    def _last_seq(self) -> int:
        row = self.store.one("SELECT seq FROM sqlite_sequence WHERE name = 'message'")
        return int(row[0]) if row else 0

    def _up_s(self) -> int:
        """Seconds this gateway has run, over all its starts; time switched off does not count, clock jumps neither."""
        return self._up_base + (self.envelopes.clock.mono_ns() - self._mono_base) // 1_000_000_000

    def _enforce(self) -> None:
        for priority in reversed(Priority):
            bound = self._bounds[priority]
            self._drop_aged(priority, bound)
            while (why := self._excess(priority, WAITING, bound)) and self._drop_oldest(priority, why):
                pass

    def _excess(self, priority: int, state: int, bound: Bound) -> str | None:
        row = self.store.one("SELECT rows, bytes FROM tally WHERE class = ? AND state = ?", (int(priority), state))
        if row is None or (row[0] <= bound.rows and row[1] <= bound.bytes):
            return None
        return f"more than {bound.rows} rows" if row[0] > bound.rows else f"more than {bound.bytes} bytes"

    def _drop_oldest(self, priority: Priority, why: str) -> bool:
        """Make room for one row of a class; what was receipted before and waits to be sent again goes first."""
        row = self.store.one(
            "SELECT seq, kind, made_us, receipt FROM message WHERE state = 0 AND class = ? AND kind <> 'gap'"
            " ORDER BY rank DESC, seq LIMIT 1",
            (int(priority),),
        )
        if row is None:
            return False
        seq, kind, made_us, receipt = row
        if receipt is not None:
            self.store.run("UPDATE message SET state = 1, rank = class WHERE seq = ?", (seq,))
            return True
        self.store.run("DELETE FROM message WHERE seq = ?", (seq,))
        self._dropped(kind, f"outbox full: {why}", 1, made_us, made_us)
        if priority is Priority.A:
            _log.error("outbox full: a message of class A was dropped", kind=kind, why=why)
        return True

    def _drop_aged(self, priority: Priority, bound: Bound) -> None:
        old = (int(priority), self._up_s() - int(bound.days * 86_400))
        where = "state = 0 AND class = ? AND up_s < ? AND receipt IS NULL AND kind <> 'gap'"
        sql = f"SELECT kind, COUNT(*), MIN(made_us), MAX(made_us) FROM message WHERE {where} GROUP BY kind"  # noqa: S608
        for kind, count, first_us, last_us in self.store.rows(sql, old):
            self._dropped(kind, f"older than {bound.days:g} days", count, first_us, last_us)
            _log.error("messages dropped for their age", kind=kind, count=count)
        self.store.run(f"DELETE FROM message WHERE {where}", old)  # noqa: S608 - constant text

    def _trim_kept(self) -> None:
        """Forget receipted rows beyond the bounds: the cloud has them, so nothing is lost."""
        self.store.run(
            "DELETE FROM message WHERE state = 1 AND up_s < ?", (self._up_s() - int(self._kept.days * 86_400),)
        )
        for priority in Priority:
            while self._excess(priority, RECEIPTED, self._kept):
                self.store.run(
                    "DELETE FROM message WHERE seq IN"
                    " (SELECT seq FROM message WHERE state = 1 AND class = ? ORDER BY rank DESC, seq LIMIT 16)",
                    (int(priority),),
                )

    def _shed(self) -> bool:
        """On a full disk give up the receipted rows, whose pages new rows then use; False where there is none."""
        try:
            with self.store.transaction():
                freed = self.store.run("DELETE FROM message WHERE state = 1")
        except StoreError:
            return False
        if freed:
            _log.error("disk full: receipted messages can no longer be sent again", rows=freed)
        return freed > 0

    def _dropped(self, what: str, why: str, count: int, first_us: int, last_us: int) -> None:
        self._note(what, why, count, first_us, last_us)
        self.store.run(
            "INSERT INTO fact VALUES ('dropped', ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (count,),
        )

    def _note(self, what: str, why: str, count: int, first_us: int, last_us: int) -> None:
        self.store.run(
            "INSERT INTO ledger VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (what, why) DO UPDATE SET count = count + excluded.count,"
            " first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us)",
            (what, why, count, first_us, last_us),
        )

    def _write_gaps(self) -> None:
        """Turn the ledger into Gap messages, unless some still wait: so a long outage makes few of them."""
        if self.store.one("SELECT 1 FROM message WHERE state = 0 AND kind = 'gap' LIMIT 1"):
            return
        entries = self.store.rows("SELECT what, why, count, first_us, last_us FROM ledger")
        for entry in entries:
            self._insert(_gap(*entry), WAITING, Priority.A)
        self.store.run("DELETE FROM ledger")

    def _revive(self, where: str, parameters: tuple[object, ...]) -> int:
        names = "seq, id, kind, class, rank, state, made_us, up_s, size, body"
        values = "seq, id, kind, class, class, 0, made_us, ?, length(body), body"
        sql = f"INSERT INTO message ({names}) SELECT {values} FROM dead WHERE {where}"  # noqa: S608 - our own text
        self.store.run(sql, (self._up_s(), *parameters))
        return self.store.run(f"DELETE FROM dead WHERE {where}", parameters)  # noqa: S608 - our own text

    def _report_damage(self, salvaged: int) -> None:
        """Put damage on record, and count on from the time in ms: the numbers given out before may be unreadable."""
        now = self.envelopes.clock.wall_us()
        with self.store.transaction():
            self._set_seq(max(self._last_seq(), now // 1000))
            self._note(
                "outbox", f"file damaged, {salvaged} rows saved, the rest kept aside on the gateway", 1, now, now
            )
            self._write_gaps()

    def _set_seq(self, seq: int) -> None:
        if not self.store.run("UPDATE sqlite_sequence SET seq = ? WHERE name = 'message'", (seq,)):
            self.store.run("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', ?)", (seq,))

    def _wake(self) -> None:
        for listener in self._listeners:
            listener()


def _gap(what: str, why: str, count: int, first_us: int, last_us: int) -> Callable[[wire.Envelope], wire.Gap]:
    return lambda env: wire.Gap(env=env, what=what, why=why, count=count, first_us=first_us, last_us=last_us)
