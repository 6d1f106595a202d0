"""What the real daemon takes with one twelve-lead cardiograph and five Bluetooth cuffs: memory, processor, commits."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_devices import ADDRESSES
from feldsher_edge import status
from feldsher_edge.simulate.cloud import VirtualCloud
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
CUFF = """
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
        say("budget: warming the interpreter")
        subprocess.run([sys.executable, "-m", "feldsher_edge.interpreter_child", "--warm"], check=True)
        gateway.start()
        stack.callback(gateway.stop)
        gateway.wait_ready(lambda: _ready(folder / "state"), timeout_s=120)
        for number in range(1, _ROUNDS + 1):
            say(f"budget: round {number} of measurements")
            _measure_all(devices, cloud, number)
        return _idle(gateway.pid)


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
    text += "".join(CUFF.format(n=n, address=address) for n, address in enumerate(ADDRESSES))
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


def _measure_all(devices: subprocess.Popen[str], cloud: VirtualCloud, number: int) -> None:
    if devices.stdin is None:
        raise RuntimeError("the virtual devices take no commands")
    devices.stdin.write("go\n")
    devices.stdin.flush()
    cloud.wait(
        lambda c: (
            len({r for m in c.of(wire.VitalsBatch) for r in m.reading}) >= number * len(ADDRESSES)
            and len(c.of(wire.EcgRecording)) >= number
        ),
        120,
    )
