"""A trial in small: the gateway killed again and again, and every reading of its journal found once in the cloud."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from feldsher_edge import status
from feldsher_edge.link import Broker
from feldsher_edge.simulate import journal
from feldsher_edge.simulate.clock import START_US
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_edge.simulate.journal import Journal
from feldsher_edge.simulate.soak import Plan
from feldsher_ehr_core import wire

CONFIGURATION = """
gateway = "{name}"
state = "{state}"
[mqtt]
host = "{host}"
port = {port}
ca = "{ca}"
certificate = "{certificate}"
key = "{key}"
backoff_base_s = 0.1
backoff_cap_s = 0.5
history_per_s = 1000
[interpreter]
enabled = false
[outbox]
continuous = {{ rows = 40, bytes = 1000000, days = 60 }}
"""


@pytest.fixture
def plan(tmp_path: Path, reach: Callable[..., Broker]) -> Plan:
    name = f"gw-{os.getpid()}-soak"
    there = reach(name)
    ca, *_ = there.tls.args  # type: ignore[attr-defined]
    certificate = ca.parent / "clients" / f"{name}.pem"
    np.save(tmp_path / "samples.npy", np.arange(12 * 500, dtype=np.int32).reshape(12, 500) % 97)
    config = CONFIGURATION.format(
        name=name, state=tmp_path / "state", host=there.host, port=there.port, ca=ca, certificate=certificate,
        key=certificate.with_suffix(".key"),
    )  # fmt: skip
    return Plan(
        config=config, journal=str(tmp_path / "journal"), samples=str(tmp_path / "samples.npy"),
        origin_ns=time.monotonic_ns(), scale=4 * 3600 / 12, start_us=START_US, hours=4, seed=3, cuffs=4, meters=2,
        belts=2, full=((3600.0, 4000.0),),
    )  # fmt: skip


@contextlib.contextmanager
def running(plan: Path) -> Generator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "feldsher_edge.simulate.soak", str(plan)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as gateway:
        try:
            yield gateway
        finally:
            gateway.kill()


def waits(state: Path) -> int:
    try:
        report = status.ask(state)
    except status.StatusError:
        return 1
    return sum(report.waiting.values()) + report.held


@pytest.mark.slow
def test_every_committed_reading_arrives_once_or_is_in_the_ledger(
    tmp_path: Path, plan: Plan, reach: Callable[..., Broker], cloud: Callable[..., VirtualCloud]
) -> None:
    there = cloud()
    plan = msgspec.structs.replace(plan, origin_ns=time.monotonic_ns())
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(plan))
    for life_s in (2.5, 3.0, 3.5):
        with running(tmp_path / "plan.json") as gateway:
            time.sleep(life_s)
            gateway.send_signal(signal.SIGKILL)
    with running(tmp_path / "plan.json"):
        deadline = time.monotonic() + 60
        while time.monotonic() - plan.origin_ns / 1e9 < 13 or waits(tmp_path / "state"):
            assert time.monotonic() < deadline, "not everything was receipted"
            time.sleep(0.2)
    committed = journal.read(tmp_path / "journal")
    vitals = [m for m in there.stored.values() if isinstance(m, wire.VitalsBatch)]
    stored = {str(reading) for m in vitals for reading in m.reading}
    gaps = [m for m in there.stored.values() if isinstance(m, wire.Gap)]
    missing = committed.of_device(committed.readings.keys() - stored)
    assert {d: n for d, n in missing.items() if n > sum(g.readings for g in gaps if g.device == d)} == {}
    samples = [m.sha256 for m in there.stored.values() if isinstance(m, wire.EcgRecording)]
    assert set(committed.recordings) <= set(samples)
    assert len(samples) == len(set(samples))
    assert len(committed.readings) > 400


def test_a_journal_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j")
    assert first.next("a") == 0
    first.commit("a", range(2), "T 1.5 0.5", "C a 0 id-0 100 1.0 1.5", "C a 1 id-1 200 1.0 1.5")
    first.begin("ecg-0", 4)
    first.close()
    again = Journal(tmp_path / "j")
    assert (again.next("a"), again.next("ecg-0"), again.next("b")) == (2, 5, 0)
    again.commit("a", range(1, 3), "C a 1 id-1 200 9.0 9.5", "C a 2 id-2 300 9.0 9.5", "E 4 0aff")
    again.close()
    found = journal.read(tmp_path / "j")
    assert found.readings == {
        "id-0": ("a", [(100, 1.0, 1.5)]),
        "id-1": ("a", [(200, 1.0, 1.5), (200, 9.0, 9.5)]),
        "id-2": ("a", [(300, 9.0, 9.5)]),
    }  # fmt: skip
    assert (found.recordings, found.wall_ms, found.cpu_ms) == ([b"\x0a\xff"], [1.5], [0.5])
    assert found.of_device({"id-0", "id-2"}) == {"a": 2}
