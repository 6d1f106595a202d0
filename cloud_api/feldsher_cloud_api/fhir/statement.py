"""The statements by which resources are written: one each, so that a write is one round trip and whole."""

from __future__ import annotations

from functools import cache

from psycopg import sql

from feldsher_cloud_api.fhir import row
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.kinds import Kind

COLUMNS = sql.SQL("id, version, updated, patient_id, content::text, logical")
"""What of a row makes a `store.Stored`."""
CHANGE = sql.SQL("INSERT INTO fhir.change (type, id, version, method, updated, patient_id, scope)")
_AMOUNTS = sql.SQL("INSERT INTO fhir.amount (kind, id, patient_id, scope, {})").format(row.identifiers(row.AMOUNT))


def table(of: Kind, suffix: str = "") -> sql.Identifier:
    """Return the table of a type, or with `_history` that of its superseded versions."""
    return sql.Identifier("fhir", of.table + suffix)


def typed(of: Kind) -> sql.Composable:
    """Return the condition that tells a type from others in the same table; of a table of its own, nothing."""
    return sql.SQL("type = {} AND ").format(of.name) if of.shared else sql.SQL("")


def logged(of: Kind) -> bool:
    """Whether a type's versions are in the log of changes: audit events are not, they are only ever added."""
    return of.name != "AuditEvent"


@cache
def add_amounts() -> sql.Composed:
    """Return the statement that adds one resource's amounts: kind, id, patient, scope, then row.amounts."""
    arrays = sql.SQL(", ").join(sql.SQL("%s::" + kind + "[]") for _, kind in row.AMOUNT)  # pyright: ignore[reportArgumentType]
    return _AMOUNTS + sql.SQL(' SELECT %s::bigint, %s::uuid, %s::uuid, %s::"char", a.* FROM unnest({}) a').format(
        arrays
    )


@cache
def insert(of: Kind, extra: tuple[str, ...], *, sized: bool) -> bytes:
    """Return the statement of a first version; it returns a row where the id was free.

    Values: row.columns, extra; then (unless it is an audit event) id and version for the look into the history, and the
    log's method; then where `sized` those of `add_amounts`.
    """
    names = sql.SQL(", ").join([row.identifiers(row.columns(of)), *map(sql.Identifier, extra)])
    given = sql.SQL(", ").join([row.placeholders(row.columns(of)), *([sql.Placeholder()] * len(extra))])
    into = sql.SQL("INSERT INTO {} ({}) SELECT {}").format(table(of), names, given)
    if not logged(of):
        return _rendered(into + sql.SQL(" ON CONFLICT DO NOTHING"))
    free = sql.SQL(
        " WHERE NOT EXISTS (SELECT FROM {} WHERE {} id = %s AND version >= %s) ON CONFLICT DO NOTHING RETURNING 1"
    ).format(table(of, "_history"), typed(of))
    log = CHANGE + sql.SQL(' SELECT %s, %s::uuid, %s::int, %s, %s::timestamptz, %s::uuid, %s::"char" FROM made')
    parts = [sql.SQL("made AS ({})").format(into + free), sql.SQL("logged AS ({})").format(log)]
    if sized:
        parts.append(sql.SQL("sized AS ({})").format(add_amounts() + sql.SQL(", made")))
    return _rendered(sql.SQL("WITH {} SELECT count(*) FROM made").format(sql.SQL(", ").join(parts)))


@cache
def insert_many(of: Kind, *, sized: bool) -> bytes:
    """Return the statement of many first versions; it returns the ids that were free.

    Values: the rows as a JSON array of objects by column; then the log's method; then where `sized` the amounts
    likewise, with the id each is of. JSON, because PostgreSQL reads it faster than arrays of quoted texts are written.
    """
    names = (*row.columns(of), *((("bytes", "bytea"),) if of.name == "Binary" else ()))
    given = sql.SQL("given AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(%s::jsonb) AS g ({}))").format(
        _record(names)
    )
    listed = row.identifiers(names)
    into = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM given g").format(table(of), listed, listed)
    if not logged(of):
        return _rendered(sql.SQL("WITH {} {} ON CONFLICT DO NOTHING RETURNING id").format(given, into))
    free = sql.SQL(
        " WHERE NOT EXISTS (SELECT FROM {} h WHERE {} h.id = g.id) ON CONFLICT DO NOTHING RETURNING id"
    ).format(table(of, "_history"), sql.SQL("h.type = g.type AND") if of.shared else sql.SQL(""))
    log = CHANGE + sql.SQL(
        " SELECT {}, m.id, g.version, %s, g.updated, g.patient_id, {} FROM given g JOIN made m USING (id)"
    ).format(of.name, of.letter)
    parts = [given, sql.SQL("made AS ({})").format(into + free), sql.SQL("logged AS ({})").format(log)]
    if sized:
        sizes = sql.SQL(
            " SELECT {}, m.id, g.patient_id, {}, {} FROM jsonb_to_recordset(%s::jsonb) AS a (id uuid, {})"
            " JOIN made m USING (id) JOIN given g USING (id)"
        ).format(term(f"kind={of.name}"), of.letter, row.identifiers(row.AMOUNT), _record(row.AMOUNT))
        parts.append(sql.SQL("sized AS ({})").format(_AMOUNTS + sizes))
    return _rendered(sql.SQL("WITH {} SELECT id FROM made").format(sql.SQL(", ").join(parts)))


