"""The servers of one installation together: what `./run up`, the demo, the tests and the benchmarks start.

Existing servers are used instead where FELDSHER_DATABASE_URL and FELDSHER_MQTT_URL point to them.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from feldsher_cloud_api import ca

from feldsher_tools.mosquitto import Mosquitto, TlsFiles
from feldsher_tools.place import Place, find_place, state_directory
from feldsher_tools.postgres import DatabaseServer, Postgres

HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Broker:
    """A reachable MQTT broker with the authority that its clients' certificates come from."""

    url: str
    authority: ca.CertificateAuthority

    def credentials(self, name: str) -> TlsFiles:
        """Return the files of a client certificate with the common name `name`, made at the first call."""
        return client_files(self.authority, name)


@dataclass(frozen=True, slots=True)
class Services:
    """A database server and a broker that answer."""

    database: DatabaseServer
    broker: Broker


def client_files(authority: ca.CertificateAuthority, name: str) -> TlsFiles:
    """Return the files of the client certificate `name`, made where there is none."""
    directory = authority.directory / "clients"
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    if not key.exists():
        authority.issue_client(name).write(directory, name)
    return TlsFiles(authority.directory / "ca.pem", certificate, key)


def listener_files(authority: ca.CertificateAuthority) -> TlsFiles:
    """Return the files of a broker's listener on loopback: a new certificate, and the list of revoked ones."""
    certificate, key = authority.issue_server(HOSTS).write(authority.directory / "broker", "broker")
    return TlsFiles(authority.directory / "ca.pem", certificate, key, authority.crl_path)


def external_database() -> DatabaseServer | None:
    """Return the server of FELDSHER_DATABASE_URL, or None."""
    url = os.environ.get("FELDSHER_DATABASE_URL")
    return DatabaseServer(url) if url else None


@contextmanager
def database_server(
    place: Place | None, directory: Path | None = None, name: str = "postgres"
) -> Generator[DatabaseServer]:
    """Run a database server with its data in `directory` (default: below the place's base), or use the existing one."""
    existing = external_database()
    if existing:
        yield existing
        return
    place = place or find_place()
    with Postgres(place, directory or place.base / "postgres", name=name) as postgres:
        yield postgres.server


@contextmanager
def broker(
    place: Place | None, authority: ca.CertificateAuthority, directory: Path | None = None, name: str = "mosquitto"
) -> Generator[Broker]:
    """Run a broker for clients of `authority`, or use the existing one (which must trust that authority)."""
    existing = os.environ.get("FELDSHER_MQTT_URL")
    if existing:
        yield Broker(existing, authority)
        return
    place = place or find_place()
    with Mosquitto(place, directory or place.state / "mosquitto", listener_files(authority), name=name) as mosquitto:
        yield Broker(mosquitto.url, authority)


@contextmanager
def services(state: Path | None = None) -> Generator[Services]:
    """Run database server and broker with their data below the state directory until the block ends."""
    state = state or state_directory()
    place = None if external_database() and os.environ.get("FELDSHER_MQTT_URL") else find_place(state)
    with ExitStack() as stack:
        database = stack.enter_context(database_server(place))
        authority = ca.open_or_create(state / "secrets" / "ca")
        yield Services(database, stack.enter_context(broker(place, authority)))
