"""A FHIR server of its own for benchmarks: a durable PostgreSQL, server processes, and a program's token."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from feldsher_cloud_api import ca, db, demo, suite
from feldsher_cloud_api.config import Settings
from feldsher_tools.place import find_place, free_port
from feldsher_tools.postgres import Postgres

MEMORY = "2GB"
"""shared_buffers: PostgreSQL advises a quarter of the machine's memory; this is a small machine's."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Site:
    """A running server: its database's address, the ports of its processes, and a token that reaches everything."""

    database: str
    postgres: Postgres
    base: str
    port: int
    token: str
    processes: Sequence[int]

    def cpu_s(self) -> float:
        """Return the processor seconds that the server's processes have used, the database's among them."""
        return sum(_cpu_s(pid) for pid in (*self.processes, *_family(self.postgres.process.pid)))


def _family(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children")
    return [parent, *map(int, children.read_text().split())] if children.exists() else []


def _cpu_s(pid: int) -> float:
    # With the time of children that have ended: a database's connection is a process.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def site(processes: int = 2) -> Generator[Site]:
    """Run a migrated, seeded server of its own; everything of it is gone afterwards."""
    place, name = find_place(), f"fhir-{os.getpid()}"
    data, state = place.base / name, place.state / name
    try:
        with Postgres(place, data, name=f"{name}-postgres", settings={"shared_buffers": MEMORY}) as postgres:
            url = postgres.create_database("record")
            db.migrate(url)
            with _served(url, state, processes) as (base, port, pids):
                token = _token(url, state, base)
                yield Site(url, postgres, base, port, token, pids)
    finally:
        shutil.rmtree(data, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


@contextmanager
def _served(url: str, state: Path, processes: int) -> Generator[tuple[str, int, list[int]]]:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    ca.open_or_create(Settings(database_url=url, state=state, api_url=base).ca_directory)
    told = {"FELDSHER_DATABASE_URL": url, "FELDSHER_STATE": str(state), "FELDSHER_API_URL": base, "FELDSHER_DEMO": "1"}
    command = [str(Path(sys.executable).with_name("feldsher-cloud")), "serve", "--port", str(port)]
    command += ["--processes", str(processes)]
    with (state / "log").open("wb") as log:
        running = subprocess.Popen(
            command, env=os.environ | told | {"FELDSHER_TOKEN_MINUTES": "60"}, stdout=log, stderr=log
        )
        try:
            _wait(base, running, state / "log")
            yield base, port, [running.pid, *_family(running.pid)[1:]]
        finally:
            running.terminate()
            running.wait(_PATIENCE_S)


def _wait(base: str, running: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"{base}/fhir/metadata", timeout=5):  # noqa: S310 - our own http address
                return
        except OSError:
            if running.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the server does not answer: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)


def _token(url: str, state: Path, base: str) -> str:
    settings = Settings(database_url=url, state=state, api_url=base, demo=True)
    with db.connect(url) as connection:
        demo.seed(connection, settings, **demo.NAMES, redirect_uris=list(suite.REDIRECTS))
        client = suite.register(connection, settings)["client"]
    form = {name: client[name] for name in ("client_id", "client_secret", "scope", "grant_type")}
    with urllib.request.urlopen(f"{base}/oauth/token", urllib.parse.urlencode(form).encode(), timeout=30) as answer:  # noqa: S310
        return json.load(answer)["access_token"]
