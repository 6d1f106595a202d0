"""Accounts: adding people and programs, changing passwords, ending access at once."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from feldsher_cloud_api import db, passwords, second_factor, sessions
from feldsher_cloud_api.access import RIGHTS, is_scope
from feldsher_cloud_api.care import signature
from feldsher_cloud_api.secret import digest

_queries = db.queries("accounts")


def add_person(
    connection: db.Connection,
    *,
    identity: UUID,
    username: str,
    display: str,
    role: str,
    password: str | None,
    practitioner: UUID | None = None,
    patient: UUID | None = None,
) -> None:
    """Add an account, with a signing key of their own for a doctor; one that exists is left as it is.

    ValueError names a role that does not exist or a password that is too short. `password` None: nobody can sign in.
    """
    if role not in RIGHTS:
        raise ValueError(f"role: {role!r} is not one of {', '.join(RIGHTS)}")
    added = _queries.add_person(
        connection, id=identity, username=username.lower(), display=display, role=role, practitioner=practitioner
    )
    if added != 1:
        return
    if password is not None:
        _queries.add_account(connection, person=identity, password_hash=passwords.hash_password(password))
        if role == "doctor":
            public, salt, nonce, wrapped = signature.new_key(password)
            _queries.add_key(connection, person=identity, public_pem=public, salt=salt, nonce=nonce, wrapped=wrapped)
    if patient is not None:
        _queries.link_patient(connection, person=identity, patient=patient)


def care_for(connection: db.Connection, person: UUID, patient: UUID | None, reason: str) -> None:
    """Put a doctor into care relationship with a patient, or with every patient of the clinic (None)."""
    _queries.care_for(connection, id=_relationship(person, patient), person=person, patient=patient, reason=reason)


def _relationship(person: UUID, patient: UUID | None) -> UUID:
    return UUID(bytes=digest(f"{person}/{patient}")[:16], version=4)


def add_client(
    connection: db.Connection,
    *,
    identity: str,
    name: str,
    grant_types: list[str],
    scopes: list[str],
    redirect_uris: list[str],
    secret: str | None,
    person: UUID | None = None,
    kind: str = "server",
    keys: dict[str, Any] | None = None,
    launch_uri: str | None = None,
) -> None:
    """Register a program, or replace what is registered; ValueError names a scope that does not exist.

    `secret` None: a public client, which has PKCE alone, or one with `keys` (JSON Web Key Set, public halves).
    `person`: whom client credentials act as. `launch_uri`: where the workstation starts it for a patient.
    """
    for scope in scopes:
        if not is_scope(scope):
            raise ValueError(f"scope: {scope!r} is not one of this server's")
    _queries.add_client(
        connection,
        id=identity,
        name=name,
        secret_hash=digest(secret) if secret else None,
        redirect_uris=redirect_uris,
        grant_types=grant_types,
        scopes=scopes,
        person=person,
        kind=kind,
        keys=Jsonb(keys) if keys else None,
        launch_uri=launch_uri,
    )


def disable(connection: db.Connection, username: str, now: datetime) -> bool:
    """End a person's access at once: account, sessions and grants; False where there is no such person."""
    with connection.transaction():
        person: UUID | None = _queries.disable(connection, username=username, now=now)
        if person is None:
            return False
        _queries.end_sessions(connection, person=person)
        _queries.end_grants(connection, person=person, now=now)
        return True


def person_of(connection: db.Connection, username: str) -> UUID:
    """Return a person's id by their name; ValueError where there is no such account."""
    person: UUID | None = _queries.person_id(connection, username=username)
    if person is None:
        raise ValueError(f"{username}: there is no such account")
    return person


def sessions_of(connection: db.Connection, username: str, now: datetime, idle: timedelta) -> list[sessions.Session]:
    """Return where a person is signed in; ValueError where there is no such account."""
    return sessions.of_person(connection, person_of(connection, username), now, idle)


def sign_out(connection: db.Connection, username: str, now: datetime) -> None:
    """End all of a person's sessions and grants; ValueError where there is no such account."""
    sessions.end_others(connection, person_of(connection, username), None, now)


def remove_second_factor(connection: db.Connection, username: str) -> bool:
    """Remove a person's second factor; False where they have none, ValueError where there is no such account."""
    return second_factor.remove(connection, person_of(connection, username))


def new_password() -> str:
    """Return a random password."""
    return secrets.token_urlsafe(12)
