"""Orders of ECGs on the gateway: armed, recorded, lapsed, replaced; on disk, so that a restart changes nothing.

Each change of state commits together with the message that tells the cloud. An order is known by its id: repeats of its
command are harmless, also after it was done. Calls are synchronous; asyncio runs them through `Outbox.call`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

import msgspec
import structlog
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject
from feldsher_ehr_core.ids import order_tail

from feldsher_edge.outbox import Outbox

_log = structlog.get_logger("orders")
SECONDS = (1.0, 60.0)
"""Shortest and longest recording that one message carries."""
_CLOSED_KEPT = 10_000
_CART_LAPSE_NS = 31 * 86_400 * 1_000_000_000
_OPEN = "('armed', 'recording')"


@dataclass(frozen=True, slots=True)
class Order:
    """An open order."""

    id: UUID
    device: str
    seconds: float
    subject: Subject
    state: wire.OrderStateName


class Orders:
    """The orders in the outbox's database. `devices`: cardiographs of this gateway; `lapse_s`: longest validity.

    `carts`: cardiographs that are asked for nothing and bring what they have: they may have many orders at once, which
    last as long as the cloud says, up to a month.
    """

    def __init__(self, outbox: Outbox, devices: Collection[str], lapse_s: float, carts: Collection[str] = ()) -> None:
        self._outbox = outbox
        self._store = outbox.store
        self._clock = outbox.envelopes.clock
        self._devices = devices
        self._lapse_ns = int(lapse_s * 1e9)
        self._carts = carts
        self._listeners: list[Callable[[], None]] = []

    def on_armed(self, listener: Callable[[], None]) -> None:
        """Call `listener` (from any thread) whenever an order was armed or given up."""
        self._listeners.append(listener)

    def command(self, command: wire.OrderCommand) -> None:
        """Act on an order command: arm, refuse or cancel; a repeat changes nothing."""
        with self._store.transaction():
            known = self._store.one("SELECT state FROM orders WHERE id = ?", (command.order.bytes,))
            if command.action == "cancel":
                self._cancel(command, None if known is None else known[0])
            elif known is None:
                self._accept(command)
        for listener in self._listeners:
            listener()

    def next(self, device: str) -> Order | None:
        """Return the order armed for a device, after giving up what is due."""
        self.lapse_due()
        row = self._store.one(
            "SELECT id, command, state FROM orders WHERE device = ? AND state = 'armed' ORDER BY arrived_us LIMIT 1",
            (device,),
        )
        return None if row is None else _order(*row)

    def open(self) -> list[Order]:
        """Return all orders that are armed or being recorded."""
        sql = f"SELECT id, command, state FROM orders WHERE state IN {_OPEN}"  # noqa: S608 - constant text
        return [_order(*row) for row in self._store.rows(sql)]

    def numbered(self, number: str) -> list[Order]:
        """Return the orders of a number (feldsher_ehr_core.ids), in whatever state; more than one is next to never."""
        sql = "SELECT id, command, state FROM orders WHERE substr(id, 12) = ?"
        return [_order(*row) for row in self._store.rows(sql, (order_tail(number),))]

    def started(self, order: UUID) -> None:
        """Note that the cardiograph was told to record."""
        self._change(order, "recording")

    def rearm(self, order: UUID, detail: str) -> None:
        """Note that recording could not start: the order stays armed until it lapses, and the cloud need not know."""
        self._store.run(
            "UPDATE orders SET state = 'armed', detail = ? WHERE id = ? AND state = 'recording'", (detail, order.bytes)
        )

    def taken(self, order: UUID) -> None:
        """Note that the recording is stored; inside the transaction that lets it be sent."""
        self._change(order, "taken")

    def failed(self, order: UUID, detail: str) -> None:
        """Note that the order cannot be carried out."""
        self._change(order, "failed", detail)

    def lapse_due(self) -> None:
        """Give up armed orders whose time has passed; monotonic within one boot, by wall time after another."""
        boot, mono_ns, wall_us = self._clock.boot().bytes, self._clock.mono_ns(), self._clock.wall_us()
        due = self._store.rows(
            "SELECT id, detail FROM orders WHERE state = 'armed'"
            " AND ((boot = ? AND lapses_mono_ns <= ?) OR (boot <> ? AND lapses_us <= ?))",
            (boot, mono_ns, boot, wall_us),
        )
        for id_, detail in due:
            self._change(UUID(bytes=id_), "lapsed", detail)

    def recover(self, recorded: Collection[UUID]) -> None:
        """After a start: what was being recorded and is not among the `recorded` that were saved is armed again."""
        for order in self.open():
            if order.state == "recording" and order.id not in recorded:
                self.rearm(order.id, "the gateway restarted")
                _log.warning("order armed again after a restart", order=str(order.id))

    def _accept(self, command: wire.OrderCommand) -> None:
        now_us = self._clock.wall_us()
        # an unsynchronised clock cannot judge the cloud's deadline: then only the validity counts
        start_us = command.sent_us if self._clock.quality() == "unsynced" else now_us
        longest_ns = _CART_LAPSE_NS if command.device in self._carts else self._lapse_ns
        left_ns = min(longest_ns, (command.lapses_us - start_us) * 1000)
        refusal = self._refusal(command)
        state: wire.OrderStateName = "refused" if refusal else "lapsed" if left_ns <= 0 else "armed"
        if state == "armed" and command.device not in self._carts:
            self._replace(command.device)
        self._store.run(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                command.order.bytes,
                command.device,
                wire.encode(command),
                state,
                refusal,
                now_us,
                now_us + left_ns // 1000,
                self._clock.boot().bytes,
                self._clock.mono_ns() + left_ns,
            ),
        )
        self._tell(command.order, state, refusal)
        self._forget_old()

    def _refusal(self, command: wire.OrderCommand) -> str | None:
        if command.device not in self._devices and command.device not in self._carts:
            return f"no cardiograph {command.device!r} on this gateway"
        low, high = SECONDS
        if not low <= command.seconds <= high:
            return f"seconds: {command.seconds:g} is not {low:g} to {high:g}"
        return None

    def _replace(self, device: str) -> None:
        for (id_,) in self._store.rows("SELECT id FROM orders WHERE device = ? AND state = 'armed'", (device,)):
            self._change(UUID(bytes=id_), "replaced")

    def _cancel(self, command: wire.OrderCommand, known: str | None) -> None:
        if known is None:  # the cancellation overtook the order, which must then not be armed
            wall_us = self._clock.wall_us()
            self._store.run(
                "INSERT INTO orders VALUES (?, ?, ?, 'lapsed', 'cancelled', ?, ?, ?, ?)",
                (
                    command.order.bytes,
                    command.device,
                    wire.encode(command),
                    wall_us,
                    wall_us,
                    self._clock.boot().bytes,
                    self._clock.mono_ns(),
                ),
            )
            self._tell(command.order, "lapsed", "cancelled")
        elif known == "armed":
            self._change(command.order, "lapsed", "cancelled")

    def _change(self, order: UUID, state: wire.OrderStateName, detail: str | None = None) -> None:
        with self._store.transaction():
            sql = f"UPDATE orders SET state = ?, detail = ? WHERE id = ? AND state IN {_OPEN} AND state <> ?"  # noqa: S608
            if self._store.run(sql, (state, detail, order.bytes, state)):
                self._tell(order, state, detail)

    def _tell(self, order: UUID, state: wire.OrderStateName, detail: str | None) -> None:
        self._outbox.put(lambda env: wire.OrderState(env=env, order=order, state=state, detail=detail))
        _log.info("order", order=str(order), state=state, detail=detail)

    def _forget_old(self) -> None:
        self._store.run(
            f"DELETE FROM orders WHERE state NOT IN {_OPEN} AND id NOT IN"  # noqa: S608 - constant text
            " (SELECT id FROM orders ORDER BY arrived_us DESC LIMIT ?)",
            (_CLOSED_KEPT,),
        )


def _order(id_: bytes, command: bytes, state: wire.OrderStateName) -> Order:
    stored = msgspec.msgpack.decode(command, type=wire.OrderCommand)
    return Order(UUID(bytes=id_), stored.device, stored.seconds, stored.subject, state)
