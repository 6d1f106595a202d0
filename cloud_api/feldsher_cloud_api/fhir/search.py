"""Search: parameters become conditions, conditions SQL; pages follow each other by an encrypted cursor.

A page's link holds no parameter: type, parameters and place are sealed into the token, which only its owner can use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from feldsher_cloud_api import db
from feldsher_cloud_api.access import Reach
from feldsher_cloud_api.fhir import include, page, query, subset
from feldsher_cloud_api.fhir.compile import Forms
from feldsher_cloud_api.fhir.criterion import Pairs, Search
from feldsher_cloud_api.fhir.links import Linker, anything
from feldsher_cloud_api.fhir.outcome import FhirError, outcome
from feldsher_cloud_api.fhir.page import Found, Page
from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.fhir.terminology.codes import Loaded

DEFAULT_COUNT, MAX_COUNT = 50, 1000
CURSOR = "_cursor"
LIFE_S = 24 * 3600
"""How long the link to a next page can be used."""


@dataclass(slots=True)
class Query:
    """A search that has been understood, with what it takes to run it."""

    search: Search
    base: str

    @property
    def kind(self) -> str:
        """The type that is searched, of several the first."""
        return self.search.kinds[0]

    @property
    def count(self) -> int:
        """How many matches a page has; 0: only their number is asked for."""
        if self.search.summary == "count":
            return 0
        return DEFAULT_COUNT if self.search.count is None else min(self.search.count, MAX_COUNT)


@dataclass(slots=True)
class Result:
    """A page with what comes along, and the token of the next page."""

    page: Page
    along: include.Along = field(default_factory=include.Along)
    following: str | None = None


def understand(
    kind: str | tuple[str, ...],
    pairs: Iterable[tuple[str, str]],
    base: str,
    *,
    lenient: bool = False,
    now: datetime | None = None,
) -> Query:
    """Return the query that search parameters mean; FhirError 400 names a parameter or value that is not understood."""
    kinds = (kind,) if isinstance(kind, str) else kind
    return Query(query.understand(kinds, pairs, base, now or datetime.now(UTC), lenient=lenient), base)


def run(
    connection: db.Connection, asked: Query, reach: Reach, *, after: Sequence[str] | None = None
) -> tuple[list[Stored], list[str] | None, int | None]:
    """Return one page of one type, the place after it (None at the end), and the total where asked for."""
    made = page.run(linker(connection, asked, reach), asked.search, asked.count, after)
    return [f.stored for f in made.found], made.place, made.total


def linker(connection: db.Connection, asked: Query, reach: Reach, may: Callable[[str], bool] = anything) -> Linker:
    """Return what turns the query's conditions into SQL for one asker."""
    return Linker(connection, Forms(asked.base, Loaded(connection)), reach, may)


def answer(
    connection: db.Connection,
    asked: Query,
    reach: Reach,
    *,
    after: Sequence[str] | None = None,
    may: Callable[[str], bool] = anything,
) -> Result:
    """Return a page with what comes along; `may`: which types the asker may search, for chains and includes."""
    by = linker(connection, asked, reach, may)
    made = page.run(by, asked.search, asked.count, after)
    along = include.along(by, asked.search.includes, made.found) if asked.search.includes else include.Along()
    return Result(made, along)


def bundle(base: str, path: str, asked: Query, result: Result) -> bytes:
    """Return a page as a Bundle; whole resources' text passes through untouched. `path`: what was searched."""
    address = f"{base}/{path}" if path else base
    said = urlencode(asked.search.understood)
    links = [{"relation": "self", "url": f"{address}?{said}" if said else address}]
    if result.following is not None:
        links.append({"relation": "next", "url": f"{address}?{CURSOR}={result.following}"})
    out: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if result.page.total is not None:
        out["total"] = result.page.total
    entries = [_entry(base, asked.search, f, "match") for f in result.page.found]
    entries += [_entry(base, asked.search, f, "include") for f in result.along.found]
    if result.along.more:
        words = f"more than {include.MOST} resources would come along: the others were left out"
        entries.append({"resource": outcome([ExcessError(words)]), "search": {"mode": "outcome"}})
    if entries:
        out["entry"] = entries
    return db.dumps(out)


class ExcessError(FhirError):
    """What comes along is more than is allowed: a warning beside the answer."""

    severity = "warning"

    def __init__(self, words: str) -> None:
        super().__init__(200, "too-costly", words)


def _entry(base: str, search: Search, found: Found, mode: str) -> dict[str, Any]:
    resource: Any = msgspec.Raw(found.stored.json.encode())
    # Elements are those of the type that is searched; what comes along is whole then.
    elements = search.elements if mode == "match" else ()
    if elements or search.summary in ("true", "text", "data"):
        resource = subset.cut(found.stored.content(), search.summary, elements)
    return {
        "fullUrl": f"{base}/{found.kind}/{found.stored.logical}",
        "resource": resource,
        "search": {"mode": mode},
    }


def seal_cursor(key: Fernet, person: UUID, kind: str, understood: Pairs, place: list[str]) -> str:
    """Return the token of a next page, readable by this server alone and usable by one person alone."""
    return key.encrypt(db.dumps([str(person), kind, understood, place])).decode()


def open_cursor(key: Fernet, person: UUID, kind: str, token: str) -> tuple[Pairs, list[str]]:
    """Return parameters and place of a page's token; FhirError 400 where it is not this person's and type's."""
    try:
        owner, of, understood, place = db.loads(key.decrypt(token.encode(), ttl=LIFE_S))
    except (InvalidToken, ValueError) as error:
        raise query.refuse(CURSOR, "…", "the token is not valid or is over") from error
    if owner != str(person) or of != kind:
        raise query.refuse(CURSOR, "…", "the token belongs to another search")
    return [(n, v) for n, v in understood], place
