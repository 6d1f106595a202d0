"""A second factor beside the password: codes of an authenticator app (TOTP, RFC 6238) and recovery codes.

A secret is kept sealed, recovery codes hashed; each code is good once, and wrong ones lock the factor for a while, ever
longer, as wrong passwords do. Which roles must have one is a setting (FELDSHER_SECOND_FACTOR).
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from feldsher_cloud_api import db
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.secret import digest, keep_secret

STEP_S, DIGITS = 30, 6
"""What every authenticator app takes; RFC 6238 §5.2, and RFC 4226 §5.3."""
SKEW = 1
"""Steps before and after now that count as well: clocks differ, and people type slowly (RFC 6238 §5.2)."""
FREE_ATTEMPTS = 5
RECOVERY_CODES = 10
_queries = db.queries("second_factor")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret that is to be put into an authenticator app: as text, and as the address that its QR code holds."""

    secret: str
    uri: str


def has(connection: db.Connection, person: UUID) -> bool:
    """Return whether a person has a second factor that they have confirmed."""
    return bool(_queries.has(connection, person=person))


def demanded(of: Context, role: str) -> bool:
    """Return whether a role must have a second factor in this installation."""
    return role in of.settings.second_factor_roles


def begin(of: Context, person: UUID, username: str) -> Enrolment:
    """Return the secret that a person is to put into their app, the same until it is confirmed."""
    seal, now = _seal(of), of.settings.clock()
    fresh = secrets.token_bytes(20)  # RFC 4226 §4, R6: 160 bits
    with of.pool.connection() as connection:
        sealed = _queries.begin(connection, person=person, sealed=seal.encrypt(fresh), now=now)
    if sealed is None:
        raise ValueError("there is a second factor already; remove it first")
    text = base64.b32encode(seal.decrypt(bytes(sealed))).decode()
    named = f"feldsher:{quote(username)}"
    return Enrolment(text, f"otpauth://totp/{named}?secret={text}&issuer=feldsher&digits={DIGITS}&period={STEP_S}")


def confirm(of: Context, person: UUID, code: str) -> list[str] | None:
    """Take the first code of an app: return the recovery codes, shown only now, or None where the code is wrong."""
    if not _check_code(of, person, code, confirmed=False):
        return None
    codes = [secrets.token_hex(5) for _ in range(RECOVERY_CODES)]
    with of.pool.connection() as connection:
        _queries.confirm(connection, person=person, now=of.settings.clock())
        _queries.forget_codes(connection, person=person)
        for one in codes:
            _queries.add_code(connection, person=person, code_hash=digest(one))
    return codes


def check(of: Context, person: UUID, code: str) -> bool:
    """Return whether a code of the app or a recovery code is right, and use it up; failures are counted first."""
    plain = "".join(code.split()).lower()
    if len(plain) == DIGITS and plain.isdigit():
        return _check_code(of, person, plain, confirmed=True)
    now = of.settings.clock()
    with of.pool.connection() as connection:
        if _queries.reserve(connection, person=person, now=now, free=FREE_ATTEMPTS) is None:
            return False
        good = bool(_queries.use_code(connection, person=person, code_hash=digest(plain), now=now) == 1)
        if good:
            _queries.forgive(connection, person=person)
        return good


def _check_code(of: Context, person: UUID, code: str, *, confirmed: bool) -> bool:
    now = of.settings.clock()
    with of.pool.connection() as connection:
        row = _queries.reserve(connection, person=person, now=now, free=FREE_ATTEMPTS)
    if row is None or (row[1] is not None) != confirmed:
        return False
    step = matching(_seal(of).decrypt(bytes(row[0])), code, now)
    if step is None:
        return False
    with of.pool.connection() as connection:
        good = bool(_queries.use_step(connection, person=person, step=step) == 1)
        if good:
            _queries.forgive(connection, person=person)
        return good


def matching(secret: bytes, code: str, now: datetime) -> int | None:
    """Return the time step whose code this is, now or one before or after; None where it is none of them."""
    totp, at = TOTP(secret, DIGITS, SHA1(), STEP_S, enforce_key_length=False), int(now.timestamp()) // STEP_S  # noqa: S303
    for step in (at, *(at + d for s in range(1, SKEW + 1) for d in (-s, s))):
        if step >= 0 and secrets.compare_digest(totp.generate(step * STEP_S), code.encode()):
            return step
    return None


def remove(connection: db.Connection, person: UUID) -> bool:
    """Remove a person's second factor and its recovery codes; False where there was none."""
    _queries.forget_codes(connection, person=person)
    return bool(_queries.remove(connection, person=person) == 1)


def _seal(of: Context) -> Fernet:
    return Fernet(keep_secret(of.settings.secrets / "second-factor.key", Fernet.generate_key))
