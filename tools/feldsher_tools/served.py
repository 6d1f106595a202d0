"""The cloud's application behind a real port of this machine, and a gateway whose own code talks to it, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import uvicorn
from feldsher_cloud_api.app import create_app
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.manage import tasks
from feldsher_edge.api import Api
from feldsher_ehr_core import wire

from feldsher_tools.clinic import Clinic
from feldsher_tools.place import free_port


@contextmanager
def served(settings: Settings) -> Generator[Settings]:
    """Serve an installation over HTTP on loopback and yield its settings, which name the address."""
    port = free_port()
    at = replace(settings, api_url=f"http://127.0.0.1:{port}")
    server = uvicorn.Server(uvicorn.Config(create_app(at), port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise TimeoutError("the application did not start")
        time.sleep(0.01)
    try:
        yield at
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Site:
    """A claimed gateway `name` with its state directory, its side of the API, and the cloud it belongs to."""

    clinic: Clinic
    settings: Settings
    name: str
    state: Path
    api: Api

    def say(self, **fields: object) -> None:
        """Report, and let the cloud's worker take it."""
        self.clinic.receive(wire.Reported(env=self.clinic.envelope(self.name), software="x", **fields))  # type: ignore[arg-type]
        self.clinic.work()

    def task(self, identity: UUID) -> tasks.Task:
        """Return how a task stands."""
        with self.clinic.owner() as connection:
            found = tasks.one(connection, identity)
        if found is None:
            raise LookupError(f"{identity}: there is no such task")
        return found

    def command(self, identity: UUID) -> wire.DownMessage:
        """Return what goes to the gateway for a task."""
        with self.clinic.owner() as connection:
            row = connection.execute("SELECT payload FROM cloud.gateway_task WHERE id = %s", (identity,)).fetchone()
        if row is None:
            raise LookupError(f"{identity}: there is no such task")
        return wire.decode_down(bytes(row[0]))
