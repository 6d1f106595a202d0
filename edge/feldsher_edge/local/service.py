"""The gateway's side of its local socket: test recordings, critical ECGs and their pictures, last readings, live strip.

Only whoever may read the state directory reaches it: the gateway's own user, and root. Nothing here names a person.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog
from feldsher_ehr_core.ecg import Interpretation
from feldsher_signal.record import MISSING, Recording

from feldsher_edge.devices import Cardiograph, DeviceError, EcgResult, LiveChunk
from feldsher_edge.interpreter import NotInterpreted
from feldsher_edge.local import recent
from feldsher_edge.local.client import SOCKET
from feldsher_edge.local.words import (
    Drawn,
    Ecgs,
    Fault,
    Judged,
    LeadSignal,
    LiveStrip,
    Picture,
    Piece,
    Question,
    Readings,
    TrialRecording,
)  # fmt: skip
from feldsher_edge.outbox import Outbox
from feldsher_edge.status import listening

_log = structlog.get_logger("local")
_MOST_SECONDS = 20.0
_PIECES = 50
"""Pieces that wait for a slow reader of the live strip; it then misses the oldest."""
_ASK_S = 10.0

Draw = Callable[[Recording, Interpretation | None], Awaitable[str]]


@dataclass(slots=True)
class LocalService:
    """Answers questions about one gateway. `draw`: makes an SVG of a recording, None where nothing interprets here."""

    outbox: Outbox
    cardiographs: Sequence[Cardiograph]
    draw: Draw | None
    _watchers: set[asyncio.Queue[Piece]] = field(default_factory=set[asyncio.Queue[Piece]])

    def show(self, chunk: LiveChunk) -> None:
        """Hand a piece of a running recording to whoever looks on; nothing is stored, nothing waits."""
        if not self._watchers:
            return
        piece = piece_of(chunk)
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(piece)

    async def serve(self, state: Path) -> None:
        """Answer at the socket of a state directory, until cancelled."""
        server = await listening(state, SOCKET, self._answer)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ASK_S):
                line = await reader.readline()
            question: Question = msgspec.json.decode(line, type=Question)
            if isinstance(question, LiveStrip):
                await self._stream(reader, writer)
            else:
                writer.write(msgspec.json.encode(await self._find(question)))
                await writer.drain()
        except (msgspec.DecodeError, TimeoutError, ValueError) as error:
            writer.write(msgspec.json.encode(Fault(f"not understood: {error}")))
        except (ConnectionError, BrokenPipeError):
            return
        finally:
            writer.close()

    async def _find(self, question: Question) -> Any:
        try:
            if isinstance(question, TrialRecording):
                return await self._test(question)
            if isinstance(question, Ecgs):
                return await self.outbox.call(recent.critical, self.outbox)
            if isinstance(question, Readings):
                return await self.outbox.call(recent.readings, self.outbox)
            if isinstance(question, Picture):
                return await self._picture(question.seq)
        except (DeviceError, NotInterpreted, OSError) as error:
            return Fault(str(error))
        raise TypeError(f"not asked this way: {type(question).__name__}")

    async def _test(self, question: TrialRecording) -> Judged | Fault:
        one = next((it for it in self.cardiographs if it.device == question.device), None)
        if one is None:
            known = ", ".join(it.device for it in self.cardiographs) or "none"
            return Fault(f"no cardiograph is called {question.device!r}; there are: {known}")
        if not 0 < question.seconds <= _MOST_SECONDS:
            return Fault(f"a test recording takes more than 0 and at most {_MOST_SECONDS:.0f} s")
        return judgement(await one.record(question.seconds))

    async def _picture(self, seq: int) -> Drawn | Fault:
        if self.draw is None:
            return Fault("interpretation is switched off on this gateway, and pictures with it")
        message = await self.outbox.call(recent.ecg, self.outbox, seq)
        if message is None:
            return Fault(f"no ECG has the number {seq}")
        return Drawn(await self.draw(recent.recording(message), message.interpretation))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[Piece] = asyncio.Queue(_PIECES)
        self._watchers.add(queue)
        gone = asyncio.create_task(reader.read(1))
        try:
            while not gone.done():
                following = asyncio.create_task(queue.get())
                await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    continue
                writer.write(msgspec.json.encode(following.result()) + b"\n")
                await writer.drain()
        finally:
            self._watchers.discard(queue)
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await gone


def judgement(result: EcgResult) -> Judged:
    """Return what a test recording says of its leads."""
    missing = result.samples == MISSING
    n = max(1, result.samples.shape[1])
    leads: list[LeadSignal] = []
    for i, lead in enumerate(result.leads):
        there = result.samples[i][~missing[i]]
        spread = float(int(there.max()) - int(there.min())) * result.uv_per_bit[i] if there.size else 0.0
        part = float(missing[i].sum()) / n
        leads.append(LeadSignal(lead, round(spread, 1), round(part, 4), lead in result.lead_off))
    seconds = round(result.samples.shape[1] / result.fs, 3)
    return Judged(
        result.device, seconds, result.lost, result.crc_errors, result.clock_ratio, result.partial, tuple(leads)
    )


def piece_of(chunk: LiveChunk) -> Piece:
    """Return a piece in whole microvolts."""
    scaled = np.rint(chunk.samples * np.asarray(chunk.uv_per_bit)[:, None]).astype(np.int64)
    gone = chunk.samples == MISSING
    rows = tuple(
        tuple(None if lost else int(value) for value, lost in zip(row, holes, strict=True))
        for row, holes in zip(scaled, gone, strict=True)
    )
    return Piece(chunk.device, chunk.fs, chunk.leads, chunk.first, rows)
