"""Attaching residents by a register's list: what it would change is told first, and what cannot be done is told why."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.identity import attachment
from feldsher_cloud_api.identity.attachment import AttachmentError

COLUMNS = ("patient", "clinic", "district", "since")


class ListError(ValueError):
    """Why a list cannot be read; the text names the line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: identifiers (`system|value`) of resident and clinic, the district's name, and from when on."""

    line: int
    patient: str
    clinic: str
    district: str
    since: datetime


@dataclass(slots=True)
class Report:
    """How many lines came to what, and which lines could not be done: (line, why); never whom they are about."""

    lines: int = 0
    attached: int = 0
    unchanged: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])


def read(lines: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of a CSV list with the columns COLUMNS; ListError names the line that is wrong."""
    reader = csv.DictReader(lines)
    missing = set(COLUMNS) - set(reader.fieldnames or ())
    if missing:
        raise ListError(f"line 1: the columns {', '.join(sorted(missing))} are missing")
    for row in reader:
        try:
            since = datetime.fromisoformat(row["since"])
        except (TypeError, ValueError) as error:
            raise ListError(f"line {reader.line_num}: since: a date or time is needed") from error
        at = since if since.tzinfo else since.astimezone()
        yield Row(reader.line_num, row["patient"], row["clinic"], row["district"] or "", at)


def apply(connection: db.Connection, rows: Iterable[Row], now: datetime) -> Report:
    """Attach everybody on a list and return what came of it; the caller rolls back where it was only to be told."""
    report, seen = Report(), dict[UUID, int]()
    for row in rows:
        report.lines += 1
        try:
            patient = _one(connection, "patient", row.patient)
            if patient in seen:
                raise AttachmentError("twice", f"the same resident as in line {seen[patient]}")
            seen[patient] = row.line
            clinic = _one(connection, "organization", row.clinic)
            of = attachment.district(connection, clinic, row.district, now) if row.district else None
            done = attachment.attach(connection, patient, clinic, of, row.since, reason="residence")
        except AttachmentError as error:
            report.refused.append((row.line, f"{error.code}: {error}"))
            continue
        report.attached += done
        report.unchanged += not done
    return report


_FIND: dict[str, LiteralString] = {
    "patient": "SELECT id FROM fhir.patient WHERE terms && ARRAY[%s::bigint] LIMIT 2",
    "organization": "SELECT id FROM fhir.organization WHERE terms && ARRAY[%s::bigint] LIMIT 2",
}


def _one(connection: db.Connection, kind: str, identifier: str) -> UUID:
    rows = connection.execute(_FIND[kind], (term(f"identifier={identifier}"),)).fetchall()
    if len(rows) != 1:
        code = f"{'unknown' if not rows else 'ambiguous'}-{kind}"
        raise AttachmentError(code, f"{'nobody' if not rows else 'more than one'} here has this identifier")
    return rows[0][0]
