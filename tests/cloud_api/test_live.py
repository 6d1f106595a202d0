"""The hub of running recordings: who watches what, what late comers see, and what is forgotten."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
from feldsher_cloud_api import live
from feldsher_cloud_api.live import Hub
from feldsher_cloud_api.web.live import Standing, events, piece_event
from feldsher_ehr_core import wire
from feldsher_signal import codec

ORDER, OTHER = UUID(int=1), UUID(int=2)
KEY = (ORDER, "gw-a")


def piece(first: int, order: UUID | None = ORDER, gateway: str = "gw-a") -> wire.LiveStrip:
    env = wire.Envelope(
        id=UUID(int=9), gateway=gateway, boot=UUID(int=8), seq=0, mono_ns=1, wall_us=5, offset_min=0, clock="synced"
    )
    samples = np.arange(first, first + 50, dtype=np.int32)[None, :]
    return wire.LiveStrip(
        env=env, device="kit-1", order=order, fs=250.0, leads=("II",), uv_per_bit=(2.0,), first=first, n=50,
        codec=codec.ZDB32, samples=codec.encode(samples),
    )  # fmt: skip


def notified(made: wire.UpMessage) -> str:
    return base64.b64encode(wire.encode(made)).decode()


async def seen(queue: asyncio.Queue[wire.LiveStrip], many: int) -> list[int]:
    async with asyncio.timeout(60):
        return [(await queue.get()).first for _ in range(many)]


async def test_a_watcher_sees_its_order_from_its_gateway_alone() -> None:
    hub = Hub("")
    with hub.watching(KEY) as queue:
        for made in (piece(0), piece(0, OTHER), piece(0, gateway="gw-b"), piece(0, None), piece(50)):
            hub.take(notified(made))
        assert await seen(queue, 2) == [0, 50]
        await asyncio.sleep(0)
        assert queue.empty()


async def test_who_comes_late_sees_the_beginning() -> None:
    hub = Hub("")
    for first in (0, 50, 100):
        hub.take(notified(piece(first)))
    with hub.watching(KEY) as queue, hub.watching(KEY) as another:
        hub.take(notified(piece(150)))
        assert await seen(queue, 4) == [0, 50, 100, 150]
        assert await seen(another, 4) == [0, 50, 100, 150]


async def test_a_recording_begun_anew_replaces_the_one_before() -> None:
    hub = Hub("")
    for first in (0, 50, 0):
        hub.take(notified(piece(first)))
    with hub.watching(KEY) as queue:
        assert await seen(queue, 1) == [0]
        assert queue.empty()


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub("")
    for number in range(3 * live.KEPT_ORDERS):
        hub.take(notified(piece(0, UUID(int=100 + number))))
    with hub.watching((UUID(int=100), "gw-a")) as queue:
        assert queue.empty()
    with hub.watching((UUID(int=100 + 3 * live.KEPT_ORDERS - 1), "gw-a")) as queue:
        assert await seen(queue, 1) == [0]
    monkeypatch.setattr(live, "BEHIND", 3)
    with hub.watching(KEY) as slow:
        for first in range(0, 500, 50):
            hub.take(notified(piece(first)))
        await asyncio.sleep(0)
        assert await seen(slow, 3) == [350, 400, 450]


@pytest.mark.parametrize("payload", ["", "%%%", base64.b64encode(b"junk").decode()])
def test_what_cannot_be_read_is_nobodys(payload: str) -> None:
    Hub("").take(payload)


def parsed(event: bytes) -> Any:
    return msgspec.json.decode(event.split(b"data: ")[1])


def test_a_piece_travels_in_planes_that_lose_nothing() -> None:
    said = parsed(piece_event(piece(100)))
    planes = np.frombuffer(base64.b64decode(said["planes"]), np.uint8).reshape(4, 50).astype(np.uint32)
    zigzag = planes[0] | planes[1] << 8 | planes[2] << 16 | planes[3] << 24
    differences = (zigzag >> 1).astype(np.int64) ^ -(zigzag & 1).astype(np.int64)
    np.testing.assert_array_equal(np.cumsum(differences), np.arange(100, 150))
    assert (said["first"], said["n"], said["fs"], said["leads"], said["uv_per_bit"]) == (100, 50, 250, ["II"], [2.0])
    assert said["made_us"] == 5


async def test_a_stream_ends_with_its_order_and_names_the_report() -> None:
    hub, looks = Hub(""), [Standing("recording", "recording", None), Standing("reported", "reported", UUID(int=7))]

    async def look() -> Standing | None:
        return looks.pop(0)

    hub.take(notified(piece(0)))
    found = [event async for event in events(hub, KEY, look)]
    assert found[0].startswith(b"retry:")
    kinds = [event.split(b"\n")[0] for event in found[1:]]
    assert kinds.count(b"event: state") == 2
    assert sum(event.startswith(b"data:") for event in found) == 1
    assert parsed(found[-1]) == {
        "state": "reported", "words": "reported", "report": str(UUID(int=7)), "ended": True,
    }  # fmt: skip


async def test_a_stream_ends_where_the_order_may_no_longer_be_seen() -> None:
    async def look() -> Standing | None:
        return None

    assert len([event async for event in events(Hub(""), KEY, look)]) == 1
