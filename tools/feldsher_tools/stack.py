"""The whole line with real parts: services, ingest, cloud, a claimed gateway, and virtual devices where hardware would be.

The demo, the journey tests and the benchmarks all run this, so none of them can rot alone. Every part is a process of
its own with the command that production uses; each can be killed as a power cut would and started again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feldsher_cloud_api import ca

from feldsher_tools.dbus import DBus
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.place import Place, ServiceError, free_port
from feldsher_tools.postgres import Postgres
from feldsher_tools.process import Process
from feldsher_tools.services import client_files, listener_files
from feldsher_tools.simulator import Simulator

GATEWAY = "gw-demo"
CARDIOGRAPH = "ecg-1"
CUFF = "cuff-1"
DATABASE = "feldsher"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Accounts:
    """What `feldsher-cloud seed-demo` made: people with passwords, a program, patients by name of their part."""

    raw: dict[str, Any]


class Stack:
    """One installation below `directory`: start it, kill its parts, stop it."""

    def __init__(self, place: Place, directory: Path, *, say: Say = lambda _: None, tag: str = "demo") -> None:
        """Prepare; `say` is told each step, `tag` names the processes' pid files apart."""
        self.place, self.directory, self.say, self.tag = place, directory, say, tag
        self.state = directory / "state"
        self.logs = directory / "log"
        self.authority = ca.open_or_create(self.state / "secrets" / "ca")
        self.postgres = Postgres(place, directory / "postgres", name=f"{tag}-database")
        listener = listener_files(self.authority)
        self.mosquitto = Mosquitto(place, directory / "mosquitto", listener, name=f"{tag}-broker")
        self.dbus = DBus(place, name=f"{tag}-dbus")
        self.api_port = free_port()
        self.simulator = Simulator(self.logs / "simulator.log", self.dbus.environment())
        self.ingest = self._process("ingest", ["feldsher_ingest.cli", "run"])
        self.api = self._process("api", ["feldsher_cloud_api.cli", "serve", "--port", str(self.api_port)])
        self.worker = self._process("worker", ["feldsher_cloud_api.cli", "worker"])
        self.gateway = self._process("gateway", ["feldsher_edge.cli", "run", "--config", str(self.gateway_config)])
        self.accounts = Accounts({})

    @property
    def gateway_config(self) -> Path:
        """The gateway's configuration file."""
        return self.directory / "gateway.toml"

    @property
    def api_url(self) -> str:
        """The address of API and workstation."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def database_url(self) -> str:
        """The address of the record's database."""
        return self.postgres.url(DATABASE)

    @property
    def environment(self) -> dict[str, str]:
        """What every part is told: addresses and the state directory."""
        return {
            "FELDSHER_DATABASE_URL": self.database_url,
            "FELDSHER_MQTT_URL": self.mosquitto.url,
            "FELDSHER_API_URL": self.api_url,
            "FELDSHER_STATE": str(self.state),
        }

    def _process(self, name: str, module: list[str]) -> Process:
        return Process(
            name=name,
            argv=[sys.executable, "-m", *module],
            log=self.logs / f"{name}.log",
            pid_file=self.place.run / f"{self.tag}-{name}.pid",
            environment=self._later,
        )

    @property
    def _later(self) -> Mapping[str, str]:
        return _Late(lambda: self.environment | self.dbus.environment())

    def command(self, *module: str, check: bool = True) -> str:
        """Run one of the commands of ours to its end and return what it printed; ServiceError shows what went wrong."""
        done = subprocess.run(
            [sys.executable, "-m", *module],
            env=os.environ | self.environment | self.dbus.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise ServiceError(f"{' '.join(module)} ended with code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout
