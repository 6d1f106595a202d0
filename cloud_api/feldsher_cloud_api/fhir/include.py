"""What comes along with a page: resources that its matches refer to, and resources that refer to its matches.

Within reach and rights like everything else, in rounds where `:iterate` is asked for, and bounded: what is left out is
said in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from feldsher_cloud_api.fhir.criterion import Include
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.fragment import Fragment, every, fragment
from feldsher_cloud_api.fhir.kinds import kinds
from feldsher_cloud_api.fhir.links import Linker, table
from feldsher_cloud_api.fhir.page import COLUMNS, Found, found

MOST, ROUNDS = 1000, 8
"""Resources that come along with one page; rounds of `:iterate`."""
Name = tuple[str, UUID]


@dataclass(slots=True)
class Along:
    """What comes along. `more`: whether there would have been more than are allowed."""

    found: list[Found] = field(default_factory=list[Found])
    more: bool = False


def along(linker: Linker, includes: list[Include], matches: list[Found], most: int = MOST) -> Along:
    """Return what comes along with a page's matches, each once and none of the matches again."""
    out = Along()
    seen: set[Name] = {(m.kind, m.stored.id) for m in matches}
    fresh, wanted = matches, includes
    for _ in range(ROUNDS):
        if not fresh or not wanted:
            return out
        new = _round(linker, wanted, fresh, seen, most - len(out.found))
        out.found += new.found
        if new.more:
            out.more = True
            return out
        fresh, wanted = new.found, [i for i in includes if i.iterate]
    out.more = bool(fresh and wanted)
    return out


def _round(linker: Linker, includes: list[Include], sources: list[Found], seen: set[Name], left: int) -> Along:
    out = Along()
    for include in includes:
        asked = _reverse(include, sources) if include.reverse else _forward(include, sources, seen)
        for of, condition in asked:
            if not linker.may(of):
                continue
            for each in _fetch(linker, of, condition, left + len(seen) + 1):
                name = (of, each.stored.id)
                if name in seen:
                    continue
                if len(out.found) >= left:
                    out.more = True
                    return out
                seen.add(name)
                out.found.append(each)
    return out


def _forward(include: Include, sources: list[Found], seen: set[Name]) -> Iterator[tuple[str, Fragment]]:
    """Yield (type, condition) of what the sources refer to."""
    wanted: dict[str, set[UUID]] = {}
    for source in sources:
        if include.source not in ("*", source.kind):
            continue
        for link in source.links:
            name, _, target = link.partition("=")
            of, _, key = target.partition("/")
            if include.name in ("*", name) and include.target in ("", of) and (of, UUID(key)) not in seen:
                wanted.setdefault(of, set()).add(UUID(key))
    for of, keys in sorted(wanted.items()):
        yield of, fragment("r.id = ANY (%s)", sorted(keys))


def _reverse(include: Include, sources: Iterable[Found]) -> Iterator[tuple[str, Fragment]]:
    """Yield (type, condition) of what refers to the sources."""
    targets = [f"{s.kind}/{s.stored.id}" for s in sources if include.target in ("", s.kind)]
    kinds_of = {t.partition("/")[0] for t in targets}
    for of in [include.source] if include.source != "*" else sorted(kinds()):
        names = [
            name
            for name, parameter in kinds()[of].search.items()
            if parameter.kind == "reference"
            and include.name in ("*", name)
            and (not parameter.targets or parameter.targets & kinds_of)
        ]
        terms = [term(f"{name}={target}") for name in names for target in targets]
        if terms:
            yield of, fragment("r.terms && %s::bigint[]", terms)


def _fetch(linker: Linker, of: str, condition: Fragment, limit: int) -> list[Found]:
    met = every((linker.within(of), condition))
    asked = fragment(
        "SELECT {columns} FROM {table} r WHERE {met} ORDER BY r.id LIMIT %s",
        *met.values,
        limit,
        columns=COLUMNS,
        table=table(of),
        met=met.sql,
    )
    return [found(of, row) for row in linker.connection.execute(asked.sql, asked.values, prepare=False)]
