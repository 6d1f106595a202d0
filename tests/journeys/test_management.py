"""A gateway far away, managed with the commands a technician types: configured, updated, looked into, and forgotten.

Real programs on both sides, each in a process of its own: API, worker, ingest, broker, and the gateway as its service
manager runs it, with the launcher and slots A and B. The updates are real wheels, built into real environments.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2
import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.manage import configuration, rollout, tasks
from feldsher_tools.services import Broker
from feldsher_tools.technician import Technician

NAME = "village-11"
LAUNCH = str(files("feldsher_edge") / "launch.sh")
GOOD = "from feldsher_edge.cli import main\n"
BAD = '''
import asyncio, sys
from pathlib import Path

def main():
    """Check what is asked, but never reach the broker."""
    if sys.argv[1] != "run":
        from feldsher_edge.cli import main as whole
        return whole()
    from feldsher_edge import publish, service
    async def away(self): await asyncio.Event().wait()
    publish.Publisher.run = away
    return service.main([sys.argv[-1]])
'''


class Machine:
    """The gateway's machine: starts the gateway again whenever it ends, as systemd does, until it was wiped."""

    def __init__(self, technician: Technician, folder: Path) -> None:
        self.software = folder / "software"
        factory = folder / "factory" / "bin"
        factory.mkdir(parents=True)
        (factory / "feldsher-edge").write_text(f"#!{sys.executable}\n{GOOD}main()\n")
        (factory / "feldsher-edge").chmod(0o755)
        self._environment = technician.environment | {
            "FELDSHER_SOFTWARE": str(self.software),
            "FELDSHER_FACTORY": str(factory.parent),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # the slots' environments borrow our libraries
        }
        self._command = ["/bin/sh", LAUNCH, "run", "--config", str(technician.config)]
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self.codes: list[int] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping and 64 not in self.codes:
            subprocess.run([*self._command[:2], "choose"], env=self._environment, check=True)
            with subprocess.Popen(self._command, env=self._environment) as self._process:
                self.codes.append(self._process.wait())
            time.sleep(0.2)

    def stop(self) -> None:
        self._stopping = True
        if self._process is not None:
            self._process.terminate()
        self._thread.join()


class Scene:
    """The technician in the cloud, and the gateway's machine."""

    def __init__(self, technician: Technician, machine: Machine, folder: Path) -> None:
        self.technician, self.machine, self.folder = technician, machine, folder

    def cloud(self, *words: str) -> list[Any]:
        done = self.technician.cloud(*words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def standing(self) -> configuration.Standing:
        """What `gateway standing` prints, without starting a program each time."""
        with db.connect(self.technician.environment["FELDSHER_DATABASE_URL"]) as connection:
            [found] = configuration.standing(connection, NAME)
        return found

    def tasks(self) -> list[tasks.Task]:
        """What `gateway tasks` prints."""
        with db.connect(self.technician.environment["FELDSHER_DATABASE_URL"]) as connection:
            return tasks.of_gateway(connection, NAME)

    def seen(self) -> dict[str, Any]:
        """What a technician's page shows of the gateway, over HTTPS."""
        [made] = self.cloud("user", "add", "tech", "Tech", "--role", "technician")
        state = Path(self.technician.environment["FELDSHER_STATE"])
        trusted = ssl.create_default_context(cafile=str(state / "secrets" / "ca" / "ca.pem"))
        with httpx2.Client(base_url=self.technician.environment["FELDSHER_API_URL"], verify=trusted) as browser:
            form = {"username": "tech", "password": made["password"]}
            browser.post("/login", data=form, headers={"accept": "application/json"}).raise_for_status()
            return browser.get(f"/api/fleet/gateways/{NAME}").raise_for_status().json()["gateway"]

    def halted(self) -> str | None:
        """Why the newest rollout was halted, None where it was not."""
        with db.connect(self.technician.environment["FELDSHER_DATABASE_URL"]) as connection:
            newest = rollout.rollouts(connection)[0]
        return newest.why if newest.state == "halted" else None

    def until(self, true: Callable[[], object], seconds: float = 420) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < deadline, (self.standing(), self.tasks())
            time.sleep(0.2)
        return found

    def stands(self, **wanted: object) -> configuration.Standing:
        def found() -> configuration.Standing | None:
            now = self.standing()
            return now if all(getattr(now, name) == value for name, value in wanted.items()) else None

        return self.until(found)

    def update(self, version: str, sequence: int, program: str) -> str:
        """Make, sign and take in an update of the gateway; return its SHA-256."""
        folder = self.folder / version
        (folder / "wheels").mkdir(parents=True)
        wheel = folder / "wheels" / f"feldsher-{version}-py3-none-any.whl"
        wheel.write_bytes(b"")
        build(wheel, version, program)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (folder / "requirements.lock").write_text(f"feldsher=={version} --hash=sha256:{digest}\n")
        tar, key = folder / "update.tar", self.folder / "keys" / "anna.key"
        self.cloud("release", "pack", str(folder), str(tar))
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        words = ["--version", version, "--sequence", str(sequence), "--python", python]
        self.cloud("release", "sign", str(tar), "--key", str(key), *words)
        return str(self.cloud("release", "add", str(tar))[0]["sha256"])


def build(path: Path, version: str, program: str) -> None:
    """Write a wheel whose only module is the program behind `feldsher-edge`."""
    info = f"feldsher-{version}.dist-info"
    parts = {
        "feldsher_journey.py": program,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: feldsher\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: journey\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nfeldsher-edge = feldsher_journey:main\n",
    }
    record = ""
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in parts.items():
            wheel.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text.encode())}\n"
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    broker: Broker = request.getfixturevalue("mosquitto")
    folder = tmp_path_factory.mktemp("managed")
    server, template = request.getfixturevalue("postgres"), request.getfixturevalue("migrated_template")
    name = f"feldsher_managed_{os.getpid()}"
    technician = Technician(folder, broker, server.create_database(name, template))
    with technician.config.open("a") as config:
        config.write(f'[update]\nroot = "{folder / "software"}"\ntrial_s = 15\nsteady_s = 0.5\n')
        config.write("[mqtt]\nbackoff_base_s = 0.1\n")
    broker.credentials("ingest.0")
    public = folder / "keys" / "anna.pub"
    with ExitStack() as running:
        running.callback(server.drop_database, name)
        for words in (("feldsher_cloud_api", "worker"), ("feldsher_ingest", "run")):
            running.enter_context(technician.running(*words))
        api = ("feldsher_cloud_api", "serve", "--tls", "--port", str(technician.port))
        running.enter_context(technician.running(*api))
        technician.cloud("release", "key", "anna", "--to", str(folder / "keys"))
        technician.cloud("release", "trust", "anna", str(public))
        claim = technician.cloud("gateway", "add", NAME).stdout.strip()
        done = technician.claim(claim)
        assert done.returncode == 0, done.stderr
        machine = Machine(technician, folder)
        running.callback(machine.stop)
        yield Scene(technician, machine, folder)


