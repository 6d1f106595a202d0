"""Figures for Prometheus, read as Prometheus reads them."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Bound, parse
from feldsher_edge.config import Outbox as Bounds
from feldsher_edge.devices import Status
from feldsher_edge.devices.ble_device import BleDevice
from feldsher_edge.drivers import cuffs
from feldsher_edge.gateway import Gateway
from feldsher_edge.link import Broker
from feldsher_edge.metrics import keep_written, served
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.status import report
from feldsher_edge.store import Store
from feldsher_ehr_core import wire
from feldsher_tools.place import free_port


def no_tls() -> None:
    raise OSError("no broker in this test")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def make(tmp_path: Path, clock: VirtualClock) -> Gateway:
    bounds = Bounds(continuous=Bound(rows=2, bytes=10**6, days=1))
    rng = Random(1)  # noqa: S311 - repeatable on purpose
    outbox = Outbox(Store(tmp_path / "o"), Envelopes("gw-1", clock, rng.randbytes), bounds)
    gateway = Gateway(parse(""), outbox, Broker("127.0.0.1", 1, no_tls), [], [], rng)  # type: ignore[arg-type]
    for number in range(4):
        gateway.sink.status(Status(f"cuff-{number}", "present"))
    outbox.put(lambda env: wire.OrderState(env=env, order=UUID(int=1), state="armed"))
    clock.advance(12)
    return gateway


def fetch(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


async def test_figures_are_served_on_loopback(tmp_path: Path, clock: VirtualClock) -> None:
    gateway = await make(tmp_path, clock)
    port = free_port()
    with served(gateway, port):
        found = await asyncio.to_thread(fetch, port)
    assert found['feldsher_outbox_rows{priority="alarm"}'] == 1  # the record of the drop
    assert found['feldsher_outbox_rows{priority="ecg"}'] == 1  # the order's state
    assert found['feldsher_outbox_rows{priority="continuous"}'] == 2
    assert found["feldsher_dropped_total"] == 2
    assert found["feldsher_connected"] == 0
    assert found['feldsher_source_age_seconds{device="cuff-1"}'] == 12
    gateway.outbox.close()


async def test_figures_are_written_into_a_file_again_after_a_failure(tmp_path: Path, clock: VirtualClock) -> None:
    gateway = await make(tmp_path, clock)
    path = tmp_path / "not yet" / "feldsher.prom"
    task = asyncio.create_task(keep_written(gateway, path, every_s=0.01))
    await asyncio.sleep(0.05)
    path.parent.mkdir()
    while not path.exists():  # noqa: ASYNC110 - a file has no event
        await asyncio.sleep(0.01)
    text = path.read_text()
    assert "feldsher_dropped_total 2.0" in text
    assert 'feldsher_outbox_rows{priority="alarm"} 1.0' in text
    assert "feldsher_taken_over_total 0.0" in text
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gateway.outbox.close()


async def test_the_status_agrees_and_names_no_patient(tmp_path: Path, clock: VirtualClock) -> None:
    gateway = await make(tmp_path, clock)
    told = await report(gateway)
    assert told.outbox == (2, 0, 2)
    assert told.oldest_age_s == 12
    assert told.clock == "synced"
    assert not told.connection.connected
    assert {d.device: (d.state, d.age_s) for d in told.devices}["cuff-3"] == ("present", 12)
    gateway.outbox.close()


async def test_an_adapter_tells_what_it_has_been_through(tmp_path: Path, clock: VirtualClock) -> None:
    gateway = await make(tmp_path, clock)
    wanted = parse('[[cuff]]\ndevice = "c"\n[[belt]]\ndevice = "b"\nadapter = "hci1"')
    gateway.cuffs = cuffs(wanted, clock, Random(1), {})  # noqa: S311 - jitter
    driver = gateway.cuffs[0]
    assert isinstance(driver, BleDevice)
    driver.radio.figures.power_cycles = 2
    port = free_port()
    with served(gateway, port):
        found = await asyncio.to_thread(fetch, port)
    assert found['feldsher_bluetooth_power_cycles_total{adapter="default"}'] == 2
    assert found['feldsher_bluetooth_lost_bonds_total{adapter="hci1"}'] == 0


async def test_a_configured_device_that_never_showed_is_told_apart(tmp_path: Path, clock: VirtualClock) -> None:
    """A source that was dead from the start has no age: without this nobody would miss it."""
    config = parse("[[cuff]]\ndevice = 'a'\naddress = 'aa:bb'\n[[cuff]]\ndevice = 'b'\naddress = 'cc:dd'")
    rng = Random(1)  # noqa: S311 - repeatable on purpose
    outbox = Outbox(Store(tmp_path / "o"), Envelopes("gw-1", clock, rng.randbytes))
    broker = Broker("127.0.0.1", 1, no_tls)  # type: ignore[arg-type]
    gateway = Gateway(config, outbox, broker, [], cuffs(config, clock, rng, {}), rng)
    gateway.sink.status(Status("CC:DD", "present"))
    assert gateway.unseen() == ("AA:BB",)
    port = free_port()
    with served(gateway, port):
        found = await asyncio.to_thread(fetch, port)
    assert found['feldsher_source_seen{device="AA:BB"}'] == 0
    assert found['feldsher_source_seen{device="CC:DD"}'] == 1
    assert 'feldsher_source_age_seconds{device="AA:BB"}' not in found
