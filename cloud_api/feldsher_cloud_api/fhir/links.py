"""Chains and `_has`: conditions on what a resource refers to, or on who refers to it, within the asker's reach.

What the far side comes to is looked up first. Where that is little, the ids go into the search as terms (or ids) that
the index finds; where it is much, the search looks at each row's own links: few rows are needed to fill a page.
Every sub-select carries the reach of its own type, and what may not be searched at all is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.access import Forbidden, Reach
from feldsher_cloud_api.fhir import identity
from feldsher_cloud_api.fhir.compile import Forms, any_term
from feldsher_cloud_api.fhir.criterion import Chain, Condition, Criterion, Has
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.fragment import Fragment, every, fragment, some
from feldsher_cloud_api.fhir.kinds import kind
from feldsher_cloud_api.fhir.r4 import definitions

FEW_TARGETS, FEW_SOURCES = 1000, 5000
"""Up to so many resources that a chain leads to, or that lead here, the search goes by their ids."""
May = Callable[[str], bool]


def anything(_: str) -> bool:
    """Return that every type may be searched: who asks has been judged before."""
    return True


@dataclass(frozen=True, slots=True)
class Linker:
    """Turns conditions into SQL for one asker in one transaction. `may`: whether a type may be searched by them."""

    connection: db.Connection
    forms: Forms
    reach: Reach
    may: May = anything

    def condition(self, of: str, condition: Condition) -> Fragment:
        """Return the SQL of a condition on rows of a type."""
        match condition:
            case Criterion():
                return self.forms.criterion(of, condition)
            case Chain():
                return self.chain(condition)
            case Has():
                return self.has(of, condition)

    def within(self, of: str) -> Fragment:
        """Return the condition that a row is of a type and within reach."""
        predicate, values = self.reach.predicate(of, sql.Identifier("r"))
        reached = Fragment(sql.SQL("{}").format(predicate), tuple(values))
        return every((fragment("r.type = %s", of), reached)) if kind(of).shared else reached

    def compartment(self, of: str, patient: str) -> Fragment:
        """Return the condition that a row is in a patient's compartment."""
        key = identity.key(patient)
        ways = definitions().compartment.get(of, ())
        ways_in = any_term([term(f"{way}=Patient/{key}") for way in ways])
        return some((fragment("r.id = %s", key), ways_in)) if of == "Patient" else ways_in

    def chain(self, chain: Chain) -> Fragment:
        """Return the condition that a reference leads to a resource that meets the inner condition."""
        allowed = [(of, inner) for of, inner in chain.inner if self.may(of)]
        if not allowed:
            raise Forbidden(f"{chain.name} leads to nothing that may be searched")
        terms: list[int] = []
        many: list[Fragment] = []
        for of, inner in allowed:
            met = every((self.within(of), self.condition(of, inner)))
            found = self._few(fragment("ARRAY[r.id]"), of, met, FEW_TARGETS)
            if found is None:
                many.append(_leads(chain.name, of, met))
            else:
                terms.extend(term(f"{chain.name}={of}/{key}") for key in found)
        return some((any_term(terms), *many))

    def has(self, of: str, has: Has) -> Fragment:
        """Return the condition that a resource which meets the inner condition refers here."""
        if not self.may(has.kind):
            raise Forbidden(f"{has.kind} may not be searched")
        met = every((self.within(has.kind), self.condition(has.kind, has.inner)))
        head = f"{has.name}={of}/"
        found = self._few(_linked(head), has.kind, met, FEW_SOURCES)
        if found is not None:
            return fragment("r.id = ANY (%s)", sorted(found))
        return fragment(
            "EXISTS (SELECT FROM (SELECT fhir.term(%s || r.id::text) AS number) o"
            " JOIN {table} r ON r.terms @> ARRAY[o.number] WHERE {met})",
            head,
            *met.values,
            table=table(has.kind),
            met=met.sql,
        )

    def _few(self, ids: Fragment, of: str, met: Fragment, most: int) -> set[UUID] | None:
        """Return the ids that the rows which meet a condition name; None where the rows are more than `most`."""
        asked = fragment(
            "SELECT {ids} FROM {table} r WHERE {met} LIMIT %s",
            *ids.values,
            *met.values,
            most + 1,
            ids=ids.sql,
            table=table(of),
            met=met.sql,
        )
        rows = self.connection.execute(asked.sql, asked.values, prepare=False).fetchall()
        return None if len(rows) > most else {key for row in rows for key in row[0]}


def _linked(head: str) -> Fragment:
    """Return what names the ids that a row's links of one parameter to one type lead to."""
    return fragment(
        "ARRAY(SELECT substr(l, %s)::uuid FROM unnest(r.links) l WHERE starts_with(l, %s))", len(head) + 1, head
    )


def _leads(name: str, of: str, met: Fragment) -> Fragment:
    """Return the condition, looked up row by row, that a link leads to a row which meets another one."""
    head = f"{name}={of}/"
    return fragment(
        "EXISTS (SELECT FROM (SELECT substr(l, %s)::uuid AS linked FROM unnest(r.links) l WHERE starts_with(l, %s)) o"
        " JOIN {table} r ON r.id = o.linked WHERE {met})",
        len(head) + 1,
        head,
        *met.values,
        table=table(of),
        met=met.sql,
    )


def table(of: str) -> sql.Identifier:
    """Return the table that keeps the rows of a type."""
    return sql.Identifier("fhir", kind(of).table)
