"""Sends what waits in the outbox over MQTT 5, and releases it on the cloud's receipts only.

A PUBACK says that a broker has the message in memory; a killed broker loses it (research/ingest.md §4). So a message
stays in flight until its receipt, is sent again when none comes, and again after every reconnect. A message with which
the connection keeps ending (a broker or a radio that cannot take it) is sent alone and ever more rarely, behind others.
After an outage alarms go first, then what is new; history follows, readings first, at a rate that fills no slow line.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import aiomqtt
import structlog
from feldsher_ehr_core import wire
from paho.mqtt.reasoncodes import ReasonCode

from feldsher_edge.config import Mqtt
from feldsher_edge.link import REFUSALS, Broker, Link
from feldsher_edge.outbox import Outbox, Row
from feldsher_edge.pace import Backoff, Bucket, bulk_spread_s
from feldsher_edge.room import Priority
from feldsher_edge.store import StoreError
from feldsher_edge.watchdog import Pulses

_log = structlog.get_logger("publish")
_PACKET_OVERHEAD = 128
"""More than fixed header, topic and properties of our PUBLISH packets take."""
_LONGEST_RETRY_S = 300.0
_NO_PUBACK = 10
"""Without a PUBACK for this many receipt time-outs the connection is given up."""
_BEAT_S = 10.0
_CONNECTING_S = 120.0
_CROWDED_S = 9.0
"""A broker that was reached and did not greet us for so long has others to greet (aiomqtt gives up after 10 s)."""
_STRIKES = 3
_HISTORY_BYTES = 65_536
"""Most bytes of history under way at once (one message always may): on 64 kbit/s an alarm waits 8 s behind them."""
_TOO_LARGE = "Packet too large"
_NOT_AUTHORIZED = "Not authorized"
_SESSION_TAKEN_OVER = 0x8E
"""DISCONNECT's reason (MQTT 5 §3.14.2.1)."""

Make = Callable[[wire.Envelope], wire.UpMessage]


class DownHandler(Protocol):
    """Takes what the cloud sends, receipts excepted."""

    def __call__(self, message: wire.DownMessage) -> Awaitable[None]:
        """Act on a message; what it raises is logged, the connection lives on."""
        ...


@dataclass(slots=True)
class _Flight:
    """A message that was sent: at `deadline` (event loop's time) it is sent again, or the connection given up."""

    row: Row
    mid: int
    deadline: float
    acknowledged: bool = False


@dataclass(slots=True)
class Figures:
    """What the publisher has seen since the daemon's start, for status and metrics."""

    connected: bool = False
    connections: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    refused: int = 0
    repeated: int = 0
    malformed: int = 0
    taken_over: int = 0
    last_error: str | None = None
    last_receipt: float | None = None
    in_flight: int = 0


