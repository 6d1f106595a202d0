"""Servers for benchmarks of the gateway: database, authority, ingest; a folder of their own, gone afterwards."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from feldsher_cloud_api import ca
from feldsher_ingest import sql
from feldsher_tools.mosquitto import TlsFiles
from feldsher_tools.place import Place, find_place
from feldsher_tools.postgres import Postgres
from feldsher_tools.process import Process
from feldsher_tools.services import client_files, listener_files, open_authority

_CREATE = "bench_edge"


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation: `database` is its address, `listener` the files of its broker, `tag` names its processes."""

    place: Place
    folder: Path
    tag: str
    authority: ca.CertificateAuthority
    listener: TlsFiles
    database: str

    @contextmanager
    def ingest(self, broker: str) -> Generator[Process]:
        """Run an ingest worker on a broker's address."""
        process = Process(
            name="ingest",
            argv=[str(Path(sys.executable).with_name("feldsher-ingest")), "run"],
            log=self.folder / "ingest.log",
            pid_file=self.place.run / f"{self.tag}-ingest.pid",
            environment={
                "FELDSHER_DATABASE_URL": self.database,
                "FELDSHER_MQTT_URL": broker,
                "FELDSHER_STATE": str(self.folder / "state"),
            },
        )
        process.start()
        try:
            yield process
        finally:
            process.stop()


@contextmanager
def installed() -> Generator[Installation]:
    """Make an installation, and remove it."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="feldsher-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        place, tag = find_place(), f"bench-{os.getpid()}"
        data = place.base / tag
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        server = stack.enter_context(Postgres(place, data, name=f"{tag}-postgres"))
        url = server.create_database(_CREATE)
        with psycopg.connect(url) as connection:
            for part in sql.schemas():
                connection.execute(part.encode())
        authority = open_authority(folder / "state")
        client_files(authority, "gw-soak")
        yield Installation(place, folder, tag, authority, listener_files(authority), url)
