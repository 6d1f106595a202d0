"""Of several servers, the one that takes writes and was not replaced."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from feldsher_ingest import primary
from feldsher_tools.place import Place, free_port
from feldsher_tools.postgres import DatabaseServer, Postgres
from psycopg.conninfo import conninfo_to_dict


@pytest.fixture
def replica(place: Place, server_directory: Path, own_postgres: Postgres) -> Iterator[Postgres]:
    name = f"{own_postgres.process.name}-replica"
    made = Postgres(place, server_directory / name, name=name)
    made.follow(own_postgres, "replica")
    with made:
        yield made
    shutil.rmtree(made.directory, ignore_errors=True)


def several(*servers: int) -> str:
    return f"postgresql://postgres@{','.join(f'127.0.0.1:{port}' for port in servers)}/postgres"


def port_of(url: str) -> int:
    return int(str(conninfo_to_dict(primary.address(url))["port"]))


def test_one_server_is_taken_as_it_is() -> None:
    assert primary.address("postgresql://x@nowhere:1/y") == "postgresql://x@nowhere:1/y"
    assert primary.address("host=a dbname=b") == "host=a dbname=b"


def test_servers_and_ports_must_match() -> None:
    with pytest.raises(psycopg.OperationalError, match="3 servers and 2 ports"):
        primary.address("host=a,b,c port=1,2")


def test_the_one_that_takes_writes_is_found_and_after_a_promotion_the_newer(
    own_postgres: Postgres, replica: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(primary, "GRACE_S", 60.0)  # on a busy machine too, all answer
    url = several(free_port(), replica.port, own_postgres.port)
    assert port_of(url) == own_postgres.port
    replica.promote()  # the old primary knows nothing of it and takes writes still
    assert port_of(url) == replica.port
    own_postgres.kill()
    assert port_of(url) == replica.port
    replica.kill()
    with pytest.raises(psycopg.OperationalError, match=f"no server takes writes .*:{replica.port}: "):
        primary.address(url)


def test_two_that_are_no_copies_are_refused(
    own_postgres: Postgres, postgres: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(primary, "GRACE_S", 60.0)
    other = int(str(conninfo_to_dict(postgres.admin_url)["port"]))
    with pytest.raises(psycopg.OperationalError, match="no copies of each other"):
        primary.address(several(own_postgres.port, other))
