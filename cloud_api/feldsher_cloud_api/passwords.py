"""Passwords: argon2id (RFC 9106), the lock after repeated failures, and no more hashing at once than a server bears."""

from __future__ import annotations

import threading
from datetime import datetime
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from feldsher_cloud_api import db
from feldsher_cloud_api.limits import TooFastError

FREE_ATTEMPTS = 5
"""Wrong passwords before an account is locked, for 60 s and then twice as long each time, at most 15 minutes."""
MINIMUM_LENGTH = 10

_hasher = PasswordHasher()
# An unknown name costs the same work as a wrong password, so that answering time tells nothing.
_NOBODY = _hasher.hash("nobody has this password")
_queries = db.queries("auth")
# argon2 takes 64 MiB and a core each time: guesses queue here rather than starve the server.
_kitchen = threading.BoundedSemaphore(2)
# Who guesses from many addresses must not hold every thread of the server in that queue: beyond these, none waits.
_places = threading.BoundedSemaphore(12)


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password; ValueError where it is too short."""
    if len(password) < MINIMUM_LENGTH:
        raise ValueError(f"password: at least {MINIMUM_LENGTH} characters are needed")
    return _hasher.hash(password)


def matches(password_hash: str, password: str) -> bool:
    """Return whether a password belongs to a hash, in the same time either way; TooFastError where too many wait."""
    if not _places.acquire(blocking=False):
        raise TooFastError(5)
    try:
        with _kitchen:
            return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _places.release()


def authenticate(pool: db.Pool, username: str, password: str, now: datetime) -> UUID | None:
    """Return the person whose name and password these are, else None; failures are counted before they are made."""
    with pool.connection() as connection:
        row = _queries.reserve_attempt(connection, username=username, now=now, free=FREE_ATTEMPTS)
    good = matches(row[1] if row else _NOBODY, password)
    if row is None or not good:
        return None
    person: UUID = row[0]
    with pool.connection() as connection:
        _queries.forgive_attempts(connection, person=person)
        if _hasher.check_needs_rehash(row[1]):
            _queries.replace_hash(connection, person=person, password_hash=_hasher.hash(password))
    return person


def is_locked(pool: db.Pool, username: str, now: datetime) -> bool:
    """Return whether an account is locked at this moment."""
    with pool.connection() as connection:
        return bool(_queries.is_locked(connection, username=username, now=now))
