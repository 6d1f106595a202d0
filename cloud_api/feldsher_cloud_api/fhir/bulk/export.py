"""A bulk export: written in the background with the rights of who asked, in pieces, by a process that may die.

Nobody is skipped: an export since the time of an earlier one takes also what was being written while that one looked
(docs: fhir.settled). Who asks after an export whose process has died takes it over. Every patient whose data it holds
can see that, as with any other access.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from psycopg import sql

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal, Reach
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import dates, identity, store, subset
from feldsher_cloud_api.fhir.bulk import asked as asking
from feldsher_cloud_api.fhir.bulk.asked import NOT_EXPORTED, Asked
from feldsher_cloud_api.fhir.kinds import Kind, kinds
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.fhir.statement import table, typed

LIFE = timedelta(hours=24)
STALE = timedelta(seconds=60)
AT_ONCE = 2
"""Exports of one person that are written at the same time."""
ROWS, PIECE, FILE, AUDITED = 1000, 4_000_000, 100_000, 500
"""Rows fetched at once; bytes of a piece; resources of a file; patients whose audit is written at once."""
_queries = db.queries("bulk")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it stands."""

    id: UUID
    request: str
    asked: Asked
    transaction_time: datetime
    state: str
    beat: datetime
    files: list[dict[str, Any]]
    reason: str | None
    expires: datetime


def begin(of: Context, who: Principal, connection: db.Connection, asked: Asked, request: str) -> Export:
    """Note what was asked for; FhirError 429 where the person has enough exports under way already."""
    now = of.settings.clock()
    _queries.sweep(connection, now=now)
    if int(_queries.running(connection, stale=now - STALE) or 0) >= AT_ONCE:
        raise FhirError(429, "throttled", f"{AT_ONCE} exports are being written for you already: fetch or delete them")
    key = store.new_id(now)
    _queries.begin(
        connection,
        id=key,
        person=who.person,
        request=request,
        asked=msgspec.json.encode(asked).decode(),
        now=now,
        expires=now + LIFE,
    )
    audit.record(connection, who, interaction="export", action="E", now=now)
    return find(connection, key, now)


def find(connection: db.Connection, key: UUID, now: datetime) -> Export:
    """Return one's own export; FhirError 404 where there is none (any more)."""
    row = _queries.find(connection, id=key, now=now)
    if row is None:
        raise not_found("export")
    asked = msgspec.convert(row[2], Asked)
    return Export(row[0], row[1], asked, *row[3:])


def orphaned(connection: db.Connection, export: Export, now: datetime) -> bool:
    """Return whether the process that wrote it has died and the one that asks has taken it over."""
    return bool(_queries.take_over(connection, id=export.id, now=now, stale=now - STALE))


def forget(connection: db.Connection, key: UUID, now: datetime) -> None:
    """Delete an export's files, and stop it where it is being written."""
    find(connection, key, now)
    _queries.forget(connection, id=key, now=now)


def fetched(of: Context, who: Principal, key: UUID, file: str) -> Iterator[bytes]:
    """Yield a file of an export piece by piece; no connection is kept while a slow client takes one."""
    for piece in itertools.count():
        with access.asking(of.pool, who) as connection:
            found = _queries.piece_of(connection, id=key, file=file, piece=piece)
        if found is None:
            return
        yield bytes(found)


def members(connection: db.Connection, group: str, reach: Reach) -> list[UUID]:
    """Return the patients of a group; FhirError 404 where it is not there."""
    listed = store.read(connection, "Group", identity.key(group), reach).content().get("member", [])
    texts = [m.get("entity", {}).get("reference", "") for m in listed if not m.get("inactive")]
    return [identity.key(t.removeprefix("Patient/")) for t in texts if t.startswith("Patient/")]


@dataclass(slots=True)
class _Writer:
    """Writes an export's pieces, each in a transaction of its own, and hears whether it is still wanted."""

    of: Context
    who: Principal
    export: Export
    files: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    patients: set[UUID] = field(default_factory=set[UUID])

    def file(self, kind: str, lines: Iterable[str], listed: str = "output") -> None:
        """Write lines as files of a type; nothing where there are none."""
        data, size, count, piece = list[str](), 0, 0, 0
        name = ""
        for line in lines:
            if not name or count == FILE:
                self._piece(name, piece, data)
                name = f"{kind}-{sum(f['type'] == kind for f in self.files) + 1}.ndjson"
                self.files.append({"list": listed, "type": kind, "name": name, "count": 0})
                data, size, count, piece = [], 0, 0, 0
            data.append(line)
            size, count = size + len(line), count + 1
            self.files[-1]["count"] = count
            if size > PIECE:
                self._piece(name, piece, data)
                data, size, piece = [], 0, piece + 1
        self._piece(name, piece, data)

    def _piece(self, name: str, piece: int, data: list[str]) -> None:
        if not data:
            return
        written = ("\n".join(data) + "\n").encode()
        with self._wanted() as connection:
            _queries.piece(connection, id=self.export.id, file=name, piece=piece, data=written)

    def audit(self) -> None:
        """Let every patient see it. Of a region they are many: whoever polls has to hear meanwhile that this lives."""
        patients = sorted(self.patients)
        for first in range(0, len(patients), AUDITED):
            with self._wanted() as connection:
                audit.exported(connection, self.who, patients[first : first + AUDITED], self.of.settings.clock())

    @contextmanager
    def _wanted(self) -> Generator[db.Connection]:
        with access.asking(self.of.pool, self.who) as connection:
            if not _queries.beat(connection, id=self.export.id, now=self.of.settings.clock()):
                raise _Cancelled
            yield connection


