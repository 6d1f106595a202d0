"""Signed-in browsers: listing and ending them, and locking one so that somebody else signs in beside it.

A shared computer holds a few locked sessions in a sealed cookie: who comes back with their password goes on where they
were. A session ends when it is idle, at its absolute end, with a new password, and when its owner or an administrator
ends it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from cryptography.fernet import InvalidToken
from fastapi import Request
from fastapi.responses import Response

from feldsher_cloud_api import auth, db
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.secret import digest

LOCKED_COOKIE = "feldsher_locked"
MOST_LOCKED = 5
"""Locked sessions that one browser remembers; the oldest is forgotten."""
_queries = db.queries("sessions")


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser as its owner sees it."""

    id: UUID
    agent: str
    created: datetime
    last_seen: datetime
    locked: bool
    factors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Locked:
    """A session that waits in a browser for its owner: its cookie and the page they left."""

    token: str
    path: str


def of_person(connection: db.Connection, person: UUID, now: datetime, idle: timedelta) -> list[Session]:
    """Return a person's sessions that still count, the latest first."""
    rows = _queries.of_person(connection, person=person, now=now, idle_since=now - idle)
    return [Session(row[0], row[1], row[2], row[3], row[4], tuple(row[5])) for row in rows]


def end(connection: db.Connection, person: UUID, session: UUID) -> bool:
    """End one of a person's sessions; False where there is none of this id."""
    return bool(_queries.end(connection, person=person, id=session) == 1)


def end_others(connection: db.Connection, person: UUID, keep: str | None, now: datetime) -> None:
    """End all of a person's sessions but the one of a cookie, and all that programs were granted."""
    _queries.end_others(connection, person=person, keep=digest(keep) if keep else b"")
    _queries.end_grants(connection, person=person, now=now)


def locked(of: Context, request: Request) -> list[Locked]:
    """Return the locked sessions that a browser holds, the latest first; nothing where its cookie is none of ours."""
    try:
        said = json.loads(of.cursor.decrypt(request.cookies.get(LOCKED_COOKIE, "").encode()))
    except (InvalidToken, ValueError):
        return []
    return [Locked(token, auth.local_path(path)) for token, path in cast("list[tuple[str, str]]", said)]


def lock(of: Context, request: Request, response: Response, token: str, path: str) -> None:
    """Lock a browser's session and remember it in the browser, with the page that was left."""
    with of.pool.connection() as connection:
        _queries.lock(connection, token_hash=digest(token), now=of.settings.clock())
    kept = [Locked(token, auth.local_path(path)), *(one for one in locked(of, request) if one.token != token)]
    _remember(of, response, kept[:MOST_LOCKED])
    response.delete_cookie(auth.COOKIE, path="/")


def unlock(of: Context, request: Request, response: Response, person: UUID) -> Locked | None:
    """Open a person's locked session of this browser again, now that they have proved themselves; None without one."""
    now, kept = of.settings.clock(), locked(of, request)
    for one in kept:
        with of.pool.connection() as connection:
            opened = _queries.unlock(connection, token_hash=digest(one.token), person=person, now=now) == 1
        if opened:
            _remember(of, response, [other for other in kept if other.token != one.token])
            return one
    return None


def names(of: Context, request: Request) -> list[str]:
    """Return whose locked sessions a browser holds."""
    now, hashes = of.settings.clock(), [digest(one.token) for one in locked(of, request)]
    if not hashes:
        return []
    with of.pool.connection() as connection:
        return [row[0] for row in _queries.names(connection, hashes=hashes, now=now)]


def _remember(of: Context, response: Response, kept: list[Locked]) -> None:
    if not kept:
        response.delete_cookie(LOCKED_COOKIE, path="/")
        return
    sealed = of.cursor.encrypt(json.dumps([(one.token, one.path) for one in kept]).encode()).decode()
    life = int(of.settings.session_life.total_seconds())
    response.set_cookie(
        LOCKED_COOKIE, sealed, max_age=life, httponly=True, samesite="lax", secure=not of.settings.loopback, path="/"
    )


def keep_draft(of: Context, token: str, path: str, fields: str) -> None:
    """Keep what somebody had typed on a page when they locked their session, sealed; the latest counts."""
    sealed = of.cursor.encrypt(fields.encode())
    with of.pool.connection() as connection:
        _queries.keep_draft(
            connection, token_hash=digest(token), path=auth.local_path(path), fields=sealed, now=of.settings.clock()
        )


def take_draft(of: Context, token: str, path: str) -> str | None:
    """Return what its owner had typed on a page, once; None where nothing is kept."""
    with of.pool.connection() as connection:
        sealed = _queries.take_draft(connection, token_hash=digest(token), path=path)
    return None if sealed is None else of.cursor.decrypt(bytes(sealed)).decode()