@pytest.mark.slow
def test_a_configuration_is_applied_reported_and_a_bad_one_taken_back(scene: Scene) -> None:
    scene.until(lambda: scene.standing().software)
    scene.cloud("gateway", "configure", NAME, "--set", "mqtt.heartbeat_s=2.0", "-m", "seen sooner")
    found = scene.stands(config=1, config_state="applied")
    assert (found.config_wanted, found.config_differs, found.open_tasks) == (1, False, 0)
    taken = str(scene.technician.port)  # somebody listens there already
    scene.cloud("gateway", "configure", NAME, "--set", f"metrics_port={taken}", "-m", "to be watched")
    found = scene.stands(config_wanted=2, config_state="rolled-back")
    assert (found.config, found.config_differs, "in use" in (found.config_detail or "")) == (1, True, True)
    [printed] = scene.cloud("gateway", "standing", NAME)
    assert (printed["config_wanted"], printed["config"], printed["config_state"]) == (2, 1, "rolled-back")
    seen = scene.seen()
    assert (seen["config_wanted"], seen["config_reported"], seen["config_state"]) == (2, 1, "rolled-back")
    assert "in use" in seen["config_detail"]
    last, first = scene.cloud("gateway", "configurations", NAME)
    assert [last["state"], first["state"]] == ["rolled-back", "applied"]


@pytest.mark.slow
def test_a_bundle_comes_and_holds_nothing_personal(scene: Scene) -> None:
    file = scene.folder / "bundle.zip"
    scene.cloud("gateway", "diagnostics", NAME, "-m", "it is slow")
    scene.until(lambda: scene.standing().bundle_at)
    scene.cloud("gateway", "diagnostics", NAME, "--to", str(file))
    with zipfile.ZipFile(file) as parts:
        texts = {name: parts.read(name).decode() for name in parts.namelist()}
    assert set(texts) == {"status.json", "configuration.json", "software.json", "machine.json"}
    assert json.loads(texts["status.json"])["orders"] == []
    assert json.loads(texts["configuration.json"])["mqtt"]["heartbeat_s"] == 2.0
    assert not [word for word in ("PRIVATE KEY", "subject", "patient") if word in "".join(texts.values())]
    scene.stands(open_tasks=0)


@pytest.mark.slow
def test_an_update_goes_into_a_slot_and_a_bad_one_is_taken_back_and_halts_its_rollout(scene: Scene) -> None:
    good = scene.update("2.0", 5, GOOD)
    scene.cloud("release", "offer", good, NAME, "-m", "newer")
    found = scene.stands(update_sequence=5, update_state="applied")
    assert (found.slot, found.update_version, found.update_differs) == ("a", "2.0", False)
    assert (scene.machine.software / "current").readlink().name == "a"
    bad = scene.update("3.0", 6, BAD)
    [made] = scene.cloud("release", "rollout", bad, "--stages", "100", "--most-failed", "0", "-m", "newest")
    assert made["targets"] == 1
    found = scene.stands(update_state="rolled-back")
    assert (found.update_sequence, found.slot, found.update_differs) == (5, "a", True)
    assert "no connection to the broker" in (found.update_detail or "")
    why = scene.until(scene.halted)
    assert why == "1 of 1 failed, more than 0 %"
    found = scene.standing()
    assert (found.config, found.open_tasks) == (1, 0)  # the configuration outlived both


@pytest.mark.slow
def test_a_gateway_forgets_everything_when_its_cloud_says_so(scene: Scene) -> None:
    scene.cloud("gateway", "wipe", NAME, "-m", "it goes to another village")
    scene.until(lambda: 64 in scene.machine.codes)
    assert list(scene.technician.gateway.iterdir()) == []
    [task] = scene.until(lambda: [t for t in scene.tasks() if (t.kind, t.state) == ("wipe", "applied")])
    assert task.detail == "all was sent; it forgets"