class _Cancelled(Exception):  # noqa: N818 - it was asked for
    pass


def write(of: Context, who: Principal, export: Export) -> None:
    """Write an export's files; whatever happens is noted on it, for who asks."""
    writer = _Writer(of, who, export)
    state, reason = "done", None
    try:
        _written(of, who, writer)
    except _Cancelled:
        return
    except FhirError as error:
        state, reason = "failed", error.words
    except Exception as error:
        state, reason = "failed", "the export could not be written"
        _log.error("export_failed", error=type(error).__name__)
    with access.asking(of.pool, who) as connection:
        _queries.end(connection, id=export.id, state=state, files=db.dumps(writer.files).decode(), reason=reason)


def _written(of: Context, who: Principal, writer: _Writer) -> None:
    asked = writer.export.asked
    with access.asking(of.pool, who) as connection:
        reach = access.reach(connection, who)
        patients = _patients(connection, asked, reach)
        names = _names(who, asked)
        for name in names:
            writer.file(name, _lines(connection, kinds()[name], asked, reach, patients, writer.patients))
        if asked.since is not None:
            deleted = [_gone(type_, key) for type_, key in _queries.deleted(connection, types=names, since=asked.since)]
            writer.file("Bundle", deleted, "deleted")
    writer.audit()


def _names(who: Principal, asked: Asked) -> list[str]:
    """Return the types that are exported: of those asked for, or of all, what the asking person may read."""
    wanted = asked.types if asked.types is not None else tuple(kinds())
    if asked.level != "system":
        wanted = tuple(n for n in wanted if kinds()[n].scope == "compartment")
    return [n for n in wanted if n not in NOT_EXPORTED and access.may(who, n, "read") and access.may(who, n, "search")]


def _patients(connection: db.Connection, asked: Asked, reach: Reach) -> list[UUID] | None:
    """Return whose data is asked for; None: everybody's within reach. FhirError 404 where a group is not there."""
    wanted = None if asked.patients is None else [identity.key(text) for text in asked.patients]
    if asked.group is None:
        return wanted
    found = members(connection, asked.group, reach)
    return found if wanted is None else [key for key in found if key in wanted]


def _lines(
    connection: db.Connection,
    of: Kind,
    asked: Asked,
    reach: Reach,
    patients: list[UUID] | None,
    seen: set[UUID],
) -> Iterator[str]:
    where, values = reach.predicate(of.name)
    conditions: list[sql.Composable] = [where]
    if asked.level != "system":
        conditions.append(sql.SQL("patient_id IS NOT NULL"))
    if patients is not None:
        conditions.append(sql.SQL("patient_id = ANY (%s)"))
        values = [*values, patients]
    if asked.since is not None:
        conditions.append(sql.SQL("(updated >= %s OR txid >= app.exported_until(%s))"))
        values = [*values, asked.since, asked.since]
    statement = sql.SQL("SELECT patient_id, content::text FROM {} WHERE {}{}").format(
        table(of), typed(of), sql.SQL(" AND ").join(conditions)
    )
    elements = asking.elements_of(asked, of.name)
    with connection.cursor(f"export_{of.name}") as cursor:
        cursor.itersize = ROWS
        for patient, text in cursor.execute(statement, values):
            if patient is not None:
                seen.add(patient)
            yield db.dumps(subset.cut(db.loads(text), "false", elements)).decode() if elements else text


def _gone(kind: str, key: UUID) -> str:
    request = {"method": "DELETE", "url": f"{kind}/{key}"}
    return db.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]}).decode()


def manifest(export: Export, base: str) -> dict[str, Any]:
    """Return what there is to fetch of a finished export."""
    listed: dict[str, list[dict[str, Any]]] = {"output": [], "deleted": [], "error": []}
    for file in export.files:
        address = f"{base}/$export-file/{export.id}/{file['name']}"
        listed[file["list"]].append({"type": file["type"], "url": address, "count": file["count"]})
    return {
        "transactionTime": dates.render(export.transaction_time),
        "request": export.request,
        "requiresAccessToken": True,
        **listed,
    }
