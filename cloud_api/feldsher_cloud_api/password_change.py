"""A new password: the old one is asked for, the signing key is sealed anew, and every other browser is signed out."""

from __future__ import annotations

from feldsher_cloud_api import access, db, passwords, sessions
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.care import signature
from feldsher_cloud_api.context import Context

_queries = db.queries("auth")
_keys = db.queries("signature")


def change(of: Context, who: Principal, old: str, new: str, keep: str | None) -> bool:
    """Change a person's password; False where the old one is wrong, ValueError where the new one is too short.

    `keep`: the cookie of the session that stays; all others end, and so does what programs were granted.
    """
    now, person = of.settings.clock(), who.person
    with of.pool.connection() as connection:
        row = _queries.password_of(connection, person=person)
    if row is None or passwords.authenticate(of.pool, row[0], old, now) != person:
        return False
    hashed = passwords.hash_password(new)
    with access.asking(of.pool, who) as connection:  # row-level security lets nobody else touch the key
        sealed = signature.resealed(connection, person, old, new)
        if sealed is not None:
            salt, nonce, wrapped = sealed
            _keys.reseal(connection, person=person, salt=salt, nonce=nonce, wrapped=wrapped)
        _queries.replace_hash(connection, person=person, password_hash=hashed)
        sessions.end_others(connection, person, keep, now)
    return True
