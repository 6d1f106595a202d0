"""The live strip leaves the gateway only for an order, past the outbox, and never disturbs a recording."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
from feldsher_edge import link
from feldsher_edge.clock import Envelopes
from feldsher_edge.devices import LiveChunk
from feldsher_edge.link import Link
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.strip import Strip
from feldsher_ehr_core import wire
from feldsher_signal import codec
from feldsher_signal.record import MISSING

ORDER = UUID("018f0000-0000-7000-8000-000000000001")


def chunk(first: int = 0, device: str = "kit-1") -> LiveChunk:
    samples = np.arange(first, first + 50, dtype=np.int32)[None, :].repeat(2, axis=0)
    samples[:, 3] = MISSING
    return LiveChunk(device, 250.0, ("I", "II"), (0.5, 0.25), first, samples)


class Line:
    """What a strip sends: the messages, or a line that fails."""

    def __init__(self) -> None:
        self.sent: list[wire.LiveStrip] = []
        self.broken = False
        self._envelopes = Envelopes("gw-1", VirtualClock())

    def __call__(self, make: Callable[[wire.Envelope], wire.UpMessage]) -> None:
        if self.broken:
            raise OSError("no line")
        made = wire.decode_up(wire.encode(make(self._envelopes.make(0))))
        assert isinstance(made, wire.LiveStrip)
        self.sent.append(made)


def test_pieces_of_an_order_are_sent_whole() -> None:
    line = Line()
    strip = Strip(line)
    with strip.of("kit-1", ORDER):
        strip.show(chunk(100))
    (sent,) = line.sent
    assert (sent.order, sent.device, sent.fs, sent.leads) == (ORDER, "kit-1", 250.0, ("I", "II"))
    assert (sent.uv_per_bit, sent.first, sent.n) == ((0.5, 0.25), 100, 50)
    np.testing.assert_array_equal(codec.decode(sent.samples, 2, 50, sent.codec), chunk(100).samples)


def test_what_belongs_to_no_order_stays_here_but_for_who_looks_on() -> None:
    line = Line()
    strip = Strip(line)
    seen: list[int] = []
    strip.onlooker = lambda piece: seen.append(piece.first)
    with strip.of("kit-1", ORDER):
        strip.show(chunk(0, "kit-2"))
        strip.show(chunk(50))
    strip.show(chunk(100))
    assert ([sent.first for sent in line.sent], seen) == ([50], [0, 50, 100])


def test_a_line_or_a_page_that_fails_does_not_disturb_the_recording() -> None:
    line = Line()
    strip = Strip(line)

    def broken(_piece: LiveChunk) -> None:
        raise ValueError("a page that is gone")

    strip.onlooker = broken
    with strip.of("kit-1", ORDER):
        strip.show(chunk())
        line.broken = True
        strip.show(chunk(50))
    assert [sent.first for sent in line.sent] == [0]


class SlowClient:
    """A line that takes pieces and brings none of them away until it is told."""

    def __init__(self) -> None:
        self.published: list[SimpleNamespace] = []

    def publish(self, topic: str, payload: bytes, qos: int) -> Any:
        assert qos == 0
        info = SimpleNamespace(rc=0, gone=False)
        info.is_published = lambda: info.gone
        self.published.append(info)
        return info


def test_on_a_slow_line_pieces_are_dropped_and_never_heap_up(monkeypatch: Any) -> None:
    made, client = Link.__new__(Link), SlowClient()
    monkeypatch.setattr(made, "_shown", link.deque(maxlen=link.SHOWN_AHEAD), raising=False)
    monkeypatch.setattr(made, "_client", client, raising=False)
    assert [made.show("t", b"") for _ in range(6)] == [True] * link.SHOWN_AHEAD + [False] * (6 - link.SHOWN_AHEAD)
    client.published[0].gone = True
    assert [made.show("t", b""), made.show("t", b"")] == [True, False]
