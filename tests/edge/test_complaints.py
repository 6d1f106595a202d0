"""What users of other gateways complain of, each as a test; docs/complaints.md tells which is whose."""

from __future__ import annotations

import asyncio
import os
import signal
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from itertools import count
from pathlib import Path
from random import Random

import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Bound, Mqtt, parse
from feldsher_edge.config import Outbox as Bounds
from feldsher_edge.devices import Sink
from feldsher_edge.gateway import Gateway
from feldsher_edge.link import Broker
from feldsher_edge.outbox import Outbox
from feldsher_edge.publish import Publisher
from feldsher_edge.room import Priority
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_edge.store import Store, StoreError
from feldsher_edge.watchdog import Pulses
from feldsher_ehr_core import wire
from feldsher_tools.mosquitto import Mosquitto
from structlog.testing import capture_logs

Reach = Callable[..., Broker]
StartCloud = Callable[..., VirtualCloud]
FAST = Mqtt(window=8, backoff_base_s=0.05, backoff_cap_s=0.3, receipt_timeout_s=0.4, history_per_s=10_000)
PATIENT = Mqtt(window=8, backoff_base_s=0.05, backoff_cap_s=0.3, receipt_timeout_s=600, history_per_s=10_000)
_NAMES = count(1)


@pytest.fixture
def gateway() -> str:
    return f"gw-{os.getpid()}-c{next(_NAMES)}"


def open_outbox(path: Path, gateway: str, clock: VirtualClock | None = None, bounds: Bounds | None = None) -> Outbox:
    return Outbox(Store(path), Envelopes(gateway, clock or VirtualClock()), bounds)


def status(detail: str = "x") -> Callable[[wire.Envelope], wire.DeviceStatus]:
    return lambda env: wire.DeviceStatus(env=env, device="d", state="present", detail=detail)


async def ignore(message: wire.DownMessage) -> None:
    return None


@asynccontextmanager
async def publishing(outbox: Outbox, broker: Broker, settings: Mqtt = FAST) -> AsyncGenerator[Publisher]:
    rng = Random(1)  # noqa: S311 - repeatable on purpose
    birth: Callable[[wire.Envelope], wire.Birth] = lambda env: wire.Birth(env=env, software="test", starts=1)  # noqa: E731
    publisher = Publisher(outbox, broker, settings, birth, ignore, rng, Pulses(lambda: 0))
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of other threads and processes have no event
            await asyncio.sleep(0.01)


def waiting(outbox: Outbox) -> int:
    return sum(outbox.counts().waiting)


