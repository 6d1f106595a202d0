"""The whole line with real parts: services, ingest, cloud, a claimed gateway; virtual devices where hardware would be.

The demo, the journey tests and the benchmarks all run this, so none of them can rot alone. Every part is a process of
its own, started by the command that production uses; each can be killed as a power cut would and started again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feldsher_tools.dbus import DBus
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.place import Place, ServiceError, free_port
from feldsher_tools.postgres import Postgres
from feldsher_tools.process import Process
from feldsher_tools.services import external_broker, external_database, listener_files, open_authority, reload_command
from feldsher_tools.simulator import CUFF_ADDRESS, Simulator

GATEWAY = "gw-demo"
CARDIOGRAPH = "ecg-1"
CART = "cart-1"
"""A closed cardiograph that writes files into `Stack.folder`."""
KILLABLE = ("gateway", "broker", "ingest", "database", "worker")

CONFIGURATION = """\
gateway = "{gateway}"
state = "{state}"
timezone = "UTC"

[mqtt]
backoff_cap_s = 5

[[kit]]
device = "{cardiograph}"
port = "{port}"

[[cuff]]
device = "{cuff}"
address = "{cuff}"

[[folder]]
device = "{cart}"
path = "{folder}"
settle_s = 1
poll_s = 0.5
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """What `feldsher-cloud seed-demo` made: accounts, ids of patients and devices, a program's credentials."""

    accounts: tuple[tuple[str, str, str], ...]
    patients: tuple[str, ...]
    cardiograph: str
    cuff: str
    client: tuple[str, str]


