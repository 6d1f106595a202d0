"""The User Control Point (0x2A9F) of the User Data Service (0x181C): consenting as one of a device's users.

Scales of Beurer, Sanitas and others give no reading before the collector has named a user and that user's code. Layout:
User Data Service 1.0, §3.12. A code is four digits, shown on the device; it is no secret of a patient's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from feldsher_edge.ble.packet import Packet, unsigned

MOST_CODE = 9999


class Op(IntEnum):
    """What is asked, or answered."""

    REGISTER = 0x01
    CONSENT = 0x02
    DELETE = 0x03
    RESPONSE = 0x20


class Result(IntEnum):
    """What became of a request."""

    SUCCESS = 0x01
    NOT_SUPPORTED = 0x02
    INVALID_PARAMETER = 0x03
    FAILED = 0x04
    NOT_AUTHORIZED = 0x05


@dataclass(frozen=True, slots=True)
class Consent:
    """The user `user` (as the device numbers them) agrees, with the code that the device showed."""

    user: int
    code: int


@dataclass(frozen=True, slots=True)
class Response:
    """What became of request `op`; `result` is a `Result` or a reserved number; `user`: whom a registration made."""

    op: int
    result: int
    user: int | None = None


def encode(it: Consent | Response) -> bytes:
    """Return the bytes of 0x2A9F; ValueError where a code has more than four digits."""
    if isinstance(it, Response):
        head = bytes([Op.RESPONSE]) + unsigned(it.op, 1, "op") + unsigned(it.result, 1, "result")
        return head + (b"" if it.user is None else unsigned(it.user, 1, "user"))
    if not 0 <= it.code <= MOST_CODE:
        raise ValueError(f"code: {it.code} is not 0 to {MOST_CODE}")
    return bytes([Op.CONSENT]) + unsigned(it.user, 1, "user") + unsigned(it.code, 2, "code")


def parse(data: bytes) -> Consent | Response:
    """Return what the bytes of 0x2A9F say; ValueError names the byte that is missing, unknown or too many."""
    packet = Packet(data)
    op = packet.unsigned(1, "op code")
    if op == Op.CONSENT:
        it: Consent | Response = Consent(packet.unsigned(1, "user"), packet.unsigned(2, "consent code"))
        if it.code > MOST_CODE:
            raise ValueError(f"byte 2: consent code {it.code} is not 0 to {MOST_CODE}")
    elif op == Op.RESPONSE:
        asked, result = packet.unsigned(1, "request op code"), packet.unsigned(1, "result")
        made = op == Op.RESPONSE and asked == Op.REGISTER and packet.at < len(data)
        it = Response(asked, result, packet.unsigned(1, "user") if made else None)
    else:
        raise ValueError(f"byte 0: op code 0x{op:02x} is neither a consent nor an answer")
    packet.end("the op code's fields")
    return it
