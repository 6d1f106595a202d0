"""A technician at the keyboard of the cloud's machine and of a gateway: the command lines of both, for journeys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from feldsher_tools.place import free_port
from feldsher_tools.services import Broker


class Technician:
    """Types commands on the cloud's machine and on the gateway."""

    def __init__(self, folder: Path, broker: Broker, database: str) -> None:
        """Keep the state of both below `folder`."""
        state = folder / "cloud"
        (state / "secrets").mkdir(parents=True, mode=0o700)
        (state / "secrets" / "ca").symlink_to(broker.authority.directory)
        self.port = free_port()
        self.environment = os.environ | {
            "FELDSHER_DATABASE_URL": database,
            "FELDSHER_MQTT_URL": broker.url,
            "FELDSHER_API_URL": f"https://127.0.0.1:{self.port}",
            "FELDSHER_STATE": str(state),
        }
        self.gateway = folder / "gateway"
        self.config = folder / "edge.toml"
        where = urlsplit(broker.url)
        self.broker = f"{where.hostname}:{where.port}"
        self.config.write_text(f'state = "{self.gateway}"\n[interpreter]\nenabled = false\n')

    @staticmethod
    def command(package: str, *arguments: str, before: str = "") -> list[str]:
        """Return how one of our programs is started."""
        program = f"{before}\nfrom {package}.cli import main; main()"
        return [sys.executable, "-c", program, *arguments]

    def cloud(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `feldsher-cloud`."""
        return self._run(self.command("feldsher_cloud_api", *arguments))

    def edge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `feldsher-edge`."""
        return self._run(self.command("feldsher_edge", *arguments, "--config", str(self.config)))

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)

    @contextmanager
    def running(self, package: str, *arguments: str, before: str = "") -> Generator[None]:
        """Keep one of our programs running; `before`: Python that runs in it first."""
        with subprocess.Popen(self.command(package, *arguments, before=before), env=self.environment) as process:
            try:
                yield
            finally:
                process.terminate()

    def claim(self, text: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Claim, as soon as the API answers."""
        deadline = time.monotonic() + 60
        while True:
            done = self.edge("claim", text, *more)
            if "cannot be reached" not in done.stderr or time.monotonic() > deadline:
                return done

    def status(self, *, connected: bool = True) -> dict[str, Any]:
        """Return the gateway's status once it is connected (or is no longer)."""
        deadline = time.monotonic() + 60
        while True:
            done = self.edge("status", "--json")
            if done.returncode == 0 and json.loads(done.stdout)["connection"]["connected"] == connected:
                return json.loads(done.stdout)
            if time.monotonic() > deadline:
                raise TimeoutError(done.stdout + done.stderr)
