"""A private PostgreSQL 17 with TimescaleDB on a free loopback port, or the existing one of FELDSHER_DATABASE_URL."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from feldsher_tools.place import Place, ServiceError, free_port
from feldsher_tools.process import Process, as_user

EMPTY = "template0"
"""Nobody can connect to it, so it can always be copied; TimescaleDB's launcher visits template1."""
CONFIGURATION = """
# feldsher: durable (fsync stays on), loopback only, and no values of patients in the log
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_error_verbosity = terse
"""


_WITH_CHILDREN = """
WITH RECURSIVE wanted (id) AS (
    SELECT name::regclass FROM unnest(%s::text[]) AS name
    UNION
    SELECT conrelid FROM pg_constraint JOIN wanted ON confrelid = id WHERE contype = 'f'
)
SELECT id::regclass::text FROM wanted
"""


_NUMBERED = """
SELECT setval(seq.oid::regclass, seqstart, false) FROM pg_sequence
JOIN pg_class AS seq ON seq.oid = seqrelid
JOIN pg_depend ON objid = seq.oid AND deptype IN ('a', 'i') AND refobjid = ANY (%s::regclass[])
"""


def empty(connection: psycopg.Connection[TupleRow], tables: Sequence[str], *, restart: bool = False) -> None:
    """Delete all rows of `tables` and of those that refer to them, as TRUNCATE … CASCADE would; needs a superuser.

    With `restart` their own numbers begin anew. TRUNCATE gives each table and each of its indexes a new file: 0.2 s for
    forty tables, however empty; this takes 0.01 s.
    """
    found = [name for (name,) in connection.execute(_WITH_CHILDREN, [list(tables)])]
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # no trigger, no order among the tables
        connection.execute("; ".join(f"DELETE FROM {name}" for name in found).encode())  # noqa: S608 - as PostgreSQL quotes it
        if restart:
            connection.execute(_NUMBERED, [found])


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A reachable PostgreSQL server; `admin_url` names a superuser and any database."""

    admin_url: str

    def url(self, name: str = "postgres") -> str:
        """Return the address of a database of this server."""
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{name}"))

    def create_database(self, name: str, template: str = EMPTY) -> str:
        """Create a database (empty, or a copy of `template`) and return its address."""
        self._execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database with all its connections; one that is not there is no error."""
        self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)


class Postgres:
    """A private server: a context manager, or `start`, `stop`, `kill` (SIGKILL) and `start` again on the same port."""

    def __init__(
        self,
        place: Place,
        directory: Path,
        *,
        name: str = "postgres",
        port: int | None = None,
        outlives: bool = False,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the data below `directory`, which the servers' user must be able to reach (see `Place.base`).

        Without `durable` nothing is synced to the disk: for tests that neither kill nor keep anything. `settings`: of
        PostgreSQL, beside those of CONFIGURATION.
        """
        options = [option for name, value in (settings or {}).items() for option in ("-c", f"{name}={value}")]
        self.place, self.directory = place, directory
        self.data = directory / "data"
        self.port = port or free_port()
        self.process = Process(
            name=name,
            argv=[
                place.program("postgres"),
                *("-D", str(self.data), "-p", str(self.port), *options, *([] if durable else ["-F"])),
            ],
            log=directory / "log",
            pid_file=place.run / f"{name}.pid",
            stop_signal=signal.SIGINT,  # "fast": sessions are ended, everything is written
            user=(place.uid, place.gid) if os.geteuid() == 0 else None,
            cwd=self.data,  # also before it has read its settings, for _link_time_zones
            address=self.url(),
            outlives_parent=outlives,
        )

    @property
    def server(self) -> DatabaseServer:
        """The server as a client sees it."""
        return DatabaseServer(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")

    def url(self, name: str = "postgres") -> str:
        """Return the address of a database of this server."""
        return self.server.url(name)

    def create_database(self, name: str, template: str = EMPTY) -> str:
        """Create a database (empty, or a copy of `template`) and return its address."""
        return self.server.create_database(name, template)

    def drop_database(self, name: str) -> None:
        """Drop a database with all its connections; one that is not there is no error."""
        self.server.drop_database(name)

    def initialise(self) -> None:
        """Make the data directory where there is none; an interrupted attempt is made anew."""
        if (self.data / "PG_VERSION").exists():
            return
        fresh = self.directory / "data.new"
        self.place.make_directory(self.directory)
        shutil.rmtree(fresh, ignore_errors=True)
        self._link_time_zones(self.directory)
        command = [self.place.program("initdb"), "-D", str(fresh), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-k"]
        # the builtin provider gives the same order of text on every machine; C.UTF-8 knows Cyrillic letters
        command += ["--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"]
        self._run(command)
        with (fresh / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)
        fresh.rename(self.data)

    def _run(self, command: Sequence[str]) -> None:
        done = subprocess.run(
            [*as_user(self.process.user), *command],
            cwd=self.directory,
            env=os.environ | {"TZ": "UTC"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            program = Path(command[0]).name
            raise ServiceError(f"{program} failed in {self.directory}:\n{done.stdout}{done.stderr}")

    def follow(self, primary: Postgres, slot: str) -> None:
        """Make the data directory a streaming replica of a running server, which keeps for it what it has not read."""
        self.place.make_directory(self.directory)
        command = [self.place.program("pg_basebackup"), "-D", str(self.data), "-d", primary.url(), "-c", "fast"]
        self._run([*command, "-X", "stream", "-R", "-C", "-S", slot])

    def promote(self) -> None:
        """Make a replica a primary, and wait until it takes writes."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("select pg_promote()")

    def _link_time_zones(self, directory: Path) -> None:
        # on a host without time zones tools/prefix.sh makes the server look in its working directory instead
        link = directory / "zoneinfo"
        if not Path("/usr/share/zoneinfo/UTC").exists():
            link.unlink(missing_ok=True)
            link.symlink_to(self.place.prefix / "usr/share/zoneinfo")

    def start(self) -> None:
        """Start the server (making its data first) and wait until it answers; after a kill it recovers first."""
        self.initialise()
        self._link_time_zones(self.data)
        self.process.start()
        self.process.wait_ready(self._answers, timeout_s=60)

    def _answers(self) -> bool:
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(self.url(), connect_timeout=2) as connection,
        ):
            return connection.execute("select 1").fetchone() == (1,)
        return False

    def stop(self) -> None:
        """End the server in an orderly way."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL the postmaster and every backend at once."""
        self.process.kill()

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()