def _record(names: tuple[tuple[str, str], ...]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} " + kind).format(sql.Identifier(name))  # pyright: ignore[reportArgumentType]
        for name, kind in names
    )


def _rendered(composed: sql.Composed) -> bytes:
    """Return a statement as it is sent: putting one together takes longer than running it."""
    return composed.as_bytes(None)


@cache
def update(of: Kind, extra: tuple[str, ...], *, sized: bool) -> bytes:
    """Return the statement of a next version: the one before goes into the history, the change into the log.

    Values: id; row.columns without the first ones that name the row, extra, id; the log's; kind and id of the amounts
    that go; then where `sized` those of `add_amounts`.
    """
    changed = tuple(c for c in row.columns(of) if c[0] not in ("type", "scope", "id"))
    sets = [
        sql.SQL("{} = %s::" + kind).format(sql.Identifier(name))  # pyright: ignore[reportArgumentType]
        for name, kind in changed
    ]
    sets += [sql.SQL("{} = %s").format(sql.Identifier(name)) for name in extra]
    write = sql.SQL("UPDATE {} SET {}, txid = pg_current_xact_id() WHERE {} id = %s").format(
        table(of), sql.SQL(", ").join(sets), typed(of)
    )
    log = CHANGE + sql.SQL(' VALUES (%s, %s::uuid, %s::int, %s, %s::timestamptz, %s::uuid, %s::"char")')
    parts = [
        sql.SQL("kept AS ({})").format(archive(of)),
        sql.SQL("written AS ({})").format(write),
        sql.SQL("logged AS ({})").format(log),
        sql.SQL("cleared AS (DELETE FROM fhir.amount WHERE kind = %s AND id = %s)"),
    ]
    if sized:
        parts.append(sql.SQL("sized AS ({})").format(add_amounts()))
    return _rendered(sql.SQL("WITH {} SELECT 1").format(sql.SQL(", ").join(parts)))


@cache
def find(of: Kind) -> bytes:
    """Return the beginning of the statement that reads one resource: its id, then what follows the last AND."""
    return _rendered(sql.SQL("SELECT {} FROM {} WHERE {} id = %s AND ").format(COLUMNS, table(of), typed(of)))


@cache
def archive(of: Kind) -> sql.Composed:
    """Return the statement that copies the current version of a resource into the history."""
    names = sql.SQL(", ").join(map(sql.Identifier, _kept(of)))
    return sql.SQL("INSERT INTO {} ({n}) SELECT {n} FROM {} WHERE {} id = %s").format(
        table(of, "_history"), table(of), typed(of), n=names
    )


@cache
def tombstone(of: Kind) -> sql.Composed:
    """Return the statement that puts a deletion into the history and the log: version, now, id; the log's."""
    own = ("type", "scope") if of.shared else ()
    names = sql.SQL(", ").join(map(sql.Identifier, (*own, "id", "patient_id", "logical")))
    stone = sql.SQL(
        "INSERT INTO {} ({n}, txid, version, updated) SELECT {n}, pg_current_xact_id(), %s, %s FROM {} WHERE {} id = %s"
    ).format(table(of, "_history"), table(of), typed(of), n=names)
    log = CHANGE + sql.SQL(' VALUES (%s, %s::uuid, %s::int, %s, %s::timestamptz, %s::uuid, %s::"char")')
    return sql.SQL("WITH stone AS ({}), logged AS ({}) SELECT 1").format(stone, log)


def _kept(of: Kind) -> tuple[str, ...]:
    own = ("type", "scope") if of.shared else ("bytes",) if of.name == "Binary" else ()
    return (*own, "id", "logical", "version", "updated", "txid", "patient_id", "content")
