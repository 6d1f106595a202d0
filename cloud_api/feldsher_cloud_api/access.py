"""Who may do what: the one place in code, in front of the database's row-level security.

`rights.toml` says which interactions a role has with a type at all; scopes of a token narrow it; *which* patients is
`reach`: care, grants, consents and the patient chosen at launch. The database decides the same by itself
(migrations/sql/0027_access.sql). What is out of reach does not exist: 404 and empty pages, never 403 for one row.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from psycopg import sql

from feldsher_cloud_api import db, scope
from feldsher_cloud_api.fhir.kinds import kind
from feldsher_cloud_api.rights import rights

Interaction = Literal["read", "search", "create", "update", "delete"]
_LETTER: dict[Interaction, str] = {"read": "r", "search": "s", "create": "c", "update": "u", "delete": "d"}

RIGHTS = rights().letters
CLINICAL = rights().of_class("compartment")
OTHER_SCOPES = scope.OTHER
PURPOSES = frozenset({"TREAT", "ETREAT", "HPAYMT", "HOPERAT", "HRESCH", "PATRQT", "FAMRQT", "HSYSADMIN", "PUBHLTH"})
"""Why somebody may say that they ask (HL7 v3 PurposeOfUse); breaking the glass is not said but done."""


class Unauthenticated(Exception):  # noqa: N818 - it is an answer, not a fault
    """Nobody is signed in, or the token or session is not valid (any more)."""


class Forbidden(Exception):  # noqa: N818
    """The person is known and may not do this; the text says what, never whom it concerns."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: the person, their role, for whom they speak, and through which client with which scopes.

    `scopes` is None for a person in a browser session: the role alone decides. `chosen`: the patient of a launch,
    beyond whom scopes of the context `patient/` reach nobody. `purpose`: why they ask, where they have said so.
    """

    person: UUID
    role: str
    display: str
    practitioner: UUID | None
    patients: tuple[UUID, ...]
    client: str
    scopes: tuple[str, ...] | None = None
    chosen: UUID | None = None
    purpose: str = ""

    @property
    def reference(self) -> str | None:
        """The FHIR reference of the person: their Practitioner or, for a patient, their Patient; a proxy has none."""
        if self.practitioner is not None:
            return f"Practitioner/{self.practitioner}"
        return f"Patient/{self.patients[0]}" if self.patients and self.role == "patient" else None

    @property
    def contexts(self) -> frozenset[str]:
        """Which scopes count: of staff those for a patient only where one was chosen at launch."""
        return contexts(self.role, self.chosen)

    @property
    def confined(self) -> UUID | None:
        """The patient beyond whom nothing is reached at all: one was chosen, and no scope is wider."""
        parsed = [scope.parse(text) for text in self.scopes or ()]
        return None if any(of is not None and of.context != "patient" for of in parsed) else self.chosen

    def asks_for(self, purpose: str) -> Principal:
        """Return the same principal with a purpose; Forbidden where nobody may have that one."""
        if purpose not in PURPOSES:
            raise Forbidden("this purpose of use is not known here")
        return replace(self, purpose=purpose)


def contexts(role: str, chosen: UUID | None = None) -> frozenset[str]:
    """Return the contexts of scopes (patient, user, system) that count for a role."""
    of = rights().roles.get(role)
    if of is None:
        return frozenset()
    return frozenset(c for c in of.contexts if c != "patient" or chosen is not None or of.reach == "own")


def is_scope(text: str) -> bool:
    """Return whether a scope is one that this server understands."""
    return text in OTHER_SCOPES or scope.parse(text) is not None


def scope_allows(
    scopes: tuple[str, ...], role: str, resource: str, interaction: Interaction, chosen: UUID | None = None
) -> bool:
    """Return whether SMART scopes (v1 words or v2 letters) cover an interaction for a role.

    `patient/` counts for patients' own tokens and for staff who chose one at launch, `system/` for programs only,
    `user/` for every person.
    """
    return bool(scope.covering(scopes, contexts(role, chosen), resource, _LETTER[interaction]))


def permit(principal: Principal, resource: str, interaction: Interaction) -> None:
    """Raise Forbidden where role or scopes do not cover an interaction with a resource type."""
    if not rights().may(principal.role, resource, _LETTER[interaction]):
        raise Forbidden(f"the role {principal.role} may not {interaction} {resource}")
    scopes = principal.scopes
    if scopes is not None and not scope_allows(scopes, principal.role, resource, interaction, principal.chosen):
        raise Forbidden(f"the token's scopes do not cover {interaction} of {resource}")


def may(principal: Principal, resource: str, interaction: Interaction) -> bool:
    """Return whether role and scopes cover an interaction with a resource type."""
    try:
        permit(principal, resource, interaction)
    except Forbidden:
        return False
    return True


def permit_role(principal: Principal, *roles: str) -> None:
    """Raise Forbidden where the principal has none of these roles."""
    if principal.role not in roles:
        raise Forbidden(f"the role {principal.role} may not do this")


def permit_fleet(principal: Principal) -> None:
    """Raise Forbidden for who may not see the fleet's state; a token needs the scope to search Device."""
    permit_role(principal, "technician", "manager", "service")
    scopes = principal.scopes
    if scopes is not None and not scope_allows(scopes, principal.role, "Device", "search"):
        raise Forbidden("the token's scopes do not cover search of Device")


