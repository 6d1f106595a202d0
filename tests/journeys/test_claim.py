"""A new gateway's first minutes, with the command lines a technician types: add, claim, run."""

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

import pytest
from feldsher_cloud_api.ca import CertificateAuthority
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.place import free_port
from feldsher_tools.services import Broker, reload_command

NAME = "village-7"


class Technician:
    """Types commands on the cloud's machine and on the gateway."""

    def __init__(self, folder: Path, broker: Broker, database: str) -> None:
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

    def command(self, package: str, *arguments: str) -> list[str]:
        program = f"from {package}.cli import main; main()"
        return [sys.executable, "-c", program, *arguments]

    def cloud(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(self.command("feldsher_cloud_api", *arguments))

    def edge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(self.command("feldsher_edge", *arguments, "--config", str(self.config)))

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)

    @contextmanager
    def running(self, package: str, *arguments: str) -> Generator[None]:
        with subprocess.Popen(self.command(package, *arguments), env=self.environment) as process:
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


@pytest.fixture
def technician(tmp_path: Path, mosquitto: Broker, database: str) -> Technician:
    return Technician(tmp_path, mosquitto, database)


def test_a_gateway_is_added_claimed_and_connects_and_its_claim_is_good_once(technician: Technician) -> None:
    added = technician.cloud("gateway", "add", NAME)
    assert added.returncode == 0, added.stderr
    claim = added.stdout.strip()
    with technician.running("feldsher_cloud_api", "serve", "--tls", "--port", str(technician.port)):
        claimed = technician.claim(claim)
        assert claimed.returncode == 0, claimed.stderr
        assert f"This gateway is {NAME}; its broker is {technician.broker}." in claimed.stdout
        with technician.running("feldsher_edge", "run", "--config", str(technician.config)):
            status = technician.status()
        assert (status["gateway"], status["connection"]["broker"]) == (NAME, technician.broker)
        again = technician.claim(claim)
        assert (again.returncode, "--force replaces it" in again.stderr) == (2, True)
        used = technician.claim(claim, "--force")
        assert (used.returncode, "unknown, used or over" in used.stderr) == (2, True)
    key = technician.gateway / "identity" / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_revoked_gateway_is_thrown_off_while_it_runs(
    tmp_path: Path, own_mosquitto: Mosquitto, authority: CertificateAuthority, database: str
) -> None:
    technician = Technician(tmp_path, Broker(own_mosquitto.url, authority), database)
    claim = technician.cloud("gateway", "add", NAME).stdout.strip()
    with technician.running("feldsher_cloud_api", "serve", "--tls", "--port", str(technician.port)):
        assert technician.claim(claim).returncode == 0
    with technician.running("feldsher_edge", "run", "--config", str(technician.config)):
        technician.status()
        half = technician.cloud("gateway", "revoke", NAME)
        assert (half.returncode, "FELDSHER_BROKER_RELOAD is not set" in half.stderr) == (1, True)
        technician.environment["FELDSHER_BROKER_RELOAD"] = reload_command(own_mosquitto.process.pid_file)
        done = technician.cloud("gateway", "revoke", NAME)
        assert (done.returncode, done.stderr) == (0, "")
        technician.status(connected=False)
