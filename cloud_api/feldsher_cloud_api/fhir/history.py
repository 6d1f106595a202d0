"""History of a resource, of a type, of everything: versions newest first, deletions among them, page by page.

Types and the whole record are read from the log of changes below `fhir.settled()`: a page never holds a change that a
transaction still under way could come before, so who follows the pages, or asks again with `_since`, misses nothing.
Audit events are only ever added and stand in no log: their own table is their history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from psycopg import sql

from feldsher_cloud_api import access, db
from feldsher_cloud_api.fhir import dates, headers, search, statement, store
from feldsher_cloud_api.fhir.interaction import Turn
from feldsher_cloud_api.fhir.kinds import kind as kind_of
from feldsher_cloud_api.fhir.kinds import kinds
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.store import Stored

DEFAULT_COUNT, MAX_COUNT = 50, 1000
_IGNORED = ("_format", "_pretty")


@dataclass(slots=True)
class Asked:
    """What a history is asked for: since when, at which time, how many entries a page has."""

    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    count: int = DEFAULT_COUNT
    given: list[tuple[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One version in a history."""

    kind: str
    method: str
    stored: Stored


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a history, its total where that is known, and the place of the next page, None at the end."""

    entries: list[Entry]
    total: int | None = None
    place: list[str] | None = None


def understand(pairs: Iterable[tuple[str, str]]) -> Asked:
    """Return what parameters ask for; FhirError 400 names one that is not understood."""
    asked = Asked(given=[])
    for name, value in pairs:
        if name in _IGNORED:
            continue
        if name not in ("_since", "_at", "_count"):
            raise FhirError(400, "invalid", f"{name[:80]}: a history has _since, _at and _count", f"http.{name[:80]}")
        try:
            if name == "_count":
                asked.count = min(int(value), MAX_COUNT)
            else:
                span = dates.parse(value.replace(" ", "+"))
                asked.since, asked.at = (span[0], asked.at) if name == "_since" else (asked.since, span)
        except (ValueError, OverflowError) as error:
            raise FhirError(400, "value", f"{name}: {value[:80]!r} is not understood", f"http.{name}") from error
        if asked.count < 0:
            raise FhirError(400, "value", "_count: a number of entries is needed", "http._count")
        (asked.given or []).append((name, value))
    return asked


def of_resource(turn: Turn, kind: str, at: UUID, asked: Asked, after: list[str] | None = None) -> Page:
    """Return a page of one resource's versions; FhirError 404 where there is none within reach."""
    versions = store.versions(turn.connection, kind, at, turn.reach)
    chosen = [v for i, v in enumerate(versions) if _wanted(v, versions[i - 1] if i else None, asked)]
    start = next((i for i, v in enumerate(chosen) if v.version < int(after[0])), len(chosen)) if after else 0
    page = chosen[start : start + asked.count]
    more = len(chosen) > start + len(page) and page
    last = versions[-1].version
    entries = [Entry(kind, _method(v, last), v) for v in page]
    return Page(entries, len(chosen), [str(page[-1].version)] if more else None)


def _wanted(version: Stored, next_one: Stored | None, asked: Asked) -> bool:
    if asked.since is not None and version.updated < asked.since:
        return False
    if asked.at is None:
        return True
    low, high = asked.at
    return version.updated < high and (next_one is None or next_one.updated > low)


def _method(version: Stored, first: int) -> str:
    return "DELETE" if version.deleted else "POST" if version.version == first == 1 else "PUT"


def of_many(turn: Turn, kind: str | None, asked: Asked, after: list[str] | None = None) -> Page:
    """Return a page of the versions of one type, or of every type that the asker may read."""
    if kind == "AuditEvent":
        return _events(turn, asked, after)
    readable = [kind] if kind else sorted(name for name in kinds() if access.may(turn.who, name, "read"))
    where: list[sql.Composable] = [sql.SQL("c.type = ANY (%s)"), sql.SQL("c.txid < fhir.settled()")]
    values: list[Any] = [readable]
    if asked.since is not None:
        where.append(sql.SQL("c.updated >= %s"))
        values.append(asked.since)
    if asked.at is not None:
        where.append(sql.SQL("c.updated < %s AND NOT EXISTS (SELECT FROM fhir.change n WHERE n.type = c.type"
                             " AND n.id = c.id AND n.version > c.version AND n.updated <= %s)"))  # fmt: skip
        values.extend((asked.at[1], asked.at[0]))
    if after is not None:
        where.append(sql.SQL("(c.txid, c.seq) < (%s::xid8, %s::bigint)"))
        values.extend(after)
    query = sql.SQL(
        "SELECT c.type, c.id, c.version, c.method, c.txid::text, c.seq::text FROM fhir.change c WHERE {}"
        " ORDER BY c.txid DESC, c.seq DESC LIMIT %s"
    ).format(sql.SQL(" AND ").join(where))
    rows = turn.connection.execute(query, [*values, asked.count + 1]).fetchall()
    place = [str(v) for v in rows[asked.count - 1][4:]] if len(rows) > asked.count > 0 else None
    rows = rows[: asked.count]
    found = _contents(turn, [(r[0], r[1], r[2]) for r in rows])
    entries = [Entry(r[0], r[3], found[r[0], r[1], r[2]]) for r in rows if (r[0], r[1], r[2]) in found]
    return Page(entries, None, place)


