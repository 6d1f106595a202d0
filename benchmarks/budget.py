"""What the real daemon takes with one twelve-lead cardiograph and five Bluetooth cuffs: memory, processor, commits."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import window
from edge_devices import ADDRESSES
from feldsher_edge import status
from feldsher_edge.ble import blood_pressure, date_time
from feldsher_edge.ble.blood_pressure import BloodPressure
from feldsher_edge.clock import Envelopes, SystemClock
from feldsher_edge.devices import ReadingSet
from feldsher_edge.devices.intake import Intake, Known
from feldsher_edge.devices.profiles import CUFF
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_edge.sink import GatewaySink, Sources
from feldsher_edge.store import Store
from feldsher_edge.tls import context
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import INGEST_USERS
from feldsher_tools.dbus import DBus
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.process import Process
from feldsher_tools.services import client_files
from installation import Installation
from soak import growth

GATEWAY = "gw-budget"
_IDLE_S = 15.0
_ROUNDS = 2
_COMMITS = 500

CONFIGURATION = """\
gateway = "{name}"
state = "{state}"
[mqtt]
host = "127.0.0.1"
port = {port}
ca = "{ca}"
certificate = "{certificate}"
key = "{key}"
[[kit]]
device = "ecg-1"
port = "{kit}"
"""
CUFF_TABLE = """
[[cuff]]
device = "cuff-{n}"
address = "{address}"
"""


def measure(at: Installation, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the daemon's figures: memory after two rounds of measurements, processor while nothing is measured."""
    folder = at.folder / "budget"
    folder.mkdir()
    with ExitStack() as stack:
        mosquitto = stack.enter_context(
            Mosquitto(at.place, folder / "mosquitto", at.listener, name=f"{at.tag}-budget-broker")
        )
        dbus = stack.enter_context(DBus(at.place, name=f"{at.tag}-dbus"))
        devices = stack.enter_context(_devices(folder, dbus))
        stack.callback(devices.kill)
        cloud = stack.enter_context(_cloud(at, mosquitto))
        gateway = _gateway(at, folder, mosquitto, dbus)
        gateway.start()
        stack.callback(gateway.stop)
        gateway.wait_ready(lambda: _ready(folder / "state"), timeout_s=120)
        for number in range(1, _ROUNDS + 1):
            say(f"budget: round {number} of measurements")
            _measure_all(devices, cloud, number)
        figures = _idle(gateway.pid)
        say("budget: a burst of readings")

        def bring(number: int) -> None:
            have = len(_readings(cloud))
            _tell(devices, f"burst {number}")
            cloud.wait(lambda _: len(_readings(cloud)) >= have + number * len(ADDRESSES), 120)

        return figures | window.measure(gateway.pid, folder / "gateway.log", folder / "confirmed", bring)


def commits(at: Installation) -> dict[str, Any]:
    """Return what one notification of a cuff costs, from its bytes to the disk: milliseconds, and of the processor."""
    clock = SystemClock()
    outbox = Outbox(Store(at.folder / "commits" / "outbox.sqlite3"), Envelopes(GATEWAY, clock))
    sink = GatewaySink(outbox, Sources(clock.mono_ns), UTC, lambda _: None, lambda _: None)
    address = ADDRESSES[0]
    intake = Intake(sink, clock, Known(address), ReadingSet(address, "cuff", ()), [])
    channel = CUFF.listen().channels[0x2A35]
    wall_ms: list[float] = []
    cpu_s = 0.0
    for n in range(_COMMITS):
        high, low, mean = (Decimal(80 + (n + i) % 60) for i in range(3))
        when = date_time.of(datetime(2026, 1, 1) + timedelta(minutes=n))  # noqa: DTZ001 - a cuff's local time
        raw = blood_pressure.encode(BloodPressure("mm[Hg]", high, low, mean, when, Decimal(70), 1, 0))
        before, cpu = time.perf_counter(), time.thread_time()
        intake.take(channel, raw)
        wall_ms.append((time.perf_counter() - before) * 1e3)
        cpu_s += time.thread_time() - cpu
    outbox.close()
    centiles = statistics.quantiles(wall_ms, n=100)
    return {
        "commit_ms_p50": round(centiles[49], 2),
        "commit_ms_p99": round(centiles[98], 2),
        "notification_cpu_ms": round(1e3 * cpu_s / _COMMITS, 3),
    }


def _idle(pid: int) -> dict[str, Any]:
    time.sleep(2)
    before = growth(pid)
    time.sleep(_IDLE_S)
    after = growth(pid)
    cpu_s = after.cpu_s + after.children_cpu_s - before.cpu_s - before.children_cpu_s
    return {
        "rss_mb": round(after.rss_mb, 1),
        "child_rss_mb": round(after.children_mb, 1),
        "cpu_idle_pct": round(100 * cpu_s / _IDLE_S, 2),
    }


def _devices(folder: Path, dbus: DBus) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("edge_devices.py")), str(folder / "kit"), dbus.address]
    command.append(str(folder / "confirmed"))
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if child.stdout is None or child.stdout.readline().strip() != "ready":
        raise RuntimeError("the virtual devices did not start; see above")
    return child


def _cloud(at: Installation, mosquitto: Mosquitto) -> VirtualCloud:
    files = client_files(at.authority, INGEST_USERS[0])
    where = urlsplit(mosquitto.url)
    tls = context(files.ca, None, (files.certificate, files.key))
    return VirtualCloud(where.hostname or "", where.port or 0, tls)


def _gateway(at: Installation, folder: Path, mosquitto: Mosquitto, dbus: DBus) -> Process:
    files = client_files(at.authority, GATEWAY)
    text = CONFIGURATION.format(
        name=GATEWAY, state=folder / "state", port=mosquitto.port, ca=files.ca, certificate=files.certificate,
        key=files.key, kit=folder / "kit",
    )  # fmt: skip
    text += "".join(CUFF_TABLE.format(n=n, address=address) for n, address in enumerate(ADDRESSES))
    (folder / "edge.toml").write_text(text)
    return Process(
        name="gateway",
        argv=[sys.executable, "-m", "feldsher_edge.cli", "run", "--config", str(folder / "edge.toml")],
        log=folder / "gateway.log",
        pid_file=at.place.run / f"{at.tag}-budget.pid",
        environment=dbus.environment(),
    )


def _ready(state: Path) -> bool:
    try:
        report = status.ask(state)
    except status.StatusError:
        return False
    return report.connection.connected and report.interpreter == "ready"


def _tell(devices: subprocess.Popen[str], line: str) -> None:
    if devices.stdin is None:
        raise RuntimeError("the virtual devices take no commands")
    devices.stdin.write(line + "\n")
    devices.stdin.flush()


def _readings(cloud: VirtualCloud) -> set[UUID]:
    return {reading for message in cloud.of(wire.VitalsBatch) for reading in message.reading}


def _measure_all(devices: subprocess.Popen[str], cloud: VirtualCloud, number: int) -> None:
    _tell(devices, "go")
    cloud.wait(
        lambda c: len(_readings(c)) >= number * len(ADDRESSES) and len(c.of(wire.EcgRecording)) >= number,
        120,
    )
