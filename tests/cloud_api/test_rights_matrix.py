"""Every role on every type of R4, by raw SQL as the application's role: what code allows, the database lets through.

Each type has one row of a patient within reach, one of a patient beyond it, and one of nobody.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from feldsher_cloud_api import access, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.rights import rights
from psycopg import sql

NEAR, FAR = uuid4(), uuid4()
CLASS_LETTER = {"compartment": "c", "directory": "d", "device": "v", "staff": "s"}
CARED = [name for name, of in rights().roles.items() if of.reach == "care"]


@dataclass(frozen=True)
class Record:
    """A database with three rows of each type, and a person of each role; `tables`: where each type is kept."""

    url: str
    people: dict[str, UUID]
    tables: dict[str, str]
    rows: dict[tuple[str, str], UUID]

    @contextmanager
    def asking(self, principal: Principal, *, owner: bool = False) -> Generator[db.Connection]:
        """Open a transaction with a principal's settings, as the application's role or as the owner."""
        with db.connect(self.url, None if owner else db.API) as connection:
            settings = {
                "app.user": str(principal.person),
                "app.role": principal.role,
                "app.patients": ",".join(map(str, principal.patients)),
                "app.patient": str(principal.chosen or ""),
                "app.purpose": principal.purpose,
            }
            for name, value in settings.items():
                connection.execute("SELECT set_config(%s, %s, true)", (name, value))
            yield connection
            connection.rollback()

    def principal(self, role: str) -> Principal:
        """Return the person of a role: staff cares for NEAR, an examiner has a grant, patients are NEAR."""
        own = (NEAR,) if rights().roles[role].reach == "own" else ()
        return Principal(self.people[role], role, role, None, own, "web")


def _insert(kind: str, table: str, identity: UUID, patient: UUID | None) -> sql.Composed:
    columns: dict[str, Any] = {"id": identity, "version": 1, "patient_id": patient}
    if table == "other":
        columns |= {"type": kind, "scope": CLASS_LETTER[rights().classes[kind]]}
    if kind == "Binary":
        columns["bytes"] = b""
    return sql.SQL("INSERT INTO fhir.{} (updated, content, {}) VALUES (now(), '{{}}', {})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(map(sql.Literal, columns.values())),
    )


@pytest.fixture(scope="module")
def record(postgres: Any, migrated_template: str) -> Iterator[Record]:
    """A migrated database with the rows and the people."""
    name = f"feldsher_matrix_{uuid4().hex[:12]}"
    url = postgres.create_database(name, migrated_template)
    people = {role: uuid4() for role in rights().roles}
    rows: dict[tuple[str, str], UUID] = {}
    with db.connect(url) as connection:
        tables: dict[str, str] = dict(connection.execute("SELECT type, name FROM fhir.kind").fetchall())
        for role, person in people.items():
            connection.execute(
                "INSERT INTO cloud.person (id, username, display, role) VALUES (%s, %s, %s, %s)",
                (person, role, role, role),
            )
            if role in CARED:
                connection.execute(
                    "INSERT INTO cloud.care_relationship (id, person, patient, reason) VALUES (%s, %s, %s, 'test')",
                    (uuid4(), person, NEAR),
                )
        connection.execute(
            "INSERT INTO cloud.access_grant (kind, person, patient, purpose, during, reason)"
            " VALUES ('examination', %s, %s, 'HPAYMT', tstzrange(now(), now() + interval '1 hour'), 'x')",
            (people["examiner"], NEAR),
        )
        worn = uuid4()
        connection.execute("INSERT INTO cloud.device (id, address) VALUES (%s, 'worn')", (worn,))
        connection.execute(
            "INSERT INTO cloud.device_assignment (id, device, patient, during) VALUES (%s, %s, %s, '[,)')",
            (uuid4(), worn, NEAR),
        )
        for kind, table in tables.items():
            for whose, patient in (("near", NEAR), ("far", FAR), ("nobody", None)):
                identity = patient if kind == "Patient" and patient else uuid4()
                identity = worn if (kind, whose) == ("Device", "near") else identity
                rows[kind, whose] = identity
                connection.execute(_insert(kind, table, identity, patient))
    yield Record(url, people, tables, rows)
    postgres.drop_database(name)


def _visible(
    connection: db.Connection, record: Record, conditions: dict[str, tuple[sql.Composable, list[Any]]]
) -> set[Any]:
    """Return (type, whose) of the rows that a connection sees of these types under these conditions."""
    parts, values = list[sql.Composable](), list[Any]()
    for kind, (condition, given) in conditions.items():
        where = condition if record.tables[kind] != "other" else sql.SQL("type = {} AND {}").format(kind, condition)
        part = sql.SQL("SELECT {}::text, id FROM fhir.{} WHERE {}")
        parts.append(part.format(kind, sql.Identifier(record.tables[kind]), where))
        values += given
    names = {(kind, identity): whose for (kind, whose), identity in record.rows.items()}
    found = connection.execute(sql.SQL(" UNION ALL ").join(parts), values).fetchall() if parts else []
    return {(kind, names[kind, identity]) for kind, identity in found}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("role", rights().roles)
def test_what_is_seen(record: Record, role: str, whole: bool) -> None:
    principal, everything = record.principal(role), (sql.SQL("true"), list[Any]())
    if whole:
        with db.connect(record.url) as connection:
            connection.execute(
                "INSERT INTO cloud.care_relationship (id, person, reason) VALUES (%s, %s, 'all')",
                (uuid4(), principal.person),
            )
    try:
        with record.asking(principal) as connection:
            let_through = _visible(connection, record, dict.fromkeys(record.tables, everything))
            reach = access.reach(connection, principal)
        with record.asking(principal, owner=True) as connection:
            readable = {k: reach.predicate(k) for k in record.tables if access.may(principal, k, "read")}
            allowed = _visible(connection, record, readable)
    finally:
        with db.connect(record.url) as connection:
            connection.execute("DELETE FROM cloud.care_relationship WHERE patient IS NULL")
    assert let_through == allowed
    of = rights()
    clinical = {(k, w) for k, w in allowed if of.classes[k] in ("compartment", "staff")}
    everybody = of.roles[role].reach == "all" or (whole and of.roles[role].reach == "care")
    assert {w for _, w in clinical} <= ({"near", "far", "nobody"} if everybody else {"near"})
    assert bool(clinical) is (of.roles[role].reach != "none")


# A list of attempts is made in one go: of each its statements, one after the other, and nothing of them stays.
_TRIED = """CREATE FUNCTION pg_temp.tried(attempt text[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE statement text; touched bigint := 0;
BEGIN
    FOREACH statement IN ARRAY attempt LOOP
        EXECUTE statement;
        GET DIAGNOSTICS touched = ROW_COUNT;
    END LOOP;
    RAISE EXCEPTION USING ERRCODE = CASE WHEN touched > 0 THEN 'ZZ001' ELSE 'ZZ000' END;
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN RETURN true;
    WHEN SQLSTATE 'ZZ000' OR insufficient_privilege THEN RETURN false;
END $$"""


def _wrong(connection: db.Connection, expected: dict[tuple[str, str], tuple[list[sql.Composable], bool]]) -> list[Any]:
    """Return (type, whose) of the attempts that do not end as expected."""
    connection.execute(_TRIED.encode())
    attempts = [[s.as_string(connection) for s in statements] for statements, _ in expected.values()]
    longest = max(map(len, attempts), default=1)
    padded = [["SELECT"] * (longest - len(a)) + a for a in attempts]
    found = connection.execute(
        "SELECT pg_temp.tried(ARRAY(SELECT jsonb_array_elements_text(a))) FROM jsonb_array_elements(%s::jsonb) a",
        (db.dumps(padded).decode(),),
    ).fetchall()
    return [key for (key, (_, allowed)), (done,) in zip(expected.items(), found, strict=True) if done is not allowed]


def _cases(record: Record) -> list[tuple[str, str]]:
    """Return the rows to try: of what is everybody's one is enough."""
    shared = rights().of_class("directory")
    return [(kind, whose) for kind, whose in record.rows if whose == "near" or kind not in shared]


@pytest.mark.parametrize("role", rights().roles)
def test_what_is_created(record: Record, role: str) -> None:
    principal, of = record.principal(role), rights()
    everybody = of.roles[role].reach == "all"
    expected: dict[tuple[str, str], tuple[list[sql.Composable], bool]] = {}
    for kind, whose in _cases(record):
        allowed = access.may(principal, kind, "create")
        if of.classes[kind] == "compartment":
            allowed = allowed and (whose == "near" or everybody or kind == "Patient")
        if of.classes[kind] == "staff":
            allowed = allowed and everybody
        # whoever looks leaves an event
        patient = {"near": NEAR, "far": FAR, "nobody": None}[whose]
        made = _insert(kind, record.tables[kind], uuid4(), patient)
        expected[kind, whose] = [made], allowed or kind == "AuditEvent"
    with record.asking(principal) as connection:
        assert _wrong(connection, expected) == []


@pytest.mark.parametrize("role", rights().roles)
def test_what_is_changed(record: Record, role: str) -> None:
    principal = record.principal(role)
    with record.asking(principal) as connection:
        reach = access.reach(connection, principal)
    with record.asking(principal, owner=True) as connection:
        seen = _visible(connection, record, {k: reach.predicate(k) for k in record.tables})
    expected: dict[tuple[str, str], tuple[list[sql.Composable], bool]] = {}
    for kind, whose in _cases(record):
        if kind != "AuditEvent":
            change = sql.SQL("UPDATE fhir.{} SET updated = now() WHERE id = {}").format(
                sql.Identifier(record.tables[kind]), record.rows[kind, whose]
            )
            expected[kind, whose] = [change], access.may(principal, kind, "update") and (kind, whose) in seen
    with record.asking(principal) as connection:
        assert _wrong(connection, expected) == []


_GONE = """INSERT INTO fhir.{history} (id, version, updated, txid, patient_id, content {typed})
    SELECT id, v.version, now(), pg_current_xact_id(), patient_id, v.content {typed} FROM fhir.{table},
    (VALUES (1, '{{}}'::jsonb), (2, NULL)) AS v(version, content) WHERE id = {id}"""


@pytest.mark.parametrize("role", rights().roles)
def test_what_is_deleted(record: Record, role: str) -> None:
    """A row goes only after its versions are in the history, where a deletion is a version that needs its own right."""
    principal, of = record.principal(role), rights()
    everybody = of.roles[role].reach == "all"
    expected: dict[tuple[str, str], tuple[list[sql.Composable], bool]] = {}
    for kind, whose in _cases(record):
        table, identity = record.tables[kind], record.rows[kind, whose]
        noted = sql.SQL(_GONE).format(
            history=sql.Identifier(f"{table}_history"),
            table=sql.Identifier(table),
            typed=sql.SQL(", type, scope" if table == "other" else ""),
            id=identity,
        )
        buried = sql.SQL("SELECT FROM (SELECT fhir.bury({}, {}) AS gone) b WHERE gone = 1").format(kind, identity)
        allowed = access.may(principal, kind, "delete") and (everybody or whose == "near")
        expected[kind, whose] = [noted, buried], allowed
    with record.asking(principal) as connection:
        assert _wrong(connection, expected) == []


def test_nobody_moves_a_row_out_of_their_reach(record: Record) -> None:
    with record.asking(record.principal("doctor")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(
            "UPDATE fhir.observation SET patient_id = %s WHERE id = %s", (FAR, record.rows["Observation", "near"])
        )


def test_the_trail_is_changed_by_nobody(record: Record) -> None:
    for statement in ("UPDATE fhir.auditevent SET content = '{}'", "DELETE FROM fhir.auditevent"):
        with (
            record.asking(record.principal("service")) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.encode())
