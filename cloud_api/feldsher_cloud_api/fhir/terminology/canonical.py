"""Finding code systems, value sets and concept maps by their canonical addresses, `url|version`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.outcome import FhirError

Kind = Literal["CodeSystem", "ValueSet", "ConceptMap"]

# What is in force comes before what is not, newer before older, the record's before R4's own.
_FIND = """
    SELECT id, version, content FROM fhir.terminology
    WHERE url = ANY (%s) AND kind = %s AND (%s::text IS NULL OR version = %s)
    ORDER BY status = 'active' DESC, resource IS NOT NULL DESC, version DESC NULLS LAST, updated DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Found:
    """One of them: `id` is that of its concepts, `content` the resource (a code system's without concepts)."""

    id: int
    url: str
    version: str | None
    content: dict[str, Any]

    @property
    def canonical(self) -> str:
        """Its address with its version."""
        return f"{self.url}|{self.version}" if self.version else self.url


def find(connection: db.Connection, kind: Kind, address: str, version: str | None = None) -> Found | None:
    """Return what `url` or `url|version` names, the newest in force where no version is said; None: nothing here."""
    url, _, said = address.partition("|")
    row = connection.execute(_FIND, ([url, address], kind, version or said or None, version or said or None)).fetchone()
    return Found(row[0], url, row[1], cast("dict[str, Any]", row[2])) if row else None


def get(connection: db.Connection, kind: Kind, address: str, version: str | None = None) -> Found:
    """Return what an address names; FhirError 404 says that it is not here."""
    found = find(connection, kind, address, version)
    if found is None:
        of = f"{address}|{version}" if version else address
        raise FhirError(404, "not-found", f"the {kind} {of[:200]} is not on this server")
    return found
