"""Identifiers: message ids made at the edge, reading ids made of what was measured, gateway names and their shard."""

from __future__ import annotations

import hashlib
import itertools
import re
import zlib
from collections.abc import Iterable
from uuid import UUID

SHARDS = 16
"""Topic shards; fixed for ever, because a gateway's shard is part of its topics and of its broker rights."""

INGEST_USERS = tuple(f"ingest.{number}" for number in range(SHARDS))
"""Broker users (certificate names, MQTT client ids) of ingest's workers. Every service's name has a dot, which no
gateway's name can have: a gateway's certificate never brings a service's rights (docs/decisions/0008)."""
INGEST_TOOL = "ingest.tool"
"""Broker user of ingest's command line, so that it takes over no worker's session."""
CLOUD_WORKER = "cloud.worker"
"""Broker user of the cloud's worker, which publishes orders."""

CANARY = "feldsher-canary-"
"""How the names of canaries begin: gateways that the cloud plays itself, so that a test alarm crosses the whole line.
Nobody else's gateway may be named so (docs/safety/hazard-log.md)."""

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("ILO", "110", " -.")
_ORDER_NUMBER = re.compile(f"[{_DIGITS}]{{8}}")
_GLOBAL = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5,7}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{12}|[0-9A-Fa-f]{16}")
_GATEWAY = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def uuid7(unix_ms: int, random: bytes) -> UUID:
    """Return the UUID version 7 of a time and ten random bytes.

    `unix_ms`: milliseconds since 1970 UTC, 48 bits. `random`: exactly 10 bytes. Source: RFC 9562 §5.7.
    Raises ValueError where either is out of range.
    """
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"unix_ms: {unix_ms} does not fit 48 bits")
    if len(random) != 10:
        raise ValueError(f"random: 10 bytes are needed, not {len(random)}")
    value = unix_ms << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def made_ms(message_id: UUID) -> int:
    """Return the time inside a UUID version 7, milliseconds since 1970 UTC."""
    return message_id.int >> 80


def order_number(order: UUID) -> str:
    """Return the number under which people and cardiographs know an order: the last 40 bits of its id, eight digits.

    Crockford's digits (crockford.com/base32.html) have no I, L, O and U, so it can be read out and typed. They are
    random bits: a mistyped number meets another order once in a hundred million times where ten thousand are open.
    """
    return "".join(_DIGITS[order.int >> shift & 31] for shift in range(35, -1, -5))


def read_order_number(written: str) -> str | None:
    """Return what is written as an order number in its one spelling, None where it cannot be one.

    Small letters, spaces, hyphens and dots are as good; I and L are read as 1, O as 0.
    """
    plain = written[:32].upper().translate(_READ_AS)
    return plain if _ORDER_NUMBER.fullmatch(plain) else None


def order_tail(number: str) -> bytes:
    """Return the last five bytes of the ids of the orders that have a number (`read_order_number`'s spelling)."""
    value = 0
    for digit in number:
        value = value << 5 | _DIGITS.index(digit)
    return value.to_bytes(5, "big")


def gateway_id(text: str) -> str:
    """Return `text` where it can name a gateway: 1 to 63 of a-z, 0-9 and inner hyphens; ValueError otherwise.

    The name becomes a certificate's common name and a topic level, so it has the form of a DNS label and can hold
    neither a wildcard nor a patient's name in another script.
    """
    if not _GATEWAY.fullmatch(text):
        raise ValueError(f"gateway id: {text!r} is not 1 to 63 of a-z, 0-9 and inner hyphens")
    return text


def shard(gateway: str) -> int:
    """Return the topic shard of a gateway: crc32 of its name modulo 16."""
    return zlib.crc32(gateway.encode()) % SHARDS


def is_canary(gateway: str) -> bool:
    """Return whether a gateway's name is a canary's."""
    return gateway.startswith(CANARY)


def _canaries() -> tuple[str, ...]:
    names: dict[int, str] = {}
    for number in itertools.count():
        names.setdefault(shard(f"{CANARY}{number}"), f"{CANARY}{number}")
        if len(names) == SHARDS:
            return tuple(names[one] for one in range(SHARDS))
    raise AssertionError("numbers do not end")


CANARIES = _canaries()
"""The canary of each shard: a worker that hangs on a single shard is to be noticed as well."""


def device_key(gateway: str, name: str) -> str:
    """Return the key of a device that a gateway calls `name`: the same whoever hears it, and unlike any other's.

    Its own address in capitals where that is unique in the world (MAC, EUI-64), else gateway/name: the `cuff-1` of two
    homes are two devices. So the record knows devices, and so watch_subject names them.
    """
    return name.upper() if _GLOBAL.fullmatch(name) else f"{gateway}/{name}"


def reading_id(
    *,
    device: str,
    user: int | None,
    sent_at: str | None,
    values: Iterable[tuple[int, str]],
    sequence: int | None,
) -> UUID:
    """Return the id of a reading, equal wherever and whenever the same reading is heard again.

    `device`: the device's own address or system id; `user`: its user number; `sent_at`: the device's time exactly as
    sent (None where it sent none: then `sequence` must tell readings apart); `values`: (MDC code, value as text).
    A UUID version 8 over SHA-256, after the duplicate rule of the FHIR Personal Health Device guide.
    """
    parts = [device, "" if user is None else str(user), sent_at or "", "" if sequence is None else str(sequence)]
    parts += [f"{code}={value}" for code, value in sorted(values)]
    digest = int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16], "big")
    digest = digest & ~(0xF << 76) | 0x8 << 76
    digest = digest & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=digest)
