"""Filling the search columns of what is stored anew: after a migration, or where the definitions have changed."""

from __future__ import annotations

from uuid import UUID

from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import index, row
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.kinds import Kind, kind
from feldsher_cloud_api.fhir.statement import add_amounts, table

BATCH = 500
_FIRST = UUID(int=0)


def refill(connection: db.Connection, name: str) -> int:
    """Compute the search columns of all resources of a type anew; their versions stay. Returns how many there are."""
    of, last, done = kind(name), _FIRST, 0
    typed = sql.SQL("type = {} AND ").format(name) if of.shared else sql.SQL("")
    read = sql.SQL("SELECT id, content::text, patient_id FROM {} WHERE {} id > %s ORDER BY id LIMIT %s")
    # The first id of all would be skipped by ">": it is no id that anybody is given.
    while rows := connection.execute(read.format(table(of), typed), (last, BATCH)).fetchall():
        _batch(connection, of, typed, rows)
        last, done = rows[-1][0], done + len(rows)
    return done


def _batch(
    connection: db.Connection, of: Kind, typed: sql.Composable, rows: list[tuple[UUID, str, UUID | None]]
) -> None:
    names = (*row.SEARCH, *((name, "tstzrange") for name in of.dates))
    changes = sql.SQL(", ").join(
        sql.SQL("{} = %s::" + of_type).format(sql.Identifier(name))  # pyright: ignore[reportArgumentType]
        for name, of_type in names
    )
    write = sql.SQL("UPDATE {} SET {} WHERE {} id = %s").format(table(of), changes, typed)
    connection.execute(
        "DELETE FROM fhir.amount WHERE kind = %s AND id = ANY (%s)", (term(f"kind={of.name}"), [r[0] for r in rows])
    )
    with connection.cursor() as cursor:
        found = [(r[0], index.values(db.loads(r[1])), r[2]) for r in rows]
        cursor.executemany(write, [[*row.searched(of, v), identity] for identity, v, _ in found])
        for identity, v, patient in found:
            if v.amounts:
                cursor.execute(add_amounts(), [term(f"kind={of.name}"), identity, patient, of.letter, *row.amounts(v)])