Narrowing = tuple[tuple[tuple[str, str], ...], ...]
"""Search parameters of which a row must meet one tuple: what granular scopes leave of a type."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which rows a principal reaches. Row-level security repeats it, so that a place which forgets it leaks nothing.

    `patients`: whose rows, None = everybody's. `looked_up`: too many to name, the database looks each row's patient up.
    `staff`: devices whoever wears them. `bound`: consents may withhold something. `who`: whose scopes
    narrow types further.
    """

    patients: tuple[UUID, ...] | None
    staff: bool = True
    looked_up: bool = False
    bound: bool = False
    who: Principal | None = field(default=None, compare=False)

    @property
    def whole(self) -> bool:
        """Whether rows that belong to no patient, or to several, are reached."""
        return self.patients is None and not self.looked_up

    def predicate(self, resource: str, row: sql.Composable | None = None) -> tuple[sql.Composable, list[object]]:
        """Return the condition, with its values, that a row of a resource type has to meet.

        `row`: the table's alias where a statement has several.
        """
        conditions, values = self._whose(resource, row)
        if self.who is not None and only_chosen(self.who, resource):
            conditions.append(sql.SQL("{} = %s").format(_column("patient_id", row)))
            values.append(self.who.chosen)
        for narrowed in narrowings(self.who, resource) if self.who else ():
            condition, more = _narrow(resource, narrowed, row)
            conditions.append(condition)
            values.extend(more)
        return sql.SQL(" AND ").join(conditions or [sql.SQL("true")]), values

    def _whose(self, resource: str, row: sql.Composable | None) -> tuple[list[sql.Composable], list[object]]:
        of = rights().classes.get(resource)
        if of == "device" and not self.staff:
            worn = sql.SQL("{} IN (SELECT device FROM cloud.device_assignment WHERE patient = ANY (%s))")
            return [worn.format(_column("id", row))], [list(self.patients or ())]
        if of == "staff":
            return [sql.SQL("true" if self.whole else "false")], []
        if of != "compartment":
            return [], []
        patient, conditions, values = _column("patient_id", row), list[sql.Composable](), list[object]()
        if self.looked_up:
            conditions.append(sql.SQL("app.reaches({})").format(patient))
        elif self.patients is not None:
            conditions.append(sql.SQL("{} = ANY (%s)").format(patient))
            values.append(list(self.patients))
        if self.bound:
            withheld = sql.SQL("coalesce({} <> ALL ((SELECT app.withheld(%s))::uuid[]), true)")
            conditions.append(withheld.format(patient))
            values.append(resource)
        return conditions, values


def _column(name: str, row: sql.Composable | None) -> sql.Composable:
    return sql.Identifier(name) if row is None else sql.SQL("{}.{}").format(row, sql.Identifier(name))


