"""Rights as data: `rights.toml` read, checked, and loaded into the database for row-level security."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Literal

import msgspec
from psycopg import sql

from feldsher_cloud_api import db

Class = Literal["compartment", "device", "directory", "staff"]
Reach = Literal["all", "care", "granted", "own", "none"]
LETTERS = "cruds"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers that rules need: ages, durations."""

    majority_years: int
    break_glass_minutes: int
    break_glass_reason: int


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is true of a role whatever the type: whose rows, which scopes count, why it asks."""

    reach: Reach
    contexts: frozenset[Literal["patient", "user", "system"]]
    purpose: str
    about: str
    emergency: bool = False


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Types that are treated alike."""

    class_: Class = msgspec.field(name="class")
    types: tuple[str, ...]


class Right(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line: what a role may do with groups or types, and why."""

    role: str
    on: tuple[str, ...]
    letters: str
    why: str


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rights.toml` as written."""

    limits: Limits
    roles: dict[str, Role]
    groups: dict[str, Group]
    right: tuple[Right, ...]


class Rights(msgspec.Struct, frozen=True):
    """What the lines come to: role → type → letters; the class and group of each type."""

    limits: Limits
    roles: dict[str, Role]
    groups: dict[str, Group]
    letters: dict[str, dict[str, str]]
    why: dict[str, dict[str, str]]
    classes: dict[str, Class]

    def may(self, role: str, kind: str, letter: str) -> bool:
        """Return whether a role may do this with a resource type at all."""
        return letter in self.letters.get(role, {}).get(kind, "")

    def of_class(self, *classes: Class) -> frozenset[str]:
        """Return the types of these classes."""
        return frozenset(kind for kind, of in self.classes.items() if of in classes)


@cache
def rights() -> Rights:
    """Return the rights that hold, read once."""
    return read((resources.files("feldsher_cloud_api") / "rights.toml").read_bytes())


def read(text: bytes) -> Rights:
    """Return what a file of rights comes to; ValueError names the line that makes no sense."""
    try:
        file = msgspec.toml.decode(text, type=File)
    except msgspec.DecodeError as error:
        raise ValueError(f"rights: {error}") from error
    classes: dict[str, Class] = {}
    for name, group in file.groups.items():
        for kind in group.types:
            if kind in classes:
                raise ValueError(f"rights: {kind} of group {name} is in another group too")
            classes[kind] = group.class_
    letters: dict[str, dict[str, str]] = {role: {} for role in file.roles}
    why: dict[str, dict[str, str]] = {role: {} for role in file.roles}
    for line in file.right:
        for kind in _types(file, line, classes):
            letters[line.role][kind], why[line.role][kind] = line.letters, line.why
    return Rights(file.limits, file.roles, file.groups, letters, why, classes)


def _types(file: File, line: Right, classes: dict[str, Class]) -> list[str]:
    if line.role not in file.roles:
        raise ValueError(f"rights: there is no role {line.role}")
    if "".join(x for x in LETTERS if x in line.letters) != line.letters:
        raise ValueError(f"rights of {line.role}: letters {line.letters!r} are not some of {LETTERS}, in this order")
    if line.letters and "r" not in line.letters:
        # The database cannot tell finding from reading, and nobody changes what they may not see.
        raise ValueError(f"rights of {line.role}: {line.letters!r} without r")
    found: list[str] = []
    for name in line.on:
        if name not in file.groups and name not in classes:
            raise ValueError(f"rights of {line.role}: {name} is neither a group nor a type")
        found.extend(file.groups[name].types if name in file.groups else (name,))
    return found


def load(connection: db.Connection) -> None:
    """Bring the database's copy up to this program's, and the policies of its tables to what there is.

    Nothing is written, and nobody waits, where it is so already.
    """
    of = rights()
    _keep(connection, "type", ("name", "class"), list(of.classes.items()))
    roles = [(name, r.reach, r.purpose, r.emergency) for name, r in of.roles.items()]
    _keep(connection, "role_kind", ("name", "reach", "purpose", "emergency"), roles)
    lines = [(role, kind, x) for role, kinds in of.letters.items() for kind, x in kinds.items() if x]
    _keep(connection, "rights", ("role", "type", "letters"), lines)
    _keep(connection, "limits", ("name", "value"), [(f, getattr(of.limits, f)) for f in Limits.__struct_fields__])
    connection.execute("CALL app.secure()")


def _keep(
    connection: db.Connection, name: str, columns: tuple[str, ...], rows: Sequence[tuple[str | int | bool, ...]]
) -> None:
    table, listed = sql.Identifier("app", name), sql.SQL(", ").join(map(sql.Identifier, columns))
    kept = connection.execute(sql.SQL("SELECT {} FROM {}").format(listed, table)).fetchall()
    if set(kept) == set(rows):
        return
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                table, listed, sql.SQL(", ").join([sql.Placeholder()] * len(columns))
            ),
            rows,
        )
