"""The live strip: a running recording for the eye, piece by piece, past the outbox; what finds no room is not sent.

Only the recording of an order leaves the gateway so: one that the device began by itself belongs to nobody yet, so
nobody in the cloud may see it. The gateway's own page sees both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from uuid import UUID

import structlog
from feldsher_ehr_core import wire
from feldsher_signal import codec

from feldsher_edge.devices import LiveChunk

_log = structlog.get_logger("strip")


class Strip:
    """Shows pieces of running recordings. `send`: hands a message of this moment to the line, or drops it.

    `onlooker`: who sees every piece here, in the event loop (the gateway's own page); it returns at once.
    """

    def __init__(self, send: Callable[[Callable[[wire.Envelope], wire.UpMessage]], None]) -> None:
        self._send = send
        self._orders: dict[str, UUID] = {}
        self.onlooker: Callable[[LiveChunk], None] | None = None

    @contextlib.contextmanager
    def of(self, device: str, order: UUID) -> Generator[None]:
        """Show what `device` records meanwhile as the recording of `order`."""
        self._orders[device] = order
        try:
            yield
        finally:
            del self._orders[device]

    def show(self, chunk: LiveChunk) -> None:
        """Show a piece; never raises, because a driver calls it while it records."""
        for show in (self.onlooker, self._publish):
            try:
                if show is not None:
                    show(chunk)
            except Exception:
                _log.exception("live_strip_failed", device=chunk.device)

    def _publish(self, chunk: LiveChunk) -> None:
        order = self._orders.get(chunk.device)
        if order is not None:
            self._send(lambda env: message(env, chunk, order))


def message(env: wire.Envelope, chunk: LiveChunk, order: UUID) -> wire.LiveStrip:
    """Return a piece as the message that travels."""
    return wire.LiveStrip(
        env=env,
        device=chunk.device,
        order=order,
        fs=chunk.fs,
        leads=chunk.leads,
        uv_per_bit=chunk.uv_per_bit,
        first=chunk.first,
        n=int(chunk.samples.shape[1]),
        codec=codec.ZDB32,
        samples=codec.encode(chunk.samples),
    )
