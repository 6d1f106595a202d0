"""Messages that wait for the cloud's receipt, on disk, in priority classes, bounded, with every loss on record.

A row is released only by a receipt (ingest's database has committed) and then kept for resending. Calls are
synchronous and thread-safe and return after the commit; `Outbox.call` runs one in the outbox's own thread for asyncio.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from uuid import UUID

import msgspec
import structlog
from feldsher_ehr_core import wire

from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Outbox as Bounds
from feldsher_edge.ledger import Ledger, Loss
from feldsher_edge.room import AGAIN, HELD, RECEIPTED, WAITING, Priority, Room
from feldsher_edge.store import Store, StoreError

_log = structlog.get_logger("outbox")
_P = ParamSpec("_P")
_T = TypeVar("_T")

_CLASS = {
    "gap": Priority.ALARM,
    "clock": Priority.ALARM,
    "ecg": Priority.ECG,
    "order": Priority.ECG,  # in its order with the recording: what is taken arrives before the word that it is
    "vitals": Priority.VITALS,
}
_ROW = "SELECT seq, id, kind, rank, size, up_s FROM message WHERE state = 0 AND "
_OLDEST, _NEWEST = "rank, up_s, seq", "rank DESC, up_s DESC, seq DESC"


@dataclass(frozen=True, slots=True)
class Row:
    """A message that waits: what the publisher needs to choose it.

    `rank`: its class, plus 10 where sent again; `historical`: it waited for long, or through a start of the machine.
    """

    seq: int
    id: UUID
    kind: str
    rank: int
    size: int
    historical: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A message that is stored but not yet to be sent, with its number and id."""

    seq: int
    id: UUID
    message: wire.UpMessage


@dataclass(frozen=True, slots=True)
class Counts:
    """What the outbox holds. `waiting`: rows per class; `oldest_us`: when the oldest waiting message was made.

    `dropped` messages and `thinned` readings: in all its life.
    """

    waiting: tuple[int, int, int, int]
    waiting_bytes: int
    held: int
    kept: int
    dead: int
    dropped: int
    thinned: int
    oldest_us: int | None


