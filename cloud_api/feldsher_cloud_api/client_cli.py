"""`feldsher-cloud client`: programs that registered themselves, and the administrator's word on each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import typer

from feldsher_cloud_api import accounts, db
from feldsher_cloud_api.fhir.store import new_id
from feldsher_cloud_api.terminal import owner, settings, show

app = typer.Typer()
_queries = db.queries("clients")
_COLUMNS = (
    "id", "name", "state", "kind", "sandbox", "proof", "grant_types", "scopes", "redirect_uris", "jwks_uri",
    "launch_uri", "detail", "registered", "decided",
)  # fmt: skip


def listed(connection: db.Connection) -> list[dict[str, Any]]:
    """Return all registered programs, those that wait first."""
    return [dict(zip(_COLUMNS, row, strict=True)) for row in _queries.all(connection)]


def approve(connection: db.Connection, identity: str, now: datetime, *, demo: bool) -> None:
    """Let a waiting program in; a backend service gets an account to act as.

    LookupError where none of this id waits, or where it is for a sandbox and this installation (`demo`) is none.
    """
    row = _queries.waiting(connection, id=identity)
    if row is None:
        raise LookupError(f"{identity}: no program of this id waits for approval")
    name, kind, sandbox = row
    if sandbox and not demo:
        raise LookupError(f"{identity}: it is for a sandbox, and this is no demo installation: refuse it here")
    person = None
    if kind == "program":
        person = new_id(now)
        accounts.add_person(
            connection, identity=person, username=f"client-{identity}".lower(), display=name, role="service",
            password=None,
        )  # fmt: skip
    _queries.approve(connection, id=identity, person=person, now=now)


def refuse(connection: db.Connection, identity: str, now: datetime) -> None:
    """Refuse a program or end its access at once, tokens included; LookupError where there is none to refuse."""
    if _queries.refuse(connection, id=identity, now=now) != 1:
        raise LookupError(f"{identity}: there is no program of this id, or it is refused already")
    _queries.end_grants(connection, id=identity, now=now)


@app.command("list")
def list_() -> None:
    """Print all registered programs, those that wait for approval first, one JSON object per line."""
    with owner(settings()) as connection:
        for client in listed(connection):
            show(client)


@app.command("approve")
def approve_(identity: str) -> None:
    """Approve a program that waits: from now on it gets what it registered for. Look at `client list` first."""
    with owner(of := settings()) as connection:
        try:
            approve(connection, identity, of.clock(), demo=of.demo)
        except LookupError as error:
            raise typer.BadParameter(str(error)) from error


@app.command("refuse")
def refuse_(identity: str) -> None:
    """Refuse a program, or end the access of one that was approved, at once."""
    with owner(of := settings()) as connection:
        try:
            refuse(connection, identity, of.clock())
        except LookupError as error:
            raise typer.BadParameter(str(error)) from error