def narrowings(principal: Principal, resource: str, letters: str = "rs") -> list[Narrowing]:
    """Return what a token's granular scopes demand of a type's rows: of each element one alternative has to be met.

    Reading and finding are narrowed by both's scopes, whichever is asked for.
    """
    found: list[Narrowing] = []
    for letter in letters if principal.scopes is not None else "":
        covering = scope.covering(principal.scopes or (), principal.contexts, resource, letter)
        if covering and all(of.narrowed for of in covering):
            found.append(tuple(of.narrowed for of in covering))
    return list(dict.fromkeys(found))


def only_chosen(principal: Principal, resource: str, letters: str = "rs") -> bool:
    """Return whether a token reaches a type by scopes of the patient chosen at launch alone."""
    if principal.chosen is None or principal.scopes is None or rights().classes.get(resource) != "compartment":
        return False
    found = [scope.covering(principal.scopes, principal.contexts, resource, letter) for letter in letters]
    return any(covering and all(of.context == "patient" for of in covering) for covering in found)


def _narrow(resource: str, alternatives: Narrowing, row: sql.Composable | None) -> tuple[sql.Composable, list[object]]:
    from feldsher_cloud_api.fhir import narrowing  # noqa: PLC0415 - the search compiler knows reach

    return narrowing.condition(resource, alternatives, row)


EVERYTHING = Reach(None)


def reach(connection: db.Connection, principal: Principal) -> Reach:
    """Return whose rows a principal reaches at this moment."""
    of = rights().roles.get(principal.role)
    narrowed = principal.chosen is not None or any("?" in text for text in principal.scopes or ())
    who = principal if narrowed else None
    if of is None or of.reach == "none":
        return Reach((), who=who)
    if of.reach == "own":
        mine = tuple(p for p in principal.patients if principal.confined in (None, p))
        return Reach(mine, staff=False, who=who)
    row = connection.execute(
        "SELECT mode, app.bound() <> 'none', CASE mode WHEN 'few' THEN app.named() END FROM app.mode() AS mode"
    ).fetchone()
    mode, bound, named = row or ("none", True, [])
    patients = None if mode in ("all", "many") else tuple(named)
    return Reach(patients, looked_up=mode == "many", bound=bound, who=who)


def written(connection: db.Connection, principal: Principal, resource: str, identity: UUID, as_: Interaction) -> None:
    """Raise Forbidden where what was just written lies outside of what the token's scopes cover: ask before commit."""
    conditions, values = list[sql.Composable](), list[object]()
    if only_chosen(principal, resource, _LETTER[as_]):
        conditions.append(sql.SQL("patient_id = %s"))
        values.append(principal.chosen)
    for narrowed in narrowings(principal, resource, _LETTER[as_]):
        condition, more = _narrow(resource, narrowed, None)
        conditions.append(condition)
        values.extend(more)
    if not conditions:
        return
    where = sql.SQL(" AND ").join([sql.SQL("id = %s"), *conditions])
    statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(
        sql.Identifier("fhir", kind(resource).table), where
    )
    if connection.execute(statement, [identity, *values]).fetchone() != (True,):
        raise Forbidden(f"the token's scopes cover {as_} of {resource} only with other content")


@contextmanager
def asking(pool: db.Pool, principal: Principal) -> Generator[db.Connection]:
    """Open the one transaction of a request: row-level security knows the principal; it commits at a good end."""
    with db.asking(
        pool,
        user=principal.person,
        role=principal.role,
        patients=principal.patients,
        chosen=principal.confined,
        purpose=principal.purpose,
    ) as connection:
        yield connection


@contextmanager
def nobody(pool: db.Pool) -> Generator[db.Connection]:
    """Open a transaction before anybody is known: it sees no row of the record."""
    with db.asking(pool, user=None, role="") as connection:
        yield connection


@contextmanager
def gateway(pool: db.Pool, name: str) -> Generator[db.Connection]:
    """Open the transaction of a gateway that has proved its name: it sees what it was asked and offered, no more."""
    with db.asking(pool, user=None, role="gateway") as connection:
        connection.execute("SELECT set_config('app.gateway', %s, true)", (name,))
        yield connection