class Outbox:
    """The outbox in `store`; `envelopes` gives ids and times, `bounds` the limits of each class."""

    def __init__(self, store: Store, envelopes: Envelopes, bounds: Bounds | None = None) -> None:
        bounds = bounds or Bounds()
        self.store = store
        self.envelopes = envelopes
        self._history_after_s = int(bounds.history_after_s)
        self._listeners: list[Callable[[], None]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._ledger = Ledger(store)
        self._room = Room(store, self._ledger, bounds, self.up_s, envelopes.new_id)
        row = store.one("SELECT COALESCE(MAX(up_s), 0) FROM message")
        self._up_base = int(row[0]) + 1 if row else 1
        self._mono_base = envelopes.clock.mono_ns()
        self._live_from = self._up_base if self._other_boot() else 0
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

    def release(self, seq: int, message: wire.UpMessage | None = None, priority: Priority | None = None) -> None:
        """Let a held message be sent, with `message` (same envelope) and `priority` in place of its own where given."""
        with self.store.transaction():
            if priority is not None:
                sql = "UPDATE message SET class = ?, rank = ? WHERE seq = ?"
                self.store.run(sql, (int(priority), int(priority), seq))
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
        """Return up to `limit` waiting messages in the order in which they are to be sent.

        Alarms first, then what is new by class, then history, then what is sent again on request. Of history vital
        signs go first, the newest before the others: which of them is an alarm only the cloud knows, and all of a
        day's are smaller than one cardiogram, whose alarms the gateway has found.
        """
        since = max(self.up_s() - self._history_after_s, self._live_from)
        rows: list[Row] = []
        new = [("rank = ? AND up_s >= ?", (int(p), 0 if p is Priority.ALARM else since), _OLDEST) for p in Priority]
        old = [
            ("rank = ? AND up_s < ?", (int(p), since), _NEWEST if p is Priority.VITALS else _OLDEST)
            for p in (Priority.VITALS, Priority.ECG, Priority.CONTINUOUS)
        ]
        for where, parameters, order in (*new, *old, ("rank >= ? AND up_s >= ?", (AGAIN, 0), _OLDEST)):
            if len(rows) >= limit:
                break
            sql = f"{_ROW}{where} ORDER BY {order} LIMIT ?"
            for seq, id_, kind, rank, size, up_s in self.store.rows(sql, (*parameters, limit - len(rows))):
                rows.append(Row(seq, UUID(bytes=id_), kind, rank, size, rank >= AGAIN or up_s < since))
        return rows

    def body(self, seq: int, *, historical: bool = False) -> bytes | None:
        """Return the bytes of a waiting message, None where it was receipted or dropped meanwhile.

        `historical`: it may be old, and is marked so if that is certain: an alarm is never played down by mistake.
        """
        row = self.store.one("SELECT body FROM message WHERE seq = ? AND state = 0", (seq,))
        if row is None or not historical:
            return None if row is None else bytes(row[0])
        message = wire.decode_up(row[0])
        old = self.envelopes.age_s(message.env) > self._history_after_s
        return wire.encode(msgspec.structs.replace(message, historical=True)) if old else bytes(row[0])

    def receipt(self, ids: Iterable[UUID], states: Iterable[wire.ReceiptState]) -> int:
        """Release messages by the cloud's receipt and return how many waited; unknown ids are ignored."""
        known = list(zip(ids, states, strict=True))
        return self.store.spare(lambda: self._release(known))

    def _release(self, known: list[tuple[UUID, wire.ReceiptState]]) -> int:
        released = 0
        with self.store.transaction():
            for id_, state in known:
                released += self.store.run(
                    "UPDATE message SET state = 1, rank = class, receipt = ?, up_s = ? WHERE id = ? AND state = 0",
                    (state[0], self.up_s(), id_.bytes),
                )
            self._room.trim_kept()
            self._write_gaps()
        return released

    def resend(self, since_us: int, until_us: int | None = None) -> int:
        """Mark receipted messages and dead letters made in a span of wall time (end excluded) as waiting again."""
        until_us = until_us if until_us is not None else 1 << 62
        with self.store.transaction():
            count = self.store.run(
                "UPDATE message SET state = 0, rank = class + ? WHERE state = 1 AND made_us >= ? AND made_us < ?",
                (AGAIN, since_us, until_us),
            )
            count += self._revive("made_us >= ? AND made_us < ?", (since_us, until_us))
        self._wake()
        return count

    def bury(self, seq: int, reason: str) -> None:
        """Move a waiting message that the broker refused to the dead letters, and put that on record."""
        with self.store.transaction():
            row = self.store.one(
                "SELECT kind, made_us, device, readings FROM message WHERE seq = ? AND state = 0", (seq,)
            )
            if row is None:
                return
            self.store.run(
                "INSERT INTO dead SELECT seq, id, kind, class, made_us, ?, body, device, readings"
                " FROM message WHERE seq = ?",
                (reason, seq),
            )
            self.store.run("DELETE FROM message WHERE seq = ?", (seq,))
            kind, made_us, device, readings = row
            if kind != "gap":  # a refused gap record must not make another
                why = f"refused by the broker: {reason}"
                self._ledger.note(Loss(kind, why, 1, made_us, made_us, device, readings))
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

    def fact(self, name: str) -> bytes | None:
        """Return a small fact that is kept beside the messages."""
        row = self.store.one("SELECT value FROM fact WHERE name = ?", (name,))
        return None if row is None else bytes(row[0])

    def set_fact(self, name: str, value: bytes) -> None:
        """Keep a small fact; it is committed when this returns, or with the transaction around it."""
        self.store.run("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def counts(self) -> Counts:
        """Return what the outbox holds."""
        tally = {(c, s): (rows, size) for c, s, rows, size in self.store.rows("SELECT * FROM tally")}
        oldest = self.store.one("SELECT MIN(made_us) FROM message WHERE state = 0")
        dead = self.store.one("SELECT COUNT(*) FROM dead")
        a, b, c, d = (tally.get((int(p), WAITING), (0, 0))[0] for p in Priority)
        return Counts(
            waiting=(a, b, c, d),
            waiting_bytes=sum(size for (_, s), (_, size) in tally.items() if s == WAITING),
            held=sum(rows for (_, s), (rows, _) in tally.items() if s == HELD),
            kept=sum(rows for (_, s), (rows, _) in tally.items() if s == RECEIPTED),
            dead=int(dead[0]) if dead else 0,
            dropped=self._ledger.total("dropped"),
            thinned=self._ledger.total("thinned"),
            oldest_us=oldest[0] if oldest else None,
        )

    def _add(self, make: Callable[[wire.Envelope], wire.UpMessage], state: int, priority: Priority | None) -> Held:
        while True:
            try:
                with self.store.transaction():
                    held = self._insert(make, state, priority)
                    self._room.enforce(_class(held.message) if priority is None else priority)
                    self._write_gaps()
                return held
            except StoreError as error:
                if error.errno != errno.ENOSPC or not self._room.shed():  # only a full disk gains by it
                    raise

    def _insert(self, make: Callable[[wire.Envelope], wire.UpMessage], state: int, priority: Priority | None) -> Held:
        envelope = self.envelopes.make(self._last_seq() + 1)
        message = make(envelope)
        kind = str(message.__struct_config__.tag)
        body = wire.encode(message)
        device = getattr(message, "device", None)
        readings = len(set(message.reading)) if isinstance(message, wire.VitalsBatch) else 0
        rank = int(_class(message) if priority is None else priority)
        made_us, size = envelope.wall_us, len(body)
        self.store.run(
            "INSERT INTO message"
            " (seq, id, kind, class, rank, state, made_us, up_s, size, body, device, readings, receipt)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '-')",
            (envelope.seq, envelope.id.bytes, kind, rank, rank, state, made_us, self.up_s(), size, body,
             device, readings),
        )  # fmt: skip
        return Held(envelope.seq, envelope.id, message)

    def _last_seq(self) -> int:
        row = self.store.one("SELECT seq FROM sqlite_sequence WHERE name = 'message'")
        return int(row[0]) if row else 0

    def up_s(self) -> int:
        """Return the seconds this gateway has run, over all its starts; time off does not count, nor do clock jumps."""
        return self._up_base + (self.envelopes.clock.mono_ns() - self._mono_base) // 1_000_000_000

    def _write_gaps(self) -> None:
        """Turn the ledger into Gap messages, unless some still wait: so a long outage makes few of them."""
        if self.store.one("SELECT 1 FROM message WHERE state = 0 AND rank IN (0, 10) AND kind = 'gap' LIMIT 1"):
            return
        for loss in self._ledger.take():
            self._insert(_gap(loss), WAITING, Priority.ALARM)

    def _revive(self, where: str, parameters: tuple[object, ...]) -> int:
        names = "seq, id, kind, class, rank, state, made_us, up_s, size, body, device, readings, receipt"
        values = "seq, id, kind, class, class, 0, made_us, ?, length(body), body, device, readings, '-'"
        sql = f"INSERT INTO message ({names}) SELECT {values} FROM dead WHERE {where}"  # noqa: S608 - our own text
        self.store.run(sql, (self.up_s(), *parameters))
        return self.store.run(f"DELETE FROM dead WHERE {where}", parameters)  # noqa: S608 - our own text

    def _report_damage(self, salvaged: int) -> None:
        """Put damage on record, and count on from the time in ms: the numbers given out before may be unreadable."""
        now = self.envelopes.clock.wall_us()
        with self.store.transaction():
            self._set_seq(max(self._last_seq(), now // 1000))
            why = f"file damaged, {salvaged} rows saved, the rest kept aside on the gateway"
            self._ledger.note(Loss("outbox", why, 1, now, now))
            self._write_gaps()

    def _other_boot(self) -> bool:
        """Return whether the machine was started anew since the last time: nobody knows for how long it was off."""
        boot = self.envelopes.clock.boot().bytes
        known = self.fact("boot")
        if known != boot:
            self.set_fact("boot", boot)
        return known not in (None, boot)

    def _set_seq(self, seq: int) -> None:
        if not self.store.run("UPDATE sqlite_sequence SET seq = ? WHERE name = 'message'", (seq,)):
            self.store.run("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', ?)", (seq,))

    def _wake(self) -> None:
        for listener in self._listeners:
            listener()


def _class(message: wire.UpMessage) -> Priority:
    if isinstance(message, wire.VitalsBatch) and message.continuous:
        return Priority.CONTINUOUS
    return _CLASS.get(str(message.__struct_config__.tag), Priority.CONTINUOUS)


def _gap(loss: Loss) -> Callable[[wire.Envelope], wire.Gap]:
    return lambda env: wire.Gap(
        env=env,
        what=loss.what,
        why=loss.why,
        count=loss.count,
        first_us=loss.first_us,
        last_us=loss.last_us,
        device=loss.device,
        readings=loss.readings,
    )
