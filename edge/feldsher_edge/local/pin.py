"""The PIN of the gateway's web page: kept as a hash, and a brake that makes guessing take longer than a PIN lives.

Six digits or more. After five wrong ones the whole page waits, twice as long each time, up to a quarter of an hour: of
a million PINs a guesser then tries under forty thousand a year. The brake is one for all addresses, because on a local
network anybody can have many.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec

from feldsher_edge.files import write_file

FILE = "page.json"
LEAST_DIGITS = 6
FREE = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 900.0
_N, _R, _P = 1 << 14, 8, 1
"""scrypt's cost (RFC 7914): 16 MB and some 50 ms of a Pi, for every try."""


class PinError(ValueError):
    """A PIN that may not be used; the text says why."""


class _Kept(msgspec.Struct, frozen=True):
    salt: str
    hash: str


def change(state: Path, pin: str) -> None:
    """Set the page's PIN; PinError where it is too short or too plain."""
    if not pin.isascii() or not pin.isdigit() or len(pin) < LEAST_DIGITS:
        raise PinError(f"a PIN has at least {LEAST_DIGITS} digits, and nothing else")
    if not hard_enough(pin):
        raise PinError("the digits of a PIN are neither all the same nor in a row")
    salt = os.urandom(16)
    kept = _Kept(salt.hex(), _hash(pin, salt).hex())
    write_file(state / FILE, msgspec.json.encode(kept))


def hard_enough(pin: str) -> bool:
    """Say whether a PIN's digits are neither all the same nor in a row."""
    steps = {int(b) - int(a) for a, b in pairwise(pin)}
    return len(steps) != 1 or not steps <= {-1, 0, 1}


def is_set(state: Path) -> bool:
    """Say whether there is a PIN."""
    return (state / FILE).exists()


def fits(state: Path, pin: str) -> bool:
    """Say whether a PIN is the one that was set; without one nothing fits."""
    try:
        kept = msgspec.json.decode((state / FILE).read_bytes(), type=_Kept)
        salt, wanted = bytes.fromhex(kept.salt), bytes.fromhex(kept.hash)
    except (OSError, msgspec.DecodeError, ValueError):
        return False
    return hmac.compare_digest(_hash(pin[:64], salt), wanted)


def _hash(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=32)


@dataclass(slots=True)
class Brake:
    """Slows guessing down. `now`: monotonic seconds."""

    now: Callable[[], float]
    wrong: int = 0
    _until: float = 0.0

    def wait_s(self) -> float:
        """Return for how many seconds no PIN is looked at, 0 where one is."""
        return max(0.0, self._until - self.now())

    def failed(self) -> None:
        """Note a wrong PIN."""
        self.wrong += 1
        if self.wrong >= FREE:
            self._until = self.now() + min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(self.wrong - FREE, 20))

    def passed(self) -> None:
        """Note the right PIN."""
        self.wrong, self._until = 0, 0.0


@dataclass(slots=True)
class _Session:
    csrf: str
    until: float


class Sessions:
    """Who has given the PIN: random tokens in memory, for a working day; a restart ends them. `now`: monotonic."""

    LASTS_S = 8 * 3600.0
    MOST = 50

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._open: dict[str, _Session] = {}

    def begin(self) -> str:
        """Return the token of a new session; where there are too many, the oldest ends."""
        token = secrets.token_urlsafe(32)
        while len(self._open) >= self.MOST:
            del self._open[next(iter(self._open))]
        self._open[token] = _Session(secrets.token_urlsafe(32), self._now() + self.LASTS_S)
        return token

    def csrf(self, token: str | None) -> str | None:
        """Return what the forms of a session must bring, None where there is no such session (any more)."""
        known = self._open.get(token or "")
        if known is None:
            return None
        if known.until < self._now():
            del self._open[token or ""]
            return None
        return known.csrf

    def end(self, token: str | None) -> None:
        """End a session."""
        self._open.pop(token or "", None)
