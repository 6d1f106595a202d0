"""Tasks, configurations, artefacts and bundles: technicians see them, a gateway its own, everybody else nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from feldsher_cloud_api import access, db
from feldsher_tools.clinic import CLINIC, HOME, Clinic

TABLES = (
    "gateway_task", "gateway_configuration", "artefact", "rollout", "rollout_target", "diagnostics_bundle"
)  # fmt: skip
FILL = """
INSERT INTO cloud.release_key (public, name) VALUES ('key', 'test') ON CONFLICT DO NOTHING;
INSERT INTO cloud.gateway_task (id, gateway, kind, payload, reason, asked_by, created, expires_at)
VALUES ('{a}', '{home}', 'diagnose', '', 'r', 'x', now(), now() + interval '1 day'),
       ('{b}', '{home}', 'config', '', 'r', 'x', now(), now() + interval '1 day'),
       ('{c}', '{home}', 'update', '', 'r', 'x', now(), now() + interval '1 day');
INSERT INTO cloud.gateway_configuration VALUES ('{home}', 1, '', repeat('0', 64), repeat('x', 64)::bytea, '{b}');
INSERT INTO cloud.artefact (sha256, kind, version, sequence, size, manifest, signature, release_key, added_by, added_at)
VALUES (repeat('a', 64), 'gateway', '1', 1, 1, '', repeat('x', 64)::bytea, 'key', 'x', now()),
       (repeat('b', 64), 'gateway', '2', 2, 1, '', repeat('x', 64)::bytea, 'key', 'x', now());
INSERT INTO cloud.rollout
    (id, artefact, reason, asked_by, created, stages, least_applied, most_failed, observe_s, state_at)
VALUES ('{d}', repeat('a', 64), 'r', 'x', now(), '{{100}}', 80, 10, 0, now());
INSERT INTO cloud.rollout_target VALUES ('{d}', '{home}', '', 0, '{c}');
INSERT INTO cloud.diagnostics_bundle VALUES ('{e}', '{home}', '{a}', now(), now(), 1, '', 'x');
"""


@pytest.fixture
def asked(clinic: Clinic) -> list[UUID]:
    """Fill every table with something of the home gateway; the first id is of the task to send a bundle."""
    ids = [uuid4() for _ in range(5)]
    with clinic.owner() as connection:
        connection.execute(FILL.format(home=HOME, **dict(zip("abcde", ids, strict=True))).encode())
    return ids


@contextmanager
def gateway(clinic: Clinic, name: str) -> Generator[db.Connection]:
    with access.gateway(clinic.context.pool, name) as connection:
        yield connection


def seen(connection: db.Connection) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in TABLES:
        row = connection.execute(f"SELECT count(*) FROM cloud.{table}".encode()).fetchone()  # noqa: S608 - of TABLES
        assert row is not None
        counts[table] = row[0]
    return {table: n for table, n in counts.items() if n}


def test_technicians_see_them_and_nobody_else_does(clinic: Clinic, asked: list[UUID]) -> None:
    for role in ("", "doctor", "patient", "service"):
        with clinic.raw(role) as connection:
            assert seen(connection) == {}
    with clinic.raw("technician") as connection:
        assert seen(connection).keys() == set(TABLES)
        row = connection.execute("SELECT open_tasks FROM cloud.gateway_standing WHERE gateway = %s", (HOME,)).fetchone()
        assert row == (3,)


def test_a_gateway_sees_what_it_was_asked_and_offered_and_no_other(clinic: Clinic, asked: list[UUID]) -> None:
    with gateway(clinic, HOME) as connection:
        assert seen(connection) == {"gateway_task": 3, "artefact": 1}  # of two artefacts the offered one
    with gateway(clinic, CLINIC) as connection:
        assert seen(connection) == {}
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway_task SET state = 'failed' WHERE id = %s", (asked[2],))
    with gateway(clinic, HOME) as connection:
        assert seen(connection) == {"gateway_task": 3}


def test_a_gateway_adds_only_bundles_that_it_was_asked_for(clinic: Clinic, asked: list[UUID]) -> None:
    with clinic.owner() as connection:
        connection.execute("DELETE FROM cloud.diagnostics_bundle")
    add = "INSERT INTO cloud.diagnostics_bundle VALUES (%s, %s, %s, now(), now(), 1, '', 'x') ON CONFLICT DO NOTHING"
    with gateway(clinic, HOME) as connection:
        assert db.execute(connection, add, (uuid4(), HOME, asked[0])) == 1
        assert db.execute(connection, add, (uuid4(), HOME, asked[0])) == 0
    for name, task in ((CLINIC, asked[0]), (HOME, asked[1])):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), gateway(clinic, name) as connection:
            db.execute(connection, add, (uuid4(), name, task))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cloud.gateway_task SET payload = ''",
        "UPDATE cloud.gateway_configuration SET toml = ''",
        "UPDATE cloud.artefact SET manifest = ''",
        "DELETE FROM cloud.gateway_task",
        "INSERT INTO cloud.release_key (public, name) VALUES ('mine', 'mine')",
    ],
)
def test_what_was_signed_or_asked_is_not_changed_by_the_application(clinic: Clinic, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), clinic.raw("technician") as connection:
        connection.execute(statement.encode())