async def test_a_full_outbox_works_on_as_soon_as_the_link_is_back(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    bounds = Bounds(vitals=Bound(rows=20, bytes=10**9, days=9))
    outbox = open_outbox(tmp_path / "o", gateway, bounds=bounds)
    for i in range(100):
        outbox.put(status(str(i)), Priority.VITALS)
    there = cloud()
    async with publishing(outbox, reach(gateway)):
        await until(lambda: waiting(outbox) == 0)
        later = await outbox.call(outbox.put, status("later"), Priority.VITALS)
        await until(lambda: later in there.stored)
    assert sum(m.count for m in there.stored.values() if isinstance(m, wire.Gap)) == 80
    outbox.close()


def test_what_is_written_is_read_again_through_any_number_of_restarts(tmp_path: Path) -> None:
    path, written, read = tmp_path / "o", list[str](), list[str]()
    for life in range(12):
        outbox = open_outbox(path, "gw-1")
        for i in range(7):
            written.append(f"{life}.{i}")
            outbox.put(status(written[-1]))
        for row in outbox.waiting(5):
            message = wire.decode_up(outbox.body(row.seq) or b"")
            assert isinstance(message, wire.DeviceStatus)
            read.append(message.detail or "")
            outbox.receipt([row.id], ["stored"])
        outbox.close()
    assert read == written[: len(read)]
    assert len(read) == 60


def test_days_without_a_link_fill_no_disk(tmp_path: Path) -> None:
    size = 300_000
    bound = Bound(rows=10**6, bytes=size, days=99)
    bounds = Bounds(alarms=bound, ecg=bound, vitals=bound, continuous=bound, kept=bound)
    outbox = open_outbox(tmp_path / "o", "gw-1", bounds=bounds)
    outbox.store.run("PRAGMA synchronous = OFF")
    sizes: list[int] = []
    for i in range(6000):
        id_ = outbox.put(status("x" * 2000), Priority(i % 4))
        if i % 3 == 0:
            outbox.receipt([id_], ["stored"])
        if i % 2000 == 1999:
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert sizes[2] <= sizes[0] * 1.1  # three times as much was written
    assert sum(outbox.counts().waiting) * 2000 <= 4 * size
    outbox.close()


async def test_memory_does_not_grow_while_nothing_can_be_sent(tmp_path: Path, gateway: str, reach: Reach) -> None:
    outbox = open_outbox(tmp_path / "o", gateway)
    outbox.store.run("PRAGMA synchronous = OFF")
    nobody = Broker("127.0.0.1", 9, reach(gateway).tls)
    async with publishing(outbox, nobody):
        for i in range(300):
            await outbox.call(outbox.put, status(f"{i}" + "x" * 2000))
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for i in range(1000):
            await outbox.call(outbox.put, status(f"{i}" + "x" * 2000))
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert after - before < 200_000  # of two million bytes put
    assert waiting(outbox) == 1300
    outbox.close()


async def test_a_broker_that_hangs_is_noticed_told_and_left_for_a_new_connection(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud, own_mosquitto: Mosquitto
) -> None:
    there = cloud(port=own_mosquitto.port)
    outbox = open_outbox(tmp_path / "o", gateway)
    settings = Mqtt(window=8, backoff_base_s=0.05, backoff_cap_s=0.3, receipt_timeout_s=0.1)
    async with publishing(outbox, reach(gateway, own_mosquitto.port), settings) as publisher:
        await until(lambda: publisher.figures.connected)
        os.kill(own_mosquitto.process.pid, signal.SIGSTOP)
        with capture_logs() as logs:
            id_ = outbox.put(status())
            await until(lambda: not publisher.figures.connected)
        os.kill(own_mosquitto.process.pid, signal.SIGCONT)
        await until(lambda: id_ in there.stored)
    assert any("no longer acknowledges" in str(entry.get("error")) for entry in logs)
    outbox.close()


async def test_the_first_success_releases_the_whole_queue(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    """Nothing waits for an interval of retries: with all time-outs at ten minutes everything arrives at once."""
    outbox = open_outbox(tmp_path / "o", gateway)
    ids = {outbox.put(status(str(i)), Priority(i % 4)) for i in range(200)}
    there = cloud()
    async with publishing(outbox, reach(gateway), PATIENT):
        await until(lambda: ids <= set(there.stored))
    outbox.close()


def test_a_disk_that_was_full_takes_data_again_without_a_restart(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path / "o", "gw-1")
    outbox.put(status("before"), Priority.VITALS)
    pages = outbox.store.one("PRAGMA page_count")
    assert pages is not None
    outbox.store.rows(f"PRAGMA max_page_count = {pages[0]}")

    def fill() -> None:
        for _ in range(1000):
            outbox.put(status("x" * 5000), Priority.VITALS)

    with pytest.raises(StoreError, match="disk full"):
        fill()
    outbox.store.rows("PRAGMA max_page_count = 1000000")
    after = outbox.put(status("after"), Priority.VITALS)
    assert after in [row.id for row in outbox.waiting(2000)]
    outbox.close()


async def test_thirty_days_without_a_link_come_back_whole(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    """Alarms first, then what is new; history after them, marked, and none of it twice or missing."""
    clock = VirtualClock()
    outbox = open_outbox(tmp_path / "o", gateway, clock)
    outbox.store.run("PRAGMA synchronous = OFF")
    ids = {p: list[object]() for p in Priority}
    for hour in range(30 * 24):
        clock.advance(3600)
        ids[Priority.CONTINUOUS].append(outbox.put(status(str(hour)), Priority.CONTINUOUS))
        if hour % 12 == 0:
            ids[Priority.VITALS].append(outbox.put(status(str(hour)), Priority.VITALS))
        if hour % 240 == 7:
            ids[Priority.ALARM].append(outbox.put(status(str(hour)), Priority.ALARM))
    clock.advance(700)
    now = outbox.put(status("now"), Priority.CONTINUOUS)
    there = cloud()
    async with publishing(outbox, reach(gateway), PATIENT):
        await until(lambda: waiting(outbox) == 0)
    arrived = [m.env.id for m in there.of(wire.DeviceStatus)]
    assert arrived == [*ids[Priority.ALARM], now, *reversed(ids[Priority.VITALS]), *ids[Priority.CONTINUOUS]]
    assert [m.env.id for m in there.of(wire.DeviceStatus) if not m.historical] == [now]
    outbox.close()


class Stubborn:
    """A driver that fails at every start but the last."""

    device = "belt-1"

    def __init__(self, starts: int) -> None:
        self.left = starts

    async def run(self, sink: Sink) -> None:
        self.left -= 1
        if self.left:
            raise RuntimeError("fails again")
        sink.unreadable(self.device, b"", "alive at last")
        await asyncio.Event().wait()


async def test_a_driver_that_fails_fifty_times_is_started_again(
    tmp_path: Path, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = asyncio.sleep

    async def hurry(_seconds: float) -> None:
        await sleep(0.001)

    monkeypatch.setattr("feldsher_edge.gateway.asyncio.sleep", hurry)
    outbox = open_outbox(tmp_path / "o", gateway)
    nobody = Broker("127.0.0.1", 9, lambda: pytest.fail("there is no broker"))
    config = parse("[interpreter]\nenabled = false\n[mqtt]\nbackoff_base_s = 50\nbackoff_cap_s = 50")
    running = Gateway(config, outbox, nobody, [], [Stubborn(51)], Random(1))  # noqa: S311 - repeatable
    with capture_logs():
        task = asyncio.create_task(running._keep_running("belt-1", lambda: running.cuffs[0].run(running.sink)))  # pyright: ignore[reportPrivateUsage]
        await until(lambda: outbox.counts().waiting[2] == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    outbox.close()


def test_the_service_manager_never_gives_the_gateway_up() -> None:
    unit = files("feldsher_edge").joinpath("feldsher-edge.service").read_text()
    assert "\nRestart=always\n" in unit
    assert "\nStartLimitIntervalSec=0\n" in unit


async def test_a_source_that_falls_silent_shows_while_the_gateway_is_online(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud()
    clock = VirtualClock()
    outbox = open_outbox(tmp_path / "o", gateway, clock)
    config = parse("[interpreter]\nenabled = false\n[mqtt]\nheartbeat_s = 0.1")
    running = Gateway(config, outbox, reach(gateway), [], [], Random(1))  # noqa: S311 - repeatable
    running.sources.seen("oximeter", "present")
    task = asyncio.create_task(running.run())
    await until(lambda: bool(there.of(wire.Heartbeat)))
    clock.advance(3600)
    await until(lambda: there.of(wire.Heartbeat)[-1].sources.get("oximeter", 0) >= 3600)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    outbox.close()


async def test_forty_gateways_that_lose_their_broker_at_once_all_come_back(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud, own_mosquitto: Mosquitto
) -> None:
    """`./run bench edge` does it with five hundred."""
    there = cloud(port=own_mosquitto.port)
    outboxes = [open_outbox(tmp_path / str(n), f"{gateway}-{n}") for n in range(40)]
    publishers = [publishing(o, reach(o.envelopes.gateway, own_mosquitto.port)) for o in outboxes]
    running = [await p.__aenter__() for p in publishers]
    await until(lambda: all(p.figures.connected for p in running), 60)
    await asyncio.to_thread(own_mosquitto.kill)
    ids = {o.put(status()) for o in outboxes}
    await until(lambda: not any(p.figures.connected for p in running))
    await asyncio.to_thread(own_mosquitto.start)
    await until(lambda: ids <= set(there.stored), 60)
    for publisher in publishers:
        await publisher.__aexit__(None, None, None)
    for outbox in outboxes:
        outbox.close()
