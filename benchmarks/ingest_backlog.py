"""A day without a link: what every kit kept comes at once; when its alarms are through, and when everything.

    python benchmarks/ingest_backlog.py --kits 1000

A kit has 20 readings and four cardiograms of one lead and 30 s, as a day of 50,000 kits is 1 M and 200,000 of them. All
connect at once to the real broker and send as the gateway's publisher does: readings first, the newest before the
others, cardiograms then, at its rate, with its bound of what is under way, until receipts have come for all. One
worker, one database with fsync. `--spread` is the time over which cardiograms begin (feldsher_edge.pace.bulk_spread_s:
ten minutes after a day; scaled to fewer kits, 0 asks for everything at once).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import ssl
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import crowd_session as mqtt
import ingest_trial
import msgspec
from crowd_session import Session
from feldsher_edge.config import Mqtt
from feldsher_edge.pace import Bucket
from feldsher_ehr_core import wire
from feldsher_ingest.settings import mqtt_address
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_tools.services import client_files
from ingest_rows import percentile

READINGS, RECORDINGS = 20, 4
HISTORY_BYTES = 65_536
"""As feldsher_edge.publish: most bytes of history under way."""


@dataclass
class Done:
    """Seconds from the first connection to each receipt."""

    began: float = 0.0
    newest: list[float] = field(default_factory=list[float])
    readings: list[float] = field(default_factory=list[float])
    recordings: list[float] = field(default_factory=list[float])


class Kit:
    """One kit with its backlog."""

    def __init__(self, name: str, port: int, tls: ssl.SSLContext, done: Done) -> None:
        made = SimulatedGateway(name, 1)
        day = [made.pressure() for _ in range(READINGS)]
        ecgs = [made.recording(leads=1, seconds=30, fs=250) for _ in range(RECORDINGS)]
        messages: list[wire.Up] = [msgspec.structs.replace(m, historical=True) for m in (*reversed(day), *ecgs)]
        self._queue = [(m.env.id, str(m.__struct_config__.tag), wire.encode(m)) for m in messages]
        self._under_way: dict[UUID, int] = {}
        self._kinds = {id_: kind for id_, kind, _ in self._queue}
        self._newest = day[-1].env.id
        self._name, self._port, self._tls, self._done = name, port, tls, done
        self._changed, self._number = asyncio.Event(), 10

    async def run(self, spread_s: float) -> None:
        """Connect and send everything; return when every receipt has come."""
        network = await mqtt.reached(self._port)
        session = await mqtt.greeted(network, self._tls, self._heard)
        session.send(mqtt.connect(self._name, wire.up_topic(self._name, "death"), b"\x00"))
        session.send(mqtt.subscribe(wire.down_topic(self._name, "+")))
        bucket, loop = Bucket(Mqtt().history_per_s), asyncio.get_running_loop()
        bulk_from = loop.time() + random.Random(self._name).uniform(0, spread_s)  # noqa: S311 - repeatable
        while self._queue or self._under_way:
            await self._send(session, bucket, bulk_from)
        session.close()

    async def _send(self, session: Session, bucket: Bucket, bulk_from: float) -> None:
        now, wait_s = asyncio.get_running_loop().time(), 60.0
        self._changed.clear()
        if self._queue:
            id_, kind, body = self._queue[0]
            room = not self._under_way or sum(self._under_way.values()) + len(body) <= HISTORY_BYTES
            if kind == "ecg" and now < bulk_from:
                wait_s = bulk_from - now
            elif room and len(self._under_way) < Mqtt().window * 3 // 4:
                if bucket.take(now):
                    self._under_way[id_] = len(self._queue.pop(0)[2])
                    self._number += 1
                    session.send(mqtt.publish(wire.up_topic(self._name, kind), self._number, body))
                    return
                wait_s = bucket.next_s()
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            if wait_s == 60.0:
                raise

    def _heard(self, kind: int, body: bytes) -> None:
        if kind != mqtt.PUBLISH:
            return
        down = wire.decode_down(body)
        assert isinstance(down, wire.Receipt)
        for id_ in down.ids:
            if self._under_way.pop(id_, None) is None:
                continue
            took = time.monotonic() - self._done.began
            (self._done.readings if self._kinds[id_] == "vitals" else self._done.recordings).append(took)
            if id_ == self._newest:
                self._done.newest.append(took)
        self._changed.set()


def context(on: ingest_trial.Line, name: str) -> ssl.SSLContext:
    """Return what a kit shows and trusts."""
    files = client_files(on.authority, name)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(files.ca)
    tls.load_cert_chain(files.certificate, files.key)
    return tls


def measure(folder: Path, kits: int, spread_s: float) -> dict[str, float]:
    """Return when what was through."""
    done = Done()

    async def everybody(port: int) -> None:
        some = [Kit(name, port, tls, done) for name, tls in ready.items()]
        done.began = time.monotonic()
        await asyncio.gather(*(kit.run(spread_s) for kit in some))

    with ingest_trial.line(folder) as on:
        ready = {f"gw-day-{i:05}": context(on, f"gw-day-{i:05}") for i in range(kits)}
        asyncio.run(everybody(mqtt_address(on.broker.url)[1]))
    last, all_read = max(done.recordings), max(done.readings)
    return {
        "kits": kits,
        "spread_s": spread_s,
        "readings": len(done.readings),
        "recordings": len(done.recordings),
        "newest_p50_s": round(percentile(done.newest, 50), 2),
        "newest_all_s": round(max(done.newest), 2),
        "readings_all_s": round(all_read, 2),
        "everything_s": round(last, 2),
        "messages_per_s": round((len(done.readings) + len(done.recordings)) / last),
        "load": round(os.getloadavg()[0], 1),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kits", type=int, default=200, help="kits that come back")
    parser.add_argument("--spread", type=float, help="seconds over which cardiograms begin; default: as 50,000 kits")
    options = parser.parse_args(argv)
    spread_s: float = 600.0 * options.kits / 50_000 if options.spread is None else options.spread
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(measure(Path(temporary), options.kits, spread_s)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