def _contents(turn: Turn, wanted: list[tuple[str, UUID, int]]) -> dict[tuple[str, UUID, int], Stored]:
    """Return the versions that a page of the log names, as far as they are within reach."""
    found: dict[tuple[str, UUID, int], Stored] = {}
    for name in {kind for kind, _, _ in wanted}:
        of = kind_of(name)
        ids = [(i, v) for k, i, v in wanted if k == name]
        where, values = turn.reach.predicate(name)
        one = sql.SQL(
            "SELECT id, version, updated, patient_id, coalesce(content::text, ''), logical FROM {}"
            " WHERE {} (id, version) IN (SELECT * FROM unnest(%s::uuid[], %s::int[])) AND {}"
        )
        query = sql.SQL("{} UNION ALL {}").format(
            one.format(statement.table(of), statement.typed(of), where),
            one.format(statement.table(of, "_history"), statement.typed(of), where),
        )
        given = [[i for i, _ in ids], [v for _, v in ids], *values]
        for row in turn.connection.execute(query, [*given, *given]).fetchall():
            found[name, row[0], row[1]] = Stored(*row)
    return found


def _events(turn: Turn, asked: Asked, after: list[str] | None) -> Page:
    where, values = turn.reach.predicate("AuditEvent")
    conditions: list[sql.Composable] = [where, sql.SQL("txid < fhir.settled()")]
    if asked.since is not None:
        conditions.append(sql.SQL("updated >= %s"))
        values.append(asked.since)
    if asked.at is not None:
        conditions.append(sql.SQL("updated < %s"))
        values.append(asked.at[1])
    if after is not None:
        conditions.append(sql.SQL("(updated, id) < (%s::timestamptz, %s::uuid)"))
        values.extend(after)
    query = sql.SQL(
        "SELECT id, version, updated, patient_id, content::text, logical FROM fhir.auditevent WHERE {}"
        " ORDER BY updated DESC, id DESC LIMIT %s"
    ).format(sql.SQL(" AND ").join(conditions))
    found = [Stored(*row) for row in turn.connection.execute(query, [*values, asked.count + 1]).fetchall()]
    page = found[: asked.count]
    place = [page[-1].updated.isoformat(), str(page[-1].id)] if len(found) > len(page) > 0 else None
    return Page([Entry("AuditEvent", "POST", s) for s in page], None, place)


def bundle(base: str, path: str, page: Page, asked: Asked, following: str | None) -> bytes:
    """Return a page as a Bundle of type history; the resources' text passes through untouched."""
    query = urlencode(asked.given or [])
    links = [{"relation": "self", "url": f"{base}/{path}" + (f"?{query}" if query else "")}]
    if following is not None:
        links.append({"relation": "next", "url": f"{base}/{path}?{search.CURSOR}={following}"})
    out: dict[str, Any] = {"resourceType": "Bundle", "type": "history", "link": links}
    if page.total is not None:
        out["total"] = page.total
    if page.entries:
        out["entry"] = [_entry(base, e) for e in page.entries]
    return db.dumps(out)


_STATUS = {"POST": "201", "PUT": "200", "PATCH": "200", "DELETE": "204"}


def _entry(base: str, entry: Entry) -> dict[str, Any]:
    stored = entry.stored
    place = f"{entry.kind}/{stored.logical}"
    status = "201" if entry.method == "PUT" and stored.version == 1 else _STATUS[entry.method]
    out: dict[str, Any] = {"fullUrl": f"{base}/{place}"}
    if not stored.deleted:
        out["resource"] = msgspec.Raw(stored.json.encode())
    # A patch is told as an update: the entry holds the whole resource.
    method = "PUT" if entry.method == "PATCH" else entry.method
    return out | {
        "request": {"method": method, "url": entry.kind if method == "POST" else place},
        "response": {
            "status": status,
            "etag": headers.etag(stored.version),
            "lastModified": dates.render(stored.updated),
        },
    }