class Stack:
    """One installation below `directory`: start it, kill its parts, stop it."""

    def __init__(
        self,
        place: Place,
        directory: Path,
        *,
        tag: str = "demo",
        say: Callable[[str], None] = lambda _: None,
        simulate: tuple[str, ...] = (),
        existing: bool = False,
    ) -> None:
        """Prepare: `say` is told each step, `tag` names the processes apart, `simulate` is for the virtual devices.

        `existing`: use the servers of FELDSHER_DATABASE_URL and FELDSHER_MQTT_URL where these are set (with a database
        of our own there); such a broker must trust the authority in the place's state directory.
        """
        self.place, self.directory, self.say, self.tag = place, directory, say, tag
        self.server = external_database() if existing else None
        self.broker_url = external_broker() if existing else None
        self.state = place.state if self.broker_url else directory / "state"
        self.authority = open_authority(self.state)
        self.postgres = Postgres(place, directory / "postgres", name=f"{tag}-database")
        self.mosquitto = Mosquitto(place, directory / "mosquitto", listener_files(self.authority), name=f"{tag}-broker")
        self.database = f"feldsher_{tag}".replace("-", "_")
        self.dbus = DBus(place, name=f"{tag}-dbus")
        self.api_port = free_port()
        self.simulator = Simulator(self.logs / "simulator.log", simulate)
        self.ingest = self._process("ingest", "feldsher-ingest", "run")
        self.api = self._process("api", "feldsher-cloud", "serve", "--port", str(self.api_port))
        self.worker = self._process("worker", "feldsher-cloud", "worker")
        self.gateway = self._process("gateway", "feldsher-edge", "run", "--config", str(self.gateway_config))
        self.demo: Demo | None = None

    @property
    def logs(self) -> Path:
        """Where every part writes its log."""
        return self.directory / "log"

    @property
    def gateway_config(self) -> Path:
        """The gateway's configuration file."""
        return self.directory / "gateway.toml"

    @property
    def gateway_state(self) -> Path:
        """The gateway's own state: identity and outbox."""
        return self.directory / "gateway"

    @property
    def folder(self) -> Path:
        """The folder that the gateway watches for files of a closed cardiograph."""
        return self.directory / "cart"

    @property
    def api_url(self) -> str:
        """The address of API and workstation."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def database_url(self) -> str:
        """The address of the record's database."""
        return (self.server or self.postgres.server).url(self.database)

    @property
    def environment(self) -> dict[str, str]:
        """What every part is told: addresses and the state directory."""
        facts = {
            "FELDSHER_DATABASE_URL": self.database_url,
            "FELDSHER_MQTT_URL": self.broker_url or self.mosquitto.url,
            "FELDSHER_API_URL": self.api_url,
            "FELDSHER_STATE": str(self.state),
            "FELDSHER_DEMO": "1",
        }
        if self.broker_url is None:
            facts["FELDSHER_BROKER_RELOAD"] = reload_command(self.place.run / f"{self.tag}-broker.pid")
        return facts

    def _process(self, name: str, program: str, *arguments: str) -> Process:
        return Process(
            name=name,
            argv=[_program(program), *arguments],
            log=self.logs / f"{name}.log",
            pid_file=self.place.run / f"{self.tag}-{name}.pid",
            environment=self.environment,
        )

    def command(self, program: str, *arguments: str) -> str:
        """Run one of our commands to its end and return what it printed; ServiceError shows what went wrong."""
        done = subprocess.run(
            [_program(program), *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = " ".join((program, *arguments[:2]))
            raise ServiceError(f"{words} ended with code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Start everything, seed the demo clinic, claim the gateway, and wait until the line stands."""
        warming = self._process("warm", "feldsher-edge", "warm")
        warming.start()  # compiles the ECG kernels once per machine, while the rest starts
        self.say("starting PostgreSQL with TimescaleDB, mosquitto and D-Bus …")
        if self.server is None:
            self.postgres.start()
        (self.server or self.postgres.server).create_database(self.database)
        if self.broker_url is None:
            self.mosquitto.start()
        self.dbus.start()
        self.say("migrating the database …")
        self.command("feldsher-cloud", "migrate")
        self.say("starting ingest, API and worker …")
        for process in (self.ingest, self.worker, self.api):
            process.start()
        self.api.wait_ready(self._api_answers, timeout_s=60)
        for process in (self.ingest, self.worker):
            process.wait_ready(lambda it=process: it.running)  # says why one has ended
        self.say("starting the virtual cardiograph and cuff …")
        port = self.simulator.start(self.dbus.address)
        self._configure_gateway(port)
        self.say("claiming the gateway and starting it (the first time, its ECG kernels are compiled: a minute) …")
        claim = self.command("feldsher-cloud", "gateway", "add", GATEWAY).strip()
        self.command("feldsher-edge", "claim", claim, "--config", str(self.gateway_config))
        self.demo = self._seed()
        warming.wait_end(timeout_s=600)
        self.gateway.environment = self.environment | self.dbus.environment()
        self.gateway.start()
        self.gateway.wait_ready(self.gateway_ready, timeout_s=180)

    def _configure_gateway(self, port: str) -> None:
        self.folder.mkdir(exist_ok=True)
        text = CONFIGURATION.format(
            gateway=GATEWAY,
            state=self.gateway_state,
            cardiograph=CARDIOGRAPH,
            port=port,
            cuff=CUFF_ADDRESS,
            cart=CART,
            folder=self.folder,
        )
        self.gateway_config.write_text(text)

    def _seed(self) -> Demo:
        names = ("--clinic-gateway", GATEWAY, "--home-gateway", GATEWAY, "--cardiograph", CARDIOGRAPH)
        made: dict[str, Any] = json.loads(self.command("feldsher-cloud", "seed-demo", *names, "--cuff", CUFF_ADDRESS))
        return Demo(
            tuple((a["username"], a["password"], a["role"]) for a in made["accounts"]),
            tuple(made["patients"]),
            made["cardiograph"],
            made["cuff"],
            (made["client"]["id"], made["client"]["secret"]),
        )

    def _api_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api_url}/health/ready", timeout=2) as answer:  # noqa: S310 (loopback)
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def gateway_status(self) -> Mapping[str, Any] | None:
        """Return what `feldsher-edge status` says, or None where no gateway answers."""
        try:
            return json.loads(self.command("feldsher-edge", "status", "--json", "--config", str(self.gateway_config)))
        except ServiceError:
            return None

    def gateway_ready(self) -> bool:
        """Whether the gateway is connected and its interpreter warm."""
        status = self.gateway_status()
        return status is not None and status["connection"]["connected"] and status["interpreter"] == "ready"

    def kill(self, part: str) -> None:
        """SIGKILL one of KILLABLE, with all its children."""
        self._part(part).kill()

    def revive(self, part: str) -> None:
        """Start a killed part again."""
        self._part(part).start()

    def _part(self, part: str) -> Process | Postgres | Mosquitto:
        parts: dict[str, Process | Postgres | Mosquitto] = {
            "gateway": self.gateway,
            "broker": self.mosquitto,
            "ingest": self.ingest,
            "database": self.postgres,
            "worker": self.worker,
        }
        return parts[part]

    def stop(self) -> None:
        """End every part, the newest first."""
        for part in (self.gateway, self.simulator, self.api, self.worker, self.ingest, self.dbus):
            part.stop()
        self.mosquitto.stop()
        self.postgres.stop()
        if self.server is not None:
            self.server.drop_database(self.database)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


@contextmanager
def running(stack: Stack) -> Generator[Stack]:
    """Start a stack and stop it however the block ends."""
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
