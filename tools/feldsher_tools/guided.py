"""The guided path as a technician walks it: `feldsher-edge setup` with virtual devices, a real broker, real TLS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feldsher_tools.dbus import DBus
from feldsher_tools.place import ServiceError
from feldsher_tools.simulator import CUFF_ADDRESS, Simulator


@dataclass(frozen=True, slots=True)
class Walked:
    """How a walk went. `told`: what it printed as JSON; `steps`: what it showed; `seconds`: from start to end."""

    code: int
    told: dict[str, Any]
    steps: tuple[str, ...]
    shown: str
    seconds: float


class GuidedPath:
    """A new gateway with a cardiograph on a cable and a cuff in reach. `folder`: everything lies below it."""

    def __init__(self, folder: Path, dbus: DBus) -> None:
        self.config = folder / "etc" / "edge.toml"
        self.state = folder / "state"
        self.devices = Simulator(folder / "devices.log")
        self._dbus = dbus
        self.port = self.devices.start(dbus.address)

    def edge(self, *words: str) -> Walked:
        """Run `feldsher-edge` with the devices' D-Bus."""
        began = time.monotonic()
        command = [sys.executable, "-m", "feldsher_edge.cli", *words, "--config", str(self.config), "--json"]
        done = subprocess.run(
            command,
            env=os.environ | self._dbus.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )
        seconds = time.monotonic() - began
        lines = done.stdout.splitlines()
        steps = tuple(line for line in done.stderr.splitlines() if line.startswith("["))
        return Walked(done.returncode, json.loads(lines[-1]) if lines else {}, steps, done.stderr, seconds)

    def walk(self, claim: str, *, wait_s: float = 60.0) -> Walked:
        """Walk the whole path; the cuff takes a measurement first, which is what makes it speak."""
        self.devices.measure([(132, 84)])
        return self.edge(
            "setup", claim, "--yes", "--port", self.port, "--take", CUFF_ADDRESS, "--listen", "4",
            "--wait", str(wait_s), "--state", str(self.state), "--timezone", "UTC",
        )  # fmt: skip

    @contextmanager
    def running(self) -> Generator[None]:
        """Keep the gateway running, once it answers."""
        command = [sys.executable, "-m", "feldsher_edge.service", str(self.config)]
        environment = os.environ | self._dbus.environment()
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as gateway:
            try:
                while not self.edge("status").told.get("gateway"):
                    if gateway.poll() is not None:
                        raise ServiceError(f"the gateway ended with code {gateway.returncode}")
                yield
            finally:
                gateway.terminate()

    def close(self) -> None:
        """Take the devices away."""
        self.devices.stop()
