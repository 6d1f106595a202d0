"""The publisher against a real broker with mutual TLS: nothing lost, nothing released without a receipt."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from feldsher_edge import publish
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Mqtt
from feldsher_edge.link import Broker
from feldsher_edge.outbox import Outbox
from feldsher_edge.publish import DownHandler, Publisher
from feldsher_edge.room import Priority
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_edge.store import Store
from feldsher_edge.watchdog import Pulses
from feldsher_ehr_core import wire
from feldsher_tools import mosquitto
from feldsher_tools.mosquitto import ACL, Mosquitto

Reach = Callable[..., Broker]
StartCloud = Callable[..., VirtualCloud]
FAST = Mqtt(window=8, backoff_base_s=0.05, backoff_cap_s=0.3, receipt_timeout_s=0.4)
PATIENT = Mqtt(window=8, backoff_base_s=0.05, backoff_cap_s=0.3, receipt_timeout_s=60)
"""For tests that count: nothing is repeated only because this machine is busy."""
_NAMES = count(1)


def status(detail: str = "x") -> Callable[[wire.Envelope], wire.DeviceStatus]:
    return lambda env: wire.DeviceStatus(env=env, device="d", state="present", detail=detail)


def silent(_message: wire.UpMessage) -> None:
    return None


def stored(_message: wire.UpMessage) -> wire.ReceiptState:
    return "stored"


def birth(env: wire.Envelope) -> wire.Birth:
    return wire.Birth(env=env, software="test", starts=1)


async def ignore(message: wire.DownMessage) -> None:
    return None


@pytest.fixture
def gateway() -> str:
    """A gateway of this test alone, so that no session at the broker is shared."""
    return f"gw-{os.getpid()}-{next(_NAMES)}"


def open_outbox(path: Path, gateway: str) -> Outbox:
    return Outbox(Store(path), Envelopes(gateway, VirtualClock()))


@asynccontextmanager
async def publishing(
    outbox: Outbox,
    broker: Broker,
    settings: Mqtt = FAST,
    handle: DownHandler = ignore,
) -> AsyncGenerator[Publisher]:
    rng = Random(1)  # noqa: S311 - repeatable on purpose
    publisher = Publisher(outbox, broker, settings, birth, handle, rng, Pulses(lambda: 0))
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


async def test_messages_arrive_and_are_released_by_receipts(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud()
    outbox = open_outbox(tmp_path / "o", gateway)
    ids = [outbox.put(status(str(i))) for i in range(50)]
    async with publishing(outbox, reach(gateway), PATIENT) as publisher:
        await until(lambda: waiting(outbox) == 0)
        later = await outbox.call(outbox.put, status("later"))
        await until(lambda: later in there.stored)
        await until(lambda: publisher.figures.stored == 51)
    assert waiting(outbox) == 0
    assert [m.env.id for m in there.of(wire.DeviceStatus)] == [*ids, later]
    assert publisher.figures.duplicate == 0
    assert outbox.counts().kept == 51
    outbox.close()


async def test_a_connection_begins_with_a_birth_and_ends_with_a_death(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud()
    outbox = open_outbox(tmp_path / "o", gateway)
    async with publishing(outbox, reach(gateway)):
        await until(lambda: bool(there.of(wire.Birth)))
    await until(lambda: bool(there.of(wire.Death)))
    assert [m.cause for m in there.of(wire.Death)] == ["stopping"]
    seqs = [m.env.seq for m in there.arrived]
    assert len(seqs) == len(set(seqs))
    outbox.close()


async def test_without_receipts_nothing_is_released_and_everything_is_sent_again(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud(verdict=silent)
    outbox = open_outbox(tmp_path / "o", gateway)
    ids = {outbox.put(status(str(i))) for i in range(5)}
    async with publishing(outbox, reach(gateway)) as publisher:
        await until(lambda: len(there.of(wire.DeviceStatus)) >= 10)
        assert waiting(outbox) == 5
        there.verdict = stored
        await until(lambda: waiting(outbox) == 0)
        assert publisher.figures.repeated >= 5
    assert set(there.stored) == ids
    outbox.close()


async def test_never_more_than_the_window_is_in_flight(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud(verdict=silent)
    outbox = open_outbox(tmp_path / "o", gateway)
    for i in range(100):
        outbox.put(status(str(i)))
    patient = Mqtt(window=8, receipt_timeout_s=3600)
    async with publishing(outbox, reach(gateway), patient) as publisher:
        await until(lambda: len(there.of(wire.DeviceStatus)) == 6)  # a quarter stays free for class A
        ecg_like = await outbox.call(outbox.put, status("urgent"), Priority.ALARM)
        await until(lambda: any(m.env.id == ecg_like for m in there.arrived))
        assert publisher.figures.in_flight <= 8
        assert len(there.of(wire.DeviceStatus)) == 7
    outbox.close()


async def test_priority_then_sequence(tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud) -> None:
    there = cloud()
    outbox = open_outbox(tmp_path / "o", gateway)
    order = [Priority.CONTINUOUS, Priority.ALARM, Priority.VITALS, Priority.CONTINUOUS, Priority.ALARM]
    ids = [outbox.put(status(), priority) for priority in order]
    async with publishing(outbox, reach(gateway), PATIENT):
        await until(lambda: len(there.stored) == 5)
    assert [m.env.id for m in there.of(wire.DeviceStatus)] == [ids[i] for i in (1, 4, 2, 0, 3)]
    outbox.close()


async def test_after_an_outage_history_follows_at_its_own_pace_and_is_marked(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud()
    clock = VirtualClock()
    outbox = Outbox(Store(tmp_path / "o"), Envelopes(gateway, clock))
    alarm = outbox.put(status("alarm"), Priority.ALARM)
    history = [outbox.put(status(f"old {i}"), Priority.VITALS) for i in range(40)]
    clock.advance(30 * 86_400)
    new = [outbox.put(status(f"new {i}"), Priority.VITALS) for i in range(30)]
    slow = Mqtt(window=8, receipt_timeout_s=60, history_per_s=0.001)  # one at once, the next after a quarter of an hour
    async with publishing(outbox, reach(gateway), slow):
        await until(lambda: set(new) <= set(there.stored))
        later = await outbox.call(outbox.put, status("later"), Priority.CONTINUOUS)
        await until(lambda: later in there.stored)
    arrived = there.of(wire.DeviceStatus)
    assert [m.env.id for m in arrived] == [alarm, *new, history[-1], later]
    assert [m.env.id for m in arrived if m.historical] == [alarm, history[-1]]
    async with publishing(outbox, reach(gateway), Mqtt(window=8, receipt_timeout_s=60, history_per_s=1000)):
        await until(lambda: waiting(outbox) == 0)
    assert set(there.stored) == {alarm, later, *new, *history}
    outbox.close()


async def test_cardiograms_of_an_outage_wait_and_readings_do_not(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread_s = 1e9

    def bulk_spread_s(away_s: float) -> float:
        del away_s
        return spread_s

    monkeypatch.setattr(publish, "bulk_spread_s", bulk_spread_s)
    there, clock = cloud(), VirtualClock()
    outbox = Outbox(Store(tmp_path / "o"), Envelopes(gateway, clock))
    bulk = outbox.put(status("cardiogram"), Priority.ECG)
    readings = [outbox.put(status(str(i)), Priority.VITALS) for i in range(3)]
    clock.advance(86_400)
    async with publishing(
        outbox, reach(gateway), Mqtt(window=8, receipt_timeout_s=60, history_per_s=1000)
    ) as publisher:
        await until(lambda: publisher.figures.stored == 3)
        new = await outbox.call(outbox.put, status("new cardiogram"), Priority.ECG)
        await until(lambda: publisher.figures.stored == 4)
    assert [m.env.id for m in there.of(wire.DeviceStatus)] == [*reversed(readings), new]
    spread_s = 0.0
    async with publishing(outbox, reach(gateway), PATIENT):
        await until(lambda: bulk in there.stored)
    outbox.close()


async def test_little_history_is_under_way_at_once(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    """On a slow line an alarm waits behind what is already in the socket: that must be little."""
    there = cloud(verdict=silent)
    clock = VirtualClock()
    outbox = Outbox(Store(tmp_path / "o"), Envelopes(gateway, clock))
    for _ in range(20):
        outbox.put(status("x" * 40_000), Priority.ECG)
    clock.advance(86_400)
    async with publishing(outbox, reach(gateway), Mqtt(window=32, receipt_timeout_s=60, history_per_s=1000)):
        await until(lambda: len(there.of(wire.DeviceStatus)) == 1)
        urgent = await outbox.call(outbox.put, status("now"), Priority.ALARM)
        await until(lambda: any(m.env.id == urgent for m in there.arrived))
        assert len(there.of(wire.DeviceStatus)) == 2
        there.verdict = stored
    outbox.close()


async def test_quarantined_and_duplicate_receipts_release_too(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    def judge(message: wire.UpMessage) -> wire.ReceiptState:
        return "quarantined" if isinstance(message, wire.DeviceStatus) and message.detail == "bad" else "duplicate"

    cloud(verdict=judge)
    outbox = open_outbox(tmp_path / "o", gateway)
    outbox.put(status("bad"))
    outbox.put(status("good"))
    async with publishing(outbox, reach(gateway), PATIENT) as publisher:
        await until(lambda: (publisher.figures.quarantined, publisher.figures.duplicate) == (1, 1))
    assert waiting(outbox) == 0
    outbox.close()


async def test_a_broker_that_is_killed_and_comes_back_loses_nothing(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud, own_mosquitto: Mosquitto
) -> None:
    there = cloud(port=own_mosquitto.port)
    outbox = open_outbox(tmp_path / "o", gateway)
    async with publishing(outbox, reach(gateway, own_mosquitto.port)) as publisher:
        ids = {outbox.put(status(str(i))) for i in range(20)}
        await until(lambda: len(there.stored) >= 5)
        await asyncio.to_thread(own_mosquitto.kill)
        ids |= {outbox.put(status(f"while down {i}")) for i in range(20)}
        await until(lambda: not publisher.figures.connected)
        assert publisher.figures.last_error is not None
        await asyncio.to_thread(own_mosquitto.start)
        await until(lambda: waiting(outbox) == 0)
    assert set(there.stored) == ids
    assert publisher.figures.connections >= 2
    outbox.close()


async def test_two_gateways_with_one_identity_are_named_and_do_not_fight(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    """A copied SD card: the broker lets the newer connection in; each says why it lost its own, ever more rarely."""
    there = cloud()
    one, other = open_outbox(tmp_path / "one", gateway), open_outbox(tmp_path / "other", gateway)
    settings = Mqtt(window=8, backoff_base_s=0.05, backoff_cap_s=5, receipt_timeout_s=60)
    async with publishing(one, reach(gateway), settings) as first:
        await until(lambda: first.figures.connected)
        async with publishing(other, reach(gateway), settings) as second:
            await until(lambda: first.figures.taken_over >= 2 and second.figures.taken_over >= 2)
            ids = {one.put(status("one")), other.put(status("other"))}
            await until(lambda: ids <= set(there.stored), 60)
            assert max(first.figures.connections, second.figures.connections) < 40
    one.close()
    other.close()


async def test_what_the_broker_does_not_authorize_goes_to_the_dead_letters_and_returns(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud, own_mosquitto: Mosquitto
) -> None:
    there = cloud(port=own_mosquitto.port)
    outbox = open_outbox(tmp_path / "o", gateway)
    acl = own_mosquitto.directory / "acl"
    acl.write_text(ACL.replace("+/%u/up/#", "+/%u/up/gap"))
    own_mosquitto.reload()
    id_ = outbox.put(status())
    async with publishing(outbox, reach(gateway, own_mosquitto.port)) as publisher:
        await until(lambda: outbox.counts().dead == 1)
        await until(lambda: bool(there.of(wire.Gap)))
        assert there.of(wire.Gap)[0].why == "refused by the broker: Not authorized"
        await asyncio.to_thread(own_mosquitto.stop)
        await asyncio.to_thread(own_mosquitto.start)  # with the right ACL again
        await until(lambda: id_ in there.stored)
    assert publisher.figures.refused >= 1
    assert outbox.counts().dead == 0
    outbox.close()


def open_file_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def restart_with(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, setting: str, instead: str) -> None:
    assert setting in mosquitto.CONFIGURATION
    monkeypatch.setattr(mosquitto, "CONFIGURATION", mosquitto.CONFIGURATION.replace(setting, instead))
    broker.stop()
    broker.start()


async def test_a_message_larger_than_the_broker_takes_does_not_stop_the_others(
    tmp_path: Path,
    gateway: str,
    reach: Reach,
    cloud: StartCloud,
    own_mosquitto: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restart_with(own_mosquitto, monkeypatch, "max_packet_size 1100000", "max_packet_size 20000")
    there = cloud(port=own_mosquitto.port)
    outbox = open_outbox(tmp_path / "o", gateway)
    outbox.put(status("x" * 30_000))
    good = outbox.put(status("good"))
    async with publishing(outbox, reach(gateway, own_mosquitto.port)):
        await until(lambda: good in there.stored and bool(there.of(wire.Gap)))
    assert outbox.counts().dead == 1
    assert there.of(wire.Gap)[0].why == "refused by the broker: Packet too large"
    outbox.close()


async def test_a_message_that_ends_every_connection_stops_no_other_and_is_kept(
    tmp_path: Path,
    gateway: str,
    reach: Reach,
    cloud: StartCloud,
    own_mosquitto: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restart_with(own_mosquitto, monkeypatch, "max_packet_size 1100000", "message_size_limit 20000")
    there = cloud(port=own_mosquitto.port)
    outbox = open_outbox(tmp_path / "o", gateway)
    # a broker with this setting answers such a message with a PUBACK that MQTT 5 does not know; the connection ends
    poison = outbox.put(status("x" * 30_000), Priority.ALARM)
    open_files = open_file_count()
    async with publishing(outbox, reach(gateway, own_mosquitto.port)) as publisher:
        good = [outbox.put(status(str(i))) for i in range(30)]
        await until(lambda: set(good) <= set(there.stored))
        await until(lambda: publisher.figures.connections >= 6)
    assert [row.id for row in outbox.waiting(9)] == [poison]
    assert open_file_count() <= open_files + 3
    outbox.close()


async def test_a_foreign_certificate_gets_no_connection_and_keeps_its_messages(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud()
    outbox = open_outbox(tmp_path / "o", gateway)
    outbox.put(status())
    async with publishing(outbox, reach("another-gateway")) as publisher:
        await until(lambda: outbox.counts().dead >= 1)  # its certificate may not speak in this gateway's name
    assert there.of(wire.DeviceStatus) == []
    assert publisher.figures.refused >= 1
    outbox.close()


async def test_messages_down_reach_the_handler_and_a_bad_one_hurts_nobody(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud()
    outbox = open_outbox(tmp_path / "o", gateway)
    taken: list[wire.DownMessage] = []

    async def handle(message: wire.DownMessage) -> None:
        taken.append(message)
        if isinstance(message, wire.Configuration):
            raise RuntimeError("a handler that fails")

    async with publishing(outbox, reach(gateway), handle=handle) as publisher:
        await until(lambda: bool(there.of(wire.Birth)))
        there._client.publish(wire.down_topic(gateway, "order"), b"\xc1 no MessagePack", qos=1)  # pyright: ignore[reportPrivateUsage]
        there.send(gateway, wire.Configuration(**there.down(), version=1, toml=""))
        there.send(gateway, wire.ResendRequest(**there.down(), since_us=5))
        await until(lambda: len(taken) == 2)
        id_ = outbox.put(status())
        await until(lambda: id_ in there.stored)
        assert publisher.figures.connections == 1
        assert publisher.figures.malformed == 1
    outbox.close()


async def test_what_is_sent_down_while_the_gateway_is_away_waits_for_it(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud()
    outbox = open_outbox(tmp_path / "o", gateway)
    taken: list[wire.DownMessage] = []

    async def handle(message: wire.DownMessage) -> None:
        taken.append(message)

    async with publishing(outbox, reach(gateway), handle=handle):
        await until(lambda: bool(there.of(wire.Birth)))
    there.send(gateway, wire.ResendRequest(**there.down(), since_us=5))
    async with publishing(outbox, reach(gateway), handle=handle):
        await until(lambda: len(taken) == 1)
    outbox.close()


CHILD = textwrap.dedent(
    """
    import asyncio, random, structlog, sys
    from functools import partial
    from pathlib import Path
    from feldsher_edge.clock import Envelopes, SystemClock
    from feldsher_edge.config import Mqtt
    from feldsher_edge.link import Broker, tls_context
    from feldsher_edge.outbox import Outbox
    from feldsher_edge.publish import Publisher
    from feldsher_edge.store import Store
    from feldsher_edge.watchdog import Pulses
    from feldsher_ehr_core import wire

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    path, gateway, port, ca, certificate, key, first = sys.argv[1:]
    outbox = Outbox(Store(Path(path)), Envelopes(gateway, SystemClock()))

    async def ignore(message): pass

    async def main():
        tls = partial(tls_context, Path(ca), Path(certificate), Path(key))
        settings = Mqtt(backoff_base_s=0.05, backoff_cap_s=0.3, receipt_timeout_s=0.5)
        birth = lambda env: wire.Birth(env=env, software="t", starts=1)
        publisher = Publisher(outbox, Broker("127.0.0.1", int(port), tls), settings, birth, ignore,
                              random.Random(1), Pulses(lambda: 0))
        task = asyncio.create_task(publisher.run())
        for i in range(int(first), int(first) + 100000):
            id_ = outbox.put(lambda env: wire.DeviceStatus(env=env, device="d", state="present", detail=str(i)))
            print(id_, flush=True)
            await asyncio.sleep(0.001)

    asyncio.run(main())
    """
)


def test_a_gateway_killed_between_commit_and_receipt_loses_nothing(
    tmp_path: Path, gateway: str, reach: Reach, cloud: StartCloud
) -> None:
    there = cloud()
    files = reach(gateway)
    committed: set[UUID] = set()
    rng = Random(7)  # noqa: S311 - repeatable on purpose
    tls_files = [str(a) for a in files.tls.args]  # type: ignore[attr-defined]
    for life in range(3):
        arguments = [str(tmp_path / "o"), gateway, str(files.port), *tls_files, str(life * 1_000_000)]
        with subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(rng.randrange(20, 80)):
                committed.add(UUID(child.stdout.readline().strip()))
            child.send_signal(signal.SIGKILL)
            committed |= {UUID(line.strip()) for line in child.stdout if len(line.strip()) == 36}
    outbox = open_outbox(tmp_path / "o", gateway)

    async def finish() -> None:
        async with publishing(outbox, files):
            await until(lambda: waiting(outbox) == 0)

    asyncio.run(finish())
    assert committed <= set(there.stored)
    assert len(committed) >= 60
    outbox.close()
