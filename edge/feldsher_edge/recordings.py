"""A recording's way from the cardiograph into the outbox: first to disk, then interpreted, then on its way.

The recording is committed as `held` while the child interprets it; a power cut in between leaves it on disk, and the
next start interprets and sends it. Commit and interpretation run at the same time, so that waiting costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec, Protocol, TypeVar
from uuid import UUID

import msgspec
import structlog
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation, Subject
from feldsher_signal import codec
from feldsher_signal.record import Recording

from feldsher_edge.devices import EcgResult
from feldsher_edge.interpreter import NotInterpreted
from feldsher_edge.orders import Order, Orders
from feldsher_edge.outbox import Held, Outbox
from feldsher_edge.room import Priority
from feldsher_edge.store import StoreError

_log = structlog.get_logger("recordings")
_P = ParamSpec("_P")
_T = TypeVar("_T")
_CUT_OFF = "the interpretation was cut off"
_PIECE = "a piece of a continuous recording"
_TOO_LARGE = "the interpretation does not fit the message"
_RETRY_S = 2.0
_ATTEMPTS = 5
UNASSIGNED = Subject()


class Engine(Protocol):
    """Interprets a recording, or says why it cannot."""

    async def interpret(self, recording: Recording, subject: Subject) -> Interpretation:
        """Return the interpretation; NotInterpreted carries the reason."""
        ...


class Recordings:
    """Takes recordings in; `engine` None publishes them as `not_interpreted`."""

    def __init__(self, outbox: Outbox, orders: Orders, engine: Engine | None) -> None:
        self._outbox = outbox
        self._orders = orders
        self._engine = engine
        self._running: set[asyncio.Task[None]] = set()

    async def take(self, result: EcgResult, order: Order | None) -> None:
        """Commit, interpret and release a recording; returns when it waits for the publisher."""
        subject = UNASSIGNED if order is None else order.subject
        holding = self._patiently(self.hold, result, order)
        interpreting = self._interpret(_recording(result), subject)
        held, opinion = await asyncio.gather(holding, interpreting)
        if len(held) == 1:
            await self._finish(held[0], opinion)
        else:  # the recording had to be divided: each part has its own interpretation
            for part in held:
                await self._interpret_held(part)

    def keep(self, result: EcgResult) -> None:
        """Commit a recording without an order before returning; interpretation and release follow by themselves.

        A piece of a continuous recording is on its way at once: nothing is said of ten seconds of it.
        """
        if result.stream is not None:
            self._outbox.put(message_maker(result, None), Priority.CONTINUOUS)
            return
        for held in self.hold(result, None):
            self.follow(held)

    def hold(self, result: EcgResult, order: Order | None) -> list[Held]:
        """Commit a recording as held, in parts where it is larger than a message may be."""
        try:
            return [self._outbox.hold(message_maker(result, order))]
        except wire.WireError:
            if result.samples.shape[1] < 2:
                raise
            first, second = _halves(result)
            _log.warning("recording divided: larger than a message", device=result.device)
            return self.hold(first, order) + self.hold(second, order)

    async def _patiently(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Commit; while the disk is full or fails, keep the recording in memory and try again."""
        while True:
            try:
                return await self._outbox.call(function, *args, **kwargs)
            except StoreError as error:
                _log.error("recording not yet stored", error=str(error))
                await asyncio.sleep(_RETRY_S)

    async def resume(self) -> None:
        """After a start: interpret and release what a crash or power cut left behind."""
        for held in await self._patiently(self._outbox.held):
            _log.warning("a recording is taken up again after a restart", seq=held.seq)
            await self._see_through(held)

    def follow(self, held: Held) -> None:
        """Interpret and release a held recording by itself; in the event loop's thread."""
        task = asyncio.get_running_loop().create_task(self._see_through(held))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _see_through(self, held: Held) -> None:
        """Interpret and release, again where that fails; what fails every time stays held for the next start."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._interpret_held(held)
            except Exception:  # one recording takes neither the gateway nor the other recordings along
                _log.exception("recording not released", seq=held.seq, attempt=attempt)
                await asyncio.sleep(_RETRY_S)
            else:
                return
        _log.error("recording stays held until the next start", seq=held.seq)

    async def _interpret_held(self, held: Held) -> None:
        message = held.message
        if not isinstance(message, wire.EcgRecording):
            await self._outbox.call(self._outbox.release, held.seq)
            return
        samples = codec.decode(message.samples, len(message.leads), message.n, message.codec)
        recording = Recording(message.leads, message.fs, samples, message.uv_per_bit)
        await self._finish(held, await self._interpret(recording, message.subject or UNASSIGNED))

    async def _interpret(self, recording: Recording, subject: Subject) -> Interpretation | str:
        if self._engine is None:
            return "interpretation is switched off on this gateway"
        try:
            return await self._engine.interpret(recording, subject)
        except NotInterpreted as reason:
            _log.warning("recording not interpreted", reason=str(reason))
            return str(reason)
        except Exception as error:  # whatever an engine does, the recording goes out
            _log.exception("interpreter failed")
            return f"the interpreter failed: {type(error).__name__}"

    async def _finish(self, held: Held, opinion: Interpretation | str) -> None:
        await self._patiently(self._release, held, opinion)

    def _release(self, held: Held, opinion: Interpretation | str) -> None:
        """Release a recording with its interpretation and mark its order as taken, in one transaction."""
        message = held.message
        if not isinstance(message, wire.EcgRecording):
            raise TypeError(f"not a recording: {type(message).__name__}")
        with self._outbox.store.transaction():
            priority = Priority.ALARM if _critical(opinion) else None
            try:
                self._outbox.release(held.seq, _with_opinion(message, opinion), priority)
            except wire.WireError:
                self._outbox.release(held.seq, _with_opinion(message, _TOO_LARGE), priority)
            if message.order is not None:
                self._orders.taken(message.order)


def message_maker(result: EcgResult, order: Order | None) -> Callable[[wire.Envelope], wire.EcgRecording]:
    """Return what builds the message of a recording around its envelope; coding happens once, here."""
    samples = codec.encode(result.samples)
    digest = codec.sha256(result.samples)
    order_id: UUID | None = None if order is None else order.id
    return lambda env: wire.EcgRecording(
        env=env,
        device=result.device,
        order=order_id,
        fs=result.fs,
        leads=result.leads,
        uv_per_bit=result.uv_per_bit,
        n=int(result.samples.shape[1]),
        codec=codec.ZDB32,
        samples=samples,
        sha256=digest,
        started_us=result.started_us,
        ended_us=result.ended_us,
        lost=result.lost,
        crc_errors=result.crc_errors,
        clock_ratio=result.clock_ratio,
        partial=result.partial,
        lead_off=result.lead_off,
        subject=result.subject if order is None else order.subject,
        not_interpreted=_CUT_OFF if result.stream is None else _PIECE,
        origin=result.origin,
        stream=result.stream,
        part=result.part,
    )


def _critical(opinion: Interpretation | str) -> bool:
    return not isinstance(opinion, str) and any(statement.critical for statement in opinion.statements)


def _with_opinion(message: wire.EcgRecording, opinion: Interpretation | str) -> wire.EcgRecording:
    if isinstance(opinion, str):
        return msgspec.structs.replace(message, interpretation=None, not_interpreted=opinion)
    return msgspec.structs.replace(message, interpretation=opinion, not_interpreted=None)


def _recording(result: EcgResult) -> Recording:
    return Recording(result.leads, result.fs, result.samples, result.uv_per_bit)


def _halves(result: EcgResult) -> tuple[EcgResult, EcgResult]:
    middle = result.samples.shape[1] // 2
    at_us = result.started_us + (result.ended_us - result.started_us) // 2
    why = result.partial or "a part of a recording larger than a message"
    first = replace(result, samples=result.samples[:, :middle], ended_us=at_us, partial=why)
    return first, replace(
        result, samples=result.samples[:, middle:], started_us=at_us, partial=why, lost=0, crc_errors=0
    )
