"""The connection to the broker: what it says of itself where it does not come about."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from random import Random

import aiomqtt
import pytest
from feldsher_edge import publish
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Mqtt
from feldsher_edge.link import Broker, Link
from feldsher_edge.outbox import Outbox
from feldsher_edge.pace import Backoff
from feldsher_edge.publish import Publisher
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.store import Store
from feldsher_edge.watchdog import Pulses
from feldsher_ehr_core import wire
from feldsher_tools.place import free_port

# paho leaves a socket whose TLS handshake failed to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def broker(port: int) -> Broker:
    return Broker("127.0.0.1", port, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reached(port: int) -> bool:
    link = Link(broker(port), "gw-a", 8, aiomqtt.Will("t"), lambda _mid, _reason: None)
    with pytest.raises(aiomqtt.MqttError):
        async with link:
            pass
    return link.reached


async def test_a_broker_that_is_away_is_told_from_one_that_hangs_up() -> None:
    assert not await reached(free_port())
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        assert await reached(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(("patience_s", "crowded"), [(0.0, True), (60.0, False)])
async def test_only_a_broker_that_let_us_wait_has_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience_s: float, *, crowded: bool
) -> None:
    told = asyncio.Queue[bool]()

    def next_s(_self: Backoff, _lived_s: float, *, crowded: bool = False) -> float:
        told.put_nowait(crowded)
        return 60.0

    monkeypatch.setattr(publish, "_CROWDED_S", patience_s)
    monkeypatch.setattr(Backoff, "next_s", next_s)
    outbox = Outbox(Store(tmp_path / "o"), Envelopes("gw-a", VirtualClock()))

    async def ignore(message: wire.DownMessage) -> None:
        del message

    def birth(env: wire.Envelope) -> wire.Birth:
        return wire.Birth(env=env, software="test", starts=1)

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        there = broker(server.sockets[0].getsockname()[1])
        rng = Random(1)  # noqa: S311 - repeatable on purpose
        publisher = Publisher(outbox, there, Mqtt(), birth, ignore, rng, Pulses(lambda: 0))
        task = asyncio.create_task(publisher.run())
        assert await told.get() is crowded
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    outbox.close()
