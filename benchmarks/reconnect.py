"""Five hundred gateways lose their broker at once: how soon all are back, and whether any message is lost.

Every gateway is a session of the product's own link (MQTT 5, mutual TLS, its own certificate) with the product's own
back-off, on loopback, in one process; the broker is the real one, killed.
"""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import aiomqtt
from feldsher_edge import tls
from feldsher_edge.link import Broker, Link
from feldsher_edge.pace import Backoff
from feldsher_ehr_core import wire
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.services import client_files
from installation import Installation
from paho.mqtt.reasoncodes import ReasonCode
from soak import growth

GATEWAYS = 500
_WINDOW = 32
_DOWN_S = 2.0
_LIMIT_S = 120.0
_SETTLE_S = 3.0


class Herd:
    """The gateways; `back` when each was connected and had its message acknowledged, `attempts` at connecting."""

    def __init__(self, at: Installation, port: int, base_s: float, cap_s: float) -> None:
        self._at, self._port = at, port
        self._pause = base_s, cap_s
        self.back: dict[str, float] = {}
        self.attempts = 0
        self.seconds = Counter[int]()

    async def gateway(self, name: str, seed: int) -> None:
        """Be one gateway, as `feldsher_edge.publish.Publisher.run` is."""
        files = client_files(self._at.authority, name)
        broker = Broker("127.0.0.1", self._port, partial(tls.context, files.ca, None, (files.certificate, files.key)))
        backoff = Backoff(*self._pause, random.Random(seed))  # noqa: S311 - repeatable
        loop = asyncio.get_running_loop()
        while True:
            connected = False
            self.attempts += 1
            acknowledged = asyncio.Event()
            try:
                will = aiomqtt.Will(wire.up_topic(name, "death"), b"", qos=1)
                async with Link(broker, name, _WINDOW, will, _setter(acknowledged)) as link:
                    connected = True
                    self.seconds[int(loop.time())] += 1
                    await link.subscribe(wire.down_topic(name, "+"), qos=1)
                    link.send(wire.up_topic(name, "heartbeat"), b"x")
                    await acknowledged.wait()
                    self.back[name] = time.monotonic()
                    async for _ in link.messages:
                        pass
            except (aiomqtt.MqttError, OSError):
                self.back.pop(name, None)
            # the connection to the broker that dies had lived for long: the worst case, all begin anew together
            await asyncio.sleep(backoff.next_s(3600.0 if connected else 0.0))

    async def all_back(self) -> list[float]:
        """Wait until every gateway is back and return how many seconds each took."""
        began = time.monotonic()
        while len(self.back) < GATEWAYS and time.monotonic() - began < _LIMIT_S:  # noqa: ASYNC110 - counted in passing
            await asyncio.sleep(0.02)
        return sorted(at - began for at in self.back.values())


def _setter(event: asyncio.Event) -> Callable[[int, ReasonCode], None]:
    return lambda _mid, _reason: event.set()


def measure(at: Installation, say: Callable[[str], None]) -> dict[str, Any]:
    """Return how the reconnection went."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    folder = at.folder / "storm"
    folder.mkdir()
    say(f"storm: {GATEWAYS} certificates")
    for n in range(GATEWAYS):
        client_files(at.authority, f"gw-storm-{n}")
    try:
        with Mosquitto(at.place, folder / "mosquitto", at.listener, name=f"{at.tag}-storm-broker") as broker:
            return asyncio.run(_storm(at, broker, say))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _storm(at: Installation, broker: Mosquitto, say: Callable[[str], None]) -> dict[str, Any]:
    herd = Herd(at, broker.port, 1.0, 60.0)
    tasks = [asyncio.create_task(herd.gateway(f"gw-storm-{n}", n)) for n in range(GATEWAYS)]
    first = await herd.all_back()
    say(f"storm: all connected after {first[-1]:.1f} s; the broker is killed for {_DOWN_S:g} s")
    await asyncio.sleep(_SETTLE_S)
    await asyncio.to_thread(broker.kill)
    while herd.back:  # noqa: ASYNC110 - until each has noticed
        await asyncio.sleep(0.02)
    await asyncio.sleep(_DOWN_S)
    herd.attempts = 0
    herd.seconds.clear()
    await asyncio.to_thread(broker.start)
    took = await herd.all_back()
    after = growth(broker.process.pid)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "storm_gateways": GATEWAYS,
        "storm_back": len(took),
        "storm_cold_start_s": round(first[-1], 2),
        "storm_back_p50_s": round(took[len(took) // 2], 2),
        "storm_back_p99_s": round(took[int(len(took) * 0.99)], 2),
        "storm_back_all_s": round(took[-1], 2),
        "storm_attempts": herd.attempts,
        "storm_peak_connects_per_s": max(herd.seconds.values()),
        "storm_broker_cpu_s": round(after.cpu_s, 2),
        "storm_broker_rss_mb": round(after.rss_mb, 1),
    }
