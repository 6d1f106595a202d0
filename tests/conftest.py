"""Session fixtures: one database server, one broker and one D-Bus for all tests; a fresh database for each that asks.

`postgres` (server), `database` (migrated), `empty_database`, `mosquitto` (broker with authority), `dbus`;
`own_postgres` and `own_mosquitto` are for tests that kill: nobody else uses them.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
from feldsher_cloud_api import ca, db
from feldsher_tools.dbus import DBus
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.place import Place, find_place, state_directory
from feldsher_tools.postgres import DatabaseServer, Postgres
from feldsher_tools.services import Broker, external_broker, external_database, listener_files
from hypothesis import settings
from psycopg import sql

# No test asserts on a time: an example that takes long on a busy machine is no failure.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

_NUMBERS = itertools.count(1)
SESSION = f"{os.getpid()}-{secrets.token_hex(3)}"  # in containers process ids alone repeat
DAY_S = 86_400


@pytest.fixture(autouse=True)
def log_as_ever() -> Iterator[None]:
    """Undo what a command did that was run within a test: its log goes to that test's standard error, which ends."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def place() -> Place:
    """The private prefix and where its servers keep their data."""
    return find_place()


@pytest.fixture(scope="session")
def server_directory(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for this session's servers that PostgreSQL's user can reach (root's pytest folders are closed)."""
    place: Place = request.getfixturevalue("place")
    for left in (place.base / "tests").glob("*"):  # by a session that was killed
        if time.time() - left.stat().st_mtime > DAY_S:
            shutil.rmtree(left, ignore_errors=True)
    directory = place.base / "tests" / SESSION
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """The session's database server; it does not sync to the disk (`own_postgres` does)."""
    existing = external_database()
    if existing:
        yield existing
        return
    place: Place = request.getfixturevalue("place")
    directory: Path = request.getfixturevalue("server_directory")
    with Postgres(place, directory / "postgres", name=f"test-{SESSION}-postgres", durable=False) as server:
        yield server.server


@pytest.fixture
def own_postgres(place: Place, server_directory: Path) -> Iterator[Postgres]:
    """A running database server for this test alone: it may be killed and started again."""
    number = next(_NUMBERS)
    with Postgres(place, server_directory / f"postgres-{number}", name=f"test-{SESSION}-postgres-{number}") as server:
        yield server
    shutil.rmtree(server.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(postgres: DatabaseServer) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    name = f"feldsher_template_{SESSION}"
    url = postgres.create_database(name)
    db.migrate(url)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        # TimescaleDB's background worker would hold it open
        connection.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name)))
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
    yield name
    postgres.drop_database(name)


@pytest.fixture
def database(postgres: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """The address of a fresh, migrated database; it is dropped after the test."""
    name = f"feldsher_test_{SESSION}_{next(_NUMBERS)}"
    yield postgres.create_database(name, migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def empty_database(postgres: DatabaseServer) -> Iterator[str]:
    """The address of a fresh, empty database; it is dropped after the test."""
    name = f"feldsher_test_{SESSION}_{next(_NUMBERS)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> ca.CertificateAuthority:
    """The certificate authority of the session's broker and all its clients."""
    return ca.create(tmp_path_factory.mktemp("secrets") / "ca")


@pytest.fixture(scope="session")
def mosquitto(
    request: pytest.FixtureRequest, authority: ca.CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """The session's broker; `mosquitto.credentials(name)` gives the files of a client certificate."""
    existing = external_broker()
    if existing:
        yield Broker(existing, ca.open_or_create(state_directory() / "secrets" / "ca"))
        return
    place: Place = request.getfixturevalue("place")
    directory = tmp_path_factory.mktemp("mosquitto")
    with Mosquitto(place, directory, listener_files(authority), name=f"test-{SESSION}-mosquitto") as server:
        yield Broker(server.url, authority)


@pytest.fixture
def own_mosquitto(place: Place, authority: ca.CertificateAuthority, tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker for this test alone (clients of `authority`): it may be killed and started again."""
    name = f"test-{SESSION}-mosquitto-{next(_NUMBERS)}"
    with Mosquitto(place, tmp_path / "mosquitto", listener_files(authority), name=name) as running:
        yield running


@pytest.fixture(scope="session")
def dbus(place: Place) -> Iterator[DBus]:
    """A private D-Bus for the virtual org.bluez; `dbus.environment()` makes a process take it for the system's."""
    with DBus(place, name=f"test-{SESSION}-dbus") as bus:
        yield bus
