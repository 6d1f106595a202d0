"""Who may do what: the one place in code, in front of the database's row-level security.

The table RIGHTS says which interactions a role has with a type at all; scopes of a token narrow it; *which* patients is
decided by row-level security from the settings that `reading` makes (the patient compartment, the care relationship).
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from psycopg import sql

from feldsher_cloud_api import db

Interaction = Literal["read", "search", "create", "update"]
_LETTER: dict[Interaction, str] = {"read": "r", "search": "s", "create": "c", "update": "u"}

CLINICAL = (
    "Patient", "ServiceRequest", "Observation", "DiagnosticReport", "Task", "Flag", "Provenance", "AuditEvent",
    "Binary",
)  # fmt: skip

# r read (with vread and history), s search, c create, u update. What is not here is refused.
RIGHTS: dict[str, dict[str, str]] = {
    "doctor": {
        "Patient": "rs",
        "Practitioner": "rs",
        "Organization": "rs",
        "Device": "rs",
        "ServiceRequest": "rsc",
        "Observation": "rs",
        "DiagnosticReport": "rsu",
        "Task": "rsu",
        "Flag": "rs",
        "Provenance": "rs",
        "AuditEvent": "rs",
        "Binary": "r",
    },
    "patient": {
        "Patient": "rs",
        "Practitioner": "rs",
        "Organization": "rs",
        "Device": "rs",
        "ServiceRequest": "rs",
        "Observation": "rs",
        "DiagnosticReport": "rs",
        "Provenance": "rs",
        "AuditEvent": "rs",
        "Binary": "r",
    },
    "technician": {"Practitioner": "rs", "Organization": "rs", "Device": "rs"},
    "manager": {},  # counts and states of the fleet (permit_fleet), nothing of the record
    "service": {
        "Patient": "rs",
        "Practitioner": "rs",
        "Organization": "rs",
        "Device": "rs",
        "ServiceRequest": "rsc",
        "Observation": "rs",
        "DiagnosticReport": "rs",
        "Task": "rs",
        "Flag": "rs",
        "Provenance": "rs",
        "AuditEvent": "rs",
        "Binary": "r",
    },
}

_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)")
_WORDS = {"read": "rs", "write": "cud", "*": "cruds"}
OTHER_SCOPES = ("openid", "fhirUser", "profile", "offline_access", "launch/patient")


class Unauthenticated(Exception):  # noqa: N818 - it is an answer, not a fault
    """Nobody is signed in, or the token or session is not valid (any more)."""


class Forbidden(Exception):  # noqa: N818
    """The person is known and may not do this; the text says what, never whom it concerns."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: the person, their role, for whom they speak, and through which client with which scopes.

    `scopes` is None for a person in a browser session: the role alone decides.
    """

    person: UUID
    role: str
    display: str
    practitioner: UUID | None
    patients: tuple[UUID, ...]
    client: str
    scopes: tuple[str, ...] | None = None

    @property
    def reference(self) -> str | None:
        """The FHIR reference of the person: their Practitioner or, for a patient, their Patient."""
        if self.practitioner is not None:
            return f"Practitioner/{self.practitioner}"
        return f"Patient/{self.patients[0]}" if self.patients else None


def is_scope(text: str) -> bool:
    """Return whether a scope is one that this server understands."""
    match = _SCOPE.fullmatch(text)
    return text in OTHER_SCOPES or (match is not None and bool(match[3]))


def scope_allows(scopes: tuple[str, ...], role: str, resource: str, interaction: Interaction) -> bool:
    """Return whether SMART scopes (v1 words or v2 letters) cover an interaction for a role.

    `patient/` counts for a patient's own token only, `system/` for programs only, `user/` for every person.
    """
    contexts = {"service": ("system",), "patient": ("patient", "user")}.get(role, ("user",))
    for scope in scopes:
        match = _SCOPE.fullmatch(scope)
        if match is None or match[1] not in contexts or match[2] not in ("*", resource):
            continue
        if _LETTER[interaction] in _WORDS.get(match[3], match[3]):
            return True
    return False


def permit(principal: Principal, resource: str, interaction: Interaction) -> None:
    """Raise Forbidden where role or scopes do not cover an interaction with a resource type."""
    if _LETTER[interaction] not in RIGHTS.get(principal.role, {}).get(resource, ""):
        raise Forbidden(f"the role {principal.role} may not {interaction} {resource}")
    if principal.scopes is not None and not scope_allows(principal.scopes, principal.role, resource, interaction):
        raise Forbidden(f"the token's scopes do not cover {interaction} of {resource}")


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


@dataclass(frozen=True, slots=True)
class Reach:
    """Which patients' rows a principal reaches: `patients` None = all of them.

    `staff` tells whether devices are reached whoever wears them. Row-level security repeats this in the database, so
    that a place which forgets it leaks nothing.
    """

    patients: tuple[UUID, ...] | None
    staff: bool = True

    def predicate(self, resource: str) -> tuple[sql.Composable, list[object]]:
        """Return the condition, with its values, that a row of a resource type has to meet."""
        if resource == "Device" and not self.staff:
            return sql.SQL("id IN (SELECT device FROM cloud.device_assignment WHERE patient = ANY (%s))"), [
                list(self.patients or ())
            ]
        if resource not in CLINICAL or self.patients is None:
            return sql.SQL("true"), []
        return sql.SQL("patient_id = ANY (%s)"), [list(self.patients)]


EVERYTHING = Reach(None)


def reach(connection: db.Connection, principal: Principal) -> Reach:
    """Return whose rows a principal reaches at this moment."""
    if principal.role == "patient":
        return Reach(principal.patients, staff=False)
    if principal.role == "service":
        return EVERYTHING
    if principal.role == "doctor":
        row = connection.execute("SELECT app.cares_for_all(), app.cared_for()").fetchone()
        return Reach(()) if row is None else EVERYTHING if row[0] else Reach(tuple(row[1]))
    return Reach(())


@contextmanager
def asking(pool: db.Pool, principal: Principal) -> Generator[db.Connection]:
    """Open the one transaction of a request: row-level security knows the principal; it commits at a good end."""
    with db.asking(pool, user=principal.person, role=principal.role, patients=principal.patients) as connection:
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