class Publisher:
    """Keeps the connection, empties the outbox. `handle` gets what comes down; `birth` is sent at each connection."""

    def __init__(
        self,
        outbox: Outbox,
        broker: Broker,
        settings: Mqtt,
        birth: Make,
        handle: DownHandler,
        rng: random.Random,
        pulses: Pulses,
    ) -> None:
        self.figures = Figures()
        self._outbox = outbox
        self._gateway = outbox.envelopes.gateway
        self._broker = broker
        self._settings = settings
        self._birth = birth
        self._handle = handle
        self._backoff = Backoff(settings.backoff_base_s, settings.backoff_cap_s, rng)
        self._history = Bucket(settings.history_per_s)
        self._history_due: float | None = None
        self._pulses = pulses
        self._wake = asyncio.Event()
        self._anew = asyncio.Event()
        self._flights: dict[UUID, _Flight] = {}
        self._by_mid: dict[int, _Flight] = {}
        self._times_sent: dict[UUID, int] = {}
        self._suspects: dict[UUID, tuple[int, float]] = {}
        self._refused: list[tuple[_Flight, str]] = []
        self._link: Link | None = None
        self._trying: Link | None = None
        self._rng = rng
        self._away_since = self._bulk_from = 0.0

    @property
    def address(self) -> str:
        """The broker's host and port."""
        return f"{self._broker.host}:{self._broker.port}"

    async def run(self) -> None:
        """Connect, send and receive, reconnect; until cancelled, which says good-bye to the broker."""
        loop = asyncio.get_running_loop()
        self._outbox.on_waiting(lambda: _wake_from_any_thread(loop, self._wake))
        self._away_since = loop.time()
        while True:
            since = loop.time()
            self._pulses.beat("publisher", _CONNECTING_S)
            try:
                await self._connection()
            except (aiomqtt.MqttError, OSError) as error:
                self.figures.last_error = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
                if _taken_over(error):
                    self.figures.taken_over += 1
                    _log.error("another program is connected with this gateway's identity: a copied disk?")
                _log.warning("connection to the broker failed", error=self.figures.last_error)
            self._strike()
            took_s = loop.time() - since
            if self.figures.connected:
                pause_s, self._away_since = self._backoff.next_s(took_s), loop.time()
            else:
                reached = self._trying is not None and self._trying.reached
                pause_s = self._backoff.next_s(0.0, crowded=reached and took_s >= _CROWDED_S)
            self.figures.connected = False
            self._link = None
            self._pulses.beat("publisher", pause_s + _CONNECTING_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._anew.wait()

    def reconnect(self) -> None:
        """End the present connection, or the wait for the next, and connect at once: the certificate was replaced."""
        self._anew.set()

    async def present(self, make: Make) -> None:
        """Send a message of this moment (heartbeat) past the outbox, if there is a connection; else it is moot."""
        if self._link is not None:
            message = make(self._outbox.envelopes.make(await self._seq()))
            with contextlib.suppress(aiomqtt.MqttError):
                self._link.send(self._topic(message), wire.encode(message))

    def show(self, make: Make) -> None:
        """Send a piece of the live strip, unnumbered; without a connection, or behind others, it is dropped."""
        if self._link is not None:
            message = make(self._outbox.envelopes.make(0))
            self._link.show(self._topic(message), wire.encode(message))

    async def _seq(self) -> int:
        try:
            return await self._outbox.call(self._outbox.take_seq)
        except StoreError as error:  # a full disk must not keep us from the receipts that will empty it
            _log.error("sequence number not stored", error=str(error))
            return 0

    def _topic(self, message: wire.UpMessage) -> str:
        return wire.up_topic(self._gateway, str(message.__struct_config__.tag))

    async def _connection(self) -> None:
        self._anew.clear()
        self._trying = None
        death = wire.Death(env=self._outbox.envelopes.make(await self._seq()), cause="will")
        will = aiomqtt.Will(self._topic(death), wire.encode(death), qos=1)
        loop = asyncio.get_running_loop()
        self._trying = Link(self._broker, self._gateway, self._settings.window, will, self._on_puback)
        async with self._trying as link:
            self._forget_flights()
            await link.subscribe(wire.down_topic(self._gateway, "+"), qos=1)
            self._bulk_from = loop.time() + self._rng.uniform(0, bulk_spread_s(loop.time() - self._away_since))
            self._link = link
            self.figures.connected = True
            self.figures.connections += 1
            _log.info("connected to the broker", host=self._broker.host, port=self._broker.port)
            await self.present(self._birth)
            await self._outbox.call(self._outbox.revive, _NOT_AUTHORIZED)
            try:
                await _first_to_end(self._receive(link), self._send(link), self._asked_anew())
            except asyncio.CancelledError:
                await self.present(lambda env: wire.Death(env=env, cause="stopping"))
                raise

    async def _asked_anew(self) -> None:
        await self._anew.wait()

    def _forget_flights(self) -> None:
        self._flights.clear()
        self._by_mid.clear()
        self._refused.clear()
        self._times_sent.clear()
        self.figures.in_flight = 0

    def _strike(self) -> None:
        """Note which messages were under way, unacknowledged, when the connection ended."""
        now = asyncio.get_running_loop().time()
        for id_ in [i for i, flight in self._flights.items() if not flight.acknowledged]:
            strikes = self._suspects[id_][0] + 1 if id_ in self._suspects else 1
            wait_s = min(_LONGEST_RETRY_S, self._settings.backoff_base_s * 2 ** max(0, strikes - _STRIKES))
            self._suspects[id_] = (strikes, now + wait_s)
            if strikes == _STRIKES:
                _log.error("the connection keeps ending with a message; it is sent alone from now on", id=str(id_))
        self._flights.clear()

    def _suspect(self, row: Row) -> bool:
        return self._suspects.get(row.id, (0, 0.0))[0] >= _STRIKES

    async def _send(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            await self._bury_refused()
            self._expire(loop.time())
            await self._fill(link)
            self.figures.in_flight = len(self._flights)
            self._pulses.beat("publisher", _CONNECTING_S)
            retries = [at for strikes, at in self._suspects.values() if strikes >= _STRIKES and not self._flights]
            deadlines = [flight.deadline for flight in self._flights.values()]
            if self._history_due is not None:
                deadlines.append(self._history_due)
            deadline = min([loop.time() + _BEAT_S, *deadlines, *(max(at, loop.time() + 0.1) for at in retries)])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()

    async def _fill(self, link: Link) -> None:
        window = self._settings.window
        if len(self._flights) >= window:
            return
        limit = window + len(self._flights) + len(self._suspects)
        rows = await self._outbox.call(self._outbox.waiting, limit)
        self._history_due = None
        for row in rows:
            # a quarter of the window stays free for new ECGs and alarms
            urgent = row.rank <= Priority.ECG and not row.historical
            room = window if urgent else window - window // 4
            if row.id in self._flights or len(self._flights) >= room or self._suspect(row):
                continue
            if row.historical and row.rank != Priority.ALARM and not self._may_send_history(row):
                break  # what follows is history too
            await self._send_row(link, row)
        if not self._flights:
            await self._send_suspect(link, rows)

    def _may_send_history(self, row: Row) -> bool:
        now = asyncio.get_running_loop().time()
        if row.rank != Priority.VITALS and now < self._bulk_from:
            self._history_due = self._bulk_from
            return False
        under_way = sum(f.row.size for f in self._flights.values() if f.row.historical)
        if under_way and under_way + row.size > _HISTORY_BYTES:
            return False  # a receipt will wake us
        if self._history.take(now):
            return True
        self._history_due = now + self._history.next_s()
        return False

    async def _send_suspect(self, link: Link, rows: Sequence[Row]) -> None:
        now = asyncio.get_running_loop().time()
        for row in rows:
            if self._suspect(row) and self._suspects[row.id][1] <= now:
                await self._send_row(link, row)
                return

    async def _send_row(self, link: Link, row: Row) -> None:
        body = await self._outbox.call(self._outbox.body, row.seq, historical=row.historical)
        if body is None:
            return
        if len(body) + _PACKET_OVERHEAD > link.largest:
            self.figures.refused += 1
            await self._outbox.call(self._outbox.bury, row.seq, _TOO_LARGE)
            return
        mid = link.send(wire.up_topic(self._gateway, row.kind), body)
        deadline = asyncio.get_running_loop().time() + self._settings.receipt_timeout_s * _NO_PUBACK
        flight = _Flight(row, mid, deadline)
        self._flights[row.id] = flight
        self._by_mid[mid] = flight
        self._times_sent[row.id] = self._times_sent.get(row.id, 0) + 1

    def _expire(self, now: float) -> None:
        """Take what got no receipt out of flight, so that it is sent again; without a PUBACK, give up the link."""
        for flight in [f for f in self._flights.values() if f.deadline <= now]:
            if not flight.acknowledged:
                raise aiomqtt.MqttError("the broker no longer acknowledges")
            self._land(flight)
            self.figures.repeated += 1

    def _land(self, flight: _Flight) -> None:
        self._flights.pop(flight.row.id, None)
        if self._by_mid.get(flight.mid) is flight:
            del self._by_mid[flight.mid]

    def _on_puback(self, mid: int, reason: ReasonCode) -> None:
        flight = self._by_mid.pop(mid, None)
        if flight is None:
            return
        if reason.is_failure and reason.value in REFUSALS:
            self._refused.append((flight, reason.getName()))
        else:
            flight.acknowledged = True
            self._suspects.pop(flight.row.id, None)
            patience_s = self._settings.receipt_timeout_s * 2 ** min(self._times_sent[flight.row.id] - 1, 16)
            flight.deadline = asyncio.get_running_loop().time() + min(patience_s, _LONGEST_RETRY_S)
        self._wake.set()

    async def _bury_refused(self) -> None:
        while self._refused:
            flight, reason = self._refused.pop(0)
            self.figures.refused += 1
            await self._outbox.call(self._outbox.bury, flight.row.seq, reason)
            self._land(flight)
            self._times_sent.pop(flight.row.id, None)

    async def _receive(self, link: Link) -> None:
        async for incoming in link.messages:
            try:
                message = wire.decode_down(bytes(incoming.payload))
            except wire.WireError as error:
                self.figures.malformed += 1
                _log.error("message from the cloud cannot be read", topic=str(incoming.topic), error=str(error))
                continue
            try:
                await self._take(message)
            except Exception:
                _log.exception(
                    "message from the cloud failed", kind=str(message.__struct_config__.tag), id=str(message.id)
                )

    async def _take(self, message: wire.DownMessage) -> None:
        if not isinstance(message, wire.Receipt):
            await self._handle(message)
            return
        await self._outbox.call(self._outbox.receipt, message.ids, message.states)
        for id_, state in zip(message.ids, message.states, strict=True):
            self._suspects.pop(id_, None)
            if (flight := self._flights.get(id_)) is not None:
                self._land(flight)
            self._times_sent.pop(id_, None)
            self._count(id_, state)
        self.figures.last_receipt = asyncio.get_running_loop().time()
        self._wake.set()

    def _count(self, id_: UUID, state: wire.ReceiptState) -> None:
        if state == "stored":
            self.figures.stored += 1
        elif state == "duplicate":
            self.figures.duplicate += 1
        else:
            self.figures.quarantined += 1
            _log.error("message quarantined by the cloud", id=str(id_))


def _taken_over(error: BaseException) -> bool:
    """Return whether the broker ended a connection because another client came with the same identity."""
    reason = getattr(error.__cause__, "rc", None)
    return isinstance(reason, ReasonCode) and reason.value == _SESSION_TAKEN_OVER


def _wake_from_any_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to wake
        loop.call_soon_threadsafe(event.set)


async def _first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, cancel the others, and raise what the first raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
