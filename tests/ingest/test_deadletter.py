"""A dead letter in words."""

from __future__ import annotations

from feldsher_ehr_core import wire
from feldsher_ingest.deadletter import outline
from feldsher_ingest.simulate import SimulatedGateway


def test_an_outline_shortens_what_is_long() -> None:
    text = outline(wire.encode(SimulatedGateway("gw-a", 1).recording(seconds=5)))
    assert "gateway: 'gw-a'" in text
    assert "fs: 500.0" in text
    assert max(len(line) for line in text.splitlines()) < 160


def test_what_is_not_messagepack_is_shown_as_bytes() -> None:
    assert outline(b"\xc1\x02") == "not MessagePack, begins c1 02"
